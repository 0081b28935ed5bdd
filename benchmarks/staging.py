"""Which incidents strike an account when, and the history file of it: what `alertd backtest --data` is given."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from alertd.simulator.calls import Call
from alertd.simulator.scenario import Scenario, Where, load_scenario
from alertd.simulator.sids import account_sid
from alertd.simulator.summaries import participant_summary, room_summary, timestamp
from alertd.simulator.traffic import Traffic

START = 1_772_409_600  # a Monday, 00:00 UTC
MINUTE, HOUR, DAY = 60, 3600, 86400
ACCOUNT = "production"
BASE = "https://insights.twilio.com"
INCIDENTS = ("regional-outage", "blip", "turn-failure", "big-room-storm", "bad-sdk-release", "slow-burn")
"""Scenarios in the order in which they strike: what leaves traces for long comes last."""
GRACE = HOUR
"""Seconds after an incident in which an alert still tells of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How an account of a size is watched, in seconds: `clean` days, then incidents `apart`, and up to `spread` more.

    `seeds` is how many such histories there are by default. An anomaly learns from `baseline`, which ends `lag` before.
    """

    seeds: int
    clean: int = 8 * DAY
    apart: int = 18 * HOUR
    spread: int = DAY
    baseline: int = 7 * DAY
    lag: int = DAY
    incidents: tuple[str, ...] = INCIDENTS

    @property
    def watched_from(self) -> int:
        """From when on alarms are false ones: before, an anomaly could not raise any."""
        return START + 2 * self.lag


ORDINARY = Setting(seeds=4)
SETTINGS: Mapping[int, Setting] = {
    200: Setting(seeds=30),
    5_000: ORDINARY,
    50_000: Setting(
        seeds=2, clean=60 * HOUR, apart=8 * HOUR, spread=8 * HOUR, baseline=2 * DAY, lag=12 * HOUR
    ),  # a history of weeks would take hours to judge
}
QUICK = Setting(
    seeds=1, clean=DAY, apart=3 * HOUR, spread=HOUR, baseline=DAY, lag=6 * HOUR, incidents=("regional-outage", "blip")
)


@dataclass(frozen=True, slots=True)
class Staged:
    """An incident of a history: from when to when (seconds since the epoch), and whom it could touch."""

    name: str
    begin: int
    end: int
    where: tuple[Where, ...] = ()

    def fits(self, labels: Mapping[str, str]) -> bool:
        """Whether an alert of these labels may be about it: none of them names somebody whom it did not touch."""
        return not self.where or any(_agrees(where, labels) for where in self.where)


def _agrees(where: Where, labels: Mapping[str, str]) -> bool:
    touched = {"media_region": where.media_region, "sdk": where.sdk and f"{where.sdk} {where.sdk_version}"}
    return all(labels.get(name, value) == value for name, value in touched.items() if value is not None)


@dataclass(slots=True)
class Play:
    """The scenarios one after the other, as one of so many rooms a day."""

    scenario: Scenario
    incidents: list[Staged] = field(default_factory=list)

    @property
    def end(self) -> int:
        """When nothing more is to be seen of the last incident."""
        return max(incident.end for incident in self.incidents) + 2 * GRACE

    def add(self, name: str, begin: int) -> Staged:
        """Let a shipped scenario begin `begin` seconds after the start."""
        shipped = load_scenario(name)
        events = (*shipped.incidents, *shipped.releases, *shipped.gatherings)
        shift = begin - min(event.at for event in events)
        moved = {
            key: tuple(event.model_copy(update={"at": event.at + shift}) for event in getattr(shipped, key))
            for key in ("incidents", "releases", "gatherings")
        }
        self.scenario = self.scenario.model_copy(
            update={key: (*getattr(self.scenario, key), *events) for key, events in moved.items()}
        )
        ends = START + shift + max(event.at + event.lasts for event in (*shipped.incidents, *shipped.gatherings))
        staged = Staged(name, START + begin, ends, tuple(incident.where for incident in shipped.incidents))
        self.incidents.append(staged)
        return staged


def staged(setting: Setting, rooms_per_day: float, rng: random.Random) -> Play:
    """The incidents of a setting, at times that `rng` draws."""
    play = Play(load_scenario("clean").model_copy(update={"rooms_per_day": rooms_per_day}))
    begin = setting.clean
    for name in setting.incidents:
        incident = play.add(name, begin + rng.randrange(setting.spread))
        begin = incident.end - START + setting.apart
    return play


def write_history(path: Path, play: Play, seed: int) -> int:
    """Write the rooms that ended by the play's end as a history file; how many there were.

    Each is known at the full minute after Twilio is done with its summary, as if polled every minute.
    """
    traffic = Traffic(play.scenario, account_sid=account_sid("SK" + "5" * 32), seed=seed, start=START)
    encoder, rooms = msgspec.json.Encoder(), 0
    with path.open("wb") as file:
        for call in traffic.oldest_first(START, play.end):
            if call.ended <= play.end:
                file.write(encoder.encode(_line(traffic, call)) + b"\n")
                rooms += 1
    return rooms


def _line(traffic: Traffic, call: Call) -> dict[str, Any]:
    """The room as it stood when it settled, with everybody in it."""
    people = [session for session in traffic.sessions(call) if session.shown_at <= call.settled]
    return {
        "account": ACCOUNT,
        "settled_at": timestamp((call.settled // MINUTE + 1) * MINUTE),
        "partial": call.gave_up,
        "room": room_summary(call, call.settled, BASE, 0.5),
        "participants": [participant_summary(call, session, call.settled, BASE) for session in people],
    }
