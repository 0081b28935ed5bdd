"""Tests of rules run what runs live, and say of what failed what was expected, what came, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from alertd.caserooms import settled_rooms
from alertd.config.casefiles import load_cases
from alertd.engine.fields import find_field
from alertd.ruletest import run_test

SHIPPED = Path(__file__).parents[1] / "rules"
NOON = int(datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp())
RULES = """
rules:
  - alert: Lost
    match: {error_code: 53405}
    by: [account, media_region]
    count: {at_least: 3, over: 30m}
    for: 2m
    keep_firing_for: 20m
  - {alert: Unsure, match: {partial: true, error: true}, any: true, keep_firing_for: 20m}
  - {alert: Ordinary, match: {category: normal, status: disconnected, duration_sec: ">= 600"}, count: {at_least: 1000}}
"""
TROUBLE = "    rooms: [{room: {media_region: au1}, participants: [{count: 3, error_code: 53405}]}]\n"


@pytest.fixture
def play(tmp_path):
    """Runs the one test of a file beside RULES; `case` is what stands below its name."""

    async def run(case: str, rules: str = RULES, config: str | None = None):
        (tmp_path / "my.yaml").write_text(rules)
        (tmp_path / "alertd.toml").write_text(config or "")
        head = "config: alertd.toml\n" if config else ""
        (tmp_path / "my.test.yaml").write_text(f"rules: my.yaml\n{head}tests:\n  - name: one\n{case}")
        (cases,) = load_cases([tmp_path / "my.test.yaml"])
        return await run_test(cases, 0)

    return run


@pytest.fixture
def rooms_of(tmp_path):
    """The settled rooms that an entry of `rooms:` means."""

    def make(entry: str, settle_timeout: int = 1800):
        (tmp_path / "my.yaml").write_text(RULES)
        text = f"rules: my.yaml\ntests: [{{name: one, expect: [{{at: 1h, alerts: []}}], rooms: [{entry}]}}]"
        (tmp_path / "my.test.yaml").write_text(text)
        (cases,) = load_cases([tmp_path / "my.test.yaml"])
        return settled_rooms(cases.tests[0], settle_timeout)

    return make


def expecting(*moments: str) -> str:
    return f"    expect: [{', '.join(moments)}]\n"


def lost(state: str = "firing", region: str = "au1") -> str:
    return f"{{alert: Lost, labels: {{media_region: {region}}}, state: {state}}}"


# What passes


async def test_an_alert_is_expected_in_each_of_its_states(play):
    verdict = await play(
        TROUBLE
        + expecting(
            "{at: 7m, alerts: []}",
            f"{{at: 8m, alerts: [{lost('pending')}]}}",
            f"{{at: 9m, alerts: [{lost('pending')}]}}",
            f"{{at: 10m, alerts: [{lost()}]}}",
            "{at: 3h, alerts: []}",
            f"{{at: 3h, alerts: [{lost('resolved')}]}}",
        )
    )
    assert verdict.mismatches == ()


async def test_labels_that_are_not_asked_for_do_not_matter_and_the_precise_find_theirs_first(play):
    rooms = "    rooms: [{room: {media_region: au1}, participants: [{count: 3, error_code: 53405}]}"
    rooms += ", {room: {media_region: ie1}, participants: [{count: 3, error_code: 53405}]}]\n"
    verdict = await play(rooms + expecting(f"{{at: 15m, alerts: [{{alert: Lost}}, {lost(region='au1')}]}}"))
    assert verdict.mismatches == ()


async def test_a_moment_between_two_decisions_has_what_the_last_one_left(play):
    verdict = await play(
        TROUBLE + expecting(f"{{at: 10m10s, alerts: [{lost()}]}}", f"{{at: 10m20s, alerts: [{lost()}]}}")
    )
    assert verdict.mismatches == ()


async def test_without_moments_the_case_goes_on_for_a_day(play):
    told = "    expect_notifications: [{alerts: [Lost]}, {status: resolved, alerts: [Lost]}]\n"
    assert (await play(TROUBLE + told)).mismatches == ()


async def test_notifications_follow_the_routes_of_the_configuration(play):
    config = """
        [route]
        receiver = "oncall"
        group_wait = "0s"
        [[route.routes]]
        matchers = ['media_region="au1"']
        receiver = "sydney"
        group_wait = "3m"
        [[receivers]]
        name = "oncall"
        [[receivers.slack]]
        webhook_url = { env = "ALERTD_TEST_UNSET" }
        [[receivers.console]]
        send_resolved = false
        [[receivers]]
        name = "sydney"
        [[receivers.console]]
    """
    case = (
        TROUBLE.replace("}]}]", "}]}, {participants: [{count: 3, error_code: 53405}]}]")
        + """\
    expect_notifications:
      - {receiver: oncall, status: firing, reason: first notification, alerts: [Lost]}
      - {receiver: sydney, status: firing, alerts: [Lost]}
      - {receiver: oncall, status: resolved, alerts: [Lost]}
      - {receiver: sydney, status: resolved, reason: all alerts resolved, alerts: [Lost]}
    expect: [{at: 3h, alerts: []}]
