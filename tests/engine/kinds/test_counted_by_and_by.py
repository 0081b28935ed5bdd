"""Whatever the kind: what was counted by and by, with rooms replaced and forgotten, is judged as if counted at once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.conditions import EVERYTHING
from alertd.engine.counting import Windows
from alertd.engine.kinds import Absent, BurnRate, Distinct, Metric, NewValue, Spike
from alertd.engine.rules import Rule
from alertd.engine.samples import Peer, Scene

LAW = settings(deadline=None, max_examples=25, suppress_health_check=list(HealthCheck))
NOON = 1_772_452_800 // 60
KINDS = {
    "BurnRate": BurnRate(objective=0.9, pairs=((3600, 1800, 2.0), (10_800, 3600, 1.0)), min_rooms=1),
    "Spike": Spike(times=1.5, at_least=2, over=1800, against=7200),
    "SpikeOfPeople": Spike(times=1.5, at_least=2, over=1800, against=8000, of="identities"),
    "Percentile": Metric(field="duration_sec", agg="p50", above=50.0, min=2),
    "Mean": Metric(field="properties.rtt", agg="mean", below=50.0, over=900, min=2),
    "Sum": Metric(field="duration_sec", agg="sum", below=900.0, min=2),
    "Many": Distinct(field="media_region", above=2, over=1800),
    "Few": Distinct(field="media_region", below=2),
    "New": NewValue(field="media_region", seen_in=86_400, min_rooms=2),
    "Silent": Absent(below_usual=0.7, windows=(900, 3600)),
}
SHOWN_AT = (0, 1, 13, -20)
"""Minutes from now at which windows are judged: on, ahead and back."""


@pytest.fixture(scope="session")
def rules(lost):
    """A rule of each kind, some of which look at everybody."""
    return [
        Rule(alert=name, kind=kind, match=lost if "r" in name else EVERYTHING, by=("account",))
        for name, kind in KINDS.items()
    ]


def views(windows, rules, now):
    """What each rule makes of its group at some minutes, by name."""
    found = {}
    for rule in rules:
        absent = isinstance(rule.kind, Absent)
        groups = [windows.starts(rule, "production")] if absent else list(windows.groups(rule))
        peers = [Peer(group.series) for group in groups]
        for group in groups:
            for minute in [now + ahead for ahead in SHOWN_AT]:
                scene = Scene(group.series, minute, peers=lambda peers=peers: peers)
                judged = rule.kind.judge(scene)
                found[rule.alert, minute] = judged, rule.kind.elevated(scene)
    return found


def is_quiet(view):
    return not view[0].holds and view[1] is None


def plain(_field, value):
    return value


@LAW
@given(data=st.data())
def test_counting_by_and_by_with_replacing_and_forgetting_is_judged_as_counting_what_is_left_at_once(call, rules, data):
    windows, rooms, now = Windows(rules, plain), {}, 0
    for number in range(1, data.draw(st.integers(2, 25))):
        now += data.draw(st.sampled_from([1, 3, 10, 45, 400]))
        sent = data.draw(st.sampled_from([3, 40, "70", "nan", True, 1e300, None]))
        room = call(
            now - data.draw(st.sampled_from([2, 8, 25, 60])),
            data.draw(st.integers(0, 2)),
            data.draw(st.integers(1, 2)),
            number=data.draw(st.integers(1, number)),
            lasted=data.draw(st.sampled_from([0, 5, 30])),
            duration_sec=data.draw(st.sampled_from([0, 30, 300, None])),
            properties={"rtt": sent},
            media_region=data.draw(st.sampled_from(["us1", "au1", "ie1", "br1"])),
        )
        if replaced := rooms.pop(room.room.room_sid, None):
            windows.fold(replaced, -1)
        windows.fold(room)
        rooms[room.room.room_sid] = room
        views(windows, rules, NOON + now)  # looking moves windows, and must change nothing
        windows.forget(NOON + now, {})
    afresh = Windows(rules, plain)
    for room in data.draw(st.permutations(list(rooms.values()))):
        afresh.fold(room)
    assert windows.faults == afresh.faults == {}
    mine, theirs = views(windows, rules, NOON + now), views(afresh, rules, NOON + now)
    assert mine == {key: view for key, view in theirs.items() if key in mine}
    assert all(is_quiet(view) for key, view in theirs.items() if key not in mine)


@LAW
@given(data=st.data())
def test_two_windows_that_share_what_they_counted_judge_alike(call, rules, data):
    """Rules that are read anew go on with what was counted before."""
    rooms = [
        call(n * data.draw(st.sampled_from([1, 9])), 1, 1, number=n + 1, media_region=f"r{n % 3}", duration_sec=n)
        for n in range(12)
    ]
    windows = Windows(rules, plain)
    for room in rooms[:6]:
        windows.fold(room)
    after = Windows([replace(rule, alert=rule.alert) for rule in rules], plain)
    after.take_over(windows.counted())
    whole = Windows(rules, plain)
    for room in rooms[6:]:
        after.fold(room)
    for room in rooms:
        whole.fold(room)
    assert views(after, rules, NOON + 60) == views(whole, rules, NOON + 60)
