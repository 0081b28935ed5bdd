"""Files of tests are judged whole: every mistake with its place and what would be right."""

from __future__ import annotations

import pytest

from alertd.config.casefiles import EVERYONE, load_cases
from alertd.errors import InputError

RULES = """\
rules:
  - {alert: Failing, match: {error_code: 53405}, any: true}
  - {alert: Waiting, match: {error_code: 53001}, any: true, enabled: false}
"""
CONFIG = """\
[[accounts]]
name = "production"
api_key = { env = "ALERTD_TEST_UNSET" }
api_key_secret = { file = "/nowhere/secret" }
[collect]
settle_timeout = "20m"
[route]
receiver = "oncall"
[[route.routes]]
matchers = ['severity="page"']
receiver = "pager"
[[receivers]]
name = "oncall"
[[receivers.slack]]
webhook_url = { env = "ALERTD_TEST_UNSET" }
[[receivers.webhook]]
url = "https://example.com/"
secret = { env = "ALERTD_TEST_UNSET" }
send_resolved = false
[[receivers]]
name = "pager"
[[receivers.alertmanager]]
url = { env = "ALERTD_TEST_UNSET" }
"""
ONE = "  - {name: one, expect: [{at: 1h, alerts: []}]}\n"


@pytest.fixture
def problems(write):
    """Reads a file of tests beside RULES, and gives its mistakes without the folder."""

    def judge(text: str, name: str = "my.test.yaml") -> list[str]:
        write("my.yaml", RULES)
        path = write(name, text)
        with pytest.raises(InputError) as caught:
            load_cases([path])
        return [str(problem).replace(f"{path.parent}/", "") for problem in caught.value.problems]

    return judge


@pytest.fixture
def load(write):
    """Reads a file of tests beside RULES and CONFIG."""

    def put(text: str, name: str = "my.test.yaml"):
        write("my.yaml", RULES)
        write("alertd.toml", CONFIG)
        (cases,) = load_cases([write(name, text)])
        return cases

    return put


def case(rest: str) -> str:
    return f"rules: my.yaml\ntests:\n  - name: one\n    expect: [{{at: 1h, alerts: []}}]\n{rest}"


def test_yaml_and_toml_say_the_same(load):
    yaml = load(
        case(
            "    start: 2026-03-02T09:00:00Z\n"
            "    rooms:\n"
            "      - {every: 1m, times: 3, room: {ended: 5m, codecs: [VP8]}, participants: [{count: 2, left: 3m}]}\n"
        )
    )
    toml = load(
        """
rules = "my.yaml"
[[tests]]
name = "one"
start = 2026-03-02T10:00:00+01:00
expect = [{ at = "1h", alerts = [] }]
[[tests.rooms]]
every = "1m"
times = 3
room = { ended = "5m", codecs = ["VP8"] }
participants = [{ count = 2, left = "3m" }]
""",
        "my.test.toml",
    )
    assert yaml.tests == toml.tests
    assert yaml.tests[0].rooms[0].times == 3


def test_a_rule_that_is_off_is_tested_too(load):
    assert [rule.alert for rule in load(f"rules: my.yaml\ntests:\n{ONE}").rules] == ["Failing", "Waiting"]


def test_without_a_configuration_everyone_is_told_at_once(load):
    routing = load(f"rules: my.yaml\ntests:\n{ONE}").routing
    assert routing == EVERYONE
    assert (routing.route.receiver, routing.route.group_wait, routing.settle_timeout) == ("everyone", 0, 1800)


def test_routes_and_receivers_come_of_a_configuration_whose_secrets_are_elsewhere(load):
    routing = load(f"rules: my.yaml\nconfig: alertd.toml\ntests:\n{ONE}").routing
    assert (routing.route.receiver, routing.route.routes[0].receiver) == ("oncall", "pager")
    assert routing.integrations == {
        "oncall": (("oncall/slack[0]", True), ("oncall/webhook[0]", False)),
        "pager": (),
    }
    assert routing.settle_timeout == 1200


def test_a_folder_holds_all_files_named_as_tests(write):
    write("rules/my.yaml", RULES)
    write("rules/my.test.yaml", f"rules: my.yaml\ntests:\n{ONE}")
    write("rules/b.test.toml", 'rules = "my.yaml"\n[[tests]]\nname = "two"\nexpect = [{ at = "1h", alerts = [] }]\n')
    found = load_cases([write("rules/README", "not a test").parent])
    assert [cases.tests[0].name for cases in found] == ["two", "one"]


