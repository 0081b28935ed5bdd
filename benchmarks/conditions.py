"""Compiled conditions against the same tests written by hand: medians of interleaved rounds, and the cost of facts.

Usage: python benchmarks/conditions.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from packaging.specifiers import SpecifierSet

from alertd.engine.conditions import Predicate, compile_condition, parse_condition
from alertd.engine.fields import Extractor, find_field
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.values import Fact

ROUNDS, REPEATS = 25, 20
MEDIA = "media_connection_failed_or_media_activity_ceased"
CONDITIONS: list[dict[str, object]] = [
    {"end_reason": "media_connection_failed"},
    {"error_code": [53405, 53001, 53000]},
    {"error_code": 53405, "duration_sec": "< 10", "media_region": {"not": "us1"}},
    {"any": [{"error_code": 53405}, {"end_reason": "media_connection_*"}], "room_type": ["group", "group_small"]},
    {"sdk_version": "< 2.28", "publisher_info.name": "twilio-video.js"},
]
NAMES = (
    "end_reason error_code duration_sec media_region room_type sdk_version publisher_info.name category rejoined error "
    "sdk sdk_major account edge_location codecs properties.is_adhoc"
)

_old = SpecifierSet("< 2.28")


@lru_cache(maxsize=1024)
def is_old(text: str) -> bool:
    return _old.contains(text, prereleases=True)


def by_hand(index: dict[str, int]) -> list[Predicate]:
    """What a careful programmer would write for CONDITIONS, given where the facts are."""
    reason, code, span, region = (index[name] for name in ("end_reason", "error_code", "duration_sec", "media_region"))
    kind, version, name = (
        index[name] for name in ("room.room_type", "publisher_info.sdk_version", "publisher_info.name")
    )
    codes, kinds, reasons = {53405, 53001, 53000}, {"group", "group_small"}, {MEDIA, "media_connection_failed"}
    return [
        lambda facts: facts[reason] in reasons,
        lambda facts: facts[code] in codes,
        lambda facts: (
            facts[code] == 53405 and facts[span] is not None and facts[span] < 10 and facts[region] not in (None, "us1")
        ),
        lambda facts: (
            facts[kind] in kinds
            and (facts[code] == 53405 or (facts[reason] is not None and facts[reason].startswith("media_connection_")))
        ),
        lambda facts: facts[name] == "twilio_video.js" and facts[version] is not None and is_old(facts[version]),
    ]


def room() -> SettledRoom:
    """A room of 200 participants, most of them without trouble, some with nulls."""
    people = tuple(
        Participant(
            participant_sid=f"PA{place:032x}",
            participant_identity=f"user-{place}",
            duration_sec=place * 7,
            codecs=("VP8", "opus"),
            end_reason=MEDIA if place % 10 == 0 else "disconnected_via_api" if place % 3 else None,
            error_code=53405 if place % 10 == 0 else 0,
            media_region="us1" if place % 2 else "ie1",
            edge_location="ashburn",
            publisher_info={"name": "twilio-video.js", "sdk_version": f"2.{20 + place % 15}.0"} if place % 7 else None,
            properties={"isAdhoc": True},
        )
        for place in range(200)
    )
    summary = Room(room_sid=f"RM{1:032x}", room_type="group")
    return SettledRoom(account="production", room=summary, participants=people, ended=0, known_at=480)


def nanoseconds(predicate: Predicate, rows: list[tuple[Fact, ...]]) -> float:
    """Time of one call over all rows."""
    start = time.perf_counter_ns()
    for _ in range(REPEATS):
        for row in rows:
            predicate(row)
    return (time.perf_counter_ns() - start) / (REPEATS * len(rows))


def timed(work: Callable[[], object], times: Iterable[int]) -> float:
    """Median time of `work` in nanoseconds."""
    spans = []
    for _ in times:
        start = time.perf_counter_ns()
        work()
        spans.append(time.perf_counter_ns() - start)
    return statistics.median(spans)


def compared(rounds: int) -> Iterator[tuple[object, float, float, float]]:
    """Each condition with the nanoseconds of ours and of the one by hand, and the median ratio of the rounds."""
    extractor = Extractor(find_field(name) for name in NAMES.split())
    rows = extractor.facts(room())
    for data, hand in zip(CONDITIONS, by_hand(extractor.index), strict=True):
        condition = parse_condition(data).condition
        assert condition is not None
        compiled = compile_condition(condition, extractor.index)
        assert [compiled(row) for row in rows] == [hand(row) for row in rows], data
        times = [(nanoseconds(compiled, rows), nanoseconds(hand, rows)) for _ in range(rounds)]
        ours, theirs = (statistics.median(side) for side in zip(*times, strict=True))
        yield data, ours, theirs, statistics.median(one / two for one, two in times)


def measure(rounds: int, *, quick: bool) -> dict[str, object]:
    """The ratio of each condition; a round is so short that there are always many."""
    return {"ratios": [ratio for *_, ratio in compared(max(1, rounds) if quick else ROUNDS)]}


def main() -> None:
    ratios = []
    for data, ours, theirs, ratio in compared(ROUNDS):
        ratios.append(ratio)
        print(f"{ours:6.0f} ns compiled  {theirs:6.0f} ns by hand  ratio {ratio:.2f}  {data}")
    print(f"median ratio {statistics.median(ratios):.2f}, worst {max(ratios):.2f} (aim: 1.5)")
    settled, extractor = room(), Extractor(find_field(name) for name in NAMES.split())
    facts = timed(lambda: extractor.facts(settled), range(ROUNDS)) / len(settled.participants)
    print(f"{facts / 1000:.2f} µs a participant for {len(extractor.index)} facts")


if __name__ == "__main__":
    main()
