"""Too few rooms start: when that is known, for which accounts, and until when. Minutes count from noon."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from alertd.engine.alerts import Alert
from alertd.engine.coverage import Coverage, Seen
from alertd.engine.kinds import Absent
from alertd.engine.outcome import BLIND_AFTER, LISTED_AFTER, Sight
from alertd.engine.rules import Rule
from alertd.engine.samples import LATE, Scene, sample_of
from alertd.engine.windows import Series

NOON = 1_772_452_800
SILENT = Rule(alert="Silent", kind=Absent(fewer_than=3, over=3600))


def sight(since: float, until: float, account: str = "production") -> Sight:
    return Sight(account=account, seen_from=NOON + round(60 * since), seen_until=NOON + round(60 * until))


ALWAYS = sight(-600, 10**6)


@pytest.fixture
def watching(policy_of):
    """Makes a policy that judges absence in the account `production`."""
    return lambda *rules, accounts=("production",): policy_of(*(rules or (SILENT,)), accounts=accounts)


@pytest.fixture
def traffic(call):
    """Makes a room every ten minutes from `first` to before `last`, each five minutes long."""

    def make(first: int, last: int, **values):
        return [call(minute, 0, 2, number=minute + 5000, lasted=5, **values) for minute in range(first, last, 10)]

    return make


def starts(*minutes: int) -> Series:
    series = Series()
    for minute in minutes:
        series.totals.fold(minute, 2)
    return series


# judging


def test_absence_holds_while_fewer_rooms_than_the_limit_started_in_the_window():
    kind = Absent(fewer_than=3, over=3600)
    series = starts(100, 110, 110, 130)
    assert [kind.judge(Scene(series, minute, 0)).holds for minute in (109, 110, 159, 160, 169, 170)] == [
        *(True, False, False, False, False, True)
    ]
    assert [kind.elevated(Scene(series, minute, 0)) for minute in (109, 110, 170)] == [109, None, 170]
    assert kind.traffic_judged(Scene(Series(), 170), 100)


def test_a_window_without_any_room_is_the_very_case():
    assert Absent(fewer_than=1).judge(Scene(Series(), 100, 0)).holds
    assert Absent(fewer_than=1).elevated(Scene(Series(), 100, 0)) == 100


def test_a_recovery_does_not_make_rooms_before_it_disappear():
    assert not Absent(fewer_than=3, over=3600).judge(Scene(starts(60, 70, 80), 100, 90)).holds


@pytest.mark.parametrize(
    ("rooms", "fewer_than", "words"),
    [
        (0, 5, "no room started within 2h, fewer than 5 are too few"),
        (1, 5, "1 room started within 2h, fewer than 5 are too few"),
        (4, 5, "4 rooms started within 2h, fewer than 5 are too few"),
        (0, 1, "no room started within 2h, none is too few"),
    ],
)
def test_the_sample_is_the_rooms_that_started(rooms, fewer_than, words):
    kind, series = Absent(fewer_than=fewer_than), starts(*range(rooms))
    sample = sample_of(kind, Scene(series, 60), kind.judge(Scene(series, 60)))
    assert (sample.value, sample.matched, sample.total, sample.rooms) == (rooms, rooms, rooms, rooms)
    assert (sample.limit, sample.of, sample.window, sample.position) == (fewer_than, "rooms", 7200, 0)
    assert sample.below
    assert kind.describe(sample) == words


# when rooms started


def test_a_room_started_when_twilio_says_so(call):
    assert call(30, 1, lasted=20).started == NOON + 600


@pytest.mark.parametrize(("duration", "started"), [(900, -900), (None, 0), (-5, 0)])
def test_a_room_without_create_time_started_its_duration_before_its_end(settled_room, duration, started):
    room = settled_room({}, duration_sec=duration)
    assert room.started == room.ended + started


def test_no_room_starts_after_its_end(call):
    assert call(30, 1, lasted=-7).started == NOON + 1800


# firing and resolving


def test_silence_fires_once_the_window_is_empty_enough_and_resolves_after_a_quarter_of_an_hour(
    story, watching, traffic
):
    rooms = [*traffic(-60, 100), *traffic(240, 600)]
    told = story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=400)
    # rooms start at …, 65, 75, 85; two are left at 125, which is known two minutes later, as is that of 255
    assert told.events == [(127, "firing", "Silent"), (256 + 15, "resolved", "Silent")]
    (fired, resolved) = told.history
    assert fired.reason == "2 rooms started within 1h, fewer than 3 are too few"
    assert resolved.reason == "not elevated for 15m"
    assert (fired.labels, told.alert.evidence) == ({"alertname": "Silent", "account": "production"}, ())
    assert [reason for _, reason, _, _ in told.sent] == ["first notification", "all alerts resolved"]


def test_ordinary_traffic_is_silent(story, watching, traffic):
    assert story(policy=watching(), sights=(ALWAYS,), rooms=traffic(-60, 600), minutes=600).events == []


def test_rooms_without_anybody_in_them_started_all_the_same(story, watching, call):
    rooms = [call(minute, number=minute + 999) for minute in range(-60, 400, 10)]
    assert story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=300).events == []


def test_it_is_the_start_of_a_room_that_counts_and_not_its_end(story, watching, call):
    rooms = [call(10 * number, 0, 2, number=number, lasted=10 * number + 200) for number in range(1, 30)]
    assert story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=200).events == [(1, "firing", "Silent")]


def test_a_rule_with_for_waits_before_it_fires(story, watching, traffic):
    policy = watching(replace(SILENT, hold_for=1200))
    told = story(policy=policy, sights=(ALWAYS,), rooms=traffic(-60, 100), minutes=300)
    assert told.events == [(147, "firing", "Silent")]


def test_silence_can_come_again(story, watching, traffic):
    rooms = [*traffic(-60, 100), *traffic(240, 300)]
    told = story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=600)
    assert [event for _, event, _ in told.events] == ["firing", "resolved", "firing"]
    assert told.alert.sample.value < 3


def test_rooms_that_take_long_to_settle_have_started_all_the_same(story, watching, traffic):
    rooms = [*traffic(-60, 100), *traffic(100, 600, settled=70)]
    assert story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=500).events == []


def test_rooms_that_are_listed_late_end_it_and_are_no_late_news(story, watching, traffic):
    rooms = [*traffic(-60, 100), *traffic(100, 600, settled=70)]
    told = story(policy=watching(), sights=(ALWAYS,), rooms=rooms, minutes=600, lists_going=False)
    assert [event for _, event, _ in told.events] == ["firing"]


def test_silence_that_was_over_before_the_account_was_seen_again_is_not_told(story, watching, traffic):
    rooms, sights = [*traffic(-60, 100), *traffic(250, 600)], (sight(-600, 100), sight(300, 999))
    assert story(policy=watching(), sights=sights, rooms=rooms, minutes=600).events == []


def test_a_changed_summary_moves_a_room_to_its_new_start(story, watching, traffic, call):
    policy = watching(replace(SILENT, kind=Absent(fewer_than=1, over=3600)))
    parts = {"policy": policy, "sights": (ALWAYS,), "minutes": 70}
    rooms = traffic(-60, 8)  # the last starts at -5
    wrong = call(20, 0, 2, number=7, lasted=5)
    right = call(20, 0, 2, number=7, lasted=19, settled=45)
    assert story(rooms=[*rooms, wrong], **parts).events == []
    wrong = msgspec.structs.replace(wrong, replaced_at=right.known_at)
    assert story(rooms=[*rooms, wrong, right], **parts).events == [(65, "firing", "Silent")]


# whose rooms


def test_an_account_that_never_had_a_room_is_judged_too(story, watching):
    told = story(policy=watching(accounts=("production", "staging")), sights=(ALWAYS, sight(-600, 999, "staging")))
    assert [event.labels["account"] for event in told.history] == ["production", "staging"]
    assert [at for at, _, _ in told.events] == [1, 1]


def test_each_account_has_an_alert_of_its_own(story, watching, traffic):
    rooms = [*traffic(-60, 300), *traffic(-60, 100, account="staging")]
    policy = watching(accounts=("production", "staging"))
    told = story(policy=policy, sights=(ALWAYS, sight(-600, 999, "staging")), rooms=rooms, minutes=200)
    assert [event.labels["account"] for event in told.history] == ["staging"]


def test_without_accounts_those_are_judged_whose_rooms_were_seen(story, traffic, policy_of):
    rooms = [*traffic(-60, 300), *traffic(-60, 100, account="staging")]
    told = story(policy=policy_of(SILENT), rooms=rooms, minutes=200)
    assert [event.labels["account"] for event in told.history] == ["staging"]
    assert story(policy=policy_of(SILENT), minutes=200).events == []


def test_an_account_that_left_the_configuration_ends_its_alert(story, watching, traffic):
    later = {NOON + 200 * 60: watching(accounts=("staging",))}
    told = story(policy=watching(), policies=later, sights=(ALWAYS,), rooms=traffic(-60, 100), minutes=300)
    assert told.events == [(127, "firing", "Silent"), (200, "resolved", "Silent")]
    assert told.alert.reason == "its account was removed"


def test_two_rules_about_the_rooms_of_one_account_are_judged_each_by_its_own_window(story, watching, traffic):
    longer = replace(SILENT, alert="LongSilent", kind=Absent(fewer_than=3, over=10800))
    told = story(policy=watching(SILENT, longer), sights=(ALWAYS,), rooms=traffic(-200, 100), minutes=300)
    assert told.events == [(127, "firing", "Silent"), (247, "firing", "LongSilent")]


def test_it_goes_beside_rules_that_count_failures(story, watching, call, losing_media, traffic):
    rooms = [*traffic(-60, 100), call(30, 60)]
    told = story(policy=watching(SILENT, losing_media()), sights=(ALWAYS,), rooms=rooms, minutes=200)
    assert told.events == [(127, "firing", "Silent")]


# what cannot be seen


def test_an_account_that_cannot_be_seen_is_not_taken_for_silent(story, watching):
    assert story(policy=watching(), minutes=300).events == []
    seen = sight(-600, 100 - BLIND_AFTER / 60)
    later = story(policy=watching(), sights=(seen,), rooms=[], minutes=300)
    assert later.events == [(1, "firing", "Silent")]


def test_a_first_look_is_given_time_until_what_it_found_has_settled(story, watching):
    told = story(policy=watching(), sights=(sight(10, 999),), minutes=300)
    assert told.events == [(10 + LATE, "firing", "Silent")]


def test_after_downtime_rooms_that_were_missed_are_known_before_it_is_judged(story, watching, traffic):
    missed = [
        msgspec.structs.replace(room, known_at=max(room.known_at, NOON + (305 + place) * 60))
        for place, room in enumerate(traffic(100, 300))
    ]
    rooms = [*traffic(-60, 100), *missed, *traffic(300, 600)]
    sights = (sight(-600, 100), sight(300, 999))
    assert story(policy=watching(), sights=sights, rooms=rooms, minutes=600).events == []


def test_while_blind_it_neither_fires_nor_resolves(story, watching, traffic):
    rooms = [*traffic(-60, 100), *traffic(200, 900)]
    sights = (sight(-600, 180), sight(400, 999))
    told = story(policy=watching(), sights=sights, rooms=rooms, minutes=399)
    assert told.events == [(127, "firing", "Silent")]
    assert told.alert.reason == "not known to have recovered: its account could not be seen"
    told = story(policy=watching(), sights=sights, rooms=rooms, minutes=600)
    assert told.events == [(127, "firing", "Silent"), (400 + LATE - 1 + 15, "resolved", "Silent")]
    pending = watching(replace(SILENT, hold_for=4800))
    assert story(policy=pending, sights=sights, rooms=rooms, minutes=399).events == []


def test_an_alert_outlives_the_rooms_and_the_sight_of_its_account(story, policy_of, traffic):
    told = story(policy=policy_of(SILENT), rooms=traffic(-60, 100), minutes=900, restarts=lambda tick: tick % 3600 == 0)
    assert told.events == [(127, "firing", "Silent")]
    assert told.alert.state == "firing"
    assert told.alert.sample.value == 0


# laws

LAW = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
KINDS = (
    replace(SILENT, alert="A", kind=Absent(fewer_than=2, over=3600), keep_firing_for=600),
    replace(SILENT, alert="B", kind=Absent(fewer_than=1, over=3600), hold_for=900, keep_firing_for=0),
    replace(SILENT, alert="C", kind=Absent(fewer_than=4, over=7200)),
)
SIGHTS = (sight(-600, 150.3), sight(180.7, 260), sight(-20.5, 999, "staging"), sight(10, 999, "idle"))
ACCOUNTS = st.sampled_from([(), ("production", "staging", "idle")])


@st.composite
def histories(draw):
    """(ended, lasted, settled, replaced, account) of rooms that come by and by, with pauses."""
    ended, rooms = -80, []
    for pause in draw(st.lists(st.sampled_from([1, 5, 15, 30, 90]), min_size=3, max_size=25)):
        ended += pause
        settled = draw(st.sampled_from([2, 8, 8.5, 30, 130]))
        replaced = draw(st.sampled_from([None, None, None, 1, 40]))
        rooms.append(
            (ended, draw(st.integers(0, 90)), settled, replaced, draw(st.sampled_from(["production", "staging"])))
        )
    return rooms


def rooms_of(call, history):
    rooms = []
    for number, (ended, lasted, settled, replaced, account) in enumerate(history, 1):
        values = {"number": number, "account": account}
        if replaced is None:
            rooms.append(call(ended, 0, 2, settled=settled, lasted=lasted, **values))
        else:  # a changed summary: it began twenty minutes earlier
            rooms.append(call(ended, 0, 2, settled=settled, replaced=settled + replaced, lasted=lasted, **values))
            rooms.append(call(ended, 0, 2, settled=settled + replaced, lasted=lasted + 20, **values))
    return rooms


def came_to(told):
    return told.history, told.notifications, {name: essence(alert) for name, alert in told.alerts.items()}


def essence(alert: Alert) -> tuple[object, ...]:
    return alert.state, alert.active_at, alert.elevated_at, alert.sample


@LAW
@given(history=histories(), accounts=ACCOUNTS, dice=st.randoms(use_true_random=False))
def test_restarting_at_any_tick_changes_nothing(story, call, policy_of, history, accounts, dice):
    rooms, policy = rooms_of(call, history), policy_of(*KINDS, accounts=accounts)
    straight = story(policy=policy, rooms=rooms, sights=SIGHTS, minutes=300)
    shuffled = rooms.copy()
    dice.shuffle(shuffled)
    parts = {"policy": policy, "rooms": shuffled, "sights": SIGHTS, "minutes": 300}
    assert came_to(story(restarts=lambda tick: dice.random() < 0.2, **parts)) == came_to(straight)


@LAW
@given(history=histories(), accounts=ACCOUNTS, extra=st.lists(st.integers(60, 300 * 60), max_size=30))
def test_ticks_at_which_nothing_happens_change_nothing(story, call, policy_of, history, accounts, extra):
    parts = {"policy": policy_of(*KINDS, accounts=accounts), "rooms": rooms_of(call, history), "sights": SIGHTS}
    edges = [NOON + round(60 * minute) + second for minute in (150.3, 160.3, 180.7, 210.7) for second in (0, 1)]
    busy = story(minutes=300, extra_ticks=[NOON + second for second in extra] + edges, **parts)
    assert came_to(busy) == came_to(story(minutes=300, **parts))


@LAW
@given(history=histories(), accounts=ACCOUNTS, at=st.integers(60, 300))
def test_what_is_listed_later_cannot_change_what_was_decided_before(story, call, policy_of, history, accounts, at):
    rooms, policy = rooms_of(call, history), policy_of(*KINDS, accounts=accounts)
    known = [
        room
        if room.replaced_at is None or room.replaced_at <= NOON + 60 * at
        else msgspec.structs.replace(room, replaced_at=None)
        for room in rooms
        if room.known_at <= NOON + 60 * at
    ]
    parts = {"policy": policy, "sights": SIGHTS, "minutes": at, "lists_going": False}
    assert came_to(story(rooms=known, **parts)) == came_to(story(rooms=rooms, **parts))


@LAW
@given(history=histories())
def test_it_begins_to_fire_at_the_first_minute_at_which_a_plain_count_of_the_listed_starts_is_too_low(
    story, call, watching, history
):
    policy, rooms = watching(KINDS[0]), rooms_of(call, history)

    def started(minute: int) -> int:
        tick, upto = NOON + 60 * minute, NOON // 60 + minute - LISTED_AFTER
        first = {room.room.room_sid: room for room in reversed(rooms)}.values()
        known = [room for room in rooms if room.known_at <= tick < (room.replaced_at or tick + 1)]
        known += [room for room in first if room.known_at > tick]
        return sum(upto - 60 < room.started // 60 <= upto for room in known if room.account == "production")

    first = next((minute for minute in range(1, 301) if started(minute) < 2), None)
    events = story(policy=policy, rooms=rooms, sights=(ALWAYS,), minutes=300).events
    assert [at for at, _, _ in events[:1]] == ([] if first is None else [first])


# lists that fail


def listed(*stretches: tuple[int, int]) -> dict[str, Coverage]:
    """The minutes whose starts have been listed."""
    parts = [
        Seen(started_from=NOON + 60 * first, started_until=NOON + 60 * last, seen_at=NOON + 60 * last)
        for first, last in stretches
    ]
    return {"production": tuple(parts)}


@pytest.mark.parametrize(
    ("coverage", "fires"),
    [
        ({}, True),  # a history that was not looked at
        (listed((-600, 600)), True),
        (listed((-600, 0), (60, 600)), True),  # long before
        (listed((-600, 120), (130, 600)), False),
        (listed((130, 600)), False),
        (listed((-600, 100)), False),  # nothing since
    ],
)
def test_rooms_are_not_missed_among_starts_that_have_not_been_listed(story, watching, traffic, coverage, fires):
    told = story(policy=watching(), rooms=traffic(-300, 120), minutes=180, sights=(ALWAYS,), coverage=coverage)
    assert [event for _, event, name in told.events if name == "Silent"] == (["firing"] if fires else [])


def test_they_are_once_the_rest_has_been_listed(story, watching, traffic):
    gap = listed((-600, 120), (130, 600))
    told = story(policy=watching(), rooms=traffic(-300, 120), minutes=300, sights=(ALWAYS,), coverage=gap)
    assert [(at, event) for at, event, _ in told.events] == [(130 + 60 + LISTED_AFTER - 1, "firing")]
