"""The rules that ship: valid, documented, and silent about calls that ended as calls do."""

from __future__ import annotations

from pathlib import Path

import pytest

from alertd.config import load_rules
from alertd.engine.conditions import EVERYTHING, compile_condition
from alertd.engine.fields import Extractor
from alertd.engine.kinds import Absent, Anomaly, Rate
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.samples import Sample

FOLDER = Path(__file__).parents[2] / "rules"
LOADED = load_rules([FOLDER])
FILES = sorted(path for path in FOLDER.glob("*.yaml") if not path.stem.endswith(".test"))
ORDINARY = [
    (None, None),
    (None, 0),
    ("disconnected_via_api", None),
    ("disconnected_via_api", 0),
    ("disconnected-via-api", 0),
    ("room_completed_error", 53118),
    ("room_completed_error", None),
    (None, 53118),
    (None, 53216),
    ("participant_disconnected_because_of_duplicate_identity", 53205),
    ("unknown", None),
    ("something_new_of_twilio", None),
]
SAMPLE = Sample(
    value=0.08,
    limit=0.05,
    matched=16,
    total=200,
    rooms=80,
    rooms_affected=9,
    identities=15,
    window=3600,
    position=0,
    baseline=0.01,
    new=("53405",),
)


def matches(rule, end_reason, error_code, version="2.34.0"):
    participant = Participant(
        participant_sid="PA" + "0" * 32,
        end_reason=end_reason,
        error_code=error_code,
        media_region="au1",
        publisher_info={"name": "twilio-video.js", "sdk_version": version},
    )
    room = Room(room_sid="RM" + "0" * 32)
    settled = SettledRoom(account="a", room=room, participants=(participant,), ended=0, known_at=0)
    extractor = Extractor(rule.match.fields)
    return compile_condition(rule.match, extractor.index)(extractor.facts(settled)[0])


def found(end_reason, error_code, version="2.34.0"):
    counting = [rule for rule in LOADED.rules if rule.match != EVERYTHING]
    return {rule.alert for rule in counting if matches(rule, end_reason, error_code, version)}


def test_they_load_without_a_notice():
    assert LOADED.rules
    assert LOADED.notices == ()
    assert LOADED.files == tuple(FILES)


@pytest.mark.parametrize(("end_reason", "error_code"), ORDINARY)
def test_an_ordinary_ending_counts_against_no_rule(end_reason, error_code):
    assert found(end_reason, error_code) == set()


@pytest.mark.parametrize(
    ("end_reason", "error_code", "alerts"),
    [
        ("media_connection_failed_or_media_activity_ceased", None, {"MediaConnectionFailing"}),
        (None, 53407, {"MediaConnectionFailing", "MediaConnectionWorsening", "MediaConnectionFailingEverywhere"}),
        ("signaling_connection_disconnected", 53001, {"SignalingFailing", "SignalingBlip"}),
        ("unable_to_acquire_TURN_credentials", None, {"TurnUnavailable"}),
        (None, 53006, {"TwilioOutOfCapacity", "TwilioServerErrors"}),
        (None, 20104, {"AccessTokensRefused"}),
        ("the_room_account_limit_was_exceeded", None, {"QuotaExceeded"}),
        (None, 53206, {"QuotaExceeded"}),
        (None, 53121, {"QuotaNearlyUsedUp"}),
        ("client_is_unable_to_apply_a_remote_media_description", 53402, {"SdkVersionFailing"}),
    ],
)
def test_each_kind_of_trouble_counts_against_its_rules(end_reason, error_code, alerts):
    assert alerts <= found(end_reason, error_code)


def test_an_sdk_of_an_unsupported_major_version_is_outdated():
    assert found(None, None, "1.20.1") == {"OutdatedSdk"}
    assert found(None, None, "2.0.0-beta13") == set()
    assert found(None, None, "unreadable") == set()


@pytest.mark.parametrize("rule", LOADED.rules, ids=lambda rule: rule.alert)
def test_each_rule_says_how_bad_it_is_and_what_to_do(rule):
    assert rule.labels["severity"] in ("page", "ticket")
    for labels in ({"account": "a", "media_region": "au1", "sdk": "twilio-video.js 2.34.0"}, {}):
        texts = {
            name: text({"labels": labels, "sample": SAMPLE, "rule": {}}) for name, text in rule.annotations.items()
        }
        assert len(texts["summary"]) < 120
        assert len(texts["description"].split()) > 12
        assert texts["runbook_url"].startswith("https://www.twilio.com/docs/")


OFF = {"NoRoomsStart", "ErrorBudgetBurning", "ErrorBudgetShrinking", "NewSdkVersion"}


def test_what_would_cry_wolf_is_off():
    written = "".join(path.read_text() for path in FILES)
    assert written.count("enabled: false") == len(OFF)
    assert not OFF & {rule.alert for rule in LOADED.rules}


def test_what_is_off_is_as_good_for_those_who_switch_it_on(write):
    for path in FILES:
        write(f"on/{path.name}", path.read_text().replace("enabled: false", "enabled: true"))
    loaded = load_rules([write("on/README.md", "").parent])
    rules = {rule.alert: rule for rule in loaded.rules}
    assert set(rules) >= OFF
    assert rules["NoRoomsStart"].kind == Absent(fewer_than=1, over=3600)
    for name in OFF:
        test_each_rule_says_how_bad_it_is_and_what_to_do(rules[name])


def test_what_is_judged_against_the_usual_shares_the_page_of_what_is_judged_against_a_limit():
    found = [rule for rule in LOADED.rules if rule.alert == "MediaConnectionFailing"]
    assert {type(rule.kind) for rule in found} == {Rate, Anomaly}
    assert len({rule.by for rule in found}) == 1


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_file_tells_editors_of_the_schema_in_its_first_line(path):
    assert path.read_text().splitlines()[0] == "# yaml-language-server: $schema=schema.json"
