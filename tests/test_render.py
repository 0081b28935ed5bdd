"""`alertd render` shows what would be sent, and says where a template fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CONFIG = """
[[accounts]]
name = "production"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "hush hush"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "everybody"
group_by = ["alertname"]
[[route.routes]]
matchers = ['severity="page"']
receiver = "pager"
[[receivers]]
name = "everybody"
[[receivers.console]]
[[receivers]]
name = "pager"
[[receivers.slack]]
webhook_url = "https://hooks.example.com/T0KEN"
template = { title = "WAKE UP: {{ common_labels.alertname }}" }
[[receivers.email]]
to = ["oncall@example.com"]
from = "alertd@example.com"
smarthost = "localhost:25"
send_resolved = false
[[receivers]]
name = "nobody"
[[receivers]]
name = "central"
[[receivers.alertmanager]]
url = ["https://am-1.example.com/T0KEN", "https://am-2.example.com/T0KEN"]
"""
RULES = """
rules:
  - alert: MediaLost
    match: {error_code: 53405}
    rate: {above: 5%}
    by: [account, media_region]
    labels: {severity: page}
    annotations: {summary: "{{ sample.rate|percent }} in {{ labels.media_region }}"}
  - alert: Quiet
    absent: {fewer_than: 3, over: 2h}
"""


@pytest.fixture
def render(tmp_path):
    """Runs the command on the files above, or others: (status, standard output, standard error)."""

    def run(*arguments: str, config: str = CONFIG, rules: str = RULES) -> tuple[int, str, str]:
        (tmp_path / "alertd.toml").write_text(config)
        (tmp_path / "rules.yaml").write_text(rules)
        done = subprocess.run(
            [sys.executable, "-m", "alertd", "render", "--config", "alertd.toml", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_it_shows_the_message_of_every_integration_that_the_routes_lead_to(render):
    status, out, err = render("--rule", "MediaLost")
    assert (status, "made up; nothing is sent" in err) == (0, True)
    assert "pager/slack[0] · MediaLost (rules.yaml:3)" in out
    assert "WAKE UP: MediaLost" in out
    assert "pager/email[0] · MediaLost" in out
    assert "Subject: FIRING · MediaLost · production / " in out
    assert "console" not in out
    assert "T0KEN" not in out + err
    assert "hush" not in out + err


def test_programs_get_what_would_be_sent_as_json(render):
    status, out, _ = render("--rule", "MediaLost", "--json")
    found = json.loads(out)
    assert status == 0
    assert [(one["integration"], one["status"]) for one in found] == [
        ("pager/slack[0]", "firing"),
        ("pager/email[0]", "firing"),
    ]
    assert all(one["made_up"] and one["mistakes"] == {} for one in found)
    assert found[0]["content"]["blocks"][0]["text"]["text"] == "WAKE UP: MediaLost"
    assert found[1]["content"]["headers"]["To"] == "oncall@example.com"


def test_another_receiver_may_be_asked_for_and_the_end_of_it(render, tmp_path):
    status, out, _ = render("--rule", "MediaLost", "--resolved", "--receiver", "everybody")
    assert (status, "RESOLVED · MediaLost" in out, "pager" in out) == (0, True, False)
    _, out, _ = render("--rule", "MediaLost", "--resolved", "--json")
    assert [one["integration"] for one in json.loads(out)] == ["pager/slack[0]"]


def test_what_is_over_lasted_as_long_as_it_had_to_be_quiet_and_says_what_carried_it(render):
    rules = RULES.replace("    rate: {above: 5%}", "    rate: {above: 5%}\n    keep_firing_for: 45m")
    _, out, _ = render("--rule", "MediaLost", "--resolved", "--receiver", "everybody", rules=rules)
    assert "not elevated for 45m" in out
    assert "Lasted:      55m, " in out
    assert "Carried by:  edge_location " in out


def test_a_burn_rate_that_is_over_does_not_say_that_it_goes_on(render):
    rules = "rules: [{alert: Burning, match: {error: true}, burn_rate: {objective: 99%}}]"
    _, out, _ = render("--rule", "Burning", "--resolved", "--receiver", "everybody", rules=rules)
    assert "RESOLVED · Burning" in out
    assert "goes on" not in out
    assert " times the error budget; fires above 14.4 times" in out


def test_of_an_alertmanager_it_shows_the_alert_that_would_be_forwarded(render):
    routed = CONFIG.replace('receiver = "pager"', 'receiver = "central"', 1)
    status, out, err = render("--rule", "MediaLost", config=routed)
    assert (status, "central/alertmanager[0] · MediaLost (rules.yaml:3)" in out) == (0, True)
    assert '"alertname": "MediaLost"' in out
    assert "T0KEN" not in out + err
    found = {}
    for more in ([], ["--resolved"]):
        _, out, _ = render("--rule", "MediaLost", "--receiver", "central", "--json", *more)
        (told,) = json.loads(out)
        found[told["status"]] = told["content"]
    (firing,), (over,) = found["firing"], found["resolved"]
    assert firing["labels"] == over["labels"]
    assert firing["startsAt"] < over["endsAt"] <= firing["endsAt"]


def test_a_receiver_that_is_told_nothing_is_named_as_such(render):
    status, out, err = render("--rule", "Quiet", "--receiver", "nobody")
    assert (status, out) == (0, "")
    assert "no integration that is told" in err


def test_the_html_of_a_mail_goes_into_a_file(render, tmp_path):
    status, _, _ = render("--rule", "MediaLost", "--html", "mail.html")
    assert status == 0
    assert (tmp_path / "mail.html").read_text().lstrip().lower().startswith("<!doctype html>")
    status, _, err = render("--rule", "Quiet", "--html", "mail.html")
    assert (status, "sends no email" in err) == (1, True)


def test_a_template_that_fails_is_named_with_file_and_line_and_status_one(render):
    broken = CONFIG.replace("{{ common_labels.alertname }}", "{{ alerts[7].labels }}")
    status, out, err = render("--rule", "MediaLost", config=broken)
    place = broken[: broken.index("{{ alerts")].count("\n") + 1
    assert status == 1
    assert f"alertd.toml:{place}:" in err
    assert "template title failed (line 1: " in err
    assert "FIRING · MediaLost" in out


def test_so_is_an_annotation_that_fails_for_these_labels(render):
    rules = RULES.replace("{{ labels.media_region }}", "{{ 1 / (labels.media_region|length - 3) }}")
    status, _, err = render("--rule", "MediaLost", rules=rules)
    assert status == 1
    assert "rules.yaml:3: annotation summary, line 1: division by zero" in err


def test_a_name_that_is_not_there_is_a_mistake_in_the_command(render):
    status, _, err = render("--rule", "MediaLots")
    assert (status, 'did you mean "MediaLost"?' in err) == (2, True)
    status, _, err = render("--rule", "MediaLost", "--receiver", "pagers")
    assert (status, 'did you mean "pager"?' in err) == (2, True)
