"""`spike` holds when there are several times as many matches as of late, as a plain count of the rooms says."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from alertd.engine.kinds import Spike
from alertd.engine.rules import Rule
from alertd.engine.samples import Scene, judge_past
from alertd.engine.windows import Series

LAW = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
kinds = st.builds(
    lambda of, times, least, shape: Spike(times=times, at_least=least, over=shape[0], against=shape[1], of=of),
    st.sampled_from(["participants", "rooms", "identities"]),
    st.sampled_from([1.5, 3.0]),
    st.integers(1, 5),
    st.sampled_from([(600, 3600), (1800, 7200), (4200, 7200), (1200, 3000)]),  # some are no multiples
)
rooms_lists = st.lists(
    st.tuples(st.integers(0, 200), st.lists(st.integers(0, 5), max_size=3, unique=True)).map(
        lambda r: (r[0], len(r[1]), 4, (), tuple(r[1]))
    ),
    max_size=30,
)


def slow_count(of, rooms, after, upto):
    inside = [room for room in rooms if after < room[0] <= upto]
    if of == "identities":
        return len({person for room in inside for person in room[4]})
    return sum(room[1] > 0 if of == "rooms" else room[1] for room in inside)


def slow(kind, rooms, now, floor, j=0):
    """Matches, and the limit, in position j; people are counted anew in each window of the time before."""
    upto, length, back = now - j, kind.over // 60, kind.against // 60
    after = max(upto - length, floor)
    step = length if kind.of == "identities" else back
    ends = range(after, after - back, -step)
    before = sum(slow_count(kind.of, rooms, max(end - step, after - back), end) for end in ends)
    return slow_count(kind.of, rooms, after, upto), max(kind.at_least, kind.times * before * length / back)


@LAW
@given(kinds, rooms_lists, st.integers(120, 220), st.sampled_from([0, 0, 130, 170, 200]))
def test_it_holds_where_a_plain_count_does_in_any_position(group_of, kind, rooms, now, floor):
    offsets = (0, 5, 10, 15, 20, 25, 30) if kind.over <= 1800 else (0,)
    found = {j: slow(kind, rooms, now, floor, j) for j in offsets}
    held = [matched for matched, limit in found.values() if matched >= limit - 1e-9]
    assume(all(abs(matched - limit) > 1e-9 or matched == limit for matched, limit in found.values()))
    view = kind.judge(Scene(group_of(kind, rooms), now, floor))
    assert view.holds == bool(held)
    if held:
        assert view.value == max(held)
        assert view.limit == pytest.approx(found[view.offset][1])


@LAW
@given(kinds, rooms_lists, st.integers(0, 330), st.integers(0, 30))
def test_rooms_that_were_taken_out_again_leave_nothing_behind_in_any_order(group_of, heard, kind, rooms, now, number):
    gone = [heard(*room) for room in rooms[:number]]
    series, plain = group_of(kind, rooms[::-1], gone), group_of(kind, rooms)
    assert kind.judge(Scene(series, now)) == kind.judge(Scene(plain, now))
    assert kind.elevated(Scene(series, now)) == kind.elevated(Scene(plain, now))


@LAW
@given(kinds, rooms_lists, st.integers(60, 330), st.integers(0, 9), st.integers(1, 4))
def test_one_more_failure_in_the_latest_window_never_ends_what_held(group_of, kind, rooms, now, ago, more):
    """An older one may: it is part of what is usual."""
    assume(ago < kind.over // 60)
    worse = [*rooms, (now - ago, more, 4, (), tuple(range(more)))]
    if kind.judge(Scene(group_of(kind, rooms), now)).holds:
        assert kind.judge(Scene(group_of(kind, worse), now)).holds


def test_an_older_failure_raises_what_is_usual_and_can_end_it(series_of):
    kind = Spike(times=3, at_least=5, over=1800, against=7200)
    assert kind.judge(Scene(series_of((190, 6, 9)), 200)).holds
    assert not kind.judge(Scene(series_of((190, 6, 9), (100, 9, 9)), 200)).holds  # 6 against 3 times 9 / 4


@LAW
@given(kinds, rooms_lists, st.sets(st.integers(0, 300), min_size=1, max_size=4))
def test_the_past_is_what_an_obvious_loop_over_all_minutes_finds(group_of, kind, rooms, fresh):
    past = judge_past(kind, Scene(group_of(kind, rooms), 400), fresh, 0)
    seen = {ending for first in fresh for ending in range(first, min(first + kind.over // 60, 370))}
    found = {ending: slow(kind, rooms, ending, 0) for ending in sorted(seen)}
    assume(all(abs(matched - limit) > 1e-9 or matched == limit for matched, limit in found.values()))
    held = [ending for ending, (matched, limit) in found.items() if matched >= limit]
    assert (past and (past.first, past.last, past.minutes)) == ((held[0], held[-1], len(held)) if held else None)


def test_with_no_past_the_least_number_alone_decides(series_of):
    kind = Spike(at_least=5)
    assert [kind.judge(Scene(series_of((100, n, 9)), 100)).holds for n in (4, 5)] == [False, True]
    view = kind.judge(Scene(series_of((100, 5, 9)), 100))
    assert (view.baseline, view.limit) == (0, 5)
    assert not kind.judge(Scene(Series(), 100)).holds


def test_whoever_fails_all_the_time_is_usual_each_time(group_of):
    """Three people fail in each half hour of the day before: eight now are no spike, nine are."""
    kind = Spike(of="identities", at_least=3)
    usual = [(minute, 3, 4, (), (1, 2, 3)) for minute in range(15, 1500, 30)]
    views = [kind.judge(Scene(group_of(kind, [*usual, (1501, n, n, (), tuple(range(n)))]), 1501)) for n in (8, 9)]
    assert [(view.holds, view.baseline, view.limit) for view in views] == [(False, 3, 9), (True, 3, 9)]


def test_it_goes_on_while_half_an_hour_holds_by_itself(series_of):
    kind = Spike(times=3, at_least=5, over=7200, against=86_400)
    series = series_of((1500, 8, 9))
    assert [kind.elevated(Scene(series, minute)) for minute in (1500, 1529, 1530, 1560)] == [1500, 1529, 1525, None]


# stories


@pytest.fixture
def rule(lost):
    return lambda **parts: Rule(
        **({"alert": "Many", "kind": Spike(at_least=6, against=21_600), "match": lost, "keep_firing_for": 900} | parts)
    )


def failures(call, begin, end, every, each=1):
    return [call(minute, each, 2, number=minute + 9000) for minute in range(begin, end, every)]


def test_it_fires_at_several_times_the_usual_and_resolves_without_traffic(story, rule, call):
    """Two an hour are usual, so six within half an hour are needed; they come one a minute from minute 60 on."""
    rooms = failures(call, -400, 60, 30) + failures(call, 60, 80, 1)
    told = story(rule(), rooms=rooms, minutes=300)
    # One ended at 50; of the others the fifth ended at 64, is known at 72. The last half hour that holds ends at 102:
    # it has the seven from 73 on, against 6.25. One more minute, and six stand against 6.5.
    assert told.events == [(72, "firing", "Many"), (102 + 15, "resolved", "Many")]
    assert "usual are" in told.history[0].reason


def test_with_for_it_must_last(story, rule, call):
    rooms = failures(call, -400, 60, 30) + failures(call, 60, 80, 1)
    assert story(rule(hold_for=600), rooms=rooms, minutes=300).events[0] == (82, "firing", "Many")
    assert story(rule(hold_for=7200), rooms=rooms, minutes=300).events == []


def test_as_many_as_always_are_no_spike(story, rule, call):
    assert story(rule(), rooms=failures(call, -500, 300, 2), minutes=300).events == []


def test_what_was_a_spike_is_soon_usual_and_does_not_fire_again(story, rule, call):
    told = story(rule(), rooms=failures(call, -400, 60, 30) + failures(call, 60, 600, 2), minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]


def test_without_a_past_the_first_failures_fire(story, rule, call):
    assert story(rule(), rooms=failures(call, 0, 6, 1), minutes=40).events == [(13, "firing", "Many")]


def test_while_the_account_cannot_be_seen_it_does_not_resolve(story, rule, call, policy_of, in_sight):
    policy = policy_of(rule(), accounts=("production",))
    sights = (in_sight(-600, 20), in_sight(200, 999))
    told = story(policy=policy, sights=sights, rooms=failures(call, 0, 6, 1), minutes=300)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.events[1][0] >= 200
