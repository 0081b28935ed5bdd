"""The server that all contenders ask: a Video Log Analyzer written for speed, in a process of its own.

By hand on asyncio.Protocol, with prebuilt answers, one constant delay and no checks, so that it is never what is
measured. `served` starts one; `usage` says how much of a core it needed. Rooms are numbered from 0 and start one every
`step` seconds from `first` on; a listing shows those that have settled at a moment that stands still until the server
is told another by `/-/now/SECONDS`.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import subprocess
import sys
import time
import urllib.request
from calendar import timegm
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode

from benchmarks import rooms

ROOT = Path(__file__).parent.parent
DAY = 86_400
_MOST_KEPT = 4000
"""Rooms whose participants are kept ready, in both ways of asking for them."""


class Usage(NamedTuple):
    """What a server has done so far: requests answered, CPU seconds used."""

    requests: int
    cpu: float


class Analyzer:
    """Which answer belongs to which path; rooms show as they are at `now`, seconds since the epoch.

    `simulated` says that answers are dated `now` too, and not by the machine's clock.
    """

    def __init__(self, first: int, step: float, now: int, *, simulated: bool) -> None:
        self.now = now
        self._simulated = simulated
        self._dated = (0, b"")
        self.base = ""
        self.requests = 0
        self._first = first
        self._step = step
        self._kept: dict[bytes, bytes] = {}

    def prepare(self) -> None:
        """Build the participants of all rooms that have settled, as far as they are kept."""
        for number in range(max(0, self._settled() - _MOST_KEPT), self._settled()):
            self.answer(f"/v1/Video/Rooms/{rooms.room_sid(number)}/Participants?PageSize=1000".encode())
            self.answer(f"/v1/Video/Rooms/{rooms.room_sid(number)}/Participants".encode())
        self.requests = 0

    def answer(self, target: bytes) -> bytes:
        """The whole HTTP response for a request target."""
        self.requests += 1
        return self._status() + self._rest(target)

    def _status(self) -> bytes:
        """The first two lines, made once a second."""
        moment = self.now if self._simulated else int(time.time())
        if self._dated[0] != moment:
            date = formatdate(moment, usegmt=True)
            self._dated = (moment, f"HTTP/1.1 200 OK\r\nDate: {date}\r\n".encode())
        return self._dated[1]

    def _rest(self, target: bytes) -> bytes:
        kept = self._kept.get(target)
        if kept is not None:
            return kept
        path, _, query = target.decode().partition("?")
        if path.startswith("/-/"):
            return _headed(self._control(path))
        if not path.endswith("/Participants"):
            return _headed(self._page(path, query))
        number = rooms.room_number(path.split("/")[-2])
        made = _headed(rooms.people(number, self._created(number), self.base + path))
        if len(self._kept) >= 2 * _MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[target] = made
        return made

    def _control(self, path: str) -> bytes:
        if path.startswith("/-/now/"):
            self.now = int(path.rpartition("/")[2])
        return json.dumps({"requests": self.requests, "cpu": time.process_time()}).encode()

    def _page(self, path: str, query: str) -> bytes:
        """A page of the listing, the oldest rooms first."""
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        size, start = int(asked.get("PageSize", "50")), int(asked.get("PageToken", "-1"))
        if start < 0:
            start = self._number_at(_instant(asked["CreatedAfter"]) if "CreatedAfter" in asked else self.now - DAY)
        last = self._settled()
        if "CreatedBefore" in asked:
            last = min(last, self._number_at(_instant(asked["CreatedBefore"])))
        end = min(start + size, last)
        rows = b",".join(rooms.room_row(number, self._created(number)) for number in range(start, end))
        link = f"{self.base}{path}?{urlencode(asked | {'PageToken': end})}" if end < last else None
        return b'{"meta":%b,"rooms":[%b]}' % (_meta(f"{self.base}{path}?{query}", size, link), rows)

    def _created(self, number: int) -> int:
        return int(self._first + number * self._step)

    def _number_at(self, moment: int) -> int:
        """The first room that starts at `moment` or later."""
        number = max(0, int((moment - self._first) / self._step))
        return number if self._created(number) >= moment else number + 1

    def _settled(self) -> int:
        """How many rooms have settled."""
        return self._number_at(self.now - rooms.LASTS - rooms.SETTLES + 1)


class Connection(asyncio.Protocol):
    """One client's requests, each answered `delay` seconds after it came, in order."""

    def __init__(self, analyzer: Analyzer, queue: Queue) -> None:
        self._analyzer = analyzer
        self._queue = queue
        self._pending = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete; a GET ends with its headers."""
        data = self._pending + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            target = data[4 : data.index(b" ", 4)]
            self._queue.send(self.transport, self._analyzer.answer(target))
            data = data[end + 4 :]
        self._pending = data


class Queue:
    """Answers that wait for their time: all wait equally long, so one timer and first in, first out will do."""

    def __init__(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        self._loop = loop
        self._delay = delay
        self._waiting: deque[tuple[float, asyncio.Transport, bytes]] = deque()

    def send(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Send the answer after the delay."""
        if not self._delay:
            transport.write(answer)
            return
        due = self._loop.time() + self._delay
        self._waiting.append((due, transport, answer))
        if len(self._waiting) == 1:
            self._loop.call_at(due, self._flush)

    def _flush(self) -> None:
        now = self._loop.time() + 0.0001
        while self._waiting and self._waiting[0][0] <= now:
            _, transport, answer = self._waiting.popleft()
            transport.write(answer)
        if self._waiting:
            self._loop.call_at(self._waiting[0][0], self._flush)


@contextmanager
def served(*, delay: float = 0.0, count: int = 0, step: float = 1.0, first: int | None = None) -> Iterator[str]:
    """The base URL of a server that holds `count` settled rooms (or those since `first`), while the context lasts."""
    arguments = ["--delay", delay, "--count", count, "--step", step, *([] if first is None else ["--first", first])]
    command = [sys.executable, "-m", "benchmarks.server", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def usage(base: str) -> Usage:
    """What the server at `base` has done so far."""
    told = _ask(f"{base}/-/usage")
    return Usage(int(told["requests"]), told["cpu"])


def set_now(base: str, moment: int) -> None:
    """Tell the server what time it is."""
    _ask(f"{base}/-/now/{moment}")


def _ask(url: str) -> dict[str, float]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        told: dict[str, float] = json.load(answer)
    return told


def _headed(body: bytes) -> bytes:
    head = b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    return head % len(body) + body


def _meta(address: str, size: int, link: str | None) -> bytes:
    meta = {"key": "rooms", "page": 0, "page_size": size, "url": address, "first_page_url": address}
    return json.dumps(meta | {"previous_page_url": None, "next_page_url": link}).encode()


def _instant(text: str) -> int:
    return timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


async def _serve(arguments: argparse.Namespace) -> None:
    now, simulated = int(time.time()), arguments.first is not None
    first = now - rooms.LASTS - rooms.SETTLES - int((arguments.count - 1) * arguments.step)
    if simulated:
        now = first = arguments.first
    analyzer = Analyzer(first, arguments.step, now, simulated=simulated)
    loop = asyncio.get_running_loop()
    queue = Queue(loop, arguments.delay)
    server = await loop.create_server(lambda: Connection(analyzer, queue), "127.0.0.1", 0, backlog=512)
    analyzer.base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    analyzer.prepare()
    gc.freeze()
    print(analyzer.base, flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until terminated; the first line of output is the base URL."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--step", type=float, default=1.0)
    parser.add_argument("--first", type=int)
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
