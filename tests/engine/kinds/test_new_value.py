"""`new_value` holds when a value turns up that a plain list of the rooms before does not have."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.kinds import Count, NewValue
from alertd.engine.rules import Rule
from alertd.engine.samples import Peer, Scene, judge_past, sample_of

LAW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
HOUR, DAY, WEEK = 60, 1440, 10_080
rooms_lists = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 5 * DAY), st.integers(3 * DAY, 3 * DAY + 400)),
        st.sets(st.sampled_from("abcd"), max_size=2),
    ).map(lambda room: (room[0], len(room[1]), 3, tuple(sorted(room[1])))),
    max_size=30,
)
kinds = st.builds(lambda least: NewValue(field="sdk", seen_in=2 * 86_400, min_rooms=least), st.integers(1, 3))


def slow(kind, rooms, minute, floor=0):
    """The values that are new, by the hours of the clock; none while the rule learns."""
    now, memory = minute // HOUR, kind.seen_in // 3600
    hours = [room[0] // HOUR for room in rooms if now - memory <= room[0] // HOUR <= now]
    if not hours or now - min(hours) < min(memory, 168):
        return []
    found = []
    for value in "abcd":
        seen = sorted(room[0] // HOUR for room in rooms if value in room[3] and now - memory < room[0] // HOUR <= now)
        if len(seen) >= kind.min_rooms and seen[0] > now - 24:
            became = seen[kind.min_rooms - 1]
            if became >= max(now - 1, floor // HOUR):
                found.append(value)
    return found


@LAW
@given(kinds, rooms_lists, st.lists(st.integers(0, 200), min_size=1, max_size=6), st.integers(0, 200))
def test_it_holds_where_a_plain_list_knows_a_value_from_lately_only(group_of, kind, rooms, ahead, ago):
    """Looked at a while after each room, with and without a recovery shortly before."""
    series = group_of(kind, rooms)
    for minute in [room[0] + ahead[place % len(ahead)] for place, room in enumerate(rooms)]:
        for bound in (0, minute - ago):
            view, found = kind.judge(Scene(series, minute, bound)), slow(kind, rooms, minute, bound)
            assert view.holds == bool(found)
            if found:
                assert (view.new, view.value) == (tuple(found), len(found))
                assert not view.learning


@LAW
@given(kinds, rooms_lists, st.integers(0, 6 * DAY), st.integers(0, 30))
def test_rooms_that_were_taken_out_again_leave_nothing_behind_in_any_order(group_of, heard, kind, rooms, now, number):
    series, plain = group_of(kind, rooms[::-1], [heard(*room) for room in rooms[:number]]), group_of(kind, rooms)
    for minute in (now, now + 1, now + 90, now - 300):
        assert kind.judge(Scene(series, minute)) == kind.judge(Scene(plain, minute))


@LAW
@given(kinds, rooms_lists, st.sets(st.integers(3 * DAY, 5 * DAY), min_size=1, max_size=2))
def test_the_past_is_what_an_obvious_loop_over_all_minutes_finds(group_of, kind, rooms, fresh):
    now = 5 * DAY + 700
    past = judge_past(kind, Scene(group_of(kind, rooms), now), fresh, 0)
    endings = {ending for first in fresh for ending in range(first, min(first + 26 * HOUR, now - 30))}
    held = [ending for ending in sorted(endings) if slow(kind, rooms, ending)]
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


def usual(days: float, value: str = "old", every: int = 60) -> list[tuple[int, int, int, tuple[str, ...]]]:
    """Rooms of so many days, up to now."""
    return [(minute, 1, 2, (value,)) for minute in range(int(20 * DAY - days * DAY), 20 * DAY, every)]


def test_it_learns_for_a_week_or_for_all_that_it_looks_back_to(group_of):
    new = [(20 * DAY, 2, 2, ("new",)), (20 * DAY + 1, 2, 2, ("new",))]
    for seen_in, days, learning in ((30, 6.9, True), (30, 7, False), (3, 2.9, True), (3, 3, False), (1, 1, False)):
        kind = NewValue(field="sdk", seen_in=seen_in * 86_400)
        view = kind.judge(Scene(group_of(kind, usual(days) + new), 20 * DAY + 2))
        assert (view.learning, view.holds) == (learning, not learning)


def test_what_is_known_to_any_group_of_the_rule_is_learnt(group_of):
    kind = NewValue(field="sdk")
    young = group_of(kind, [(20 * DAY, 2, 2, ("new",)), (20 * DAY + 1, 2, 2, ("new",))])
    old = group_of(kind, usual(9))
    assert kind.judge(Scene(young, 20 * DAY + 2, peers=lambda: [Peer(young)])).learning
    assert kind.judge(Scene(young, 20 * DAY + 2, peers=lambda: [Peer(young), Peer(old)])).holds


def test_ten_thousand_new_values_are_one_alert_that_names_five(group_of):
    kind = NewValue(field="sdk", min_rooms=1)
    new = [(20 * DAY, 1, 2, (f"\ud800<!channel>{n}",)) for n in range(12_000)]
    scene = Scene(group_of(kind, usual(9) + new), 20 * DAY + 2)
    sample = sample_of(kind, scene, kind.judge(scene))
    assert (sample.value, len(sample.new)) == (9_999, 5)
    assert kind.describe(sample).endswith("and 9994 more (in up to 1 room), not seen in the 30d before")


# stories: noon is minute 0

LONG = Rule(alert="Long", kind=Count(at_least=10**9, over=30 * 86_400), by=("account",))
"""Never fires; the stories' windows go back as far as it looks."""


