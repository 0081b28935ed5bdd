"""The webhook: Alertmanager's payload to the letter, signatures to check, and what is tried again."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from pydantic import ValidationError
from standardwebhooks import Webhook, WebhookVerificationError

from alertd import __version__
from alertd.errors import DeliveryError
from alertd.receivers import build
from alertd.receivers.webhook import WebhookReceiver, WebhookSettings, cloudevent, payload, webhook_schema

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def receiver(endpoint, session, url, **settings):
    return build("webhook", WebhookSettings(url=endpoint.url, **settings), session=session, external_url=url)


@pytest.fixture
def valid():
    Draft202012Validator.check_schema(webhook_schema())
    return Draft202012Validator(webhook_schema())


def test_the_payload_is_alertmanagers_version_4(make_notification, url):
    sent = payload(make_notification(truncated=2), url)
    assert sent["version"] == "4"
    assert sent["groupKey"] == '{}:{alertname="MediaConnectionFailing", account="production"}'
    assert (sent["status"], sent["receiver"], sent["truncatedAlerts"]) == ("firing", "oncall", 2)
    assert sent["notification_reason"] == "first notification"
    assert sent["groupLabels"] == {"alertname": "MediaConnectionFailing", "account": "production"}
    assert sent["commonLabels"]["media_region"] == "au1"
    assert sent["commonAnnotations"]["runbook_url"] == "https://runbooks.example.com/media?x=1&y=2"
    assert sent["externalURL"] == url
    one = sent["alerts"][0]
    assert set(one) == {
        *("status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint", "alertd"),
    }
    assert one["startsAt"] == "2026-03-02T11:43:00Z"
    assert one["endsAt"] == "0001-01-01T00:00:00Z"
    assert one["generatorURL"] == f"{url}/alerts?fingerprint={one['fingerprint']}"


def test_beside_it_stands_what_the_rule_saw(make_notification, url):
    seen = payload(make_notification(), url)["alerts"][0]["alertd"]
    assert (seen["matched"], seen["total"], seen["rooms"], seen["rooms_affected"]) == (12, 118, 40, 7)
    assert (seen["lower"], seen["limit"], seen["window"], seen["position"], seen["of"]) == (
        *(0.061, 0.05, 3600, 0, "participants"),
    )
    assert (seen["late"], seen["localised"], seen["explain"], seen["baseline"]) == (False, None, [], None)
    assert seen["evidence"][0]["room_sid"].startswith("RM")
    assert seen["evidence"][0]["error_code"] == 53405
    assert seen["evidence"][0]["ended"] == "2026-03-02T12:08:00Z"


def test_what_carries_an_alert_is_told_with_its_numbers(make_notification, make_alert, make_explanation, url):
    seen = payload(make_notification(make_alert(explain=make_explanation())), url)["alerts"][0]["alertd"]
    slice_ = {"field": "media_region", "value": "ie1", "matched": 31, "total": 50, "relative_risk": 13.98}
    assert (seen["localised"], seen["explain"]) == (True, [slice_])


def test_a_resolved_alert_has_its_end(make_notification, resolved_alert, url):
    sent = payload(make_notification(resolved_alert), url)
    assert sent["status"] == "resolved"
    assert sent["alerts"][0]["endsAt"] == "2026-03-02T12:55:00Z"


def test_payloads_of_all_sorts_fit_the_published_schema(
    make_notification, make_alert, make_explanation, resolved_alert, late_alert, hostile, url, valid
):
    bare = make_notification(make_alert(sample=None, evidence=()))
    for notification in (
        make_notification(make_alert(explain=make_explanation())),
        make_notification(),
        make_notification(resolved_alert),
        make_notification(late_alert),
        bare,
        hostile,
    ):
        valid.validate(payload(notification, url))
        valid.validate(cloudevent(notification, url))


def test_the_schema_refuses_what_is_none(make_notification, url, valid):
    sent = payload(make_notification(), url)
    del sent["alerts"][0]["alertd"]["evidence"]
    assert not valid.is_valid(sent)


async def test_a_consumer_verifies_the_signature(endpoint, session, make_notification, url):
    said = await receiver(endpoint, session, url, secret=KEY).send(make_notification(), time.time())
    headers, body = endpoint.requests[0]
    verified = Webhook(KEY).verify(body, headers)
    assert said == "200 ok"
    assert verified["version"] == "4"
    assert headers["User-Agent"] == f"alertd/{__version__}"
    assert headers["Content-Type"] == "application/json"
    with pytest.raises(WebhookVerificationError):
        Webhook(KEY).verify(body.replace(b"oncall", b"nobody"), headers)


async def test_a_secret_may_be_any_text(endpoint, session, make_notification, url):
    await receiver(endpoint, session, url, secret="correct horse").send(make_notification(), time.time())
    headers, body = endpoint.requests[0]
    assert Webhook(b"correct horse").verify(body, headers)


async def test_each_attempt_has_the_same_id_and_its_own_time(endpoint, session, make_notification, url, now):
    attempts = iter([now, now + 60])
    hook = WebhookReceiver(WebhookSettings(url=endpoint.url), session, url, wall=lambda: next(attempts))
    await hook.send(make_notification(), now)
    await hook.send(make_notification(), now + 60)
    first, second = (headers for headers, _ in endpoint.requests)
    assert first["webhook-id"] == second["webhook-id"] == "msg_0123456789abcdef0123456789"
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert "webhook-signature" not in first


async def test_a_cloudevent_wraps_the_same_object(endpoint, session, make_notification, url, now):
    await receiver(endpoint, session, url, format="cloudevents").send(make_notification(), now)
    headers, body = endpoint.requests[0]
    event = json.loads(body)
    assert headers["Content-Type"] == "application/cloudevents+json"
    assert (event["specversion"], event["type"]) == ("1.0", "dev.alertd.notification.v1")
    assert (event["id"], event["source"]) == (headers["webhook-id"], url)
    assert event["subject"] == '{}:{alertname="MediaConnectionFailing", account="production"}'
    assert event["time"] == "2026-03-02T12:08:00Z"
    assert event["data"] == payload(make_notification(), url)


async def test_hostile_names_arrive_as_they_are_and_break_nothing(endpoint, session, hostile, url, now):
    await receiver(endpoint, session, url).send(hostile, now)
    sent = json.loads(endpoint.requests[0][1])
    assert sent["receiver"] == hostile.receiver
    assert "Bcc" not in endpoint.requests[0][0]


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_passing_trouble_is_tried_again(endpoint, session, make_notification, url, now, status):
    endpoint.answer(status, "later", Retry_After="30")
    with pytest.raises(DeliveryError, match=f"127.0.0.1 answered {status} later") as caught:
        await receiver(endpoint, session, url).send(make_notification(), now)
    assert (caught.value.permanent, caught.value.retry_after) == (False, 30.0)


async def test_retry_after_may_be_a_date_or_nonsense(endpoint, session, make_notification, url, now):
    waits = []
    for said in ("Mon, 02 Mar 2026 12:10:00 GMT", "Mon, 02 Mar 2026 12:00:00 GMT", "99999999", "soon"):
        endpoint.answer(503, Retry_After=said)
        with pytest.raises(DeliveryError) as caught:
            await receiver(endpoint, session, url).send(make_notification(), now)
        waits.append(caught.value.retry_after)
    assert waits == [120.0, 0.0, 86400.0, None]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413, 422])
async def test_a_refusal_is_final(endpoint, session, make_notification, url, now, status):
    endpoint.answer(status, "no\nthanks\x1b[31m")
    with pytest.raises(DeliveryError, match=f"answered {status} no thanks�") as caught:
        await receiver(endpoint, session, url).send(make_notification(), now)
    assert caught.value.permanent


async def test_redirects_are_not_followed(endpoint, session, make_notification, url, now):
    endpoint.answer(307, Location=endpoint.url)
    with pytest.raises(DeliveryError, match="307; redirects are not followed") as caught:
        await receiver(endpoint, session, url).send(make_notification(), now)
    assert caught.value.permanent
    assert len(endpoint.requests) == 1


async def test_of_a_long_answer_one_line_is_kept(endpoint, session, make_notification, url, now):
    endpoint.answer(200, "word " * 100_000)
    said = await receiver(endpoint, session, url).send(make_notification(), now)
    assert said.startswith("200 word word")
    assert len(said) < 250


async def test_nobody_listening_is_tried_again_and_the_token_stays_secret(
    session, make_notification, url, now, unused_tcp_port
):
    dead = WebhookSettings(url=f"http://user:pw@127.0.0.1:{unused_tcp_port}/T0KEN")
    with pytest.raises(DeliveryError, match=r"the connection to 127\.0\.0\.1 failed") as caught:
        await build("webhook", dead, session=session, external_url=url).send(make_notification(), now)
    assert not caught.value.permanent
    assert "T0KEN" not in str(caught.value)
    assert "pw" not in str(caught.value)


async def test_silence_is_a_timeout_and_tried_again(session, silent_server, make_notification, url, now):
    slow = WebhookSettings(url=f"http://127.0.0.1:{silent_server}/T0KEN", timeout="1s")
    with pytest.raises(DeliveryError, match=r"127\.0\.0\.1 did not answer within 1 s") as caught:
        await build("webhook", slow, session=session, external_url=url).send(make_notification(), now)
    assert not caught.value.permanent


@pytest.mark.parametrize(
    "address", ["example.com/hook", "ftp://example.com", "https://", "https://a b.example", "http://["]
)
def test_an_address_must_be_a_web_address(address):
    with pytest.raises(ValidationError, match="write a whole address"):
        WebhookSettings(url=address)


def test_a_key_must_be_readable():
    with pytest.raises(ValidationError, match="what follows whsec_ is not base64"):
        WebhookSettings(url="https://example.com", secret="whsec_***")
    with pytest.raises(ValidationError, match="the secret is empty"):
        WebhookSettings(url="https://example.com", secret="whsec_")


def documented(language):
    text = (Path(__file__).parents[2] / "docs" / "webhooks.md").read_text(encoding="utf-8")
    return re.search(rf"```{language}\n(.*?)```", text, re.DOTALL)[1]


def test_the_documented_payload_fits_the_schema_and_names_every_key(
    make_notification, make_alert, make_explanation, url, valid
):
    real = payload(make_notification(make_alert(explain=make_explanation())), url)
    example = json.loads(documented("json"))
    valid.validate(example)
    assert example.keys() == real.keys()
    assert example["alerts"][0].keys() == real["alerts"][0].keys()
    assert example["alerts"][0]["alertd"].keys() == real["alerts"][0]["alertd"].keys()
    for part in ("evidence", "explain"):
        assert example["alerts"][0]["alertd"][part][0].keys() == real["alerts"][0]["alertd"][part][0].keys()


async def test_the_documented_check_accepts_what_is_sent_and_nothing_else(endpoint, session, make_notification, url):
    scope = {}
    exec(documented("python"), scope)
    await receiver(endpoint, session, url, secret="any text").send(make_notification(), time.time())
    headers, body = endpoint.requests[0]
    assert scope["genuine"](b"any text", headers, body)
    assert not scope["genuine"](b"another", headers, body)
    assert not scope["genuine"](b"any text", headers, body + b" ")
