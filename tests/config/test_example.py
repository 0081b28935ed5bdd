"""config.example.toml documents every key there is, and works: as it stands, and with everything in it switched on."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import trustme
from pydantic import BaseModel

from alertd.config import check, load
from alertd.config.mistakes import known_keys
from alertd.config.tables import config_file
from alertd.logins import hash_password, hash_token
from alertd.receivers import SETTINGS

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
SETTING = re.compile(r"^# (?=[a-z_]+ = |\[\[[a-z_.]+\]\]$)", re.MULTILINE)


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("TWILIO_API_KEY", "SK" + "0" * 32)
    for name in (
        "TWILIO_API_KEY_SECRET",
        "HOOK_SECRET",
        "SMTP_PASSWORD",
        "ALERTMANAGER_PASSWORD",
        "ALERTMANAGER_TOKEN",
    ):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("ALERTD_ANN_PASSWORD_HASH", hash_password("correct horse"))
    monkeypatch.setenv("ALERTD_DEPLOY_TOKEN_HASH", hash_token("secret"))
    for name in ("SLACK_WEBHOOK_URL", "HOOK_URL"):
        monkeypatch.setenv(name, "https://example.com/hook")


@pytest.fixture
def switched_on(tmp_path):
    """The example with every setting switched on, and a file where it names one."""
    authorities = tmp_path / "authorities.pem"
    trustme.CA().cert_pem.write_to_path(str(authorities))
    text = SETTING.sub("", EXAMPLE.read_text())
    return re.sub(r'ca_file = "[^"]+"', f'ca_file = "{authorities}"', text)


def test_the_example_loads_with_the_shipped_rules():
    loaded = load(EXAMPLE)
    assert loaded.rules
    assert loaded.notices == ()


def test_the_example_loads_with_everything_switched_on(switched_on, tmp_path):
    (tmp_path / "rules").mkdir()
    path = tmp_path / "alertd.toml"
    path.write_text(switched_on)
    assert [problem.message for problem in check(path).problems] == []


def test_no_secret_is_a_literal_in_the_example():
    text = EXAMPLE.read_text()
    assert not re.findall(r'^(?:# )?(?:api_key\w*|password|secret|webhook_url) = "', text, re.MULTILINE)


def keys_below(model: type[BaseModel], path=()):
    """Every key that a table of the model may have, with the path to it; a receiver's kinds once each."""
    for key in known_keys(model, path):
        here = (*path, key)
        yield here
        if here.count("routes") < 2:
            yield from keys_below(model, here)


def test_every_key_of_every_table_is_in_the_example(switched_on):
    """A key must stand below the header of its own table, or inside braces if its table does."""
    documented = set()
    table = ()
    for line in switched_on.splitlines():
        if header := re.match(r"\[+([a-z_.]+)\]+", line):
            table = tuple(header[1].split("."))
            documented |= {table[:length] for length in range(1, len(table) + 1)}
        elif setting := re.match(r"([a-z_]+) = (\[?\{.*)?", line):
            documented.add((*table, setting[1]))
            documented |= {(*table, setting[1], inner) for inner in re.findall(r"([a-z_]+) =", setting[2] or "")}
    wanted = set(keys_below(config_file()))
    below_routes = {path for path in wanted if path.count("routes") > 1}
    of_routes_below = ("matchers", "continue", "mute_time_intervals", "active_time_intervals")
    route_again = {("route", key) for key in of_routes_below}  # the first route may not have them
    assert wanted - below_routes - route_again - documented == set()


def test_every_kind_of_receiver_has_its_keys_in_the_models():
    assert {path[1] for path in keys_below(config_file(), ("receivers",)) if len(path) == 2} == {"name", *SETTINGS}
