"""The same history gives the same alerts and messages, whatever the ticks, the order of arrival and the restarts."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alertd.engine.counting import SLACK, Windows
from alertd.engine.groups import Group, Integration
from alertd.engine.kinds import BurnRate, Count, NewValue, Rate, Spike
from alertd.engine.outcome import Outcome, Policy, Snapshot
from alertd.engine.routes import Route, Tree
from alertd.engine.ticks import Change, applied, missing, next_tick, step, still_needed

NOON = 1_772_452_800
MINUTE = NOON // 60


# which instants


def test_the_next_tick_is_the_next_minute_or_whatever_comes_before_it():
    assert next_tick(NOON + 5, NOON + 600, None, None) == NOON + 60
    assert next_tick(NOON, NOON + 600, NOON + 30, NOON + 20) == NOON + 20
    assert next_tick(NOON, NOON + 600, NOON + 10, NOON + 20) == NOON + 10
    assert next_tick(NOON, NOON + 600, NOON + 90, NOON + 99) == NOON + 60


def test_what_should_have_been_looked_at_before_is_looked_at_next():
    assert next_tick(NOON, NOON + 600, None, NOON - 500) == NOON + 1


def test_there_is_no_tick_beyond_the_present():
    assert next_tick(NOON, NOON + 59, None, None) is None
    assert next_tick(NOON, NOON + 60, None, None) == NOON + 60
    assert next_tick(NOON, NOON + 59, NOON + 60, None) is None


# very late rooms


@pytest.fixture
def lost(losing_media):
    return losing_media(alert="Lost", kind=Count(at_least=1), keep_firing_for=1800)


def test_only_rooms_that_come_very_late_make_it_count_again(call, lost):
    windows = Windows([lost], lambda _, value: value)
    windows.forget(MINUTE + 1000, {})
    now = NOON + 1000 * 60
    assert missing(windows, [], now) is None
    assert missing(windows, [Change(now, call(1000 - SLACK + 1, 1), 1)], now) is None
    assert missing(windows, [Change(now, call(100, 1), -1)], now) is None
    revisit = missing(windows, [Change(now, call(100, 1), 1), Change(now, call(600, 1), 1)], now)
    assert revisit is not None
    assert revisit.stretches == [(MINUTE + 59, MINUTE + 149), (MINUTE + 569, MINUTE + 629)], "around each of them"


def test_what_is_still_counted_is_not_read_again(call, lost):
    windows = Windows([lost], lambda _, value: value)
    windows.forget(MINUTE + 1000, {})
    change = Change(NOON + 60_000, call(500, 1), 1)
    revisit = missing(windows, [change], NOON + 60_000)
    assert revisit is not None
    assert revisit.stretches
    windows.revisited(revisit, MINUTE + 1000)
    again = missing(windows, [change], NOON + 60_000)
    assert again is not None
    assert again.stretches == []


# snapshots


def test_the_next_snapshot_has_what_the_outcome_changed_and_not_what_is_gone(call, lost, policy_of):
    old = Group(key="old", receiver="oncall", route="{}", labels={}, flush_at=NOON * 2)
    gone = replace_struct(old, key="gone")
    before = Snapshot(alerts={}, groups={"old": old, "gone": gone})
    windows = Windows([lost], lambda _, value: value)
    asked, same = step(NOON, policy_of(lost), windows, before, [Change(NOON, call(-8, 1), 1)])
    assert same == before, "nothing is decided before it is known where the matches come from"
    answers = dict.fromkeys((one.fingerprint for one in asked.questions), None)
    _, after = step(NOON, policy_of(lost), windows, msgspec.structs.replace(before, explained=answers), ())
    assert set(before.groups) == {"old", "gone"}
    assert set(after.groups) == {"old", "gone", '{}:{alertname="Lost"}'}
    assert [alert.state for alert in after.alerts.values()] == ["firing"]
    assert set(applied(after, Outcome(gone_groups=("gone",))).groups) == {"old", '{}:{alertname="Lost"}'}
    assert still_needed(after) == dict.fromkeys(after.alerts, MINUTE)


def replace_struct(group: Group, **changes) -> Group:
    return Group(**({name: getattr(group, name) for name in group.__struct_fields__} | changes))


# laws

KINDS = [
    (Count(at_least=1), {"keep_firing_for": 1800}),
    (Count(at_least=2, over=600, of="rooms"), {"hold_for": 300, "keep_firing_for": 300}),
    (Count(at_least=3, over=5400), {"keep_firing_for": 900, "by": ("account", "media_region")}),
    (Rate(above=0.2, over=3600, min=5, min_rooms=2, confidence=None), {"no_traffic": 3600}),
    (Rate(above=0.1, over=1800, min=3, of="identities"), {"keep_firing_for": 300, "no_traffic": 1200}),
]


@pytest.fixture
def policy(losing_media) -> Policy:
    rules = tuple(losing_media(alert=f"R{place}", kind=kind, **parts) for place, (kind, parts) in enumerate(KINDS))
    tree = Tree(Route(receiver="oncall", group_by=("alertname",), group_wait=30, repeat_interval=3600))
    integrations = (Integration("oncall/a[0]"), Integration("oncall/b[0]", send_resolved=False))
    return Policy(rules=rules, tree=tree, integrations={"oncall": integrations})


@st.composite
def histories(draw):
    """(ended, failed, fine, settled, replaced, region) of rooms: most settle within minutes, some after hours."""
    delay = st.one_of(st.integers(1, 12), st.integers(13, 45), st.integers(60, 200))
    return draw(
        st.lists(
            st.tuples(
                st.integers(0, 160),
                st.sampled_from([0, 0, 1, 2]),
                st.integers(0, 3),
                delay.map(lambda minutes: minutes + draw(st.sampled_from([0, 0.1, 0.5]))),
                st.one_of(st.none(), st.none(), st.integers(1, 90)),
                st.sampled_from(["us1", "au1"]),
            ),
            min_size=3,
            max_size=25,
        )
    )


def rooms_of(call, history):
    rooms = []
    for number, (ended, failed, fine, settled, replaced, region) in enumerate(history, 1):
        values = {"number": number, "media_region": region}
        if replaced is None:
            rooms.append(call(ended, failed, fine, settled=settled, **values))
        else:  # a changed summary: one participant more, who is well
            rooms.append(call(ended, failed, fine, settled=settled, replaced=settled + replaced, **values))
            rooms.append(call(ended, failed, fine + 1, settled=settled + replaced, **values))
    return rooms


def came_to(told):
    return told.history, told.notifications


LAW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[
        Phase.explicit,
        Phase.reuse,
        Phase.generate,
    ],  # a failing story is short enough without minutes of shrinking
)


@LAW
@given(history=histories(), dice=st.randoms(use_true_random=False))
def test_restarting_at_any_tick_changes_nothing(story, call, policy, history, dice):
    rooms = rooms_of(call, history)
    straight = story(policy=policy, rooms=rooms, minutes=420)
    shuffled = rooms.copy()
    dice.shuffle(shuffled)
    broken = story(policy=policy, rooms=shuffled, minutes=420, restarts=lambda tick: dice.random() < 0.2)
    assert came_to(broken) == came_to(straight)


@LAW
@given(history=histories(), extra=st.lists(st.integers(0, 420 * 60), max_size=30))
def test_ticks_at_which_nothing_happens_change_nothing(story, call, policy, history, extra):
    rooms = rooms_of(call, history)
    straight = story(policy=policy, rooms=rooms, minutes=420)
    busy = story(policy=policy, rooms=rooms, minutes=420, extra_ticks=[NOON + second for second in extra])
    assert came_to(busy) == came_to(straight)


class Unforgetful(Windows):
    """Windows that keep all, so that nothing need be counted again."""

    def forget(self, minute, firing):
        pass


HINDSIGHT = [
    *KINDS,
    (Rate(above=0.15, over=21600, min=8, min_rooms=2), {"no_traffic": 3600}),
    (Count(at_least=4, over=14400, of="rooms"), {}),
    (Spike(times=2, at_least=3, over=1800, against=14400), {}),
    (BurnRate(objective=0.9, pairs=((14400, 3600, 2.0), (3600, 900, 4.0)), min_rooms=2), {}),
    (NewValue(field="media_region", seen_in=172800, min_rooms=2), {}),
]


@settings(LAW, max_examples=20)
@given(
    history=st.lists(
        st.tuples(
            st.integers(0, 560),
            st.sampled_from([0, 0, 1, 2]),
            st.integers(0, 3),
            st.one_of(st.just(8), st.integers(60, 590)),
            st.sampled_from(["us1", "us1", "us1", "au1"]),
            st.booleans(),
        ),
        min_size=5,
        max_size=40,
    ),
    busy=st.sampled_from([0, 2, 20]),
)
def test_rooms_that_come_very_late_are_judged_as_if_nothing_were_ever_forgotten(
    story, call, losing_media, policy_of, history, busy
):
    """Though only what may matter is counted again. Half the rooms settle in time; some change at last."""
    rules = [losing_media(alert=f"R{place}", kind=kind, **parts) for place, (kind, parts) in enumerate(HINDSIGHT)]
    rooms = [call(minute, 0, busy, number=9000 + minute) for minute in range(-2600, 600, 50)]
    for number, (ended, failed, fine, settled, region, changes) in enumerate(history, 1):
        values = {"number": number, "media_region": region}
        settled = min(settled, 590 - ended)
        rooms.append(call(ended, failed, fine, settled=settled, replaced=595 - ended if changes else None, **values))
        if changes:
            rooms.append(call(ended, failed + 1, max(fine - 1, 0), settled=595 - ended, **values))
    parts = {"policy": policy_of(*rules), "rooms": rooms, "minutes": 600}
    assert came_to(story(**parts)) == came_to(story(windows_of=Unforgetful, **parts))


@LAW
@given(history=histories())
def test_every_message_tells_what_its_reader_does_not_know_yet(story, call, policy, history):
    """Followed from outside: nobody hears twice of one firing, nor of an end without its beginning."""
    told = story(policy=policy, rooms=rooms_of(call, history), minutes=1200)
    assert len({one.id for one in told.notifications}) == len(told.notifications)
    known: dict[str, set[str]] = {}
    for one in told.notifications:
        if one.integration == "oncall/b[0]":
            assert all(alert.late for alert in one.resolved())
            continue
        heard = known.setdefault(one.group_key, set())
        firing = {alert.fingerprint for alert in one.firing()}
        news = firing - heard
        assert bool(news) == (one.reason in ("first notification", "new alerts added"))
        assert all(alert.late or alert.fingerprint in heard for alert in one.resolved())
        assert one.reason != "repeat interval elapsed" or (firing == heard and not one.resolved())
        known[one.group_key] = firing
    assert not any(alert.state == "firing" for alert in told.alerts.values())
    assert not any(known.values())


@LAW
@given(history=histories())
def test_every_firing_ends_in_one_resolve_and_only_then_comes_the_next(story, call, policy, history):
    told = story(policy=policy, rooms=rooms_of(call, history), minutes=1200)
    state: dict[str, str] = {}
    for event in told.history:
        before = state.get(event.fingerprint, "resolved")
        assert (before, event.event) in {
            ("resolved", "firing"),
            ("firing", "resolved"),
            ("resolved", "late"),
            ("late", "late"),
            ("late", "firing"),
        }
        state[event.fingerprint] = event.event


@LAW
@given(history=histories(), at=st.integers(60, 300))
def test_a_story_known_to_be_the_same_until_a_moment_goes_the_same_until_then(story, call, policy, history, at):
    """No look-ahead: what settles later cannot change what was decided before."""
    rooms = rooms_of(call, history)
    known = [
        room if room.replaced_at is None or room.replaced_at <= NOON + 60 * at else call_without_end(room)
        for room in rooms
        if room.known_at <= NOON + 60 * at
    ]
    everything = story(policy=policy, rooms=rooms, minutes=at)
    assert came_to(story(policy=policy, rooms=known, minutes=at)) == came_to(everything)


def call_without_end(room):
    return type(room)(**{name: getattr(room, name) for name in room.__struct_fields__ if name != "replaced_at"})


def test_downtime_of_days_is_caught_up_with_without_reading_everything_for_each_room(story, call, lost):
    """Two days of rooms become known in forty portions; what fails in them is told as one late stretch."""
    rooms = [
        call(minute, int(minute in (500, 1500)), 2, settled=3000 - minute + minute // 72 / 60, number=minute + 1)
        for minute in range(0, 2880, 6)
    ]
    failing = [call(minute, 1, settled=3000 - minute) for minute in (500, 1500)]
    told = story(replace(lost, kind=Count(at_least=1)), rooms=rooms + failing, minutes=3100)
    assert [event for _, event, _ in told.events] == ["late"]
    assert [reason for _, reason, _, _ in told.sent] == ["late"]