def new(**parts) -> Rule:
    return Rule(**({"alert": "New", "kind": NewValue(field="media_region"), "by": ("account",)} | parts))


def past(call, days=9.0, every=180):
    return [call(minute, 0, 2, number=20_000 + minute) for minute in range(-int(days * DAY), 600, every)]


def rooms_in(call, region, *minutes, **parts):
    return [call(minute, 0, 2, media_region=region, number=minute + 70_000, **parts) for minute in minutes]


def test_it_fires_with_the_second_room_and_resolves_after_the_next_hour(story, call):
    told = story(new(), LONG, rooms=past(call) + rooms_in(call, "au1", 65, 70), minutes=300)
    # Known at 78. It is new in the hour in which it became so and in the next, which ends with minute 179.
    assert told.events == [(78, "firing", "New"), (179 + 15, "resolved", "New")]
    assert told.history[0].reason == "new values of media_region: au1 (in up to 2 rooms), not seen in the 30d before"
    assert told.history[0].sample.new == ("au1",)


def test_what_is_known_by_then_does_not_fire_again_and_another_value_does(story, call):
    rooms = past(call) + rooms_in(call, "au1", *range(65, 600, 30)) + rooms_in(call, "br1", 300, 301)
    told = story(new(), LONG, rooms=rooms, minutes=600)
    assert told.events[::2] == [(78 + 25, "firing", "New"), (309, "firing", "New")]
    assert [event for _, event, _ in told.events] == ["firing", "resolved"] * 2


def test_with_for_it_must_stay_new_and_one_room_is_not_enough(story, call):
    rooms = past(call) + rooms_in(call, "au1", 65, 70) + rooms_in(call, "br1", 90)
    assert story(new(hold_for=1800), LONG, rooms=rooms, minutes=300).events[0] == (108, "firing", "New")
    assert story(new(), LONG, rooms=past(call) + rooms_in(call, "br1", 90), minutes=300).events == []


def test_while_it_learns_it_says_nothing_and_then_it_does(story, call):
    told = story(new(), LONG, rooms=past(call, 3) + rooms_in(call, "au1", 65, 70), minutes=300)
    assert told.events == []
    a_week = past(call, 7 - 1 / 24, every=60)  # known from an hour later on, so it has learnt at minute 60
    told = story(new(), LONG, rooms=a_week + rooms_in(call, "au1", 20, 30), minutes=100)
    assert told.events == [(60, "firing", "New")]


def test_a_value_that_became_known_hours_later_is_told_as_late_and_once(story, call):
    late = rooms_in(call, "au1", 65, 70, settled=300) + rooms_in(call, "au1", 80, 90, settled=330)
    told = story(new(), LONG, rooms=past(call) + late, minutes=600)
    assert told.events == [(370, "late", "New")]
    assert told.history[0].reason.startswith("held unseen for 1h50m: new values of media_region: au1")
    assert told.alert.state == "resolved"


def test_restarting_changes_nothing(story, call):
    rooms = past(call) + rooms_in(call, "au1", *range(65, 300, 30)) + rooms_in(call, "br1", 100, 101, settled=200)
    straight, broken = (
        story(new(), LONG, rooms=rooms, minutes=400, restarts=restarts)
        for restarts in (lambda _: False, lambda tick: tick % 1500 == 0)
    )
    assert straight.events
    assert straight.history == broken.history


def test_while_the_account_cannot_be_seen_it_does_not_resolve(story, call, policy_of, in_sight):
    rooms = past(call) + rooms_in(call, "au1", 65, 70)
    sights = (in_sight(-20_000, 120), in_sight(400, 999))
    told = story(policy=policy_of(new(), LONG, accounts=("production",)), sights=sights, rooms=rooms, minutes=500)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.events[1][0] > 400


@pytest.mark.parametrize("least", [1, 2, 3])
def test_a_room_in_which_many_have_the_value_is_one_room(story, call, least):
    rooms = [*past(call), call(65, 0, 9, media_region="au1", number=1), call(66, 0, 9, media_region="au1", number=2)]
    told = story(new(kind=NewValue(field="media_region", min_rooms=least)), LONG, rooms=rooms, minutes=100)
    assert bool(told.events) == (least <= 2)
