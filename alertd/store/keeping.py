"""Whether what was counted is kept from one run to the next: the windows, packed, as of an instant.

They are a cache: whatever does not fit, or cannot be read, is as good as nothing, and rows are counted again.
"""

from __future__ import annotations

import io
import pickle
import zlib

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncConnection

from alertd import __version__
from alertd.engine import baselines, books, counting, populations, revisits, rough, tidying, windows
from alertd.engine.counting import Counted
from alertd.store import turns
from alertd.store.schema import window_states

MADE_BY = f"{__version__}/6"
"""What packed it: another alertd's is not read. Behind the slash is a number to be raised with any change of what is
counted or how it is kept."""
FASTEST = 1
_MODULES = {module.__name__ for module in (baselines, books, counting, populations, revisits, rough, tidying, windows)}
_OTHERS = {
    ("array", "array"),
    ("array", "_array_reconstructor"),
    ("builtins", "frozenset"),
    ("builtins", "range"),
    ("builtins", "set"),
    ("collections", "Counter"),
    ("msgspec._utils", "rebuild"),  # by which msgspec makes its structs again: a call of their class
}


def pack(counted: Counted) -> bytes:
    """What was counted, as bytes; about a fifth of what it takes in memory."""
    return zlib.compress(pickle.dumps(counted, protocol=5), FASTEST)


def unpack(body: bytes) -> Counted | None:
    """What `pack` was given; None for anything else."""
    try:
        found = _Unpickler(io.BytesIO(zlib.decompress(body))).load()
    except Exception:  # noqa: BLE001 - damaged bytes can raise nearly anything, and rows hold all of it anyway
        return None
    return found if isinstance(found, Counted) else None


class _Unpickler(pickle.Unpickler):
    """Makes objects of the engine's counting alone: whoever can write to the database must not run code here.

    As in Python's documentation of pickle, "Restricting Globals".
    """

    def find_class(self, module: str, name: str) -> object:
        """The class that the bytes name, if it is one of these; UnpicklingError for any other."""
        if "." not in name and (module in _MODULES or (module, name) in _OTHERS):
            found: object = super().find_class(module, name)
            if isinstance(found, type) or (module, name) in _OTHERS:
                return found
        raise pickle.UnpicklingError(f"{module}.{name} has no place among windows")


async def keep(connection: AsyncConnection, at: int, body: bytes) -> None:
    """Keep this in place of what was kept before."""
    await connection.execute(delete(window_states))
    await connection.execute(turns.insert(connection, window_states).values(made_by=MADE_BY, at=at, body=body))


async def kept(connection: AsyncConnection, moment: int) -> tuple[int, bytes] | None:
    """What was kept last, with its instant, if this alertd's kind kept it and that was at `moment` or before."""
    query = select(window_states.c.at, window_states.c.body).where(
        window_states.c.made_by == MADE_BY, window_states.c.at <= moment
    )
    row = (await connection.execute(query)).first()
    return None if row is None else (row.at, row.body)
