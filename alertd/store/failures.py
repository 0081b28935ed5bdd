"""What a failure of the database means to the person who runs alertd, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from alertd.errors import StoreError

SQLITE = {
    "SQLITE_BUSY": "is locked by another program; end it (or the transaction it left open), or wait and try again",
    "SQLITE_LOCKED": "is locked by another program; end it (or the transaction it left open), or wait and try again",
    "SQLITE_READONLY": "is read-only; let this user write the file and its folder (chown, chmod, or remount)",
    "SQLITE_CANTOPEN": "cannot be opened; its folder must exist and this user must be able to write in it",
    "SQLITE_PERM": "cannot be opened; let this user read and write the file and its folder",
    "SQLITE_NOTADB": "is not a database; point [store] url at another file, or move this one away",
    "SQLITE_CORRUPT": "is damaged; restore a backup, or save what is left with `sqlite3 FILE .recover`",
    "SQLITE_FULL": "has no room to grow; free disk space, or lower [store] keep",
    "SQLITE_IOERR": "cannot be read or written; check the disk, and that the file is not on a network share",
}
"""By the start of the name of SQLite's result code (https://sqlite.org/rescode.html)."""

POSTGRES = {
    "28": "refused the login; check user and password in [store] url",
    "3D000": "has no such database; create it (CREATE DATABASE), or correct [store] url",
    "42501": "does not let this user work here; grant it the schema (GRANT ALL ON SCHEMA public TO …)",
    "25006": "is read-only; point [store] url at the primary server",
    "53300": "has no connection left; raise its max_connections, or end idle clients",
    "53": "is out of disk space or memory; free some",
    "57P": "is starting, stopping or ended the connection; try again",
    "57014": "took too long for a statement and gave up; look for locks (pg_stat_activity)",
    "40": "had to give way to another transaction; try again",
    "55P03": "is locked by another transaction; look in pg_stat_activity",
}
"""By the start of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""


@contextmanager
def explained(place: str) -> Iterator[None]:
    """Turns what the drivers raise into StoreError; `place` names the database without its password."""
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreError(f"{place} is too slow: every connection stayed busy; look for a long transaction") from error
    except (DBAPIError, OSError) as error:
        raise explain(error, place) from error
    except Exception as error:  # asyncpg is an extra: its classes may not be there to be named
        if not type(error).__module__.startswith("asyncpg"):
            raise
        raise explain(error, place) from error


def explain(error: BaseException, place: str) -> StoreError:
    """The StoreError that says in one line what is wrong with the database at `place`, and the remedy."""
    cause: BaseException = error.orig or error if isinstance(error, DBAPIError) else error
    remedy = _remedy(SQLITE, getattr(cause, "sqlite_errorname", None)) or _remedy(
        POSTGRES, getattr(cause, "sqlstate", None)
    )
    if remedy is None and _unreachable(cause):
        remedy = "cannot be reached; check host and port in [store] url, and that the server runs"
    first_line = (str(cause) or type(cause).__name__).splitlines()[0].rpartition(">: ")[2]
    return StoreError(f"{place} {remedy or 'failed'} ({first_line})")


def _remedy(table: dict[str, str], code: str | None) -> str | None:
    return next((text for start, text in table.items() if code and code.startswith(start)), None)


def _unreachable(cause: BaseException) -> bool:
    return isinstance(cause, OSError) or "connection" in str(cause).lower()
