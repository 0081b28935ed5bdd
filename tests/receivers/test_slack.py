"""Slack: a message to read at night, within Slack's limits, in which no stranger can call anybody."""

from __future__ import annotations

import json
import re

import pytest
from pydantic import ValidationError
from slack_sdk.models.blocks import Block
from structlog.testing import capture_logs

from alertd.errors import DeliveryError
from alertd.receivers import build
from alertd.receivers.slack import SlackSettings, escape, payload

RED, GREEN, GREY = "#d92d20", "#12925a", "#8a8f98"


def receiver(endpoint, session, url, **settings):
    return build("slack", SlackSettings(webhook_url=endpoint.url, **settings), session=session, external_url=url)


def blocks(message):
    return [*message["blocks"], *(block for bar in message["attachments"] for block in bar["blocks"])]


def texts(message):
    """Every text object of the message."""
    found, rest = [], [message]
    while rest:
        item = rest.pop()
        if isinstance(item, dict):
            found += [item] if item.get("type") in {"plain_text", "mrkdwn"} else []
            rest += item.values()
        elif isinstance(item, list):
            rest += item
    return found


def words(message):
    return "\n".join(item["text"] for item in texts(message))


def accepted_by_slack(message):
    """Slack's own models find nothing to refuse, and the message keeps the limits that they do not know."""
    for block in Block.parse_all(blocks(message)):
        block.validate_json()
    assert len(blocks(message)) <= 50
    assert message["text"]
    for item in texts(message):
        assert 0 < len(item["text"]) <= 3000
    return True


def test_one_alert_is_told_in_full(make_notification, url):
    message = payload(make_notification(), url, {})
    told = words(message)
    assert message["text"] == "FIRING · MediaConnectionFailing · production / au1 · 12 of 118 participants (10.2 %)"
    assert [bar["color"] for bar in message["attachments"]] == [RED]
    assert accepted_by_slack(message)
    for needed in (
        "10.2 % of calls in au1 lost their media connection",
        "*Seen*\n12 of 118 participants (10.2 %), surely at least 6.1 %; limit 5 %",
        "*Rooms*\n7 of 40 affected",
        "*Since*\n2026-03-02 11:43 UTC (25m)",
        "<https://www.twilio.com/docs/api/errors/53405|error 53405>",
        "`twilio-video.js 2.28.1`",
        "<https://runbooks.example.com/media?x=1&amp;y=2|Runbook>",
        "|Open in alertd>",
        "`severity=page`",
        "Sent because: first notification",
    ):
        assert needed in told


def test_what_carries_an_alert_is_told_alone_and_among_others(make_notification, make_alert, make_explanation, url):
    told = "Carried by media_region ie1: 31 of 40 (62 % of its 50, 14 times the rest)"
    one, other = (make_alert(region, explain=make_explanation()) for region in ("au1", "de1"))
    assert told in words(payload(make_notification(one), url, {}))
    assert words(payload(make_notification(one, other), url, {})).count(told) == 2
    spread = make_alert(explain=make_explanation(localised=False))
    assert "Carried by no slice alone, it is fleet-wide; most by" in words(payload(make_notification(spread), url, {}))


def test_colour_bars_tell_firing_from_resolved_from_late_from_drill(
    make_notification, make_alert, resolved_alert, late_alert, url
):
    def colours(*alerts, **changes):
        return [bar["color"] for bar in payload(make_notification(*alerts, **changes), url, {})["attachments"]]

    assert colours(resolved_alert) == [GREEN]
    assert colours(late_alert, reason="late") == [GREY]
    assert colours(reason="test") == [GREY, GREY]
    assert colours(make_alert("us1"), resolved_alert) == [RED, GREEN, RED]


def test_a_resolved_message_says_how_long_it_lasted(make_notification, resolved_alert, url):
    message = payload(make_notification(resolved_alert), url, {})
    assert "*Lasted*\n1h12m, 2026-03-02 11:43 to 12:55 UTC" in words(message)


def test_of_many_alerts_ten_are_told_and_the_rest_is_counted(make_notification, make_alert, url):
    many = payload(make_notification(*(make_alert(f"r{place}") for place in range(40)), truncated=3), url, {})
    assert accepted_by_slack(many)
    assert len(many["attachments"]) == 11
    assert f"and 33 more: <{url}/alerts|all alerts>" in words(many)


