"""In which groups a room counts, and that counting room by room gives what counting everything at once gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.conditions import parse_condition
from alertd.engine.counting import EVERY_RULE, SLACK, Windows
from alertd.engine.kinds import Absent, Count, Rate
from alertd.engine.populations import to_keep
from alertd.engine.records import SettledRoom
from alertd.engine.revisits import KEPT_FOR, SLOT, Revisit
from alertd.engine.rules import Rule
from alertd.engine.tidying import TIDY_EVERY
from alertd.engine.windows import NOTHING

NOON = 1_772_452_800 // 60


def condition(data):
    parsed = parse_condition(data)
    assert parsed.condition is not None
    return parsed.condition


LOST = condition({"error_code": 53405})


def rule(**parts) -> Rule:
    return Rule(**({"alert": "A", "kind": Count(at_least=1), "match": LOST} | parts))


def plain(_field, value: str) -> str:
    return value


def counted(rules, *rooms, show=plain) -> Windows:
    windows = Windows(rules if isinstance(rules, list) else [rules], show)
    for room in rooms:
        windows.fold(room)
    return windows


def groups(windows: Windows, one: Rule) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Rooms, matches and participants of each group, by the values of its labels other than its name."""
    found = {}
    for group in windows.groups(one):
        sums = group.series.between(0, 10**9)
        key = tuple(f"{name}={value}" for name, value in sorted(group.labels.items()) if name != "alertname")
        found[key] = (sums.rooms, sums.matched, sums.total)
    return found


def test_participants_count_in_the_group_of_their_own_values(call):
    one = rule(by=("account", "media_region"))
    rooms = [call(0, 1, 2, media_region="us1"), call(1, 2, 0, media_region="au1"), call(2, 0, 5, account="staging")]
    assert groups(counted(one, *rooms), one) == {
        ("account=production", "media_region=us1"): (1, 1, 3),
        ("account=production", "media_region=au1"): (1, 2, 2),
        ("account=staging", "media_region=us1"): (1, 0, 5),
    }


def test_a_room_whose_participants_differ_counts_once_in_each_of_their_groups(call):
    here, there = call(0, 1, 1, media_region="us1"), call(0, 1, 2, media_region="au1")
    mixed = msgspec.structs.replace(here, participants=here.participants + there.participants)
    one = rule(by=("media_region",))
    assert groups(counted(one, mixed), one) == {("media_region=us1",): (1, 1, 2), ("media_region=au1",): (1, 1, 3)}


def test_a_value_that_twilio_does_not_say_leaves_its_label_out(call):
    one = rule(by=("account", "edge_location"))
    assert groups(counted(one, call(0, 1, 1)), one) == {("account=production",): (1, 1, 2)}


def test_only_the_population_counts(call):
    one = rule(among=condition({"media_region": "au1"}))
    assert groups(counted(one, call(0, 3, 3, media_region="us1")), one) == {}
    assert groups(counted(one, call(0, 3, 3, media_region="au1")), one) == {("account=production",): (1, 3, 6)}


def test_a_room_without_participants_counts_nowhere_but_has_settled(call):
    one = rule()
    windows = counted(one, call(0), call(1, 0, 1))
    assert groups(windows, one) == {("account=production",): (1, 0, 1)}
    assert windows.settled_rooms("production", NOON - 1, NOON + 1) == windows.settled_rooms(None, 0, 10**9) == 2
    assert windows.settled_rooms("staging", 0, 10**9) == 0


def test_rules_of_one_population_are_counted_each_by_its_own_match(call):
    first, second, third = rule(), rule(alert="B", match=condition({"media_region": "us1"})), rule(alert="C", by=())
    windows = counted([first, second, third], call(0, 1, 3))
    assert groups(windows, first) == {("account=production",): (1, 1, 4)}
    assert groups(windows, second) == {("account=production",): (1, 4, 4)}
    assert groups(windows, third) == {(): (1, 1, 4)}


def test_personal_values_are_shown_only_as_they_may_be(call):
    one = rule(by=("participant_identity", "media_region"))
    windows = counted(one, call(0, 1, people="Ann Example"), show=lambda field, value: f"<{field.name} {len(value)}>")
    (group,) = windows.groups(one)
    assert group.labels == {
        "alertname": "A",
        "participant_identity": "<participant_identity 11>",
        "media_region": "us1",
    }
    (shown,) = group.series.evidence(0, 10**9, 5)
    assert shown.identity == "<participant_identity 11>"
    assert shown.room_name is not None
    assert shown.room_name.startswith("<room.room_name ")