"""
    )
    assert (await play(case, config=config)).mismatches == ()


async def test_a_rule_that_cannot_be_judged_shows_in_its_case(play):
    rules = "rules: [{alert: Lost, match: {error: true}, count: {at_least: 9}, by: [participant_sid]}]"
    case = "    rooms: [{participants: [{count: 1001, error_code: 53405}]}]\n" + expecting("{at: 12m, alerts: []}")
    (mismatch,) = (await play(case, rules)).mismatches
    assert any("AlertdRuleFailing" in line for line in mismatch.came)


# What fails


async def test_an_alert_that_did_not_come_is_told_with_what_the_rule_counted(play):
    (mismatch,) = (
        await play(TROUBLE.replace("count: 3", "count: 2") + expecting(f"{{at: 1h, alerts: [{lost()}]}}"))
    ).mismatches
    assert mismatch.place.endswith("my.test.yaml:5:14")
    assert mismatch.what == "alerts at 1h"
    assert mismatch.expected == ('Lost{media_region="au1"} firing',)
    assert mismatch.came == ("none",)
    first, seen = mismatch.why
    assert first == "no alert of Lost was ever pending"
    assert seen.startswith(
        'Lost{account="production", media_region="au1"}: nothing in its window matches, 2 did before'
    )
    assert seen.endswith("(at least 3 participants within 30m)")


def rate(keys: str) -> str:
    match = "match: {error_code: 53405}, by: [account, media_region]"
    return f"rules: [{{alert: Lost, {match}, rate: {{{keys}}}}}]"


@pytest.mark.parametrize(
    ("kind", "lacking"),
    [
        ("above: 5%, over: 30m, min: 30", "too few are counted: 24 of min 30"),
        ("above: 5%, over: 30m, min: 20, min_rooms: 13", "too few rooms have a match: 12 of min_rooms 13"),
        ("above: 45%, over: 30m, min: 20", "not above the limit beyond chance"),
        ("above: 60%, over: 30m, min: 20", "not above the limit"),
    ],
)
async def test_what_was_lacking_in_the_rules_own_window_is_named(play, kind, lacking):
    rooms = """\
    rooms:
      - {every: 1m, times: 12, room: {media_region: au1}, participants: [{error_code: 53405}, {count: 1}]}
      - {every: 1m, times: 90, room: {media_region: ie1}}
