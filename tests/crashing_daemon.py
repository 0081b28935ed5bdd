"""The three loops over a written history, minute by minute, in a process of its own that a test may kill at any moment.

Usage: crashing_daemon.py DATABASE HISTORY WEBHOOK. It goes on where the database says that it was.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from alertd.clock import FastClock
from alertd.collect import Collector
from alertd.deliver import LEASE, Deliverer
from alertd.engine.conditions import parse_condition
from alertd.engine.groups import Integration
from alertd.engine.kinds import Count, Rate
from alertd.engine.outcome import Policy
from alertd.engine.records import Participant, Room
from alertd.engine.routes import Route, Tree
from alertd.engine.rules import Rule
from alertd.evaluate import Evaluator
from alertd.insights.client import open_session
from alertd.receivers import SETTINGS, build
from alertd.store import open_store

BEGIN = 1_772_452_800
MINUTES = 300


class Clock(FastClock):
    """Stands still between the minutes."""

    def __init__(self) -> None:
        super().__init__(0.0, 1.0)
        self.reading = 0.0

    def now(self) -> float:
        return self.reading


class History:
    """An account whose rooms become complete at the minute that the history says."""

    account = "production"
    page_size = 1000
    clock_skew = None

    def __init__(self, path: Path, clock: Clock) -> None:
        self.rows: list[dict[str, Any]] = json.loads(path.read_text())
        self.clock = clock
        self.faults: Counter[str] = Counter()

    async def server_now(self) -> float:
        return self.clock.now()

    async def list_rooms(
        self, *, created_after: datetime, created_before: datetime | None = None
    ) -> AsyncIterator[list[Room]]:
        now = self.clock.now()
        yield [self.summary(row, now) for row in self.rows if row["ended"] <= now]

    async def fetch_room(self, room_sid: str) -> Room:
        return self.summary(next(row for row in self.rows if row["sid"] == room_sid), self.clock.now())

    async def list_participants(self, room_sid: str) -> list[Participant]:
        await asyncio.sleep(0)
        row = next(row for row in self.rows if row["sid"] == room_sid)
        return [
            Participant(
                participant_sid=f"PA{row['number'] * 100 + place:032x}",
                error_code=53405 if place < row["failed"] else None,
                media_region=row["region"],
            )
            for place in range(row["of"])
        ]

    def summary(self, row: dict[str, Any], now: float) -> Room:
        ended = datetime.fromtimestamp(row["ended"], UTC)
        state = "complete" if now >= row["settles"] else "in_progress"
        return Room(
            room_sid=row["sid"], create_time=ended, end_time=ended, room_status="completed", processing_state=state
        )


def policy() -> Policy:
    lost = parse_condition({"error_code": 53405}).condition
    assert lost is not None
    rules = (
        Rule(alert="MediaLost", kind=Rate(above=0.05), match=lost, by=("account", "media_region")),
        Rule(alert="ManyLost", kind=Count(at_least=20), match=lost, keep_firing_for=1200, hold_for=120),
    )
    route = Route(receiver="oncall", group_by=("alertname",), group_wait=30, group_interval=300, repeat_interval=3600)
    told = (Integration("oncall/webhook[0]"), Integration("oncall/webhook[1]", send_resolved=False))
    return Policy(rules=rules, tree=Tree(route), integrations={"oncall": told})


async def main(database: str, history: str, webhook: str) -> None:
    clock = Clock()
    store = await open_store(f"sqlite:///{database}")
    async with open_session() as session:
        settings = SETTINGS["webhook"].model_validate({"url": webhook})
        receivers = {
            f"oncall/webhook[{nth}]": build("webhook", settings, session=session, external_url="http://localhost")
            for nth in range(2)
        }
        source = History(Path(history), clock)
        collector = Collector(source, store, clock, look_back=90000, settle_timeout=1800, every=60, holder="daemon")
        evaluator = Evaluator(store, policy(), clock, lambda _, value: value)
        deliverer = Deliverer(store, receivers, clock, "daemon")
        minute = ((await store.evaluated_until() or BEGIN) - BEGIN) // 60
        print("ready", flush=True)
        while minute <= MINUTES:
            clock.reading = float(BEGIN + 60 * minute)
            await collector.look()
            await evaluator.turn()
            await deliverer.settle()
            minute += 1
        clock.reading += 2 * LEASE  # what a killed daemon had in hand is free by then
        await deliverer.settle()
        print("done", flush=True)
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