def test_labels_that_clients_choose_are_cut_to_a_bearable_length(call):
    one = rule(by=("publisher_info.name",))
    (group,) = counted(one, call(0, 1, publisher_info={"name": "x" * 9999})).groups(one)
    assert len(group.labels["publisher_info_name"]) == 256


def test_one_person_with_many_connections_is_one_identity_and_the_nameless_count_each(call):
    one = rule(kind=Count(at_least=1, of="identities"))
    windows = counted(one, call(0, 2, 1, people="Ann"), call(1, 1, 1, people="Ann"))
    (group,) = windows.groups(one)
    assert group.series.identities(0, 10**9) == (1, 1)
    nameless = call(2, 2, 1, participant_identity=None)
    windows.fold(nameless)
    assert group.series.identities(0, 10**9) == (3, 4)


def test_evidence_says_what_failed_where(call):
    one = rule()
    room = call(0, 1, 0, end_reason="media_connection_failed", publisher_info={"name": "a", "sdk_version": "2.1"})
    (group,) = counted(one, room).groups(one)
    (shown,) = group.series.evidence(0, 10**9, 5)
    assert (shown.account, shown.room_sid, shown.ended) == ("production", room.room.room_sid, room.ended)
    assert (shown.end_reason, shown.error_code, shown.sdk) == ("media_connection_failed", 53405, "a 2.1")
    assert shown.error_url == "https://www.twilio.com/docs/api/errors/53405"
    assert shown.media_region == "us1"


def test_a_big_room_does_not_fill_the_evidence(call):
    one = rule()
    (group,) = counted(one, call(0, 40)).groups(one)
    assert len(group.series.evidence(0, 10**9, 100)) == 5


def test_the_rooms_that_started_are_those_of_one_account_by_the_minute_of_their_start(call):
    one = rule(kind=Absent(fewer_than=1), labels={"severity": "page"})
    rooms = [call(30, 1, lasted=20), call(31, lasted=21), call(32, 1, lasted=2), call(30, 1, account="staging")]
    windows = counted(one, *rooms)
    assert (windows.accounts(NOON + 40), groups(windows, one)) == (["production", "staging"], {})
    group = windows.starts(one, "production")
    assert group.labels == {"alertname": "A", "severity": "page", "account": "production"}
    assert [group.series.between(minute - 1, minute).rooms for minute in (NOON + 10, NOON + 30)] == [2, 1]
    assert len(windows.starts(one, "elsewhere").series.totals) == 0
    windows.fold(rooms[0], -1)
    assert windows.starts(one, "production").series.between(0, NOON + 99).rooms == 2


def test_starts_are_forgotten_with_all_else_that_no_rule_looks_back_to(call):
    one = rule(kind=Absent(fewer_than=1, over=3600))
    windows = counted(one, call(0, 1, lasted=0), call(40, 1, lasted=38))
    windows.forget(NOON + 60 + SLACK, {})
    series = windows.starts(one, "production").series
    assert (series.between(0, NOON), series.between(NOON, NOON + 2).rooms) == (NOTHING, 1)
    windows.forget(NOON + 400, {})
    assert windows.accounts(NOON + 400) == []


# bounds


def test_more_groups_than_a_rule_may_have_are_refused_and_that_is_said_as_long_as_it_matters(call):
    one = rule(by=("media_region",), max_groups=2)
    windows = counted(one, *(call(minute, 1, media_region=f"r{minute}") for minute in range(4)))
    assert set(groups(windows, one)) == {("media_region=r0",), ("media_region=r1",)}
    assert windows.refused(one)
    windows.fold(call(3, 1, media_region="r0"))
    windows.forget(NOON + to_keep(one) + 4, {})
    assert not windows.refused(one)


def test_a_group_that_finds_a_place_later_does_not_count_the_minutes_in_which_it_was_refused(call):
    one = rule(by=("media_region",), max_groups=1)
    refused = call(5, 1, 1, media_region="au1")
    windows = counted(one, call(0, 1, media_region="us1"), refused)
    windows.forget(NOON + to_keep(one), {})
    windows.fold(call(6, 0, 3, media_region="au1"))
    windows.fold(refused, -1)
    assert groups(windows, one) == {("media_region=au1",): (1, 0, 3)}


def test_taking_out_a_room_that_never_counted_makes_no_group(call):
    one = rule(by=("media_region",))
    windows = counted(one)
    windows.fold(call(0, 1), -1)
    assert groups(windows, one) == {}


