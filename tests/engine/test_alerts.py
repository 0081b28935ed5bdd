"""The states of an alert: every state, every signal, and what keeps an alert from ending too soon."""

from __future__ import annotations

from itertools import pairwise, product
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.engine.alerts import (
    ONE_PIECE,
    TRANSITIONS,
    Alert,
    Finding,
    Signal,
    State,
    Timing,
    advance,
    fingerprint,
    over,
    signal,
)
from alertd.engine.windows import Evidence

NOW = 1_772_452_800
QUIET = Timing(hold_for=300, keep_firing_for=900, no_traffic=21600)


def alert(state: State = "inactive", **parts) -> Alert:
    return Alert(**({"fingerprint": "f", "rule": "A", "labels": {"alertname": "A"}, "state": state} | parts))


def firing(**parts) -> Alert:
    return alert("firing", **({"starts_at": NOW - 60, "active_at": NOW - 60, "elevated_at": NOW - 60} | parts))


def finding(holds: bool = False, **parts) -> Finding:
    ended = [item.ended for item in parts.get("evidence", ())]
    span = (min(ended), max(ended)) if ended else None
    return Finding(**({"timing": QUIET, "holds": holds, "why": "too many", "span": span} | parts))


def shown(*ended: int) -> tuple[Evidence, ...]:
    return tuple(Evidence(ended=at, participant_sid="PA1", room_sid="RM1") for at in ended)


# the table

MOVES = [
    # state, what the tick finds, signal, state afterwards
    (alert(), finding(), "clear", "inactive"),
    (alert(), finding(True), "holds", "pending"),
    (alert(), finding(True, timing=Timing()), "held", "firing"),
    (alert("pending", active_at=NOW - 299), finding(True), "holds", "pending"),
    (alert("pending", active_at=NOW - 300), finding(True), "held", "firing"),
    (alert("pending", active_at=NOW - 9999), finding(), "clear", "inactive"),
    (alert("pending", active_at=NOW - 9999), finding(gone="removed"), "clear", "inactive"),
    (firing(), finding(True, elevated_at=NOW), "elevated", "firing"),
    (firing(), finding(elevated_at=NOW), "elevated", "firing"),
    (firing(elevated_at=NOW - 9999), finding(blind="not seen"), "elevated", "firing"),
    (firing(), finding(True), "calm", "firing"),
    (firing(elevated_at=NOW - 899), finding(), "calm", "firing"),
    (firing(elevated_at=NOW - 900), finding(), "recovered", "resolved"),
    (firing(elevated_at=NOW - 900), finding(True), "recovered", "resolved"),
    (firing(elevated_at=NOW - 900), finding(traffic=False), "calm", "firing"),
    (firing(elevated_at=NOW - 21599), finding(traffic=False), "calm", "firing"),
    (firing(elevated_at=NOW - 21600), finding(traffic=False), "recovered", "resolved"),
    (firing(), finding(gone="removed"), "recovered", "resolved"),
    (firing(), finding(True, gone="removed", blind="not seen", elevated_at=NOW), "recovered", "resolved"),
    (alert("resolved"), finding(), "clear", "resolved"),
    (alert("resolved"), finding(True), "holds", "pending"),
    (alert("resolved"), finding(True, timing=Timing()), "held", "firing"),
]


@pytest.mark.parametrize(("before", "found", "meaning", "state"), MOVES, ids=lambda value: None)
def test_what_a_tick_finds_moves_an_alert_as_the_table_says(before, found, meaning, state):
    assert signal(before, found, NOW)[0] == meaning
    assert advance(before, found, NOW).state == state


def test_every_state_has_its_moves_and_no_other_signal_can_come_in_it():
    tried = {(before.state, meaning) for before, _, meaning, _ in MOVES}
    assert tried == {(state, meaning) for state, moves in TRANSITIONS.items() for meaning in moves}
    assert set(TRANSITIONS) == set(get_args(State))
    possible = {(before.state, signal(before, found, NOW)[0]) for (before, *_), (_, found, *_) in product(MOVES, MOVES)}
    assert possible == tried
    assert {meaning for _, meaning in tried} == set(get_args(Signal))


