"""`alertd receivers test` sends a drill that nobody can take for an alert, and says what became of it."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP

from alertd.config import load
from alertd.drill import drill
from alertd.engine.alerts import fingerprint
from alertd.engine.routes import Tree
from alertd.receivers import build
from alertd.receivers.console import ConsoleSettings

ROOT = Path(__file__).parents[1]
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
CONFIG = """
[[accounts]]
name = "production"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "hush hush"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "oncall"
group_by = ["alertname"]
[[route.routes]]
matchers = ['severity="page"']
receiver = "pager"
group_by = ["media_region"]
[[receivers]]
name = "oncall"
[[receivers.slack]]
webhook_url = "HTTP/slack/T0KEN"
[[receivers.email]]
to = ["oncall@example.com"]
from = "alertd@example.com"
smarthost = "127.0.0.1:SMTP"
[[receivers.webhook]]
url = "HTTP/hook"
[[receivers.console]]
[[receivers]]
name = "pager"
[[receivers.slack]]
webhook_url = "HTTP/slack/T0KEN"
template = { title = "WAKE UP: {{ common_labels.alertname }}", text = "look at {{ common_labels.media_region }}" }
[[receivers.email]]
to = ["oncall@example.com"]
from = "alertd@example.com"
smarthost = "127.0.0.1:SMTP"
template = { subject = "WAKE UP", text = "look", html = "<html><body class='x'><p>look</p></body></html>" }
[[receivers]]
name = "central"
[[receivers.alertmanager]]
url = ["HTTP/one", "HTTP/two"]
[[receivers]]
name = "nobody"
"""
RULES = """
rules:
  - alert: MediaLost
    match: {error_code: 53405}
    rate: {above: 5%}
    by: [account, media_region]
    labels: {severity: page}
    annotations: {summary: "{{ sample.rate|percent }} in {{ labels.media_region }}", runbook_url: "https://example.com/"}
  - alert: Quiet
    absent: {fewer_than: 3, over: 2h}
  - {alert: Twice, match: {error: true}, any: true, labels: {severity: page}}
  - {alert: Twice, match: {error: true}, any: true, labels: {severity: ticket}}