def test_what_no_rule_looks_back_to_is_forgotten_but_firing_groups_keep_theirs(call):
    short, long = rule(), rule(alert="B", kind=Rate(above=0.1, over=7200))
    windows = counted([short, long], call(0, 1, 1), call(100, 1, 1))
    (quiet,), (firing,) = windows.groups(short), windows.groups(long)
    windows.forget(NOON + 100 + to_keep(short), {})
    assert (len(quiet.series.totals), len(firing.series.totals)) == (0, 1)
    assert list(windows.groups(short)) == []
    windows.forget(NOON + 1000, {firing.fingerprint: NOON + 50})
    assert len(firing.series.totals) == 1
    assert windows.settled_rooms(None, 0, 10**9) == 0
    windows.forget(NOON + 2000, {})
    assert list(windows.groups(long)) == []


def test_forgetting_waits_a_little_so_that_late_rooms_in_numbers_are_read_once(call):
    one = rule()
    windows = counted(one, call(0, 1, 1))
    kept = to_keep(one)
    windows.forget(NOON + kept - 1, {})
    (group,) = windows.groups(one)
    windows.forget(NOON + kept + TIDY_EVERY - 2, {})
    assert len(group.series.totals) == 1
    windows.forget(NOON + kept + TIDY_EVERY - 1, {})
    assert len(group.series.totals) == 0


