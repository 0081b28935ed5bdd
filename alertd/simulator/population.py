"""Who takes part in simulated calls: regions, SDKs and ways of leaving, in the shares of `population.toml`."""

from __future__ import annotations

import random
import tomllib
from bisect import bisect
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib import resources
from itertools import accumulate
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Mix(Generic[T]):
    """Things with weights, to draw one from."""

    def __init__(self, weighted: Iterable[tuple[T, float]]) -> None:
        pairs = list(weighted)
        self.things = [thing for thing, _ in pairs]
        self._sums = list(accumulate(weight for _, weight in pairs))

    def draw(self, rng: random.Random) -> T:
        """One of the things, each as likely as its weight says."""
        return self.things[min(bisect(self._sums, rng.random() * self._sums[-1]), len(self.things) - 1)]


@dataclass(frozen=True, slots=True)
class Region:
    """A media region, the edge most of its participants come through, and how much more often its rooms go bad."""

    name: str
    edge: str
    trouble: float


@dataclass(frozen=True, slots=True, eq=False)  # told apart by identity: there is one object for each kind
class Client:
    """An SDK on a platform; `publisher_info` is what it says of itself and is shared, so never changed."""

    sdk: str
    version: str
    codecs: tuple[str, ...]
    publisher_info: dict[str, str]


@dataclass(frozen=True, slots=True)
class Ending:
    """A way of leaving a room: Twilio's end_reason and error_code.

    `joining` means that it strikes while connecting, `rejoin` is the share of those who come back after it.
    """

    reason: str | None = None
    code: int | None = None
    joining: bool = False
    rejoin: float = 0.0


@lru_cache(maxsize=4096)
def with_version(client: Client, version: str) -> Client:
    """The same client running another version of its SDK; always the same object, to keep memory small."""
    return replace(client, version=version, publisher_info=client.publisher_info | {"sdk_version": version})


def _clients(sdks: list[dict[str, Any]]) -> Iterable[tuple[Client, float]]:
    yield Client("", "", ("VP8", "opus"), {}), 0.8  # some say nothing of themselves
    for sdk in sdks:
        whole = sum(sdk["versions"].values()) * sum(platform["share"] for platform in sdk["platforms"])
        for version, version_share in sdk["versions"].items():
            for platform in sdk["platforms"]:
                info = {"name": sdk["name"], "sdk_version": version, **platform["info"]}
                client = Client(sdk["name"], version, tuple(platform["codecs"]), info)
                yield client, sdk["share"] * version_share * platform["share"] / whole


def _endings(rows: list[dict[str, Any]]) -> Mix[Ending]:
    return Mix((Ending(**{key: row[key] for key in row.keys() - {"share"}}), row["share"]) for row in rows)


_FACTS = tomllib.loads((resources.files(__package__) / "population.toml").read_text(encoding="utf-8"))
HOURS: list[float] = _FACTS["rhythm"]["hours"]
WEEKDAYS: list[float] = _FACTS["rhythm"]["weekdays"]
SIZES: Mix[int] = Mix((int(size), share) for size, share in _FACTS["sizes"].items())
ROOM_TYPES: Mix[str] = Mix(_FACTS["room_types"].items())
REGIONS: Mix[Region] = Mix((Region(r["name"], r["edge"], r["trouble"]), r["share"]) for r in _FACTS["regions"])
CLIENTS: Mix[Client] = Mix(_clients(_FACTS["sdks"]))
ENDINGS: Mix[Ending] = _endings(_FACTS["endings"])
FAILURES: Mix[Ending] = _endings(_FACTS["failures"])
