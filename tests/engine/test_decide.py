"""Stories: what rooms settle, which alerts fire and resolve, and who is told. Minutes count from noon."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from alertd.engine.alerts import Alert
from alertd.engine.conditions import parse_condition
from alertd.engine.counting import EVERY_RULE, Windows
from alertd.engine.decide import decide
from alertd.engine.groups import Integration
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.kinds import Count, Rate
from alertd.engine.outcome import BLIND_AFTER, Policy, Sight, Snapshot
from alertd.engine.routes import Matcher, Route, Tree
from alertd.engine.rules import Rule
from alertd.engine.settle import OpenRoom
from alertd.engine.telling import Quieted

NOON = 1_772_452_800
ALWAYS = Sight(account="production", seen_from=NOON, seen_until=NOON + 10**6)


@pytest.fixture
def any_lost(losing_media):
    """The rule that fires on one participant: `any: true` with its defaults."""
    return losing_media(alert="Lost", kind=Count(at_least=1), keep_firing_for=14400)


@pytest.fixture
def steady(call):
    """Makes a room a minute of 4 participants from `first` to `last`, of whom one fails from `bad` to `good`."""

    def make(first: int, last: int, bad: int = 0, good: int = 0, **values):
        return [
            call(minute, int(bad <= minute < good), 4 - int(bad <= minute < good), number=minute + 1000, **values)
            for minute in range(first, last)
        ]

    return make


# firing and resolving


def test_any_fires_on_one_participant_and_resolves_after_four_quiet_hours(story, call, any_lost):
    told = story(any_lost, rooms=[call(10, 1, 5)], minutes=400)
    assert told.events == [(18, "firing", "Lost"), (39 + 240, "resolved", "Lost")]
    assert told.sent == [
        (18, "first notification", "firing", ("Lost firing",)),
        (18 + 240, "repeat interval elapsed", "firing", ("Lost firing",)),
        (18 + 265, "all alerts resolved", "resolved", ("Lost resolved",)),  # with the next group interval
    ]
    assert told.alert.reason == "not elevated for 4h"


def test_each_further_failure_keeps_it_firing_without_another_message(story, call, any_lost):
    told = story(any_lost, rooms=[call(minute, 1) for minute in (10, 200, 400)], minutes=700)
    assert told.events == [(18, "firing", "Lost"), (429 + 240, "resolved", "Lost")]
    reasons = ["first notification", "repeat interval elapsed", "repeat interval elapsed", "all alerts resolved"]
    assert [reason for _, reason, _, _ in told.sent] == reasons


def test_a_failure_that_settles_late_keeps_it_firing_too(story, call, any_lost):
    told = story(any_lost, rooms=[call(10, 1), call(235, 1, settled=40)], minutes=600)
    assert told.events == [(18, "firing", "Lost"), (264 + 240, "resolved", "Lost")]


@pytest.mark.parametrize(("of", "limit"), [("participants", 5), ("rooms", 2), ("identities", 1)])
def test_a_count_fires_when_its_own_unit_reaches_the_limit(story, call, losing_media, of, limit):
    rooms = [call(10, 2, people="Ann"), call(20, 3, people="Ann")]
    expected = [] if of == "identities" else [(28, "firing", "MediaLost")]
    for at_least, events in ((limit + 1, []), (limit, expected or [(18, "firing", "MediaLost")])):
        rule = losing_media(kind=Count(at_least=at_least, of=of), keep_firing_for=14400)
        assert story(rule, rooms=rooms).events == events


def test_a_rate_fires_in_an_incident_and_resolves_once_traffic_is_well_again(story, steady, losing_media):
    rule = losing_media(kind=Rate(above=0.05, min=50))
    told = story(rule, rooms=steady(-60, 240, 60, 100), minutes=240)
    (fired, _, _), (resolved, _, _) = told.events
    assert 68 < fired < 100
    assert 108 < resolved < 170
    assert [reason for _, reason, _, _ in told.sent] == ["first notification", "all alerts resolved"]


def test_an_ordinary_share_of_failures_is_silent(story, call, losing_media):
    rooms = [
        call(minute, int(minute % 25 == 0), 4 - int(minute % 25 == 0), number=minute + 99) for minute in range(240)
    ]
    assert story(losing_media(), rooms=rooms, minutes=260).events == []


def test_a_rate_without_confidence_compares_the_plain_share(story, call, losing_media):
    rooms = [call(minute, 1, 15) for minute in range(4)]
    assert story(losing_media(), rooms=rooms).events == []
    (fired, *_) = story(losing_media(kind=Rate(above=0.05, confidence=None)), rooms=rooms).events
    assert fired == (11, "firing", "MediaLost")  # with the fourth room the sample is 64


def test_a_rule_must_hold_for_its_time_before_it_fires(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1, over=300), hold_for=1200, keep_firing_for=600)
    assert story(rule, rooms=[call(10, 1)], minutes=120).events == [
        (38, "firing", "MediaLost"),
        (48, "resolved", "MediaLost"),
    ]
    assert story(replace(rule, hold_for=1860), rooms=[call(10, 1)], minutes=120).events == []


def test_keep_firing_for_bridges_a_pause(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1, over=300), keep_firing_for=1800)
    rooms = [call(minute, 1) for minute in (10, 35, 60)]
    assert story(rule, rooms=rooms, minutes=200).events == [(18, "firing", "MediaLost"), (94, "resolved", "MediaLost")]
    flapping = story(replace(rule, keep_firing_for=60), rooms=rooms, minutes=200)
    assert [event for _, event, _ in flapping.events] == ["firing", "resolved"] * 3


# recovery


def test_after_a_resolve_old_trouble_cannot_fire_again_but_new_trouble_can(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=3, over=7200), keep_firing_for=900)
    rooms = [call(10, 3), call(11, 0, 3)]
    assert [event for _, event, _ in story(rule, rooms=rooms, minutes=130).events] == ["firing", "resolved"]
    more = story(rule, rooms=[*rooms, call(80, 2)], minutes=130)
    assert [event for _, event, _ in more.events] == ["firing", "resolved"]
    again = story(rule, rooms=[*rooms, call(80, 3)], minutes=130)
    assert again.events[2:] == [(88, "firing", "MediaLost"), (124, "resolved", "MediaLost")]


def test_an_old_failure_that_settles_after_the_resolve_does_not_fire_again(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1), keep_firing_for=300)
    told = story(rule, rooms=[call(10, 1), call(11, 1, settled=45)], minutes=130)
    assert told.events == [(18, "firing", "MediaLost"), (44, "resolved", "MediaLost")]


def test_no_data_is_not_recovery_of_a_rate(story, steady, losing_media):
    rule = losing_media(kind=Rate(above=0.05, min=50))
    told = story(rule, rooms=steady(-60, 100, 60, 100), minutes=700)
    (fired, _, _), (resolved, _, _) = told.events
    assert resolved - fired >= 360
    assert told.alert.reason == "no traffic to judge for 6h"
    assert "too little traffic" in story(rule, rooms=steady(-60, 100, 60, 100), minutes=300).alert.reason


def test_nothing_resolves_while_its_account_cannot_be_seen(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1), keep_firing_for=900)
    seen = (Sight(account="production", seen_from=NOON, seen_until=NOON + 1800),)
    again = Sight(account="production", seen_from=NOON + 9000, seen_until=NOON + 99999)
    parts = {"rooms": [call(10, 1)], "minutes": 240}
    blind_policy = _policy(rule, accounts=("production",))
    assert story(policy=blind_policy, sights=seen, **parts).events == [(18, "firing", "MediaLost")]
    told = story(policy=blind_policy, sights=(*seen, again), **parts)
    assert told.events == [(18, "firing", "MediaLost"), (149 + 15, "resolved", "MediaLost")]
    assert story(policy=_policy(rule), sights=seen, **parts).events[-1] == (39 + 15, "resolved", "MediaLost")


def test_an_alert_over_all_accounts_waits_for_each_of_them(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1), keep_firing_for=900, by=())
    policy = _policy(rule, accounts=("production", "staging"))
    told = story(policy=policy, sights=(ALWAYS,), rooms=[call(10, 1)], minutes=240)
    assert told.events == [(18, "firing", "MediaLost")]
    assert "its account could not be seen" in told.alert.reason


def test_a_look_that_is_a_little_late_does_not_make_blind(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1), keep_firing_for=900)
    sight = Sight(account="production", seen_from=NOON, seen_until=NOON + 54 * 60 - BLIND_AFTER)
    told = story(policy=_policy(rule, accounts=("production",)), sights=(sight,), rooms=[call(10, 1)], minutes=240)
    assert told.events[-1] == (54, "resolved", "MediaLost")


def test_a_removed_rule_ends_its_alerts(story, call, any_lost):
    policy = _policy(any_lost)
    told = story(policy=policy, policies={NOON + 3600: _policy()}, rooms=[call(10, 1)], minutes=90)
    assert told.events == [(18, "firing", "Lost"), (60, "resolved", "Lost")]
    assert told.alert.reason == "its rule was removed"


def test_an_alert_goes_on_when_nothing_of_its_group_is_left_to_count(story, steady, losing_media):
    rule = losing_media(kind=Rate(above=0.05, min=50), by=("account", "media_region"), no_traffic=10 * 3600)
    told = story(rule, rooms=steady(-60, 100, 60, 100), minutes=900, restarts=lambda tick: tick % 7200 == 0)
    assert [event for _, event, _ in told.events] == ["firing", "resolved"]
    assert told.events[1][0] - told.events[0][0] >= 600


# late


def test_what_was_over_before_it_was_known_is_told_once_as_late(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=3), keep_firing_for=900)
    told = story(rule, rooms=[call(10, 3, settled=190), call(20, 1, settled=180.2)], minutes=400)
    assert told.events == [(200, "late", "MediaLost")]
    (event,) = told.history
    assert ((event.starts_at - NOON) / 60, (event.ends_at - NOON) / 60) == (10, 39)
    assert told.sent == [(200, "late", "resolved", ("MediaLost resolved",))]
    assert told.alert.late
    assert "held unseen for 30m" in told.alert.reason


def test_late_news_of_one_recovery_becomes_one_message(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1))
    rooms = [call(minute, 1, settled=300 - minute + minute / 1000) for minute in (10, 60, 120)]
    route = Route(receiver="oncall", group_by=("alertname",), group_wait=30)
    told = story(policy=_policy(rule, tree=Tree(route)), rooms=rooms, minutes=400)
    assert [event for _, event, _ in told.events] == ["late"] * 3
    ((_, reason, status, _),) = told.sent
    assert (reason, status) == ("late", "resolved")
    (alert,) = told.notifications[0].alerts
    assert ((alert.starts_at - NOON) / 60, (alert.ends_at - NOON) / 60) == (10, 149)


def test_trouble_that_still_goes_on_fires_as_if_it_had_been_known(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=3), keep_firing_for=900)
    rooms = [call(minute, 1, settled=200 - minute) for minute in range(100, 200, 5)]
    told = story(rule, rooms=rooms, minutes=400)
    assert [(at, event) for at, event, _ in told.events][:1] == [(200, "firing")]
    assert not told.alert.late


def test_a_room_up_to_an_hour_late_fires_a_half_hour_rule_as_usual(story, call, any_lost):
    for settled, event in ((59, "firing"), (61, "late")):
        told = story(any_lost, rooms=[call(10, 1, settled=settled)], minutes=200)
        assert told.events == [(10 + settled, event, "Lost")]


def test_very_late_rooms_are_judged_together_with_what_had_been_forgotten(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=3), keep_firing_for=900)
    told = story(rule, rooms=[call(10, 2), call(20, 1, settled=3000)], minutes=3100)
    assert told.events == [(3020, "late", "MediaLost")]
    assert told.alert.sample.matched == 3
    assert (told.alert.starts_at - NOON) / 60 == 20


def test_ordinary_traffic_that_settles_late_is_no_late_news(story, call, losing_media):
    rooms = [
        call(minute, int(minute % 25 == 0), 4, settled=8 + minute % 40, number=minute + 99) for minute in range(240)
    ]
    assert story(losing_media(), rooms=rooms, minutes=300).events == []


def test_late_news_does_not_come_again_while_the_alert_is_pending_anew(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1, over=3600), hold_for=59 * 60)
    told = story(rule, rooms=[call(10, 1, settled=300), call(320, 1)], minutes=400)
    assert told.events == [(310, "late", "MediaLost")]
    assert [reason for _, reason, _, _ in told.sent] == ["late"]
    assert told.alert.state == "inactive"


def test_late_news_comes_even_at_the_tick_at_which_the_alert_ceases_to_be_pending(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=1, over=3600), hold_for=59 * 60)
    told = story(rule, rooms=[call(100, 1), call(10, 1, settled=150)], minutes=200)
    assert told.events == [(160, "late", "MediaLost")]


def test_a_changed_summary_takes_the_place_of_the_old_one(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=2))
    wrong, right = call(10, 1, 3, number=7, replaced=12), call(10, 2, 2, number=7, settled=12)
    assert story(rule, rooms=[wrong, right]).events[0] == (22, "firing", "MediaLost")
    wrong, right = call(10, 1, 3, number=7, replaced=12), call(10, 1, 3, number=7, settled=12)
    assert story(rule, rooms=[wrong, right]).events == []


# what alerts carry


def test_each_combination_of_values_is_an_alert_of_its_own(story, call, any_lost):
    rule = replace(any_lost, by=("account", "media_region"))
    rooms = [call(10, 1, media_region="us1"), call(20, 1, media_region="au1"), call(30, 1, media_region=None)]
    told = story(rule, rooms=rooms, minutes=100)
    assert [
        (at, event.labels.get("media_region")) for (at, _, _), event in zip(told.events, told.history, strict=True)
    ] == [
        (18, "us1"),
        (28, "au1"),
        (38, None),
    ]
    assert [reason for _, reason, _, _ in told.sent] == ["first notification", "new alerts added", "new alerts added"]


def test_evidence_is_the_latest_five_inside_the_window_most_recent_first(story, call, losing_media):
    rule = losing_media(kind=Count(at_least=7))
    told = story(rule, rooms=[call(minute, 1) for minute in range(1, 9)], minutes=17)
    assert [(item.ended - NOON) / 60 for item in told.alert.evidence] == [8, 7, 6, 5, 4]
    long = losing_media(kind=Count(at_least=40))
    rooms = [call(minute, 2 if minute < 25 else 0, 3) for minute in range(60)]
    told = story(long, rooms=rooms, minutes=70)
    limit = told.alert.sample.position // 60
    assert all((item.ended - NOON) / 60 <= 70 - limit for item in told.alert.evidence)
    assert len(told.alert.evidence) == 5


def test_personal_values_never_reach_an_alert_but_as_they_may_be_shown(story, call, any_lost):
    rule = replace(any_lost, by=("participant_identity", "room_name"))
    told = story(rule, rooms=[call(10, 1, people="Ann Example")], show=lambda field, value: "anon")
    assert told.alert.labels == {"alertname": "Lost", "participant_identity": "anon", "room_name": "anon"}
    assert b"Ann" not in msgspec.json.encode(told.notifications)
    assert b"meeting" not in msgspec.json.encode(told.notifications)


def test_the_sample_says_how_much_of_its_window_has_settled(story, call, any_lost):
    waiting = [
        OpenRoom(account=account, room_sid=f"RM{number}", listed_at=NOON + listed, ended=ended, look_again_at=0, why="")
        for number, (account, listed, ended) in enumerate(
            [
                ("production", 0, NOON + 300),
                ("production", 0, NOON - 7200),
                ("production", 0, None),
                ("production", 99999, NOON + 300),
                ("staging", 0, NOON + 300),
            ]
        )
    ]
    rooms = [call(10, 1), call(5, 0, 3), call(6, 0, 3, account="staging")]
    told = story(any_lost, rooms=rooms, minutes=18, open_rooms=tuple(waiting))
    assert told.alert.sample.settled_share == pytest.approx(2 / 3)
    told = story(replace(any_lost, by=()), rooms=rooms, minutes=18, open_rooms=tuple(waiting))
    assert told.alert.sample.settled_share == pytest.approx(3 / 5)


def test_texts_are_rendered_with_labels_and_sample(story, call, any_lost):
    rule = replace(any_lost, annotations={"summary": lambda v: f"{v['sample'].matched} in {v['labels']['account']}"})
    assert story(rule, rooms=[call(10, 2)]).alert.annotations == {"summary": "2 in production"}


# what must not stop the rest


def test_a_text_that_fails_is_an_error_and_the_alert_is_told_all_the_same(story, call, any_lost):
    def explode(variables):
        raise KeyError("region")

    rule = replace(any_lost, annotations={"summary": explode, "title": lambda v: "fine"})
    told = story(rule, rooms=[call(10, 1)])
    assert told.events == [(18, "firing", "Lost")]
    assert told.alert.annotations == {"summary": "(the template of summary failed: 'region')", "title": "fine"}
    assert "annotation summary" in told.errors["Lost"]


def test_a_rule_that_cannot_be_judged_is_an_error_by_name_and_the_others_go_on(story, call, any_lost):
    broken = Rule(alert="Broken", kind=Count(at_least="three"), match=any_lost.match)  # as no rule file can say it
    told = story(broken, any_lost, rooms=[call(10, 1)], minutes=60)
    assert told.events == [(18, "firing", "Lost")]
    assert "TypeError" in told.errors["Broken"]


def test_a_broken_rule_leaves_its_firing_alerts_as_they_are(story, call, any_lost):
    broken = replace(any_lost, kind=Count(at_least="one"))
    told = story(policy=_policy(any_lost), policies={NOON + 3600: _policy(broken)}, rooms=[call(10, 1)], minutes=600)
    assert told.events == [(18, "firing", "Lost")]
    assert "TypeError" in told.errors["Lost"]


def test_a_room_that_cannot_be_read_is_an_error_and_the_others_count(story, call, any_lost):
    def show(field, value):
        if "1" in value:
            raise ValueError(value)
        return value

    rooms = [call(10, 1, number=1), call(12, 1, number=2, people="Bea")]
    told = story(any_lost, rooms=rooms, show=show, minutes=60)
    assert told.events == [(20, "firing", "Lost")]
    assert list(told.errors) == ["Lost"]
    by_person = replace(any_lost, by=("participant_identity",))
    assert list(story(by_person, rooms=rooms, show=show, minutes=60).errors) == [EVERY_RULE]


def test_too_many_combinations_are_an_error_and_those_that_found_a_place_are_judged(story, call, any_lost):
    rule = replace(any_lost, by=("media_region",), max_groups=2)
    told = story(rule, rooms=[call(10 + n, 1, media_region=f"r{n}") for n in range(4)], minutes=60)
    assert [event.labels["media_region"] for event in told.history] == ["r0", "r1"]
    assert told.errors == {"Lost": "more than 2 combinations of media_region"}


def test_a_firing_alert_that_lost_its_place_is_not_taken_for_recovered(story, call, any_lost):
    rule = replace(any_lost, by=("media_region",), max_groups=1, keep_firing_for=900)
    rooms = [*[call(minute, 1, media_region="b") for minute in range(10, 300)], call(9, 1, media_region="a")]
    told = story(rule, rooms=rooms, minutes=120, restarts=lambda tick: tick == NOON + 30 * 60)
    by_region = {alert.labels["media_region"]: alert for alert in told.alerts.values()}
    assert by_region["a"].state == "firing"
    assert "too many groups" in by_region["a"].reason


def test_two_rules_that_give_the_same_labels_do_not_fight_over_an_alert(story, call, any_lost):
    plain = replace(any_lost, by=("account", "media_region"))
    fixed = replace(any_lost, by=("account",), labels={"media_region": "us1"}, kind=Count(at_least=99))
    told = story(plain, fixed, rooms=[call(10, 1)], minutes=60)
    assert told.events == [(18, "firing", "Lost")]
    assert "the same labels" in told.errors["Lost|media_region=us1"]


# groups and routes


def _policy(*rules: Rule, **parts) -> Policy:
    route = Route(receiver="oncall", group_by=("alertname",), group_wait=0)
    told = {"oncall": (Integration("oncall/webhook[0]"),)}
    return Policy(**({"rules": rules, "tree": Tree(route), "integrations": told} | parts))


def test_a_group_waits_then_tells_every_interval_what_is_new_and_repeats_the_rest(story, call, any_lost):
    route = Route(receiver="oncall", group_wait=90, group_interval=600, repeat_interval=3600)
    rule = replace(any_lost, by=("media_region",))
    rooms = [call(10, 1, media_region="a"), call(11, 1, media_region="b"), call(12, 1, media_region="c")]
    told = story(policy=_policy(rule, tree=Tree(route)), rooms=rooms, minutes=160)
    assert [(at, reason, len(alerts)) for at, reason, _, alerts in told.sent] == [
        (19.5, "first notification", 2),
        (29.5, "new alerts added", 3),
        (89.5, "repeat interval elapsed", 3),
        (149.5, "repeat interval elapsed", 3),
    ]


def test_several_routes_and_integrations_are_told_in_an_order_that_is_always_the_same(story, call, any_lost):
    both = Route(
        receiver="oncall",
        routes=(
            Route(receiver="oncall", matchers=(Matcher.parse("account=production"),), continue_=True, group_wait=0),
            Route(receiver="pager", group_by_all=True, group_wait=0),
        ),
    )
    integrations = {
        "oncall": (Integration("oncall/slack[0]"), Integration("oncall/email[0]")),
        "pager": (Integration("pager/webhook[0]"),),
    }
    rules = [replace(any_lost, alert=name) for name in "BA"]
    told = story(policy=_policy(*rules, tree=Tree(both), integrations=integrations), rooms=[call(10, 1)], minutes=60)
    assert [(one.group_key, one.integration) for one in told.notifications] == [
        ('{}/{account="production"}:{}', "oncall/slack[0]"),
        ('{}/{account="production"}:{}', "oncall/email[0]"),
        ('{}/{}:{account="production", alertname="A"}', "pager/webhook[0]"),
        ('{}/{}:{account="production", alertname="B"}', "pager/webhook[0]"),
    ]
    assert len({one.id for one in told.notifications}) == 4


def test_a_receiver_that_was_renamed_while_an_alert_fires_is_told(story, call, any_lost):
    renamed = _policy(
        any_lost,
        tree=Tree(Route(receiver="newcomer", group_by=("alertname",), group_wait=0)),
        integrations={"newcomer": (Integration("newcomer/webhook[0]"),)},
    )
    told = story(policy=_policy(any_lost), policies={NOON + 3600: renamed}, rooms=[call(10, 1)], minutes=90)
    assert [(one.receiver, one.reason) for one in told.notifications] == [
        ("oncall", "first notification"),
        ("newcomer", "first notification"),
    ]


def test_an_alert_whose_route_is_gone_is_told_by_the_one_that_has_it_now(story, call, any_lost):
    with_child = Tree(
        Route(
            receiver="oncall",
            group_wait=0,
            routes=(Route(receiver="oncall", matchers=(Matcher.parse("account=~.*"),), group_wait=0),),
        )
    )
    without = Tree(Route(receiver="oncall", group_wait=0))
    for first, second in ((with_child, without), (without, with_child)):
        told = story(
            policy=_policy(any_lost, tree=first),
            policies={NOON + 3600: _policy(any_lost, tree=second)},
            rooms=[call(10, 1)],
            minutes=200,
        )
        assert [(at, reason) for at, reason, _, _ in told.sent] == [
            (18, "first notification"),
            (60, "first notification"),
        ]


# purity


def test_deciding_changes_nothing_that_it_is_given(call, any_lost):
    rules = [any_lost, replace(any_lost, alert="Pending", hold_for=600)]
    policy, windows = _policy(*rules), Windows(rules, lambda _, value: value)
    for minute in range(30):
        windows.fold(call(minute, 1, 3))
    snapshot = Snapshot(alerts={}, groups={}, sights=(ALWAYS,))
    written = msgspec.json.encode(snapshot)
    first = decide(NOON + 1800, policy, windows, snapshot)
    assert first == decide(NOON + 1800, policy, windows, snapshot)
    assert msgspec.json.encode(snapshot) == written
    assert {alert.state for alert in first.alerts} == {"firing", "pending"}
    assert all(isinstance(alert, Alert) for alert in first.alerts)
    assert first.next_at == NOON + 1800 + 300


def test_conditions_of_a_rule_are_those_of_the_rule_language(story, call, any_lost):
    parsed = parse_condition({"media_region": "au*"})
    assert parsed.condition is not None
    told = story(
        replace(any_lost, among=parsed.condition), rooms=[call(10, 1), call(20, 1, media_region="au1")], minutes=60
    )
    assert told.events == [(28, "firing", "Lost")]


# what keeps alerts quiet


def test_an_alert_that_another_explains_is_not_told_until_that_one_is_over(story, call, losing_media, policy_of):
    """Both fire on the same calls; the ticket outlasts the page by ten minutes."""
    page = losing_media(alert="Down", kind=Count(at_least=3, over=600), labels={"severity": "page"}, keep_firing_for=60)
    ticket = losing_media(alert="Slow", kind=Count(at_least=1, over=600), labels={"severity": "ticket"})
    explains = InhibitRule(
        source=(Matcher.parse("severity=page"),), target=(Matcher.parse("severity=ticket"),), equal=("account",)
    )
    policy = policy_of(page, replace(ticket, keep_firing_for=3600), inhibit_rules=(explains,))
    told = story(policy=policy, rooms=[call(10, 5, number=1), call(12, 5, number=2)], minutes=200)
    assert sorted(told.events)[:2] == [(18.0, "firing", "Down"), (18.0, "firing", "Slow")]
    down = [at for at, event, name in told.events if (event, name) == ("resolved", "Down")]
    first = [at for at, reason, _, alerts in told.sent if alerts == ("Slow firing",)]
    assert down[0] <= first[0] <= down[0] + 6
    (kept_back,) = told.withheld
    assert (kept_back.at, kept_back.reason) == (told.notifications[0].at, "first notification")
    assert kept_back.withheld == f"inhibited by Down ({told.notifications[0].alerts[0].fingerprint})"


def test_a_route_that_is_muted_tells_when_it_is_not_any_more(story, call, losing_media, policy_of):
    route = Route(
        receiver="oncall",
        routes=(Route(receiver="oncall", group_wait=0, group_interval=300, mute_time_intervals=("lunch",)),),
    )
    lunch = TimeInterval("lunch", (Interval(times=((12 * 60, 13 * 60),)),))
    policy = policy_of(
        losing_media(kind=Count(at_least=1), keep_firing_for=14400), tree=Tree(route), intervals={"lunch": lunch}
    )
    told = story(policy=policy, rooms=[call(10, 5)], minutes=100)
    assert [event for _, event, _ in told.events] == ["firing"]
    ((at, reason, _, _),) = told.sent
    assert (60 <= at <= 65, reason) == (True, "first notification")
    assert [one.withheld for one in told.withheld] == ["muted by the time interval lunch"]


# flapping


def test_of_an_alert_that_flaps_one_beginning_and_one_end_are_told(story, call, losing_media):
    """Ten minutes of trouble in each hour, for twelve hours."""
    rule = losing_media(kind=Count(at_least=1, over=600), keep_firing_for=300)
    rooms = [call(minute, 2, 0, number=minute + 1) for minute in range(720) if minute % 60 < 10]
    told = story(rule, rooms=rooms, minutes=1000)
    said = [(at, reason) for at, reason, _, _ in told.sent]
    assert [reason for _, reason in said[:7]] == ["first notification", "all alerts resolved"] * 3 + [
        "first notification"
    ]
    assert {reason for _, reason in said[7:-1]} <= {"repeat interval elapsed"}
    assert said[-1][1] == "all alerts resolved"
    assert "flaps: fired 4 times within 6h" in told.notifications[6].alerts[0].reason


def test_a_drill_hides_no_other_alert(policy_of):
    pages = InhibitRule(source=(Matcher.parse("severity=page"),), target=(Matcher.parse("severity=ticket"),), equal=())
    policy = policy_of(inhibit_rules=(pages,))
    firing = {
        mark: Alert(fingerprint=mark, rule="R", labels={"alertname": mark} | more, state="firing", starts_at=NOON)
        for mark, more in {"drill": {"severity": "page", "alertd_test": "true"}, "real": {"severity": "ticket"}}.items()
    }
    snapshot = Snapshot(alerts=firing, groups={})
    assert Quieted(policy, firing, snapshot, NOON).why(firing["real"]) == ""
    page = msgspec.structs.replace(firing["drill"], labels={"alertname": "page", "severity": "page"})
    assert Quieted(policy, firing | {"drill": page}, snapshot, NOON).why(firing["real"]) == "inhibited by page (drill)"
