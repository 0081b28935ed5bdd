"""What another Alertmanager is sent: its postable alerts to the letter, with an end that is put off while it fires."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from pydantic import ValidationError

from alertd import __version__
from alertd.engine.alerts import Alert, fingerprint
from alertd.errors import DeliveryError
from alertd.receivers.alertmanager import AlertmanagerMember, AlertmanagerSettings, Present, payload


@pytest.fixture
def present(now) -> Present:
    return Present(now, now)


@pytest.fixture
def make(make_alert) -> Callable[..., Alert]:
    """Makes an alert as the engine has it, of the same labels and words as the notifications of other tests."""

    def of(**changes: Any) -> Alert:
        told = make_alert()
        labels = changes.get("labels", told.labels)
        known = {"fingerprint": fingerprint(labels), "rule": "R", "labels": labels, "annotations": told.annotations}
        return Alert(**({**known, "state": "firing", "starts_at": told.starts_at} | changes))

    return of


@pytest.fixture
def member(endpoint, session, url) -> Callable[..., AlertmanagerMember]:
    def made(**settings: Any) -> AlertmanagerMember:
        read = AlertmanagerSettings(url=endpoint.url, **settings)
        return AlertmanagerMember(read, read.url[0], session, url)

    return made


def test_an_alert_that_fires_is_said_to_end_in_four_minutes(make, url, present):
    (sent,) = payload([make()], url, present)
    assert sent == {
        "labels": make().labels,
        "annotations": make().annotations,
        "startsAt": "2026-03-02T11:43:00Z",
        "endsAt": "2026-03-02T12:12:00Z",
        "generatorURL": f"{url}/alerts?fingerprint={make().fingerprint}",
    }


def test_one_that_is_over_has_its_true_end_even_while_it_is_pending_again(make, url, present, now):
    over = make(state="resolved", ends_at=now - 30)
    for alert in (over, msgspec.structs.replace(over, state="pending", active_at=now)):
        assert payload([alert], url, present)[0]["endsAt"] == "2026-03-02T12:07:30Z"


def test_labels_without_a_value_are_left_out_and_hostile_texts_stay_what_they_are(make, url, present, hostile):
    labels = {**hostile.alerts[0].labels, "alertname": "X", "lone": "", "empty": ""}
    (sent,) = json.loads(json.dumps(payload([make(labels=labels)], url, present)))
    assert sent["labels"] == {name: value for name, value in labels.items() if value}


def test_in_a_rehearsal_times_are_those_of_the_machine(make, url, now):
    """alertd's clock, sixty times as fast, is two hours ahead: 25 minutes of it were 25 seconds."""
    ahead = Present(now, now - 7200, speed=60.0)
    firing, over = payload([make(), make(state="resolved", ends_at=now - 120)], url, ahead)
    assert (firing["startsAt"], firing["endsAt"]) == ("2026-03-02T10:07:35Z", "2026-03-02T10:12:00Z")
    assert (over["startsAt"], over["endsAt"]) == ("2026-03-02T10:07:35Z", "2026-03-02T10:07:58Z")


@pytest.mark.parametrize("passed", [0.0, 0.2, 0.5, 0.9, 59.999])
def test_no_instant_moves_into_the_future_nor_where_time_is_that_of_the_machine_at_all(now, passed):
    real, rehearsed = Present(now + passed, now + passed), Present(now + passed, now + passed, speed=60.0)
    assert real.by_machine(now) == now
    assert rehearsed.by_machine(now + passed) <= now + passed


async def test_it_is_posted_to_the_api_of_the_address(endpoint, session, url, make, present):
    settings = AlertmanagerSettings(url=f"{endpoint.url}/")
    said = await AlertmanagerMember(settings, settings.url[0], session, url).send([make()], present)
    headers, body = endpoint.requests[0]
    assert said == "200 ok"
    assert json.loads(body) == payload([make()], url, present)
    assert (headers["Content-Type"], headers["User-Agent"]) == ("application/json", f"alertd/{__version__}")
    assert "Authorization" not in headers


async def test_it_logs_in_with_a_name_and_a_password_or_with_a_token(endpoint, member, make, present):
    await member(username="alertd", password="s3crét").send([make()], present)
    await member(bearer_token="t0ken").send([make()], present)
    basic, bearer = (headers["Authorization"] for headers, _ in endpoint.requests)
    assert base64.b64decode(basic.removeprefix("Basic ")).decode() == "alertd:s3crét"
    assert bearer == "Bearer t0ken"


@pytest.mark.parametrize(("status", "permanent"), [(400, True), (401, True), (404, True), (503, False)])
async def test_what_is_not_taken_names_the_host_and_the_answer_and_no_secret(
    endpoint, member, make, present, status, permanent
):
    endpoint.answer(status, "invalid annotations")
    with pytest.raises(DeliveryError, match=rf"127\.0\.0\.1 answered {status} invalid annotations") as caught:
        await member(username="alertd", password="s3cret").send([make()], present)
    assert caught.value.permanent is permanent
    assert not {"T0KEN", "s3cret", "alertd"} & set(str(caught.value).replace(":", " ").split())


def test_one_address_may_stand_alone_and_secrets_may_come_from_elsewhere(monkeypatch):
    monkeypatch.setenv("ALERTD_TEST_MEMBER", "https://am.example.com/prefix/")
    for written in ({"env": "ALERTD_TEST_MEMBER"}, [{"env": "ALERTD_TEST_MEMBER"}], "https://am.example.com/prefix"):
        (url,) = AlertmanagerSettings(url=written).url
        assert url.get_secret_value() == "https://am.example.com/prefix"


def test_no_secret_shows_in_settings():
    login = AlertmanagerSettings(url="https://am.example.com/s3cret", username="alertd", password="s3cret")
    token = AlertmanagerSettings(url=["https://am.example.com/s3cret"], bearer_token="s3cret")
    for settings in (login, token):
        assert "s3cret" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


def test_every_key_is_described():
    schema = AlertmanagerSettings.model_json_schema()
    assert all("description" in key for key in schema["properties"].values())
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("key", ["send_resolved", "retry_for", "template"])
def test_what_is_about_notifications_it_does_not_know(key):
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        AlertmanagerSettings.model_validate({"url": "http://127.0.0.1:9093", key: True})