def test_a_stranger_calls_nobody_and_breaks_nothing(hostile, make_notification, url):
    for notification in (hostile, make_notification(*hostile.alerts * 12)):
        message = payload(notification, url, {})
        raw = json.dumps(message)
        assert accepted_by_slack(message)
        assert "<!" not in raw
        assert "<@" not in raw
        assert "@here" not in raw
        assert "<script" not in raw
        assert "javascript:" not in raw
        assert "\\u001b" not in raw
        assert (message["parse"], message["link_names"], message["mrkdwn"]) == ("none", False, False)
        for item in texts(message):
            assert item["type"] == "plain_text" or item["verbatim"]
            if item["type"] == "mrkdwn":
                assert item["text"].count("`") % 2 == 0


def test_an_escaped_text_is_cut_between_entities():
    assert escape("<" * 100, 50) == "&lt;" * 12 + "…"
    assert escape("R&D", 50) == "R&amp;D"


async def test_slack_says_ok(endpoint, session, make_notification, url, now):
    assert await receiver(endpoint, session, url).send(make_notification(), now) == "200 ok"
    headers, body = endpoint.requests[0]
    assert headers["Content-Type"] == "application/json"
    assert json.loads(body) == payload(make_notification(), url, {})


@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "invalid_payload"), (403, "action_prohibited"), (404, "no_service"), (410, "channel_is_archived")],
)
async def test_what_slack_refuses_is_not_tried_again(endpoint, session, make_notification, url, now, status, said):
    endpoint.answer(status, said)
    with pytest.raises(DeliveryError, match=f"127.0.0.1 answered {status} {said}") as caught:
        await receiver(endpoint, session, url).send(make_notification(), now)
    assert caught.value.permanent
    assert "T0KEN" not in str(caught.value)


@pytest.mark.parametrize(("status", "said"), [(429, "rate_limited"), (500, "rollup_error"), (503, "")])
async def test_a_busy_slack_is_tried_again_when_it_says(endpoint, session, make_notification, url, now, status, said):
    endpoint.answer(status, said, Retry_After="12")
    with pytest.raises(DeliveryError) as caught:
        await receiver(endpoint, session, url).send(make_notification(), now)
    assert (caught.value.permanent, caught.value.retry_after) == (False, 12.0)


async def test_a_persons_templates_replace_title_and_text(endpoint, session, make_notification, url, now):
    template = {
        "title": "{{ common_labels.alertname }} in {{ firing|length }} place & more",
        "text": "*Now*{% for a in alerts %} in {{ a.labels.media_region }}: {{ a.sample.rate|percent }}{% endfor %}",
    }
    await receiver(endpoint, session, url, template=template).send(make_notification(), now)
    sent = json.loads(endpoint.requests[0][1])
    assert sent["blocks"][0]["text"]["text"] == "MediaConnectionFailing in 1 place &amp; more"
    assert [block["text"]["text"] for block in sent["attachments"][0]["blocks"]] == ["*Now* in au1: 10.2 %"]


async def test_values_in_a_persons_template_are_escaped(endpoint, session, hostile, url, now):
    template = {"title": "{{ receiver }}", "text": "`{{ receiver }}` " * 200}
    await receiver(endpoint, session, url, template=template).send(hostile, now)
    sent = json.loads(endpoint.requests[0][1])
    assert accepted_by_slack(sent)
    assert not re.search(r"<[!@]|@here", json.dumps(sent))
    assert all(
        item["text"].count("`") % 2 == 0
        for item in texts(sent)
        if item["type"] == "mrkdwn" and len(item["text"]) < 2900
    )


async def test_a_failing_template_costs_no_message(endpoint, session, make_notification, url, now):
    broken = receiver(endpoint, session, url, template={"title": "{{ common_labels.nope }}"})
    with capture_logs() as logs:
        said = await broken.send(make_notification(), now)
    sent = json.loads(endpoint.requests[0][1])
    assert sent["blocks"][0]["text"]["text"].startswith("FIRING · MediaConnectionFailing")
    assert said.startswith("200 ok; the template title failed (line 1: ")
    assert [(entry["event"], entry["template"]) for entry in logs] == [("template_failed", "title")]


def test_settings_keep_the_webhook_secret_and_refuse_what_is_not_one():
    settings = SlackSettings(webhook_url="https://hooks.slack.com/services/T0/B0/secret")
    assert "secret" not in repr(settings)
    with pytest.raises(ValidationError, match="write a whole address"):
        SlackSettings(webhook_url="hooks.slack.com/services/T0/B0/x")
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        SlackSettings(webhook_url="https://hooks.slack.com/services/T0/B0/x", channel="#oncall")
    with pytest.raises(ValidationError, match="line 1: unknown variable 'alrets'; did you mean 'alerts'"):
        SlackSettings(webhook_url="https://hooks.slack.com/x", template={"text": "{{ alrets }}"})