"""
NOON = 1_772_452_800  # 2026-03-02 12:00 UTC
DRILL = "This is a drill: nothing is wrong."


class OtherSide:
    """A web server and a mail server: what they were sent, and what they are told to answer."""

    def __init__(self) -> None:
        self.url, self.smtp = "", 0
        self.requests: dict[str, list[Any]] = {}
        self.mails: list[EmailMessage] = []
        self.answers: dict[str, tuple[int, str]] = {}
        self.slow: dict[str, float] = {}
        self.mail_answer = "250 queued as 42"
        self.under_way = self.at_once = 0

    async def take(self, request: web.Request) -> web.Response:
        self.requests.setdefault(request.path, []).append(await request.json())
        self.under_way += 1
        self.at_once = max(self.at_once, self.under_way)
        await asyncio.sleep(self.slow.get(request.path, 0))
        self.under_way -= 1
        status, text = self.answers.get(request.path, (200, "ok"))
        return web.Response(status=status, text=text)

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return self.mail_answer


@pytest.fixture
async def other() -> AsyncIterator[OtherSide]:
    one, loop = OtherSide(), asyncio.get_running_loop()
    app = web.Application()
    app.router.add_post("/{path:.*}", one.take)
    mailbox = await loop.create_server(lambda: SMTP(one, loop=loop), "127.0.0.1", 0)
    one.smtp = mailbox.sockets[0].getsockname()[1]
    async with TestServer(app, host="127.0.0.1") as server:
        one.url = str(server.make_url("/")).rstrip("/")
        yield one
    mailbox.close()


@pytest.fixture
def written(tmp_path, other) -> Callable[..., Path]:
    """Writes the configuration above, or another, with the addresses of the other side."""

    def write(config: str = CONFIG, rules: str = RULES) -> Path:
        (tmp_path / "rules.yaml").write_text(rules)
        text = config.replace("HTTP", other.url).replace("SMTP", str(other.smtp))
        (tmp_path / "alertd.toml").write_text(text)
        return tmp_path / "alertd.toml"

    return write


@pytest.fixture
def run(written) -> Callable[..., Any]:
    """Runs the command: (status, standard output, standard error)."""

    async def command(*arguments: str, config: str = CONFIG, rules: str = RULES) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "alertd", "receivers", "test", *arguments),
            *("--config", str(written(config, rules))),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()

    return command


def part(mail: EmailMessage, kind: str) -> str:
    return str(mail.get_body((kind,)).get_content())


async def test_every_integration_of_a_receiver_is_told_and_its_answer_is_one_line(run, other):
    status, out, err = await run("oncall")
    assert (status, err) == (0, "")
    assert out.splitlines()[-4:] == [
        "oncall/slack[0]: 200 ok",
        "oncall/email[0]: queued as 42",
        "oncall/webhook[0]: 200 ok",
        "oncall/console[0]: printed",
    ]
    assert {path: len(sent) for path, sent in other.requests.items()} == {"/slack/T0KEN": 1, "/hook": 1}
    assert len(other.mails) == 1


async def test_each_medium_says_that_it_is_a_drill(run, other):
    _, out, _ = await run("oncall")
    assert out.startswith(f"TEST · AlertdTest · production · 1 of 10 participants\n\n{DRILL}\n")
    (slack,), (mail,), (hook,) = other.requests["/slack/T0KEN"], other.mails, other.requests["/hook"]
    assert slack["text"].startswith("TEST · ")
    assert slack["blocks"][0]["text"]["text"].startswith("TEST · ")
    assert slack["attachments"][0]["blocks"][0]["text"]["text"] == DRILL
    assert mail["Subject"].startswith("TEST · ")
    assert DRILL in part(mail, "plain")
    assert f"<strong>{DRILL}</strong>" in part(mail, "html")
    assert hook["notification_reason"] == "test"
    assert hook["commonLabels"]["alertd_test"] == hook["alerts"][0]["labels"]["alertd_test"] == "true"
    assert hook["commonAnnotations"]["summary"] == "TEST: messages from alertd arrive here"
    assert hook["commonAnnotations"]["description"].startswith(f"TEST: {DRILL}")
    assert hook["groupKey"].startswith("test ")


async def test_the_drill_of_a_rule_has_its_labels_texts_and_group(run, other):
    status, _, err = await run("pager/slack[0]", "--rule", "MediaLost")
    assert (status, err) == (0, "")
    status, _, _ = await run("oncall/webhook[0]", "--rule", "MediaLost")
    (hook,) = other.requests["/hook"]
    (alert,) = hook["alerts"]
    region = alert["labels"]["media_region"]
    assert alert["labels"] == {
        "alertname": "MediaLost",
        "account": "production",
        "media_region": region,
        "severity": "page",
        "alertd_test": "true",
    }
    assert alert["annotations"]["summary"].startswith("TEST: ")
    assert alert["annotations"]["summary"].endswith(f" % in {region}")
    assert alert["annotations"]["runbook_url"] == "https://example.com/"
    assert alert["alertd"]["evidence"]
    assert hook["groupLabels"] == {"media_region": region}, "as its route groups it"
    assert hook["receiver"] == "oncall"


async def test_a_persons_own_templates_are_used_and_cannot_hide_the_mark(run, other):
    status, _, err = await run("pager", "--rule", "MediaLost")
    assert (status, err) == (0, "")
    (slack,), (mail,) = other.requests["/slack/T0KEN"], other.mails
    assert slack["blocks"][0]["text"]["text"] == "TEST · WAKE UP: MediaLost"
    drill, own = slack["attachments"]
    assert drill["blocks"][0]["text"]["text"] == DRILL
    assert own["blocks"][0]["text"]["text"].startswith("look at ")
    assert mail["Subject"] == "TEST · WAKE UP"
    assert part(mail, "plain").split() == f"TEST · {DRILL} look".split()
    assert part(mail, "html").rstrip() == (
        f"<html><body class='x'><p><strong>TEST · {DRILL}</strong></p><p>look</p></body></html>"
    )


async def test_a_template_that_fails_is_named_behind_the_answer(run):
    broken = CONFIG.replace("look at {{ common_labels.media_region }}", "{{ alerts[7].labels }}")
    status, out, _ = await run("pager/slack[0]", config=broken)
    assert status == 0
    assert out.startswith("pager/slack[0]: 200 ok; the template text failed (line 1: ")


async def test_what_a_rule_cannot_say_is_told_with_the_rules_place(run):
    rules = RULES.replace("{{ labels.media_region }}", "{{ 1 / (labels.media_region|length - 3) }}")
    status, _, err = await run("pager", "--rule", "MediaLost", rules=rules)
    assert (status, "annotation summary, line 1: division by zero" in err) == (1, True)


async def test_who_is_not_told_by_the_routes_is_tested_with_a_notice(run):
    status, _, err = await run("oncall/webhook[0]", "--rule", "MediaLost")
    assert (status, err) == (0, "notice: the routes lead MediaLost to pager, not to oncall\n")


async def test_one_that_refuses_is_told_with_a_remedy_and_the_others_go_on(run, other):
    other.answers["/slack/T0KEN"] = (404, "no_service")
    other.mail_answer = "554 no thanks"
    status, out, _ = await run("oncall")
    lines = dict(line.split(": ", 1) for line in out.splitlines()[-4:])
    assert status == 1
    assert lines["oncall/slack[0]"].startswith("127.0.0.1 answered 404 no_service; look at webhook_url: ")
    assert lines["oncall/email[0]"].startswith("127.0.0.1 answered 554 no thanks; look at smarthost, ")
    assert lines["oncall/webhook[0]"] == "200 ok"
    assert "T0KEN" not in out


async def test_one_that_is_not_there_may_be_there_later(run, other):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{probe.getsockname()[1]}/hook"
        config = CONFIG.replace("HTTP/hook", closed).replace('url = "http', 'retry_for = "2h"\nurl = "http', 1)
        status, out, _ = await run("oncall/webhook[0]", config=config)
    assert status == 1
    assert out.startswith("oncall/webhook[0]: the connection to 127.0.0.1 failed: ")
    assert out.endswith("; see whether it is up and can be reached from here; alertd would try again for 2h\n")


async def test_they_are_tried_side_by_side_each_within_its_own_time_out(run, other):
    other.slow |= {"/slack/T0KEN": 30, "/hook": 30}
    config = CONFIG.replace('url = "HTTP/hook"', 'url = "HTTP/hook"\ntimeout = "2s"')
    config = config.replace('webhook_url = "HTTP/slack/T0KEN"', 'webhook_url = "HTTP/slack/T0KEN"\ntimeout = "3s"')
    status, out, _ = await run("oncall", config=config)
    assert (status, other.at_once) == (1, 2)
    assert "oncall/slack[0]: 127.0.0.1 did not answer within 3 s; " in out
    assert "oncall/webhook[0]: 127.0.0.1 did not answer within 2 s; " in out
    assert "oncall/email[0]: queued" in out


async def test_programs_get_the_answers_as_json_and_nothing_else(run, other):
    other.answers["/hook"] = (500, "oops")
    status, out, err = await run("oncall", "--json")
    assert status == 1
    slack, _, hook, console = json.loads(out)
    assert slack == {"integration": "oncall/slack[0]", "result": "sent", "answer": "200 ok", "remedy": ""}
    assert (hook["result"], hook["answer"]) == ("failed", "127.0.0.1 answered 500 oops")
    assert (console["answer"], f"\n{DRILL}\n" in err) == ("printed", True)


async def test_one_integration_can_be_asked_for_alone(run, other):
    status, out, _ = await run("oncall/webhook[0]")
    assert (status, out) == (0, "oncall/webhook[0]: 200 ok\n")
    assert (list(other.requests), other.mails) == (["/hook"], [])


async def test_two_drills_are_two_messages_of_one_thread(run, other):
    await run("oncall/email[0]")
    await run("oncall/email[0]")
    first, second = other.mails
    assert first["Message-ID"] != second["Message-ID"]
    assert first["References"] == second["References"]


async def test_every_member_of_an_alertmanager_cluster_gets_an_alert_that_ends_by_itself(run, other):
    other.answers["/two/api/v2/alerts"] = (401, "who are you?")
    status, out, _ = await run("central", "--rule", "Quiet")
    assert status == 1
    said = "member 1 of 2: 200 ok; member 2 of 2: 127.0.0.1 answered 401 who are you?; look at url, at username"
    assert out.startswith(f"central/alertmanager[0]: {said}")
    ((alert,),) = other.requests["/one/api/v2/alerts"]
    assert (alert["labels"]["alertname"], alert["labels"]["alertd_test"]) == ("Quiet", "true")
    assert alert["annotations"]["summary"].startswith("TEST: ")
    left = datetime.fromisoformat(alert["endsAt"]).timestamp() - time.time()
    assert 0 < left <= 61


@pytest.mark.skipif(ALERTMANAGER is None, reason="Alertmanager is not installed")
async def test_a_real_alertmanager_takes_it(run, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    (tmp_path / "am.yml").write_text("{route: {receiver: x}, receivers: [{name: x}]}")
    options = [f"--config.file={tmp_path}/am.yml", f"--storage.path={tmp_path}/am", f"--web.listen-address={address}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = await asyncio.create_subprocess_exec(str(ALERTMANAGER), *options, "--cluster.listen-address=", **quiet)
    try:
        config = CONFIG.replace('["HTTP/one", "HTTP/two"]', f'"http://{address}"')
        for _ in range(20):  # it takes a while to start
            status, out, _ = await run("central", config=config)
            if status == 0:
                break
        assert out == "central/alertmanager[0]: 200\n"
    finally:
        process.kill()
        await process.wait()


async def test_a_receiver_that_tells_nobody_is_no_success(run):
    status, out, err = await run("nobody")
    assert (status, out, err) == (1, "", "alertd: the receiver nobody has no integrations, so nobody is told\n")


async def test_a_name_that_is_not_there_is_a_mistake_in_the_command_and_all_names_are_told(run):
    status, _, err = await run("oncal")
    assert (status, 'did you mean "oncall"?' in err) == (2, True)
    assert "There are oncall, oncall/slack[0], oncall/email[0], oncall/webhook[0], oncall/console[0], pager, " in err
    status, _, err = await run("oncall/slack[1]")
    assert (status, 'did you mean "oncall/slack[0]"?' in err) == (2, True)


async def test_so_is_a_rule_that_is_not_there_or_stands_for_two(run, other):
    status, _, err = await run("oncall", "--rule", "MediaLots")
    assert (status, 'did you mean "MediaLost"?' in err) == (2, True)
    status, _, err = await run("oncall", "--rule", "Twice")
    assert (status, "write one of Twice|severity=page, Twice|severity=ticket" in err) == (2, True)
    status, _, _ = await run("oncall/webhook[0]", "--rule", "Twice|severity=ticket")
    assert (status, len(other.requests["/hook"])) == (0, 1)


def test_a_drill_updates_nothing_real_for_it_is_another_alert_in_another_group(written):
    loaded = load(written())
    made = drill(loaded, "pager", loaded.rules[0], NOON)
    real = {name: value for name, value in made.alert.labels.items() if name != "alertd_test"}
    assert made.alert.fingerprint == fingerprint(real | {"alertd_test": "true"}) != fingerprint(real)
    (place,) = Tree(loaded.config.route).match(real)
    told = made.notification("pager/slack[0]")
    assert (told.reason, told.receiver, told.integration) == ("test", "pager", "pager/slack[0]")
    assert told.group_key == f"test {place.group_key(real)}" != place.group_key(real)
    assert told.id != made.notification("pager/slack[0]").id


async def test_a_terminals_own_template_cannot_hide_the_mark_either(written, capsys):
    made = drill(load(written()), "oncall", None, NOON)
    own = ConsoleSettings(template={"text": "all is lost"})
    await build("console", own, session=None, external_url="").send(made.notification("oncall/console[0]"), 0)
    assert capsys.readouterr().out == f"TEST · {DRILL}\n\nall is lost\n\n"
