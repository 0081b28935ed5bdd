"""The registry: every kind is described, made from its settings, and quick to import."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from alertd.receivers import FORWARDING, KINDS, SETTINGS, build
from alertd.templating import MESSAGE_VARIABLES, message_variables

LEAST = {
    "slack": {"webhook_url": "https://hooks.slack.com/services/T0/B0/s3cret"},
    "email": {
        "to": ["oncall@example.com"],
        "from": "alertd@example.com",
        "smarthost": "smtp.example.com:587",
        "username": "alertd",
        "password": "s3cret",
    },
    "webhook": {"url": "https://example.com/s3cret", "secret": "s3cret"},
    "console": {},
}


def test_these_kinds_there_are():
    assert set(KINDS) == set(LEAST)
    assert set(SETTINGS) == {*KINDS, *FORWARDING} == {*LEAST, "alertmanager"}


@pytest.mark.parametrize("kind", LEAST)
async def test_each_kind_is_made_with_the_same_defaults(kind, session, url):
    made = build(kind, SETTINGS[kind](**LEAST[kind]), session=session, external_url=url)
    assert (made.kind, made.send_resolved, made.retry_for) == (kind, True, 86400)


@pytest.mark.parametrize("kind", LEAST)
def test_no_secret_shows_in_settings(kind):
    settings = SETTINGS[kind](**LEAST[kind])
    assert "s3cret" not in repr(settings) + str(settings.model_dump()) + settings.model_dump_json()


@pytest.mark.parametrize("kind", LEAST)
def test_each_kind_describes_every_key(kind):
    schema = SETTINGS[kind].model_json_schema()
    assert all("description" in key for key in schema["properties"].values())
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize("kind", LEAST)
def test_each_kind_takes_durations_and_refuses_nonsense(kind):
    settings = SETTINGS[kind](**LEAST[kind], timeout="30s", retry_for="2h", send_resolved=False)
    assert (settings.timeout, settings.retry_for, settings.send_resolved) == (30, 7200, False)
    with pytest.raises(ValidationError, match="greater than or equal to 1"):
        SETTINGS[kind](**LEAST[kind], timeout="0s")


def test_the_documented_variables_are_those_that_messages_have(make_notification, url):
    assert set(message_variables(make_notification(), url)) == MESSAGE_VARIABLES


def test_the_documentation_of_templates_names_every_variable():
    import alertd.templating

    assert all(f"`{name}`" in alertd.templating.__doc__ for name in MESSAGE_VARIABLES)


def test_importing_receivers_loads_no_network_library():
    code = (
        "import sys, alertd.receivers; print([m for m in ('aiohttp', 'slack_sdk', 'aiosmtplib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