@pytest.mark.parametrize("state", ["inactive", "resolved"])
def test_where_nothing_happens_the_alert_is_the_very_same(state):
    before = alert(state)
    assert advance(before, finding(), NOW) is before


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans(), st.integers(1, 20)), max_size=60))
def test_an_alert_leaves_firing_only_after_enough_quiet_that_was_seen(ticks):
    before, now, last_trouble = alert(), NOW, NOW
    for trouble, blind, traffic, minutes in ticks:
        now += 60 * minutes
        found = finding(trouble, elevated_at=now if trouble else None, traffic=traffic, blind="x" if blind else "")
        after = advance(before, found, now)
        if trouble or blind or before.state != "firing":
            last_trouble = now
        if before.state == "firing" and after.state == "resolved":
            assert now - last_trouble >= QUIET.keep_firing_for
            assert traffic or now - last_trouble >= QUIET.no_traffic
            assert not blind
            assert after.floor == last_trouble
        before = after


# patience


def test_patience_runs_out_at_a_whole_minute_so_that_other_ticks_change_nothing():
    held = alert("pending", active_at=NOW - 300 + 37)
    assert [advance(held, finding(True), NOW + second).state for second in (0, 37, 59, 60)] == ["pending"] * 3 + [
        "firing"
    ]
    calm = firing(elevated_at=NOW - 840)
    assert [advance(calm, finding(), NOW + second).state for second in (0, 59, 60)] == ["firing", "firing", "resolved"]


def test_the_reason_says_how_long_it_has_been_quiet_and_what_is_missing():
    assert advance(firing(elevated_at=NOW - 180), finding(), NOW).reason == "quiet for 3m of 15m"
    assert advance(firing(elevated_at=NOW - 900), finding(), NOW).reason == "not elevated for 15m"
    assert "too little traffic" in advance(firing(elevated_at=NOW - 1800), finding(traffic=False), NOW).reason
    assert advance(firing(elevated_at=NOW - 21600), finding(traffic=False), NOW).reason == "no traffic to judge for 6h"
    assert advance(firing(), finding(blind="nobody looked"), NOW).reason == "not known to have recovered: nobody looked"


def test_trouble_that_is_known_late_counts_from_when_it_was():
    after = advance(firing(elevated_at=NOW - 840), finding(elevated_at=NOW - 300), NOW)
    assert (after.state, after.elevated_at, after.reason) == ("firing", NOW - 300, "too many")
    assert advance(after, finding(elevated_at=NOW - 300), NOW + 60).reason == "quiet for 6m of 15m"


def test_after_blindness_quiet_has_to_be_seen_anew():
    after = advance(firing(elevated_at=NOW - 9999), finding(blind="x"), NOW + 7)
    assert after.elevated_at == NOW
    assert advance(after, finding(), NOW + 840).state == "firing"
    assert advance(after, finding(), NOW + 900).state == "resolved"


# what an alert carries


def test_an_alert_that_fires_begins_anew():
    before = alert("resolved", starts_at=1, ends_at=2, late=True, floor=7)
    after = advance(before, finding(True, timing=Timing(), evidence=shown(NOW - 90, NOW - 200)), NOW + 7)
    assert (after.starts_at, after.active_at, after.ends_at, after.late) == (NOW + 7, NOW + 7, None, False)
    assert (after.elevated_at, after.floor, after.changed_at, after.reason) == (NOW, 7, NOW + 7, "too many")
    assert (after.first_seen, after.last_seen) == (NOW - 200, NOW - 90)


def test_it_has_been_active_since_it_was_pending():
    after = advance(alert("pending", active_at=NOW - 300), finding(True), NOW)
    assert (after.active_at, after.starts_at) == (NOW - 300, NOW)


