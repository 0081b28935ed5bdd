"""Two alertd share the work: an account belongs to one of them for as long as its look takes."""

from __future__ import annotations

import asyncio
import selectors

from alertd.collect import Collector
from alertd.store import open_store


class LoopClock:
    """The event loop's own time."""

    speed = 1.0

    def now(self) -> float:
        return 1_772_452_800 + asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Hurried(selectors.DefaultSelector):
    """Waits for a fiftieth of the time."""

    def select(self, timeout=None):
        return super().select(timeout and timeout / 50)


class HurriedLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are short."""

    def time(self) -> float:
        return super().time() * 50


def test_the_account_stays_with_whoever_looks_at_it_for_as_long_as_that_takes(twilio, tmp_path):
    async def slowly(**wanted):
        await asyncio.sleep(0 if twilio.lists else 100)
        twilio.lists.append(wanted)
        yield []

    async def both() -> tuple[bool, bool]:
        store = await open_store(f"sqlite:///{tmp_path / 'alertd.db'}")
        settings = {"look_back": 90000, "settle_timeout": 1800, "every": 60}
        one, other = (Collector(twilio, store, LoopClock(), holder=holder, **settings) for holder in ("one", "other"))
        look = asyncio.create_task(one.look())
        await asyncio.sleep(90)
        skipped = (await other.look()).skipped
        meanwhile = not look.done()
        await look
        await store.close()
        return skipped, meanwhile

    twilio.list_rooms = slowly
    with asyncio.Runner(loop_factory=lambda: HurriedLoop(Hurried())) as runner:
        assert runner.run(both()) == (True, True)
