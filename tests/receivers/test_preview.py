"""A preview is what would be sent, to the letter, whatever the templates and the strangers' texts."""

from __future__ import annotations

import asyncio
import email
import email.policy
import json

import pytest
from aiosmtpd.smtp import SMTP

from alertd.receivers import KINDS, SETTINGS, ReceiverSettings, build
from alertd.receivers.preview import preview

TEMPLATE = "{% for alert in alerts %}{{ alert.labels.alertname }} {{ alert.annotations.summary }}{% endfor %}"
ENVELOPE = {"to": ["oncall@example.com"], "from": "alertd@example.com"}


@pytest.fixture
def notifications(make_notification, make_alert, resolved_alert, late_alert, hostile):
    return [
        make_notification(),
        make_notification(make_alert(), make_alert("ie1"), resolved_alert),
        make_notification(late_alert, reason="late"),
        hostile,
    ]


@pytest.mark.parametrize("shape", ["alertmanager", "cloudevents"])
async def test_of_a_webhook_it_is_the_body(endpoint, session, notifications, url, now, shape):
    settings = SETTINGS["webhook"].model_validate({"url": endpoint.url, "format": shape})
    for notification in notifications:
        await build("webhook", settings, session=session, external_url=url).send(notification, now)
        assert preview(settings, notification, url, now).content == json.loads(endpoint.requests[-1][1])


@pytest.mark.parametrize("template", [{}, {"template": {"title": TEMPLATE, "text": TEMPLATE}}], ids=["plain", "own"])
async def test_of_slack_it_is_the_body_too(endpoint, session, notifications, url, now, template):
    settings = SETTINGS["slack"].model_validate({"webhook_url": endpoint.url, **template})
    for notification in notifications:
        await build("slack", settings, session=session, external_url=url).send(notification, now)
        assert preview(settings, notification, url, now).content == json.loads(endpoint.requests[-1][1])


@pytest.mark.parametrize(
    "template",
    [{}, {"template": {"subject": TEMPLATE, "text": TEMPLATE, "html": f"<p>{TEMPLATE}</p>"}}],
    ids=["plain", "own"],
)
async def test_of_a_mail_it_is_its_headers_and_both_parts(notifications, session, url, now, template):
    got = []

    class Mailbox:
        """Keeps what it is given."""

        async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
            got.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
            return "250 ok"

    loop = asyncio.get_running_loop()
    async with await loop.create_server(lambda: SMTP(Mailbox(), loop=loop), "127.0.0.1", 0) as server:
        place = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        settings = SETTINGS["email"].model_validate({**ENVELOPE, "smarthost": place, **template})
        for notification in notifications:
            await build("email", settings, session=session, external_url=url).send(notification, now)
            content = preview(settings, notification, url, now).content
            sent = {name: "".join(got[-1][name].split()) for name in content["headers"]}  # lines may be folded anywhere
            assert sent == {name: "".join(value.split()) for name, value in content["headers"].items()}
            assert set(content["headers"]) >= {"Subject", "From", "To", "Date", "Message-ID"}
            for kind, part in (("plain", "text"), ("html", "html")):
                sent = got[-1].get_body((kind,)).get_content()
                assert sent.split() == content[part].split()


@pytest.mark.parametrize("template", [{}, {"template": {"text": TEMPLATE}}], ids=["plain", "own"])
async def test_of_a_terminal_it_is_the_text(capsys, session, notifications, url, now, template):
    settings = SETTINGS["console"].model_validate(template)
    for notification in notifications:
        await build("console", settings, session=session, external_url=url).send(notification, now)
        words = preview(settings, notification, url, now).content["text"]
        assert capsys.readouterr().out == words.rstrip("\n") + "\n\n"


def test_slack_is_shown_as_people_see_it_there(make_notification, url, now):
    settings = SETTINGS["slack"].model_validate({"webhook_url": "https://hooks.example.com/T0KEN"})
    lines = preview(settings, make_notification(), url, now).text.splitlines()
    assert lines[0].startswith("FIRING · MediaConnectionFailing")
    assert all(line.startswith("┃") for line in lines[1:])
    assert "┃ *Rooms* 7 of 40 affected" in lines
    assert any("Runbook (https://runbooks.example.com/media?x=1&y=2)" in line for line in lines)
    assert "T0KEN" not in "".join(lines)


def test_a_template_that_fails_is_named_and_the_built_in_text_shown(make_notification, url, now):
    template = {"title": "{{ alerts[7].labels }}", "text": "fine"}
    settings = SETTINGS["slack"].model_validate({"webhook_url": "https://hooks.example.com/", "template": template})
    shown = preview(settings, make_notification(), url, now)
    assert list(shown.mistakes) == ["title"]
    assert "line 1" in shown.mistakes["title"]
    assert shown.text.startswith("FIRING · MediaConnectionFailing")
    assert "┃ fine" in shown.text


def test_there_is_one_for_every_kind_of_receiver(make_notification, url, now):
    least = {
        "slack": {"webhook_url": "https://example.com/"},
        "email": {**ENVELOPE, "smarthost": "localhost:25"},
        "webhook": {"url": "https://example.com/"},
        "console": {},
    }
    for kind in KINDS:
        shown = preview(SETTINGS[kind].model_validate(least[kind]), make_notification(), url, now)
        assert shown.text
        json.dumps(shown.content)
    with pytest.raises(TypeError, match="no preview"):
        preview(ReceiverSettings(), make_notification(), url, now)
