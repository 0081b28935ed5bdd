"""Rooms a second and CPU a room: alertd, Twilio's own library in three ways, and wrk, round by round."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import NamedTuple

from benchmarks import rooms
from benchmarks.rounds import Result, run, say
from benchmarks.server import served, usage

DELAY = 0.03


class Contender(NamedTuple):
    """Who fetches, how many requests at once, at which delay (in milliseconds), and how many rooms (None: all)."""

    kind: str
    in_flight: int
    delay: int
    limit: int | None = None

    @property
    def name(self) -> str:
        """Its name in the results."""
        return f"{self.kind} {self.in_flight} {self.delay}ms"


class Size(NamedTuple):
    """How much there is to fetch: rooms of the server, and rooms for one that does them one after the other."""

    rooms: int = 3000
    one_by_one: int = 150
    deep: bool = True
    wrk_seconds: int = 3


QUICK = Size(rooms=120, one_by_one=5, deep=False, wrk_seconds=1)


def contenders(size: Size) -> list[Contender]:
    """All of a round, in order."""
    waits = round(DELAY * 1000)
    found = [Contender("script", 1, waits, size.one_by_one)]
    for in_flight in (32, 64) if size.deep else (32,):
        found += [Contender(kind, in_flight, waits) for kind in ("threads", "async", "fetch", "whole", "wrk")]
    if size.deep:
        found += [Contender("script", 1, 0, size.rooms // 3)]
        found += [Contender(kind, 32, 0) for kind in ("threads", "async", "fetch", "whole", "wrk")]
    return found


def measure(rounds: int, *, quick: bool) -> Result:
    """Every run of every contender, by its name; None for wrk where it is not installed."""
    size = QUICK if quick else Size()
    found: dict[str, list[Result | None]] = {contender.name: [] for contender in contenders(size)}
    with ExitStack() as stack:
        waits = round(DELAY * 1000)
        servers = {delay: stack.enter_context(served(delay=delay / 1000, count=size.rooms)) for delay in (0, waits)}
        for number, contender in _turns(rounds, size):
            found[contender.name].append(_once(contender, servers[contender.delay], size))
            say(f"round {number + 1} of {rounds}: {contender.name}: {_told(found[contender.name][-1])}")
    return {"rooms": size.rooms, "runs": found}


def _turns(rounds: int, size: Size) -> Iterator[tuple[int, Contender]]:
    for number in range(rounds):
        for contender in contenders(size):
            yield number, contender


def _once(contender: Contender, base: str, size: Size) -> Result | None:
    if contender.kind == "wrk":
        return _wrk(contender, base, size.wrk_seconds)
    limit = [] if contender.limit is None else [contender.limit]
    return run("contenders", contender.kind, base, contender.in_flight, *limit)


def _wrk(contender: Contender, base: str, lasts: int) -> Result | None:
    """wrk asks for the participants of one room again and again, and does not look into the answers."""
    if shutil.which("wrk") is None:
        return None
    url = f"{base}/v1/Video/Rooms/{rooms.room_sid(0)}/Participants"
    command = ["wrk", "--threads", "1", "--connections", contender.in_flight, "--duration", f"{lasts}s", url]
    before, began = usage(base), time.perf_counter()
    told = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, check=True).stdout
    seconds, after = time.perf_counter() - began, usage(base)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    if rate is None:
        raise SystemExit(f"cannot read what wrk says: {told}")
    count = float(rate[1]) * seconds
    return {"rooms": count, "seconds": seconds, "cpu": 0.0, "server_cpu": after.cpu - before.cpu}


def _told(result: Result | None) -> str:
    if result is None:
        return "not installed"
    return f"{result['rooms'] / result['seconds']:.0f} rooms/s"