"""
    case = rooms + expecting(f"{{at: 25m, alerts: [{lost()}]}}")
    (mismatch,) = (await play(case, rules=rate(kind))).mismatches
    (seen,) = mismatch.why[1:]
    assert seen.startswith('Lost{account="production", media_region="au1"}: 50 % of 24 participants match')
    assert seen.endswith(f"; does not hold: {lacking}")


async def test_a_label_that_no_group_has_is_told_with_those_that_there_are(play):
    (mismatch,) = (await play(TROUBLE + expecting(f"{{at: 10m, alerts: [{lost(region='us1')}]}}"))).mismatches
    assert mismatch.why[0] == (
        'the rule has no group Lost{media_region="us1"}; its groups by then: '
        'Lost{account="production", media_region="au1"}'
    )
    assert mismatch.came[0].startswith("surplus: Lost{")


async def test_a_rule_that_holds_says_how_long_it_has_to(play):
    (mismatch,) = (await play(TROUBLE + expecting(f"{{at: 9m, alerts: [{lost()}]}}"))).mismatches
    assert mismatch.why[0].endswith(": 3 participants match within 30m, limit 3; holds, and has to for 2m")


async def test_of_several_that_came_the_surplus_is_marked(play):
    rooms = TROUBLE.replace("}]}]", "}]}, {room: {media_region: ie1}, participants: [{count: 3, error_code: 53405}]}]")
    (mismatch,) = (await play(rooms + expecting(f"{{at: 10m, alerts: [{lost()}]}}"))).mismatches
    assert [one.partition(":")[0] for one in mismatch.came] == ["as expected", "surplus"]
    assert mismatch.why == (
        "a test lists all alerts, of all rules of its file, that are pending or firing at the moment",
    )


async def test_one_that_is_over_is_told_with_when_and_why(play):
    (mismatch,) = (await play(TROUBLE + expecting(f"{{at: 3h, alerts: [{lost()}]}}"))).mismatches
    assert mismatch.why[0].startswith('Lost{account="production", media_region="au1"} resolved since ')
    assert mismatch.why[0].endswith(": not elevated for 20m")


async def test_one_that_came_unasked_is_told_with_its_sample(play):
    (mismatch,) = (await play(TROUBLE + expecting("{at: 9m, alerts: []}"))).mismatches
    assert mismatch.expected == ("none",)
    (came,) = mismatch.came
    assert came.startswith('surplus: Lost{account="production", media_region="au1"} pending since 8m: ')
    assert came.endswith("3 participants match within 30m, limit 3")


async def test_the_wrong_state_and_the_wrong_label_fail(play):
    verdict = await play(
        TROUBLE
        + expecting(
            f"{{at: 9m, alerts: [{lost()}]}}",
            f"{{at: 10m, alerts: [{lost(region='ie1')}]}}",
            f"{{at: 10m, alerts: [{lost()}, {lost()}]}}",
            f"{{at: 10m, alerts: [{lost('resolved')}]}}",
            f"{{at: 10m, alerts: [{lost()}]}}",
        )
    )
    assert [one.what for one in verdict.mismatches] == ["alerts at 9m", *["alerts at 10m"] * 3]


@pytest.mark.parametrize(
    "expected",
    [
        "[]",
        "[{alerts: [Lost]}]",
        "[{alerts: [Lost]}, {alerts: [Lost]}]",
        "[{alerts: [Lost, Lost]}, {status: resolved, alerts: [Lost]}]",
        "[{status: resolved, alerts: [Lost]}, {alerts: [Lost]}]",
        "[{alerts: [Lost], reason: late}, {status: resolved, alerts: [Lost]}]",
    ],
)
async def test_notifications_are_all_that_is_sent_in_order(play, expected):
    (mismatch,) = (await play(f"{TROUBLE}    expect_notifications: {expected}\n")).mismatches
    assert mismatch.what == "notifications"
    firing, resolved = mismatch.came
    assert firing == "everyone firing (first notification): Lost at 10m"
    assert resolved.startswith("everyone resolved (all alerts resolved): Lost at ")


# What rooms mean


def test_a_room_is_known_from_the_first_look_that_finds_it_complete(rooms_of):
    (room,) = rooms_of("{room: {ended: 30s, settled: 7m}}")
    assert (room.ended - NOON, room.known_at - NOON, room.partial) == (30, 480, False)


@pytest.mark.parametrize(
    ("entry", "known_after"),
    [
        ("{room: {settled: 2h}}", 1800),
        ("{room: {partial: true}}", 1800),
        ("{room: {processing_state: in_progress}}", 1800),
        ("{room: {processing_state: timeout}}", 480),
    ],
)
def test_one_that_is_never_complete_is_given_up(rooms_of, entry, known_after):
    (room,) = rooms_of(entry)
    assert (room.known_at - NOON, room.partial) == (known_after, True)


async def test_and_rules_see_that_it_was(play):
    case = "    rooms: [{room: {partial: true}, participants: [{error_code: 53001}]}]\n"
    assert (await play(case + expecting("{at: 31m, alerts: [{alert: Unsure}]}"))).mismatches == ()


def test_a_series_moves_on_and_its_sids_are_always_the_same(rooms_of):
    entry = "{every: 90s, times: 3, room: {ended: 5m, started: 1m}}"
    rooms = rooms_of(entry)
    assert [room.ended - NOON for room in rooms] == [300, 390, 480]
    assert [room.ended - room.started for room in rooms] == [240, 240, 240]
    assert len({one.participant_sid for room in rooms for one in room.participants}) == 6
    assert rooms == rooms_of(entry)


def test_what_is_not_written_is_as_it_is_in_ordinary_calls(rooms_of):
    (room,) = rooms_of("{room: {media_region: au1, codecs: [VP8]}, participants: [{count: 2}]}")
    for name, value in {
        "room_status": "completed",
        "room_type": "group",
        "processing_state": "complete",
        "unique_participants": 2,
        "room.duration_sec": 600,
        "room.end_reason": "room_ended_via_api",
        "end_reason": "disconnected_via_api",
        "status": "disconnected",
        "media_region": "au1",
        "codecs": ("VP8",),
        "duration_sec": 600,
        "sdk": "twilio-video.js 2.28.1",
        "error_code": None,
    }.items():
        assert find_field(name).raw(room, room.participants[0], ()) == value, name
    first, second = room.participants
    assert first.participant_identity != second.participant_identity
    assert room.room.create_time <= first.join_time <= first.leave_time <= room.room.end_time


@pytest.mark.parametrize(
    ("participant", "end_reason", "error_code"),
    [
        ("{}", "disconnected_via_api", None),
        ("{error_code: 53405}", "media_connection_failed_or_media_activity_ceased", 53405),
        ("{end_reason: media_connection_failed}", "media_connection_failed_or_media_activity_ceased", 53405),
        ("{error_code: 53006}", None, 53006),
        ("{error_code: 0}", "disconnected_via_api", 0),
        ("{end_reason: something_new}", "something_new", None),
        ("{end_reason: null, error_code: null}", None, None),
        ("{end_reason: signaling_connection_timed_out, error_code: 0}", "signaling_connection_timed_out", 0),
    ],
)
def test_end_reason_and_error_code_follow_from_one_another(rooms_of, participant, end_reason, error_code):
    (room,) = rooms_of(f"{{participants: [{participant}]}}")
    (found,) = room.participants
    assert (found.end_reason, found.error_code) == (end_reason, error_code)


@pytest.mark.parametrize(
    ("participant", "sent"),
    [
        ("{sdk_version: 2.10}", {"name": "twilio-video.js", "sdk_version": "2.10"}),
        ("{publisher_info: {name: twilio-video-ios}}", {"name": "twilio-video-ios"}),
        ("{publisher_info: null}", None),
    ],
)
def test_an_sdk_has_no_version_of_another_one(rooms_of, participant, sent):
    (room,) = rooms_of(f"{{participants: [{participant}]}}")
    assert room.participants[0].publisher_info == sent


def test_somebody_who_comes_back_is_seen_to(rooms_of):
    again = "{participant_identity: ann, left: 2m}, {participant_identity: ann, joined: 2m30s}"
    (room,) = rooms_of(f"{{participants: [{again}]}}")
    assert [(one.leave_time - one.join_time).total_seconds() for one in room.participants] == [120, 450]


# The rules that ship

SHIPPED_TESTS = load_cases([SHIPPED])


@pytest.mark.parametrize(
    ("cases", "place"),
    [(cases, place) for cases in SHIPPED_TESTS for place in range(len(cases.tests))],
    ids=lambda part: part if isinstance(part, int) else Path(part.file).name,
)
async def test_a_test_of_the_shipped_rules_passes(cases, place):
    assert (await run_test(cases, place)).mismatches == ()


@pytest.mark.parametrize("cases", SHIPPED_TESTS, ids=lambda cases: Path(cases.file).name)
def test_each_shipped_rule_is_seen_to_fire_to_resolve_and_to_stay_silent(cases):
    fires, rests = set(), set()
    for case in cases.tests:
        fired = {alert.alert for moment in case.expect for alert in moment.alerts}
        fires |= fired
        rests |= fired - {alert.alert for alert in case.expect[-1].alerts} if case.expect else set()
        quiet = case.expect_notifications == () and any(entry.participants for entry in case.rooms)
        rests |= {"(nobody)"} if quiet else set()
    assert fires == {rule.alert for rule in cases.rules}
    assert rests == fires | {"(nobody)"}


def test_each_shipped_rule_file_has_tests():
    tested = {Path(cases.file).name.replace(".test.", ".") for cases in SHIPPED_TESTS}
    assert tested == {path.name for path in SHIPPED.glob("*.yaml") if ".test." not in path.name}
