"""What was counted can be packed and unpacked, and goes on like the original; whatever else stands there is refused."""

from __future__ import annotations

import os
import pickle
import zlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from alertd.engine.conditions import parse_condition
from alertd.engine.counting import Counted, Windows
from alertd.engine.kinds import Absent, Anomaly, BurnRate, Count, Distinct, Metric, NewValue, Rate, Spike
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import Peer, Scene, sample_of
from alertd.store.database import connect
from alertd.store.keeping import pack, unpack
from alertd.store.schema import window_states

NOON = 1_772_452_800
MINUTE = NOON // 60
LOST = parse_condition({"error_code": 53405}).condition
assert LOST is not None
KINDS = {
    "Rate": Rate(above=0.05),
    "Count": Count(at_least=2, of="identities"),
    "Absent": Absent(fewer_than=2, over=3600),
    "Unusual": Absent(below_usual=0.7, windows=(1800, 3600)),
    "Anomaly": Anomaly(windows=(900, 3600), lag=3600, baseline=86400),
    "BurnRate": BurnRate(),
    "Spike": Spike(against=7200),
    "NewValue": NewValue(field="edge_location", seen_in=86400, min_rooms=1),
    "Metric": Metric(field="duration_sec", agg="p95", above=10, min=1),
    "Distinct": Distinct(field="sdk_version", above=1),
}
RULES = [
    Rule(
        alert=name, kind=kind, match=LOST, by=("account",) if isinstance(kind, Absent) else ("account", "media_region")
    )
    for name, kind in KINDS.items()
]


def plain(_field: object, value: str) -> str:
    return value


def room(number: int, ended: int, failed: int, version: int) -> SettledRoom:
    people = [
        Participant(
            participant_sid=f"PA{number * 10 + place:032x}",
            participant_identity=f"person {place}",
            error_code=53405 if place < failed else None,
            duration_sec=7 * number + place,
            media_region=("ie1", "us1")[(number + place) % 2],
            edge_location=f"edge {number % 5}",
            publisher_info={"name": "twilio-video.js", "sdk_version": f"2.{version}"},
            leave_time=datetime.fromtimestamp(NOON + (ended - 3) * 60, UTC),
        )
        for place in range(3)
    ]
    summary = Room(room_sid=f"RM{number:032x}", room_name=f"room {number}", duration_sec=600)
    at = NOON + ended * 60
    return SettledRoom(account="production", room=summary, participants=tuple(people), ended=at, known_at=at + 480)


rooms = st.builds(room, st.integers(1, 40), st.integers(-3000, 0), st.integers(0, 3), st.integers(0, 4))
steps = st.lists(st.one_of(rooms, st.integers(1, 400)), max_size=12)
"""A room comes (or goes, if it is there already), or so many minutes pass."""