def test_a_resolved_alert_keeps_its_last_sample_and_the_moment_of_recovery():
    evidence = shown(NOW - 2000)
    after = advance(firing(elevated_at=NOW - 900, evidence=evidence), finding(), NOW)
    assert (after.ends_at, after.active_at, after.floor) == (NOW, None, NOW - 900)
    assert after.evidence == evidence


def test_what_was_seen_first_stays_while_the_alert_fires():
    before = firing(first_seen=NOW - 900, last_seen=NOW - 900)
    after = advance(before, finding(True, elevated_at=NOW, evidence=shown(NOW - 60)), NOW)
    assert (after.first_seen, after.last_seen) == (NOW - 900, NOW - 60)


def test_an_alert_that_is_pending_again_still_knows_when_it_ended():
    before = alert("resolved", starts_at=NOW - 99, ends_at=NOW - 9)
    assert advance(before, finding(True), NOW).ends_at == NOW - 9


def test_flapping_never_moves_the_moment_of_recovery_back():
    before = firing(elevated_at=NOW - 900, floor=NOW - 10)
    assert advance(before, finding(), NOW).floor == NOW - 10


# late


def test_what_was_over_before_it_was_known_is_late_with_its_beginning_and_end():
    after = over(alert(), (NOW - 7200, NOW - 3600), finding(evidence=shown(NOW - 7000)), NOW, "held unseen")
    assert (after.state, after.late, after.starts_at, after.ends_at) == ("resolved", True, NOW - 7200, NOW - 3600)
    assert (after.floor, after.reason, after.first_seen) == (NOW - 3600, "held unseen", NOW - 7000)
    assert after.told_late(NOW)
    assert not after.told_late(NOW + 60)


def test_late_news_that_comes_in_portions_is_one_stretch():
    first = over(alert(), (NOW - 7200, NOW - 3600), finding(), NOW, "")
    assert over(first, (NOW - 3500, NOW - 3000), finding(), NOW + 5, "").starts_at == NOW - 7200
    assert over(first, (NOW - 3500, NOW - 3000), finding(), NOW + ONE_PIECE, "").starts_at == NOW - 3500


def test_late_news_is_told_at_once_or_not_at_all():
    late = over(alert(), (NOW - 7200, NOW - 3600), finding(), NOW, "")
    pending = advance(late, finding(True), NOW)
    assert not pending.told_late(NOW)


# identity


def test_the_fingerprint_is_prometheus_own():
    """The two cases of prometheus/common's model/signature_test.go."""
    assert int(fingerprint({}), 16) == 14695981039346656037
    assert int(fingerprint({"name": "garland, briggs", "fear": "love is not enough"}), 16) == 5799056148416392346


@given(st.dictionaries(st.text("abc", min_size=1), st.text("xyz\xff", min_size=1), max_size=4))
def test_the_fingerprint_is_of_the_labels_whatever_their_order_and_empty_ones_do_not_count(labels):
    backwards = dict(reversed(labels.items()))
    assert fingerprint(labels) == fingerprint(backwards) == fingerprint(labels | {"zz": ""})
    assert len(fingerprint(labels)) == 16


def test_an_alert_survives_being_written_down():
    before = over(alert(), (NOW - 7200, NOW - 3600), finding(evidence=shown(NOW - 7000)), NOW, "held unseen")
    assert msgspec.json.decode(msgspec.json.encode(before), type=Alert) == before


# the same incident again

REOPENING = Timing(reopen=4 * 3600)


def ended(ago: int, **parts) -> Alert:
    return alert("resolved", **({"starts_at": NOW - ago - 3600, "ends_at": NOW - ago, "told": True} | parts))


def test_what_fires_again_soon_after_its_end_is_the_same_incident_and_says_for_how_long_it_seemed_over():
    again = advance(ended(2100), finding(True, timing=REOPENING), NOW)
    assert (again.state, again.reopened, again.told) == ("firing", True, True)
    assert again.reason == "again, 35m after it was over: too many"