def test_versions_stay_as_they_are_written_and_short_names_mean_what_they_mean_in_rules(load):
    people = "{publisher_info.sdk_version: 2.10}, {sdk_version: 3, properties: {x: 1.5}}"
    people += ", {end_reason: media_connection_failed}"
    first, second, third = load(case(f"    rooms: [{{participants: [{people}]}}]\n")).tests[0].rooms[0].participants
    assert first.publisher_info == {"sdk_version": "2.10"}
    assert second.publisher_info == {"sdk_version": "3"}
    assert (second.properties, type(second.properties["x"])) == ({"x": 1.5}, float)
    assert third.end_reason == "media_connection_failed_or_media_activity_ceased"


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        (
            "    rooms: [{room: {media_regoin: au1}}]",
            'unknown key "media_regoin" in tests[0].rooms[0].room; did you mean',
        ),
        ("    rooms: [{participants: [{eror_code: 1}]}]", 'participants[0]; did you mean "error_code"?'),
        ("    rooms: [{room: {end_time: 2026-01-01}}]", "write ended, an offset from the start of the case"),
        ("    rooms: [{room: {create_time: 2026-01-01}}]", "write started, an offset from the start of the case"),
        ("    rooms: [{participants: [{leave_time: 3}]}]", "write left, how long after the room's start"),
        ("    rooms: [{room: {room_sid: RM1}}]", "SIDs are made up"),
        ("    rooms: [{every: 1m}]", "a series needs both every and times"),
        ("    rooms: [{times: 3}]", "a series needs both every and times"),
        ("    rooms: [{every: 10d, times: 10}]", "must not be longer than 90d"),
        ("    rooms: [{room: {ended: 100d}}]", "must be at most 90d"),
        ("    rooms: [{room: {ended: 1h, started: 2h}}]", "started is after ended"),
        ("    rooms: [{room: {started: 0s, duration: 1m}}]", "write started or duration, not both"),
        ("    rooms: [{participants: [{count: 0}]}]", "must be at least 1"),
        ("    rooms: [{participants: [{error_code: 99999999999999999999}]}]", "must be at most"),
        ("    rooms: [{participants: [{end_reason: client}]}]", "may be client_"),
        ("    start: yesterday", "write a time like 2026-03-02T12:00:00Z"),
        ("    start: 2026-13-40T00:00:00Z", "write a time like 2026-03-02T12:00:00Z"),
        ("    expect_notifications: [{status: fired, alerts: []}]", '"fired" is not one of firing, resolved'),
        ("    expect_notifications: [{alerts: [Faling]}]", 'there is no rule "Faling"; did you mean "Failing"?'),
        ("    expect_notifications: [{receiver: all, alerts: []}]", 'no receiver "all"; known here: everyone'),
    ],
)
def test_a_mistake_is_told_with_its_place_and_what_would_be_right(problems, rest, message):
    (problem,) = problems(case(rest))
    assert problem.startswith("my.test.yaml:5:")
    assert message in problem


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "rules: my.yaml\ntests:\n  - name: one\n",
            "my.test.yaml:3:5: tests[0]: expects nothing; write expect or expect_notifications",
        ),
        ("rules: my.yaml\ntests: []\n", "my.test.yaml:2:8: tests: must not be empty"),
        (f"tests:\n{ONE}", 'my.test.yaml:1:1: the key "rules" is missing'),
        (f"rules: your.yaml\ntests:\n{ONE}", "my.test.yaml:1:8: rules: there is no file or folder your.yaml"),
        (
            f"rules: my.yaml\nconfig: alertd.toml\ntests:\n{ONE}",
            "my.test.yaml:2:9: config: there is no file alertd.toml",
        ),
        (
            "rules: my.yaml\ntests:\n  - name: one\n    expect: [{at: 1h, alerts: [{alert: Faling}]}]\n",
            'my.test.yaml:4:40: tests[0].expect[0].alerts[0].alert: there is no rule "Faling"; did you mean "Failing"?',
        ),
    ],
)
def test_what_is_missing_is_told_too(problems, text, problem):
    assert problems(text) == [problem]


@pytest.mark.parametrize(
    ("name", "text", "tests"),
    [("drops.yaml", RULES, "drops.test.yaml"), ("drops.toml", '[[rules]]\nalert = "Failing"\n', "drops.test.toml")],
)
def test_a_rule_file_in_the_place_of_its_tests_is_told_apart(write, name, text, tests):
    path = write(name, text)
    with pytest.raises(InputError) as refused:
        load_cases([path])
    (problem,) = refused.value.problems
    assert problem.message == f"this is a rule file; name its test file, {tests}"


def test_mistakes_in_the_rules_and_in_the_configuration_are_told_as_theirs(problems, write):
    write("bad.yaml", "rules: [{alert: X}]")
    write("bad.toml", '[route]\nreceiver = "oncal"\n[[receivers]]\nname = "oncall"\n')
    assert all(one.startswith("bad.yaml:1:") for one in problems(f"rules: bad.yaml\ntests:\n{ONE}"))
    (told,) = problems(f"rules: my.yaml\nconfig: bad.toml\ntests:\n{ONE}")
    assert told == 'bad.toml:1:1: route: there is no receiver "oncal"; did you mean "oncall"?'


def test_the_mistakes_of_all_files_come_at_once(write):
    write("my.yaml", RULES)
    paths = [write(f"{name}.test.yaml", "rules: my.yaml\n") for name in "abc"]
    with pytest.raises(InputError) as caught:
        load_cases([*paths, write("empty/x", "").parent])
    assert len(caught.value.problems) == 4