class Life:
    """Windows to which things happen."""

    def __init__(self, windows: Windows, minute: int, there: list[SettledRoom]) -> None:
        self.windows, self.minute, self.there = windows, minute, there

    def go_on(self, some: list[SettledRoom | int]) -> None:
        for step in some:
            if isinstance(step, int):
                self.minute += step
                self.windows.begin()
                self.windows.forget(self.minute, {})
            elif step in self.there:
                self.there.remove(step)
                self.windows.fold(step, -1)
            else:
                self._count_again(step)
                self.there.append(step)
                self.windows.fold(step)

    def _count_again(self, late: SettledRoom) -> None:
        revisit = self.windows.missing([(late, 1)], {})
        for after, upto in revisit.stretches:
            past = [one for one in self.there if after < one.ended // 60 <= upto]
            self.windows.recount(past, revisit)
        self.windows.revisited(revisit, self.minute)

    def copied(self) -> Life:
        """Another life that goes on from what this one has packed."""
        counted, windows = unpack(pack(self.windows.counted())), Windows(RULES, plain)
        assert counted is not None
        assert windows.lacking(counted) == []
        windows.take_over(counted)
        return Life(windows, self.minute, list(self.there))

    def judged(self) -> list[object]:
        """What every kind says of every group, now and as of the last hours."""
        found: list[object] = [
            self.windows.settled_rooms(None, self.minute - 5000, self.minute),
            self.windows.accounts(self.minute),
        ]
        for rule in RULES:
            for group in sorted(self._groups(rule), key=lambda group: group.fingerprint):
                scene = Scene(
                    group.series, self.minute, 0, lambda rule=rule: [Peer(g.series) for g in self._groups(rule)]
                )
                for minute in range(self.minute - 60, self.minute + 1, 20):
                    view = rule.kind.judge(scene.at(minute))
                    found += [group.labels, sample_of(rule.kind, scene.at(minute), view), view]
                found += [rule.kind.elevated(scene), group.series.evidence(view.after, view.upto, 5)]
        return found

    def _groups(self, rule: Rule) -> list[Any]:
        if isinstance(rule.kind, Absent):
            return [self.windows.starts(rule, "production")]
        return [
            group for group in self.windows.groups(rule) if group.series.between(0, 2**40).rooms or group.series.book
        ]


@example(before=[room(1, 0, 0, 0), room(1, 0, 0, 0), room(1, 0, 0, 0), 141], after=[9])
@given(before=steps, after=steps)
@settings(max_examples=40, deadline=None)
def test_unpacked_windows_go_on_like_the_originals(before, after):
    original = Life(Windows(RULES, plain), MINUTE, [])
    original.go_on(before)
    original.windows.begin()
    copy = original.copied()
    assert copy.judged() == original.judged()
    original.go_on(after)
    copy.go_on(after)
    assert copy.judged() == original.judged()
    assert copy.copied().judged() == original.judged()


def counted() -> Counted:
    windows = Windows(RULES, plain)
    for number in range(20):
        windows.fold(room(number, -10 * number, number % 3, number % 4))
    return windows.counted()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_are_as_good_as_nothing(data):
    body = pack(counted())
    place = data.draw(st.integers(0, len(body) - 1))
    spoilt = data.draw(st.sampled_from([body[:place], body[:place] + bytes([body[place] ^ 0x41]) + body[place + 1 :]]))
    found = unpack(spoilt)
    assert found is None or pack(found) == pack(unpack(body)), "a bit that says nothing may be spoilt"


@given(st.binary(max_size=200))
def test_any_bytes_are_as_good_as_nothing(body):
    assert unpack(body) is None
    assert unpack(zlib.compress(body)) is None


class Call:
    """Pickles as a call of something with an argument."""

    def __init__(self, what: Any, *arguments: object) -> None:
        self.call = what, arguments

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.call


def test_a_pickle_that_would_run_a_program_does_not(tmp_path):
    witness = tmp_path / "was here"
    for hostile in (
        Call(os.system, f"touch '{witness}'"),
        Call(eval, f"open({str(witness)!r}, 'w')"),
        Call(open, str(witness), "w"),
        Call(getattr, counted(), "populations"),
    ):
        for whole in (hostile, counted()._replace(settled_since=hostile)):
            assert unpack(zlib.compress(pickle.dumps(whole, protocol=5))) is None
    assert not witness.exists()


@pytest.mark.parametrize(
    "name",
    [
        "alertd.engine.counting\nfingerprint",  # a function, and a name that was only imported there
        "alertd.engine.counting\nWindows.fold",
        "alertd.engine.populations\ncast",
        "alertd.engine.decide\nPolicy",
        "builtins\nexec",
        "posix\nsystem",
    ],
)
def test_only_what_windows_are_made_of_is_ever_looked_up(name):
    assert unpack(zlib.compress(f"c{name}\n.".encode())) is None


@pytest.mark.parametrize("other", [None, [], {}, 7, ("populations", {}), NOON])
def test_what_is_no_windows_at_all_is_as_good_as_nothing(other):
    assert unpack(zlib.compress(pickle.dumps(other))) is None


# In the database


async def test_what_was_kept_last_takes_the_place_of_what_was_kept_before(store):
    assert await store.kept_counted(NOON) is None
    await store.keep_counted(NOON - 60, Windows(RULES, plain).counted())
    await store.keep_counted(NOON, counted())
    assert await store.kept_counted(NOON - 1) is None, "what is of later than the decisions is of no use"
    for moment in (NOON, NOON + 900):
        at, found = await store.kept_counted(moment)
        assert at == NOON
        assert Windows(RULES, plain).lacking(found) == []
        assert pack(found) == pack(unpack(pack(counted())))


@pytest.mark.parametrize("spoilt", [{"made_by": "0.0.1/1"}, {"body": b"nothing of the kind"}, {"body": b""}])
async def test_what_another_alertd_kept_or_was_spoilt_counts_for_nothing(store, url, spoilt):
    async def spoil(connection: Any) -> None:
        await connection.execute(update(window_states).values(**spoilt))

    await store.keep_counted(NOON, counted())
    database = connect(url)
    await database.write(spoil)
    await database.close()
    assert await store.kept_counted(NOON) is None
    await store.keep_counted(NOON, counted())
    assert await store.kept_counted(NOON) is not None