@pytest.mark.parametrize(
    ("before", "timing"),
    [
        (ended(4 * 3600 + 1), REOPENING),  # too long ago
        (ended(60, told=False), REOPENING),  # nobody ever heard of it
        (ended(60, late=True), REOPENING),  # it was over before it was told
        (ended(60), Timing()),  # its rule does not ask for it
        (alert(), REOPENING),
    ],
)
def test_anything_else_that_fires_is_news(before, timing):
    again = advance(before, finding(True, timing=timing), NOW)
    assert (again.state, again.reopened, again.told, again.reason) == ("firing", False, False, "too many")


def test_what_was_pending_in_between_is_still_the_same_incident():
    waiting = advance(ended(60), finding(True, timing=Timing(hold_for=300, reopen=3600)), NOW)
    again = advance(waiting, finding(True, timing=Timing(hold_for=300, reopen=3600)), NOW + 300)
    assert (waiting.state, again.state, again.reopened) == ("pending", "firing", True)


# again and again

BRIEF = Timing(keep_firing_for=300, reopen=0)


def seen_by_the_minute(troubled, minutes: int, timing: Timing = BRIEF) -> list[Alert]:
    """The alert after each minute, of a rule that holds in the minutes for which `troubled` is true."""
    found, last = [alert()], None
    for minute in range(minutes):
        now = NOW + 60 * minute
        last = now if troubled(minute) else last
        found.append(advance(found[-1], finding(troubled(minute), timing=timing, elevated_at=last), now))
    return found


def beginnings(states: list[Alert]) -> list[Alert]:
    return [after for before, after in pairwise(states) if after.state == "firing" != before.state]


def test_what_fires_for_the_fourth_time_within_six_hours_flaps_and_says_so():
    *before, fourth = beginnings(seen_by_the_minute(lambda minute: minute % 60 < 10, 190))
    assert [each.flaps for each in before] == [0, 0, 0]
    assert fourth.flaps == 4
    assert fourth.reason == ("too many (flaps: fired 4 times within 6h, so it lasts until it is quiet for 2h)"), (
        "and so does every message"
    )


def test_what_flaps_goes_on_through_its_quiet_spells_and_is_over_once():
    states = seen_by_the_minute(lambda minute: minute % 60 < 10 and minute < 1200, 1500)
    assert len(beginnings(states)) == 4
    ends = [after for before, after in pairwise(states) if after.state == "resolved" != before.state]
    assert len(ends) == 4
    assert ends[-1].ends_at == NOW + 60 * (1149 + 120)
    assert (ends[-1].reason, ends[-1].flaps) == ("not elevated for 2h", 0)


def test_in_a_quiet_spell_it_says_what_it_waits_for():
    states = seen_by_the_minute(lambda minute: minute % 60 < 10, 211)
    assert states[-1].reason == (
        "quiet for 21m of 2h (flaps: fired 4 times within 6h, so it lasts until it is quiet for 2h)"
    )


def test_what_fires_as_often_in_a_longer_time_does_not_flap():
    states = seen_by_the_minute(lambda minute: minute % 121 < 10, 1500)
    assert len(beginnings(states)) == 13
    assert not any(each.flaps for each in states)


def test_one_that_waits_longer_anyhow_waits_no_less_when_it_flaps():
    flapping = firing(flaps=4, elevated_at=NOW - 3 * 3600)
    patient = advance(flapping, finding(timing=Timing(keep_firing_for=4 * 3600)), NOW)
    assert patient.state == "firing"
    assert advance(patient, finding(timing=Timing(keep_firing_for=4 * 3600)), NOW + 3600).state == "resolved"


def test_what_flaps_is_over_at_once_if_its_rule_is_removed():
    assert advance(firing(flaps=4), finding(gone="its rule was removed"), NOW).state == "resolved"
