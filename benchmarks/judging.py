"""What judging costs: participants counted by a hundred rules and decided on every minute, against Python by hand.

Usage: python -m benchmarks.judging ROUNDS MINUTES
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from alertd.config import load
from alertd.engine.counting import Windows
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.records import Participant, SettledRoom
from alertd.engine.routes import Route, Tree
from alertd.engine.rules import Rule
from alertd.engine.ticks import Change, step
from benchmarks import rooms
from benchmarks.conditions import is_old
from benchmarks.ingest import settling
from benchmarks.rounds import Result, run, say
from benchmarks.rulebook import CODES, write_config

MINUTES = 30
ROOMS_A_MINUTE = 60  # as ingest numbers them: one a second
RULES = 100
Test = tuple[Callable[[Participant], bool], Callable[[Participant], str | None], int, float]
"""What matches, which group it counts in, minutes of the window, and the share that is too much."""


class HandWritten:
    """What one would write for just these hundred rules: counters by minute, a sum over the window every minute."""

    def __init__(self) -> None:
        self._tests: list[Test] = []
        for code in CODES:
            self._tests += [_failing(code), _counted(code), _old_sdk(code), _short(code)]
        self._counts: list[dict[tuple[str | None, int], list[int]]] = [defaultdict(lambda: [0, 0]) for _ in self._tests]

    def fold(self, settled: SettledRoom) -> None:
        """Count a room for every rule."""
        minute = settled.ended // 60
        for (test, group, _, _), counts in zip(self._tests, self._counts, strict=True):
            for who in settled.participants:
                cell = counts[group(who), minute]
                cell[1] += 1
                if test(who):
                    cell[0] += 1

    def decide(self, minute: int) -> list[tuple[int, str | None]]:
        """The rules and groups over their limit."""
        found = []
        for number, ((_, _, window, limit), counts) in enumerate(zip(self._tests, self._counts, strict=True)):
            sums: dict[str | None, list[int]] = defaultdict(lambda: [0, 0])
            for (group, at), (matched, total) in counts.items():
                if minute - window < at <= minute:
                    sums[group][0] += matched
                    sums[group][1] += total
            found += [(number, group) for group, (matched, total) in sums.items() if matched > limit * total]
        return found


def _failing(code: int) -> Test:
    return (lambda who: who.error_code == code), (lambda who: who.media_region), 60, 0.05


def _counted(code: int) -> Test:
    codes = {code, code + 1, code + 2}
    return (lambda who: who.error_code in codes), (lambda _: "production"), 30, 0.2


def _old_sdk(code: int) -> Test:
    def sdk(who: Participant) -> str:
        sent = who.publisher_info or {}
        return f"{sent.get('name')} {sent.get('sdk_version')}"

    def test(who: Participant) -> bool:
        return who.error_code == code and is_old((who.publisher_info or {}).get("sdk_version", "0"))

    return test, sdk, 120, 0.1


def _short(code: int) -> Test:
    def test(who: Participant) -> bool:
        short = who.duration_sec is not None and who.duration_sec < 10
        return who.error_code == code and short and who.media_region not in (None, "us1")

    return test, (lambda who: who.edge_location), 360, 0.03


def measure(rounds: int, *, quick: bool) -> Result:
    """Microseconds a participant and rule, of each round, for both sides."""
    result = run("judging", rounds, 2 if quick else MINUTES)
    say(f"judging: {result}")
    return result


def compare(rounds: int, minutes: int) -> Result:
    """Both sides judge the same rooms, in turn, each round from the beginning."""
    with tempfile.TemporaryDirectory() as folder:
        judged = load(write_config(Path(folder), "http://127.0.0.1:1", 1, RULES)).rules
    settled = list(_by_minute(minutes))
    pairs = sum(len(part) for part in settled) * rooms.PEOPLE * RULES
    found: dict[str, list[float]] = {"alertd": [], "fold": [], "by_hand": []}
    for judge in (_folded, _decided):
        judge(judged, settled[:1])  # what is done once in a process, such as reading SDK versions, is not judging
    for _ in range(rounds):
        found["fold"].append(_folded(judged, settled) / pairs * 1e6)
        found["alertd"].append(_decided(judged, settled) / pairs * 1e6)
        found["by_hand"].append(_by_hand(settled) / pairs * 1e6)
    return {"minutes": minutes, "rooms_a_minute": ROOMS_A_MINUTE, "rules": RULES, "microseconds": found}


def _by_minute(minutes: int) -> Iterator[list[SettledRoom]]:
    for minute in range(minutes):
        numbers = range(minute * ROOMS_A_MINUTE, (minute + 1) * ROOMS_A_MINUTE)
        yield [
            SettledRoom(
                account=one.account, room=one.room, participants=one.participants, ended=one.ended, known_at=one.ended
            )
            for one in settling(numbers)
        ]


def _folded(judged: tuple[Rule, ...], settled: list[list[SettledRoom]]) -> float:
    """Seconds for counting alone."""
    windows = Windows(judged, lambda _, value: value)
    began = time.perf_counter()
    for part in settled:
        windows.begin()
        for one in part:
            windows.fold(one)
    return time.perf_counter() - began


def _decided(judged: tuple[Rule, ...], settled: list[list[SettledRoom]]) -> float:
    """Seconds for counting and for a decision every minute."""
    windows = Windows(judged, lambda _, value: value)
    policy = Policy(rules=judged, tree=Tree(Route(receiver="nobody")), integrations={}, accounts=("production",))
    snapshot = Snapshot(alerts={}, groups={})
    began = time.perf_counter()
    for part in settled:
        now = (part[-1].ended // 60 + 1) * 60
        outcome, snapshot = step(now, policy, windows, snapshot, [Change(now, one, 1) for one in part])
        if outcome.questions:  # they are put to the store, which has no part in this
            answers = dict.fromkeys((asked.fingerprint for asked in outcome.questions), None)
            _, snapshot = step(now, policy, windows, msgspec.structs.replace(snapshot, explained=answers), ())
    return time.perf_counter() - began


def _by_hand(settled: list[list[SettledRoom]]) -> float:
    judge = HandWritten()
    began = time.perf_counter()
    for part in settled:
        for one in part:
            judge.fold(one)
        judge.decide(part[-1].ended // 60 + 1)
    return time.perf_counter() - began


def main() -> None:
    """Compare; print JSON."""
    print(json.dumps(compare(int(sys.argv[1]), int(sys.argv[2]))))


if __name__ == "__main__":
    main()
