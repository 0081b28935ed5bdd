"""However much rules share of what they count, each sees what it would see if it counted the rooms alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.conditions import parse_condition
from alertd.engine.counting import SLACK, Windows
from alertd.engine.kinds import Count, Rate
from alertd.engine.records import Participant, SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample, Scene, sample_of
from alertd.engine.windows import NOTHING

NOON = 1_772_452_800 // 60
LOST: dict[str, Any] = {"error_code": 53405}

Says = Callable[[Participant], bool]
AMONG: list[tuple[dict[str, Any], Says]] = [
    ({}, lambda _: True),
    ({"media_region": "us1"}, lambda who: who.media_region == "us1"),
]
MATCH: list[tuple[dict[str, Any], Says]] = [
    (LOST, lambda who: who.error_code == 53405),
    ({"duration_sec": "< 10"}, lambda who: who.duration_sec == 5),
    (LOST | {"duration_sec": "< 10"}, lambda who: who.error_code == 53405 and who.duration_sec == 5),
]
BY = [(), ("account",), ("media_region",), ("account", "media_region")]
KINDS = [
    Count(at_least=2),
    Count(at_least=2, over=600, of="rooms"),
    Rate(above=0.1, min=3),
    Rate(above=0.1, min=3, of="identities"),
]


def rule(among: dict[str, Any], match: dict[str, Any], **parts: Any) -> Rule:
    conditions = [parse_condition(data).condition for data in (among, match)]
    return Rule(**({"alert": "A", "kind": KINDS[0], "among": conditions[0], "match": conditions[1]} | parts))


class Book(NamedTuple):
    """A rule, and in plain Python whom it looks at and whom it matches."""

    rule: Rule
    among: Says
    match: Says


@st.composite
def books(draw):
    """Rules of which some look at the same people, match the same, split them alike or look equally far back."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        among, is_among = draw(st.sampled_from(AMONG))
        match, matches = draw(st.sampled_from(MATCH))
        parts = {"by": draw(st.sampled_from(BY)), "kind": draw(st.sampled_from(KINDS)), "alert": f"A{number}"}
        found.append(Book(rule(among, match, **parts), is_among, matches))
    return found


@st.composite
def people(draw):
    """The participants of a room: of several regions, with and without trouble, some of them twice."""
    return tuple(
        Participant(
            participant_sid=f"PA{place}",
            participant_identity=draw(st.sampled_from(["Ann", "Bea", "Cid"])),
            error_code=draw(st.sampled_from([53405, None])),
            duration_sec=draw(st.sampled_from([5, 50])),
            media_region=draw(st.sampled_from(["us1", "au1", "de1"])),
        )
        for place in range(draw(st.integers(0, 4)))
    )


def labels_of(one: Rule, room: SettledRoom, who: Participant) -> dict[str, str]:
    values = {"account": room.account, "media_region": who.media_region or ""}
    return {"alertname": one.alert} | {name: values[name] for name in one.by}


def members(book: Book, room: SettledRoom, labels: dict[str, str]) -> list[Participant]:
    return [who for who in room.participants if book.among(who) and labels_of(book.rule, room, who) == labels]


def check(book: Book, labels: dict[str, str], sample: Sample, rooms: list[SettledRoom]) -> None:
    """The sample is what the rooms of its window come to, one by one."""
    inside = [group for room in rooms if (group := members(book, room, labels))]
    hits = [[who for who in group if book.match(who)] for group in inside]
    identities = [len({who.participant_identity for group in some for who in group}) for some in (hits, inside)]
    affected = sum(bool(some) for some in hits)
    expected = {
        "participants": (sum(map(len, hits)), sum(map(len, inside))),
        "rooms": (affected, len(inside)),
        "identities": tuple(identities),
    }[sample.of]
    assert (sample.matched, sample.total) == expected
    assert (sample.rooms, sample.rooms_affected, sample.identities) == (len(inside), affected, identities[0])


@given(books(), st.data())
def test_each_sample_is_that_of_the_rooms_whatever_is_shared_replaced_and_forgotten(call, some, data):
    windows, rooms, now = Windows([book.rule for book in some], lambda _, value: value), {}, NOON
    for number in range(1, data.draw(st.integers(1, 15))):
        now += data.draw(st.sampled_from([0, 1, 7, 40, 200]))
        empty = call(now - NOON - data.draw(st.integers(0, 60)), number=data.draw(st.integers(1, number)))
        account = data.draw(st.sampled_from(["production", "staging"]))
        room = msgspec.structs.replace(empty, account=account, participants=data.draw(people()))
        if replaced := rooms.pop(room.room.room_sid, None):
            windows.fold(replaced, -1)
        windows.fold(room)
        rooms[room.room.room_sid] = room
        windows.forget(now, {})
    for book in some:
        lately = [room for room in rooms.values() if room.ended // 60 > now - book.rule.kind.over // 60 - SLACK]
        seen = {tuple(group.labels.items()): group.series for group in windows.groups(book.rule)}
        for room in lately:
            for who in filter(book.among, room.participants):
                labels = labels_of(book.rule, room, who)
                series = seen[tuple(labels.items())]
                scene = Scene(series, now)
                view = book.rule.kind.judge(scene)
                inside = [one for one in lately if view.after < one.ended // 60 <= view.upto]
                check(book, labels, sample_of(book.rule.kind, scene, view), inside)


def test_rules_that_count_the_same_have_alerts_of_their_own_and_the_firing_one_keeps_what_they_share(call):
    first, second = [rule({}, LOST, alert=name, by=("account",)) for name in "AB"]
    windows = Windows([first, second], lambda _, value: value)
    windows.fold(room := call(0, 2, 1))
    (one,), (other,) = windows.groups(first), windows.groups(second)
    assert (one.labels["alertname"], other.labels["alertname"]) == ("A", "B")
    assert one.fingerprint != other.fingerprint
    windows.forget(NOON + 5000, {other.fingerprint: NOON - 1})
    assert one.series.between(NOON - 1, NOON) == other.series.between(NOON - 1, NOON) == (1, 1, 3, 2, 4, 6, 9)
    windows.fold(room, -1)
    assert other.series.between(NOON - 1, NOON) == NOTHING
    windows.forget(NOON + 6000, {})
    assert list(windows.groups(first)) == list(windows.groups(second)) == []


def test_a_condition_that_cannot_be_judged_is_the_fault_of_every_rule_that_has_it_and_of_no_other(call):
    def show(field, value):
        raise RuntimeError(f"cannot show {value}")

    twins = [rule({}, LOST, alert=name, by=("account",)) for name in "AB"]
    elsewhere = rule({"media_region": "us1"}, LOST, alert="C", by=())
    other = rule({}, {"duration_sec": "< 10"}, alert="D", by=("account",))
    windows = Windows([*twins, elsewhere, other], show)
    windows.fold(call(0, 1, duration_sec=50))
    assert sorted(windows.faults) == ["A", "B", "C"]
    (group,) = windows.groups(other)
    assert group.series.between(0, 10**9).total == 1
