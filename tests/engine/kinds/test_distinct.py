"""`distinct` holds when too many or too few different values came up, as a plain list of them says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.kinds import Distinct
from alertd.engine.rules import Rule
from alertd.engine.samples import Scene, judge_past
from alertd.engine.windows import Series

LAW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
rooms_lists = st.lists(
    st.tuples(st.integers(0, 200), st.lists(st.sampled_from("abcde"), max_size=3)).map(
        lambda room: (room[0], len(room[1]), len(room[1]) + 1, tuple(room[1]))
    ),
    max_size=25,
)
kinds = st.builds(
    lambda side, limit, over: Distinct(field="media_region", over=over, **{side: limit}),
    st.sampled_from(["above", "below"]),
    st.integers(1, 4),
    st.sampled_from([600, 1800, 5400]),
)


def slow(rooms, after, upto):
    """Different values of a window; None where nobody was counted."""
    inside = [room for room in rooms if after < room[0] <= upto]
    return len({value for room in inside for value in room[3]}) if inside else None


def slow_judge(kind, rooms, now, floor):
    offsets = (0, 5, 10, 15, 20, 25, 30) if kind.over <= 1800 else (0,)
    length, floor = kind.over // 60, floor if kind.below is None else 0
    told = [slow(rooms, max(now - j - length, floor), now - j) for j in offsets]
    known = [number for number in told if number is not None]
    if kind.below is None:
        return any(number > kind.above for number in known)
    return bool(known) and all(number < kind.below for number in known)


@LAW
@given(kinds, rooms_lists, st.integers(0, 230), st.integers(0, 180))
def test_it_holds_where_a_plain_list_has_too_many_in_any_position_or_too_few_in_all(group_of, kind, rooms, now, floor):
    view = kind.judge(Scene(group_of(kind, rooms), now, floor))
    assert view.holds == slow_judge(kind, rooms, now, floor)
    if view.holds:
        assert view.value == slow(rooms, view.after, view.upto)


@LAW
@given(kinds, rooms_lists, st.integers(0, 230), st.integers(0, 25))
def test_rooms_that_were_taken_out_again_leave_nothing_behind_in_any_order(group_of, heard, kind, rooms, now, number):
    series, plain = group_of(kind, rooms[::-1], [heard(*room) for room in rooms[:number]]), group_of(kind, rooms)
    for minute in (now, now + 1, now + 40, now - 3):
        assert kind.judge(Scene(series, minute)) == kind.judge(Scene(plain, minute))
        assert kind.elevated(Scene(series, minute)) == kind.elevated(Scene(plain, minute))


@LAW
@given(kinds, rooms_lists, st.sets(st.integers(0, 200), min_size=1, max_size=4))
def test_the_past_is_what_an_obvious_loop_over_all_minutes_finds_and_too_few_is_no_late_news(
    group_of, kind, rooms, fresh
):
    past = judge_past(kind, Scene(group_of(kind, rooms), 400), fresh, 0)
    length = kind.over // 60
    seen = sorted({ending for first in fresh for ending in range(first, min(first + length, 370))})
    held = [minute for minute in seen if (slow(rooms, max(minute - length, 0), minute) or 0) > (kind.above or 0)]
    held = held if kind.below is None else []
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


def test_one_more_value_never_ends_too_many_nor_begins_too_few(group_of):
    rooms = [(90, 2, 2, ("a", "b"))]
    for kind, holds in ((Distinct(field="f", above=1), [True, True]), (Distinct(field="f", below=3), [True, False])):
        views = [kind.judge(Scene(group_of(kind, some), 100)) for some in (rooms, [*rooms, (91, 1, 1, ("c",))])]
        assert [view.holds for view in views] == holds


def test_where_nobody_was_counted_nothing_is_missing():
    assert not Distinct(field="media_region", below=3).judge(Scene(Series(), 100)).holds


def test_the_thin_end_of_a_short_window_misses_nothing(group_of):
    """Three regions in each half hour, of which only one is known of the last minutes."""
    kind = Distinct(field="media_region", below=3, over=600)
    rooms = [(minute, 1, 1, ("abc"[minute % 3],)) for minute in range(50, 92)]
    series = group_of(kind, [*rooms, (98, 1, 1, ("a",))])
    assert not kind.judge(Scene(series, 100)).holds
    assert kind.elevated(Scene(series, 100)) is None


def test_ten_thousand_different_texts_are_counted_to_the_last(group_of):
    kind = Distinct(field="properties.key", above=9999)
    rooms = [(50 + n % 50, 100, 100, tuple(f"\ud800<!channel>{n}{m}" * 5 for m in range(100))) for n in range(100)]
    view = kind.judge(Scene(group_of(kind, rooms), 100))
    assert view.value == len({f"{n}{m}" for n in range(100) for m in range(100)})


# stories

FEW = Rule(
    alert="RegionMissing", kind=Distinct(field="media_region", below=3, over=7200), by=("account",), keep_firing_for=900
)
MANY = Rule(alert="Many", kind=Distinct(field="media_region", above=3), by=("account",), keep_firing_for=900)


def calls(call, begin, end, regions):
    """A room every other minute, each region in turn."""
    return [
        call(minute, 0, 2, number=minute + 7000, media_region=regions[minute // 2 % len(regions)])
        for minute in range(begin, end, 2)
    ]


def test_a_region_that_goes_missing_fires_when_its_last_room_is_out_of_the_window(story, call):
    rooms = calls(call, -300, 60, ["us1", "ie1", "au1"]) + calls(call, 60, 300, ["us1", "ie1"])
    rooms += calls(call, 300, 700, ["us1", "ie1", "au1"])
    last = max(room.ended for room in rooms[:180] if room.participants[0].media_region == "au1")
    first = min(room.ended for room in rooms[300:] if room.participants[0].media_region == "au1")
    told = story(FEW, rooms=rooms, minutes=600)
    noon = 1_772_452_800
    # It is out two hours after its end; another is known eight minutes after its own, and then it is quiet.
    assert told.events == [
        ((last - noon) / 60 + 120, "firing", "RegionMissing"),
        ((first - noon) / 60 + 7 + 15, "resolved", "RegionMissing"),
    ]
    assert told.history[0].reason == "2 different values of media_region within 2h, limit: below 3"


def test_after_it_resolved_the_minutes_since_are_not_taken_for_the_window(story, call):
    """The law for too few: behind the recovery there are few values in few minutes, and that is nothing new."""
    rooms = calls(call, -300, 60, ["us1", "ie1", "au1"]) + calls(call, 60, 300, ["us1", "ie1"])
    rooms += calls(call, 300, 900, ["us1"] * 9 + ["ie1"] * 9 + ["au1"] * 9)  # 18 minutes of each
    told = story(FEW, rooms=rooms, minutes=850)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]


def test_too_many_fire_and_resolve_without_those_in_half_an_hour(story, call):
    rooms = calls(call, -100, 60, ["a", "b", "c"]) + calls(call, 60, 80, ["d"]) + calls(call, 80, 400, ["a", "b", "c"])
    told = story(MANY, rooms=rooms, minutes=300)
    # The first of `d` is known at 68. The last, of 78, is in half an hour with the others until 107.
    assert told.events == [(68, "firing", "Many"), (107 + 15, "resolved", "Many")]


def test_with_for_it_must_stay_so(story, call):
    rooms = calls(call, -100, 60, ["a", "b", "c"]) + calls(call, 60, 80, ["d"]) + calls(call, 80, 400, ["a", "b", "c"])
    slow_rule = Rule(alert="Many", kind=MANY.kind, by=("account",), hold_for=1200)
    assert story(slow_rule, rooms=rooms, minutes=300).events[0] == (88, "firing", "Many")


def test_no_traffic_is_no_recovery(story, call):
    rooms = calls(call, -100, 60, ["a", "b", "c"]) + calls(call, 60, 70, ["d"])
    told = story(MANY, rooms=rooms, minutes=700)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.history[1].reason.startswith("no traffic to judge for 6h")


def test_while_the_account_cannot_be_seen_it_does_not_resolve(story, call, policy_of, in_sight):
    rooms = calls(call, -100, 60, ["a", "b", "c"]) + calls(call, 60, 70, ["d"]) + calls(call, 400, 500, ["a"])
    sights = (in_sight(-600, 90), in_sight(400, 999))
    told = story(policy=policy_of(MANY, accounts=("production",)), sights=sights, rooms=rooms, minutes=600)
    assert told.events[0][1] == "firing"
    assert told.events[1][0] > 400


@pytest.mark.parametrize("region", ["", None])
def test_a_value_that_is_not_said_is_none(story, call, region):
    rooms = calls(call, -100, 60, ["a", "b", region])
    none = Rule(alert="Many", kind=Distinct(field="media_region", above=2), by=("account",))
    assert story(none, rooms=rooms, minutes=60).events == []


def test_it_is_judged_after_a_recovery_though_nobody_was_counted_since(group_of):
    kind = Distinct(field="media_region", below=3, over=7200)
    scene = Scene(group_of(kind, [(50, 1, 1, ("a",))]), 100, floor=90)
    assert kind.conceivable(scene, 90, 100)
    assert kind.judge(scene).holds
