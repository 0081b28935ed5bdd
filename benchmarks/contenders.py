"""One run of one contender: fetch the rooms of the server, all participants decoded, and say what that took.

Usage: python -m benchmarks.contenders KIND BASE_URL IN_FLIGHT [LIMIT]
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from benchmarks.rulebook import write_config
from benchmarks.server import Usage, usage

KEY, SECRET = "SK" + "1" * 32, "secret"


class Watch:
    """Measures the body of a `with`: seconds, this process's CPU seconds, and the server's."""

    def __init__(self, base: str) -> None:
        self._base = base
        self.rooms = 0
        self.people = 0

    def __enter__(self) -> Watch:
        self._served: Usage = usage(self._base)
        self._cpu, self._began = _cpu(), time.perf_counter()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.seconds, self.cpu = time.perf_counter() - self._began, _cpu() - self._cpu
        self.served = usage(self._base)

    def result(self) -> dict[str, float]:
        """What was measured, as plain data."""
        return {
            "rooms": self.rooms,
            "people": self.people,
            "seconds": self.seconds,
            "cpu": self.cpu,
            "server_cpu": self.served.cpu - self._served.cpu,
            "requests": self.served.requests - self._served.requests - 1,  # the asking itself
        }


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _yesterday() -> datetime:
    return datetime.now(UTC) - timedelta(hours=24)


def _moved(url: str, base: str) -> str:
    """What is meant for insights.twilio.com goes to the server here."""
    asked, here = urlsplit(url), urlsplit(base)
    return urlunsplit((here.scheme, here.netloc, asked.path, asked.query, ""))


def _library(base: str) -> Any:
    """Twilio's client, at its defaults, redirected."""
    from twilio.http.http_client import TwilioHttpClient  # type: ignore[import-untyped]  # ships no types
    from twilio.rest import Client  # type: ignore[import-untyped]

    class Redirected(TwilioHttpClient):  # type: ignore[misc]
        def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            return super().request(method, _moved(url, base), *args, **kwargs)

    http = Redirected()
    http.session.trust_env = False
    http.session.mount("http://", http.session.get_adapter("https://"))  # the pool it would have for the real server
    return Client(KEY, SECRET, http_client=http, environment={"_": "_"})


def script(watch: Watch, base: str, _in_flight: int, limit: int | None) -> None:
    """The loop that people write."""
    client = _library(base)
    with watch:
        for room in client.insights.v1.rooms.list(created_after=_yesterday(), limit=limit, page_size=_page(limit)):
            watch.people += len(client.insights.v1.rooms(room.room_sid).participants.list())
            watch.rooms += 1


def threads(watch: Watch, base: str, in_flight: int, limit: int | None) -> None:
    """The same loop in a pool of threads that share the client."""
    client = _library(base)

    def read(room: Any) -> int:
        return len(client.insights.v1.rooms(room.room_sid).participants.list())

    with watch, ThreadPoolExecutor(in_flight) as pool:
        listed = client.insights.v1.rooms.list(created_after=_yesterday(), limit=limit, page_size=_page(limit))
        found = list(pool.map(read, listed))
        watch.rooms, watch.people = len(found), sum(found)


def library_async(watch: Watch, base: str, in_flight: int, limit: int | None) -> None:
    """The library's own asyncio client, as many requests at once."""
    asyncio.run(_library_async(watch, base, in_flight, limit))


async def _library_async(watch: Watch, base: str, in_flight: int, limit: int | None) -> None:
    from twilio.http.async_http_client import AsyncTwilioHttpClient  # type: ignore[import-untyped]  # as above
    from twilio.rest import Client

    class Redirected(AsyncTwilioHttpClient):  # type: ignore[misc]
        async def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> Any:
            return await super().request(method, _moved(url, base), *args, **kwargs)

    warnings.simplefilter("ignore", DeprecationWarning)  # how the library logs in is the library's business
    async with Redirected() as http:
        client = Client(KEY, SECRET, http_client=http, environment={"_": "_"})
        places = asyncio.Semaphore(in_flight)

        async def read(room: Any) -> int:
            async with places:
                return len(await client.insights.v1.rooms(room.room_sid).participants.list_async())

        with watch:
            rooms = client.insights.v1.rooms
            listed = await rooms.list_async(created_after=_yesterday(), limit=limit, page_size=_page(limit))
            found = await asyncio.gather(*map(read, listed))
            watch.rooms, watch.people = len(found), sum(found)


def _page(limit: int | None) -> int:
    return min(limit or 1000, 1000)


def fetch(watch: Watch, base: str, in_flight: int, limit: int | None) -> None:
    """alertd's client alone: pages and participants, decoded and dropped."""
    asyncio.run(_fetch(watch, base, in_flight, limit))


async def _fetch(watch: Watch, base: str, in_flight: int, limit: int | None) -> None:
    from alertd.clock import SystemClock
    from alertd.insights.client import InsightsClient, open_session

    async with open_session() as session:
        client = InsightsClient(
            session,
            account="production",
            base_url=base,
            api_key=KEY,
            api_key_secret=SECRET,
            clock=SystemClock(),
            max_in_flight=in_flight,
        )
        queue: asyncio.Queue[str | None] = asyncio.Queue()

        async def work() -> None:
            while (sid := await queue.get()) is not None:
                found = await client.list_participants(sid)
                watch.rooms, watch.people = watch.rooms + 1, watch.people + len(found)

        with watch:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(in_flight):
                    tasks.create_task(work())
                pages = client.list_rooms(created_after=_yesterday(), page_size=_page(limit))
                async for page in pages:
                    for room in page[:limit]:
                        queue.put_nowait(room.room_sid)
                for _ in range(in_flight):
                    queue.put_nowait(None)


def whole(watch: Watch, base: str, in_flight: int, _limit: int | None) -> None:
    """A complete cycle of the daemon with a hundred rules and a new database: look, decide, commit."""
    asyncio.run(_whole(watch, base, in_flight))


async def _whole(watch: Watch, base: str, in_flight: int) -> None:
    from alertd import logs
    from alertd.app import built
    from alertd.clock import SystemClock
    from alertd.config import load

    logs.set_up(level="warning")
    with tempfile.TemporaryDirectory() as folder:
        async with built(load(write_config(Path(folder), base, in_flight)), SystemClock()) as app:
            with watch:
                looks = await app.once()
            watch.rooms = sum(look.settled for look in looks)
            watch.people = (await app.store.counts())["participants"]


KINDS = {"script": script, "threads": threads, "async": library_async, "fetch": fetch, "whole": whole}


def main() -> None:
    """Run one contender once; print what it took as JSON."""
    kind, base, in_flight, *limit = sys.argv[1:]
    watch = Watch(base)
    KINDS[kind](watch, base, int(in_flight), int(limit[0]) if limit else None)
    print(json.dumps(watch.result()))


if __name__ == "__main__":
    main()