def count_again(windows: Windows, there: Iterable[SettledRoom], minute: int, room, replaced=None) -> Revisit:
    """What is done before a room is folded that came very late."""
    late = [(room, 1)] if replaced is None else [(replaced, -1), (room, 1)]
    revisit = windows.missing(late, {})
    for after, upto in revisit.stretches:
        known = [one for one in there if after < one.ended // 60 <= upto]
        windows.recount(known[::2], revisit)  # rooms are read in portions
        windows.recount(known[1::2], revisit)
    windows.revisited(revisit, minute)
    return revisit


def is_counted(windows: Windows, one: Rule, minute: int) -> bool:
    (group,) = windows.groups(one)
    return group.series.between(minute - 1, minute).rooms > 0


def test_a_room_from_before_what_is_kept_is_judged_only_among_those_of_its_time(call):
    one, old, older, far = rule(), call(0, 1, 1), call(-10, 0, 4), call(-500, 0, 1)
    windows = counted(one, far, older, call(-20, 0, 2), call(200, 0, 1))
    windows.begin()
    windows.forget(NOON + 200, {})
    windows.fold(old)
    assert groups(windows, one) == {("account=production",): (1, 0, 1)}
    windows.fold(old, -1)
    revisit = count_again(windows, [far, older, call(-20, 0, 2), call(200, 0, 1)], NOON + 200, old)
    assert revisit.stretches == [(NOON - SLOT - 1, NOON + SLOT - 1)]
    windows.fold(old)
    assert groups(windows, one) == {("account=production",): (4, 1, 9)}
    assert windows.settled_rooms("production", NOON - 30, NOON) == 3
    (group,) = windows.groups(one)
    assert set(group.fresh) == {NOON}


def test_of_rooms_that_cannot_matter_nothing_is_counted_again(call):
    late = {"fine": (0, 3), "lost": (1, 3)}
    windows = counted(rule(), call(200, 0, 1))
    windows.forget(NOON + 200, {})
    read = {name: windows.missing([(call(-600, *people), 1)], {}).stretches for name, people in late.items()}
    assert read == {"fine": [], "lost": [(NOON - 631, NOON - 571)]}


def test_what_was_counted_by_the_hour_spares_long_windows_to_be_counted_again(call):
    """One room that matches does not make a twentieth of a day, wherever in the day it came from."""
    one = rule(kind=Rate(above=0.05, over=86400, min=20, min_rooms=2))
    day = [call(minute, 0, 2, number=minute + 9000) for minute in range(-4320, 0, 10)]
    windows = counted(one, *day)
    windows.begin()
    windows.forget(NOON, {})
    lost = call(-2880, 2, 0, number=1)
    assert windows.missing([(lost, 1)], {}).stretches == []
    some = [(call(-2880 + place, 2, 0, number=2 + place), 1) for place in range(10)]
    assert windows.missing(some, {}).stretches != []
    (group,) = windows.groups(one)
    cut = {group.fingerprint: NOON - 2890}
    assert windows.missing([(lost, 1)], cut).stretches != [], "a window that an alert cut short holds less"


def test_what_was_counted_again_stays_while_more_late_rooms_may_come(call):
    one, rooms = rule(), [call(minute, 1, 1, number=minute) for minute in range(1, 50)]
    windows = counted(one, *rooms, call(1000, 1, 1))
    windows.forget(NOON + 1000, {})
    first = count_again(windows, rooms, NOON + 1000, call(20, 1, 0))
    assert first.stretches == [(NOON - SLOT - 1, NOON + 2 * SLOT - 1)]
    windows.forget(NOON + 1000 + KEPT_FOR, {})
    assert is_counted(windows, one, NOON + 21)
    assert count_again(windows, rooms, NOON + 1000 + KEPT_FOR, call(25, 1, 0)).stretches == [], "outages end bit by bit"
    windows.forget(NOON + 1010 + KEPT_FOR, {})
    assert is_counted(windows, one, NOON + 21)
    windows.forget(NOON + 1020 + 2 * KEPT_FOR, {})
    assert groups(windows, one) == {}


def test_where_all_rooms_come_late_none_is_read_twice(call):
    windows, there, read = counted(rule()), [], 0
    for minute in range(0, 3000, 10):
        room = call(minute - 660, 1, 1, number=minute + 1)  # eleven hours
        revisit = count_again(windows, there, NOON + minute, room)
        read += sum(1 for after, upto in revisit.stretches for one in there if after < one.ended // 60 <= upto)
        windows.fold(room)
        there.append(room)
        windows.begin()
        windows.forget(NOON + minute, {})
    assert read <= len(there)
    (group,) = windows.groups(rule())
    assert len(group.series.totals) < (KEPT_FOR + 2 * 60) / 10, "nor is all kept for ever"


def test_counting_again_counts_nothing_twice(call):
    one, rooms = rule(), [call(minute, 1, 1) for minute in range(0, 300, 7)]
    whole, windows = counted(one, *rooms), counted(one, *rooms)
    windows.begin()
    windows.forget(NOON + 200, {})
    count_again(windows, rooms, NOON + 300, call(60, 1, 0))
    upto, after = NOON + 90, NOON + 29
    mine, other = ([group.series.between(after, upto) for group in one_of.groups(one)] for one_of in (windows, whole))
    assert mine == other
    assert windows.settled_rooms(None, after, upto) == whole.settled_rooms(None, after, upto)


def test_a_group_that_found_no_place_is_not_judged_by_half_of_its_rooms(call):
    one = rule(by=("media_region",), max_groups=1)
    windows = counted(one, call(0, 1, media_region="us1"))
    windows.begin()
    there = [call(-600, 1, number=1, media_region="au1"), call(-600, 1, number=2, media_region="us1")]
    late = call(-590, 1, number=3, media_region="us1")
    windows.forget(NOON, {})
    count_again(windows, there, NOON, late)
    windows.fold(late)
    windows.begin()
    for minute in (200, 210):
        windows.forget(NOON + minute, {})  # there is place again
    other = call(-585, 1, number=4, media_region="au1")
    count_again(windows, [*there, late], NOON + 210, other)
    windows.fold(other)
    found = {group.labels["media_region"]: group for group in windows.groups(one)}
    assert found["au1"].series.between(NOON - 700, NOON - 500).rooms == 2
    assert set(found["au1"].fresh) == {NOON - 585}


def test_rooms_taken_out_leave_a_share_to_those_that_come_with_them(call):
    """Big rooms before and after turn out to have been empty when one becomes known in which media were lost."""
    one = rule(kind=Rate(above=0.05, over=86400, min=20, min_rooms=2, confidence=None))
    hourly = [call(minute, 0, 1, number=9000 + minute) for minute in range(-6000, 0, 60)]
    big = [call(minute, 0, 40, number=9000 + minute) for minute in (-3015, -2825)]
    windows = counted(one, *hourly, *big, call(-2930, 1, 0, number=1))
    windows.begin()
    windows.forget(NOON, {})
    lost = (call(-2920, 1, 0, number=2), 1)
    assert windows.missing([lost], {}).stretches == []
    assert windows.missing([*((room, -1) for room in big), lost], {}).stretches != []


def test_a_tick_begins_with_nothing_fresh(call):
    one = rule()
    windows = counted(one, call(0, 1), call(3, 1))
    (group,) = windows.groups(one)
    assert set(group.fresh) == {NOON, NOON + 3}
    windows.begin()
    assert group.fresh == {}
    windows.fold(call(3, 1), -1)
    assert group.fresh == {}


# poison


def test_a_rule_that_cannot_be_counted_is_a_fault_by_its_name_and_the_others_count(call):
    broken = replace(rule(alert="Broken"), by=("participant_identity",))
    good = rule()

    def show(field, value):
        raise RuntimeError(f"cannot show {value}")

    windows = counted([good], call(0, 1, people="Ann"), show=show)
    assert windows.faults == {
        good.key: f"room {call(0, 1, people='Ann').room.room_sid} cannot be counted: RuntimeError"
    }
    windows = counted([good, broken], call(0, 1, people="Ann"), show=show)
    assert list(windows.faults) == [EVERY_RULE]
    assert "Ann" not in str(windows.faults)
    windows.begin()
    assert windows.faults == {}


# laws


def assert_fresh_is_whole(windows: Windows, rules: list[Rule], whole: Windows) -> None:
    """Where a room is to be judged, all that it is judged among is counted, however late it came."""
    for one in rules:
        others = {group.fingerprint: group.series for group in whole.groups(one)}
        for group in windows.groups(one):
            other = others.get(group.fingerprint)
            for minute in group.decisive(one.kind):
                for upto in range(minute, minute + one.kind.hindsight):
                    after = upto - one.kind.minutes
                    assert group.series.between(after, upto) == other.between(after, upto)
                    assert group.series.identities(after, upto) == other.identities(after, upto)
                    assert group.series.evidence(after, upto, 5) == other.evidence(after, upto, 5)
                    assert windows.settled_rooms(None, after, upto) == whole.settled_rooms(None, after, upto)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_counting_with_replacing_forgetting_and_reaching_back_equals_counting_what_is_left_at_once(call, data):
    rules = [
        rule(by=("account", "media_region")),
        rule(alert="B", kind=Rate(above=0.1, of="identities"), by=("account",)),
        rule(alert="C", kind=Count(at_least=2, over=300, of="rooms"), by=(), among=condition({"media_region": "us1"})),
        silent := rule(alert="D", kind=Absent(fewer_than=1)),
    ]
    windows, rooms, now = Windows(rules, plain), {}, 0
    for number in range(1, data.draw(st.integers(1, 20))):
        now += data.draw(st.sampled_from([0, 1, 5, 40, 300]))
        room = call(
            now - data.draw(st.sampled_from([8, 20, 60, 100, 130, 300, 340, 900])),
            data.draw(st.integers(0, 2)),
            data.draw(st.integers(0, 2)),
            number=data.draw(st.integers(1, number)),
            lasted=data.draw(st.sampled_from([None, 0, 5, 130, 900])),
            media_region=data.draw(st.sampled_from(["us1", "au1"])),
        )
        replaced = rooms.get(room.room.room_sid)
        if room.ended // 60 <= NOON + now - SLACK:
            count_again(windows, rooms.values(), NOON + now, room, replaced)
        if replaced:
            windows.fold(replaced, -1)
        windows.fold(room)
        rooms[room.room.room_sid] = room
        assert_fresh_is_whole(windows, rules, counted(rules, *rooms.values()))
        windows.begin()
        windows.forget(NOON + now, {})
    afresh = counted(rules, *rooms.values())
    for one in rules:
        mine = {group.fingerprint: group for group in windows.groups(one)}
        for other in afresh.groups(one):
            upto, after = NOON + now, NOON + now - one.kind.over // 60 - SLACK
            if other.series.between(after, upto).rooms:
                series = mine[other.fingerprint].series
                assert series.between(after, upto) == other.series.between(after, upto)
                assert series.identities(after, upto) == other.series.identities(after, upto)
                assert series.evidence(after, upto, 5) == other.series.evidence(after, upto, 5)
    upto, after = NOON + now, NOON + now - silent.kind.over // 60 - SLACK
    mine, other = (them.starts(silent, "production").series.between(after, upto) for them in (windows, afresh))
    assert mine == other


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_the_order_in_which_rooms_arrive_does_not_matter(call, dice):
    one = rule(by=("media_region",))
    rooms = [call(n % 7, n % 3, 2, number=n + 1, media_region=f"r{n % 2}") for n in range(12)]
    shuffled = rooms.copy()
    dice.shuffle(shuffled)
    first, second = counted(one, *rooms), counted(one, *shuffled)
    assert groups(first, one) == groups(second, one)
    evidence = [{g.fingerprint: g.series.evidence(0, 10**9, 5) for g in w.groups(one)} for w in (first, second)]
    assert evidence[0] == evidence[1]


@pytest.mark.parametrize("spelling", ["media_connection_failed", "Media-Connection-Failed"])
def test_labels_keep_twilios_spelling(call, spelling):
    one = rule(by=("end_reason",))
    assert groups(counted(one, call(0, 1, end_reason=spelling)), one) == {(f"end_reason={spelling}",): (1, 1, 1)}
