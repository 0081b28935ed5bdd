"""`alertd run`, `alertd test` and `alertd backtest` come to the same alerts on the same rooms, kind by kind.

Each story is written as a test of a rule. Its rooms go (a) into a real database, minute by minute, with an evaluator
that is stopped or crashes now and then; then (b) what that database holds is gone over as `backtest` does; and (c) the
file is run as `test` does, with what stood at every single minute of (a) as its expectations.

One figure is left out of this: rooms that wait to settle. A database forgets when it first heard of them, so that only
the running alertd knows which share of a window has settled; no rule looks at that.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from alertd.backtest.run import Findings, go_over
from alertd.caserooms import settled_rooms
from alertd.cli.sources import Wanted, from_store
from alertd.config import load
from alertd.config.casefiles import load_cases
from alertd.engine.alerts import Alert
from alertd.engine.groups import Notification
from alertd.engine.outcome import Outcome, Snapshot
from alertd.engine.records import SettledRoom
from alertd.evaluate import Evaluator
from alertd.policy import policy_of
from alertd.pseudonyms import shown
from alertd.ruletest import run_test
from alertd.store import Settling, open_store

NOON = 1_772_452_800  # of Monday, 2 March 2026, UTC: when a test begins that does not say
MINUTE, HOUR, DAY = 60, 3600, 86400
CONFIG = """
[[accounts]]
name = "production"
base_url = "http://127.0.0.1:9"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "simulated"
[store]
url = "sqlite:///alertd.db"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "oncall"
group_by = ["alertname"]
group_wait = "30s"
group_interval = "5m"
[[receivers]]
name = "oncall"
[[receivers.console]]
[[receivers.console]]
send_resolved = false
"""


def calls(first: int, last: int, every: int = 1, failed: int = 0, fine: int = 0, **values: Any) -> dict[str, Any]:
    """Rooms that end every so many minutes, from the first minute to before the last; keywords go to who failed."""
    room = {name: values.pop(name) for name in ("settled", "duration", "media_region") if name in values}
    people = [{"count": failed, **({"error_code": 53405} | values)}] if failed else []
    people += [{"count": fine}] if fine else []
    series = {"every": f"{every}m", "times": (last - first) // every}
    return {**series, "room": {"ended": f"{first}m", **room}, "participants": people}


@dataclass(frozen=True, kw_only=True)
class Story:
    """A rule (without its name), its rooms, and minutes: until when it goes on, when alertd is first started, and from
    when on the past is gone over. `alerts` are how many alerts fire in it."""

    rule: dict[str, Any]
    rooms: tuple[dict[str, Any], ...]
    until: int
    started: int = 60
    since: int = 75
    alerts: int = 1


LOST = {"match": {"error_code": 53405}}
QUIET = tuple(calls(first, 300, 8, fine=9, media_region=region) for first, region in ((0, "us1"), (4, "ie1")))
TROUBLE = calls(80, 100, 2, failed=3, fine=1, media_region="ie1")
WEEK = 7 * 1440
STORIES = {
    "rate": Story(
        rule=LOST | {"rate": {"above": "5%", "over": "30m", "min": 20}, "by": ["account", "media_region"]},
        rooms=(*QUIET, TROUBLE, calls(85, 110, 4, failed=3, settled="25m", media_region="us1")),
        until=220,
        alerts=2,
    ),
    "count": Story(
        rule=LOST | {"count": {"at_least": 9, "of": "identities"}, "for": "2m", "keep_firing_for": "20m"},
        rooms=(*QUIET, TROUBLE, calls(160, 166, 2, failed=3, settled="29m")),
        until=250,
        alerts=2,
    ),
    "any": Story(
        rule=LOST | {"any": True, "keep_firing_for": "20m"},
        rooms=(*QUIET, calls(95, 97, failed=1, fine=2), calls(150, 152, failed=1, settled="1h")),
        until=260,
        alerts=2,
    ),
    "absent fewer_than": Story(
        rule={"absent": {"fewer_than": 3, "over": "1h"}},
        rooms=(calls(0, 70, 4, fine=2), calls(180, 390, 4, fine=2)),  # on, since a history's end is not judged
        until=390,
    ),
    "absent below_usual": Story(
        rule={"absent": {"below_usual": "70%", "windows": ["30m", "1h"]}},
        rooms=tuple(calls(*span, fine=1) for span in ((20, 420), (WEEK, WEEK + 60), (WEEK + 120, WEEK + 340))),
        until=WEEK + 340,
        started=WEEK + 10,
        since=WEEK + 50,
    ),
    "anomaly": Story(
        rule=LOST | {"anomaly": {"windows": ["15m", "1h"], "lag": "1h", "baseline": "12h"}, "by": ["media_region"]},
        rooms=(
            calls(0, 1100, 10, fine=3, media_region="us1"),
            calls(0, 1100, 8, fine=3, media_region="ie1"),
            calls(0, 1100, 300, failed=1, fine=2, media_region="ie1"),
            calls(900, 930, 2, failed=2, fine=1, media_region="ie1"),
        ),
        until=1050,
        started=830,
        since=850,
    ),
    "burn_rate": Story(
        rule=LOST | {"burn_rate": {"objective": "90%", "pairs": [["1h", "30m", 1.5], ["3h", "1h", 1.2]]}},
        rooms=(*QUIET, TROUBLE),
        until=200,
    ),
    "spike": Story(
        rule=LOST | {"spike": {"times": 3, "against": "2h", "over": "30m"}, "by": ["media_region"]},
        rooms=(*QUIET, calls(0, 300, 20, failed=1, fine=1, media_region="ie1"), TROUBLE),
        until=200,
    ),
    "new_value": Story(
        rule={"new_value": {"field": "edge_location", "seen_in": "1d"}},
        rooms=(calls(0, 1800, 10, fine=2), calls(1640, 1660, 5, failed=1, edge_location="dublin")),
        until=1790,
        started=1620,
        since=1630,
    ),
    "metric": Story(
        rule={"metric": {"field": "duration_sec", "agg": "p50", "below": "3m", "over": "30m", "min": 10}},
        rooms=(*QUIET, calls(90, 120, 3, failed=8, duration="50s", settled="12m")),
        until=220,
    ),
    "distinct": Story(
        rule={"distinct": {"field": "sdk_version", "above": 3, "over": "40m"}},
        rooms=(
            *QUIET,
            *(calls(80 + nth, 110 + nth, 7, failed=1, error_code=None, sdk_version=f"2.{nth}.0") for nth in range(4)),
        ),
        until=240,
    ),
}


@dataclass
class Told:
    """What a run came to: what stood after each instant, and everything that was sent, in order."""

    stood: dict[int, dict[str, Alert]] = field(default_factory=dict)
    sent: dict[str, Notification] = field(default_factory=dict)

    def note(self, at: int, outcome: Outcome, after: Snapshot) -> None:
        """Take down a decision; one that is made again after a crash must be the same."""
        assert self.stood.setdefault(at, after.alerts) == after.alerts
        for one in outcome.notifications:
            assert self.sent.setdefault(one.id, one) == one


class Place:
    """A folder with a configuration, the rule of a story, its rooms and a database."""

    def __init__(self, folder: Path, story: Story) -> None:
        self.story, self.folder = story, folder
        (folder / "alertd.toml").write_text(CONFIG.replace("alertd.db", str(folder / "alertd.db")))
        (folder / "rules.yaml").write_text(json.dumps({"rules": [{"alert": "Trouble"} | story.rule]}))
        self.loaded = load(folder / "alertd.toml")
        self.rooms = self._rooms()

    def write_case(self, **expected: Any) -> Path:
        """The story as a test of its rule, with what is expected."""
        case = {"name": "story", "rooms": self.story.rooms, **expected}
        path = self.folder / "story.test.yaml"
        path.write_text(json.dumps({"rules": "rules.yaml", "config": "alertd.toml", "tests": [case]}))
        return path

    def _rooms(self) -> list[SettledRoom]:
        (cases,) = load_cases([self.write_case(expect_notifications=[])])
        found = settled_rooms(cases.tests[0], cases.routing.settle_timeout)
        return sorted(found, key=lambda room: room.known_at)

    @property
    def url(self) -> str:
        return self.loaded.config.store.url.get_secret_value()


class Daemon:
    """Looks and decides every few minutes, as `run` does; and does not always live to the next time."""

    def __init__(self, place: Place, clock: Any, dice: random.Random) -> None:
        self.place, self.clock, self.dice, self.told = place, clock, dice, Told()

    async def live(self) -> Told:
        """Go through the story from beginning to end."""
        await self._start()
        try:
            await self._go_through()
            self.events = await self.store.events()
            self.ids = {one.id for one in await self.store.deliveries(limit=1000)}
        finally:
            await self.store.close()
        return self.told

    async def _go_through(self) -> None:
        waiting, now = list(self.place.rooms), NOON + self.place.story.started * MINUTE
        end = NOON + self.place.story.until * MINUTE
        while True:
            while waiting and waiting[0].known_at <= now:
                known_at = waiting[0].known_at
                alike = [room for room in waiting if room.known_at == known_at]
                await self.store.settle([_settling(room) for room in alike], now=known_at)
                del waiting[: len(alike)]
            self.clock.reading = float(now)
            going = {room.room.room_sid: room.started for room in waiting if room.started <= now}
            await self.store.note_going("production", going, now)
            await self.store.saw("production", now, 600)
            await self.evaluator.turn()
            if now == end:
                break
            await self._perhaps_end()
            now = min(end, now + self.dice.choice([20, 60, 100, 240, 540]))

    async def _start(self) -> None:
        loaded, self.store = self.place.loaded, await open_store(self.place.url)
        show = shown(loaded.config, await self.store.pseudonym_key())
        self.evaluator = Evaluator(self.store, policy_of(loaded), self.clock, show, self.told.note, keeper=self.store)

    async def _perhaps_end(self) -> None:
        """Now and then it is stopped, or crashes, and starts anew from what it had kept at some time before."""
        fate = self.dice.random()
        if fate < 0.04:
            await self.evaluator.keep()
        if fate < 0.12:
            await self.store.close()
            await self._start()


def _settling(room: SettledRoom) -> Settling:
    return Settling(
        account=room.account, room=room.room, participants=room.participants, ended=room.ended, partial=room.partial
    )


async def gone_over(place: Place) -> Findings:
    """What `backtest` finds in the database that is left."""
    story, policy = place.story, policy_of(place.loaded)
    begin, end = (datetime.fromtimestamp(NOON + minute * MINUTE, UTC) for minute in (story.since, story.until))
    wanted = Wanted(None, begin.isoformat(), end.isoformat(), ZoneInfo("UTC"))
    found = await from_store(place.loaded, policy.rules, wanted)
    assert found is not None
    return await go_over(found.history, policy, found.show)


def expectations(told: Told, story: Story) -> Iterator[dict[str, Any]]:
    """What stood at each whole minute, as a test expects it."""
    for minute in range(story.since, story.until + 1):
        alerts = [alert for alert in told.stood[NOON + minute * MINUTE].values() if alert.state != "inactive"]
        yield {"at": f"{minute}m", "alerts": [_expected(alert) for alert in alerts]}


def _expected(alert: Alert) -> dict[str, Any]:
    labels = {name: value for name, value in alert.labels.items() if name != "alertname"}
    return {"alert": alert.labels["alertname"], "labels": labels, "state": alert.state}


def messages(told: Told) -> list[dict[str, Any]]:
    """What was sent, as a test expects it: what the integrations of a receiver were told alike is one message."""
    found = {}
    for one in told.sent.values():
        names = sorted(alert.labels["alertname"] for alert in one.alerts)
        message = {"receiver": one.receiver, "status": one.status, "reason": one.reason, "alerts": names}
        found.setdefault((one.at, one.group_key, *map(str, message.values())), message)
    return list(found.values())


@pytest.mark.timeout(300)  # seconds on a quiet machine; this one may be busy
@pytest.mark.parametrize("kind", STORIES)
async def test_whoever_asks_gets_the_same_alerts_and_messages(kind, clock, tmp_path):
    story = STORIES[kind]
    place = Place(tmp_path, story)
    daemon = Daemon(place, clock, random.Random(kind))
    told = await daemon.live()
    names = [event.event for event in daemon.events if event.rule == "Trouble"]
    assert (names.count("firing"), names.count("resolved")) == (story.alerts, story.alerts), daemon.events
    assert daemon.ids == set(told.sent) != set()

    findings = await gone_over(place)
    assert findings.events == daemon.events
    assert findings.notifications == list(told.sent.values())

    path = place.write_case(expect=list(expectations(told, story)), expect_notifications=messages(told))
    (cases,) = load_cases([path])
    verdict = await run_test(cases, 0)
    assert verdict.mismatches == ()
