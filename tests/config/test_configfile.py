"""What a configuration gives: defaults, inherited routes, resolved paths, and secrets that stay hidden."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from alertd.config import load_config
from alertd.errors import InputError


def load(config_file, text, more=""):
    return load_config(config_file(text + more))


def test_a_small_configuration_gets_the_documented_defaults(config_file):
    config = load_config(config_file())
    assert config.accounts[0].base_url == "https://insights.twilio.com"
    assert dataclasses.asdict(config.route)["group_wait"] == 30
    assert (config.route.group_interval, config.route.repeat_interval, config.route.group_by) == (300, 14400, ())
    assert (config.collect.every, config.collect.settle_timeout, config.collect.look_back) == (60, 1800, 90000)
    assert (config.collect.backfill, config.collect.recheck) == (90000, 600)
    assert (config.collect.max_in_flight, config.store.keep) == (16, 35 * 86400)
    assert (config.http.host, config.http.port, config.http.address) == ("127.0.0.1", 9095, "http://127.0.0.1:9095")
    assert (config.log.format, config.log.level) == ("auto", "info")
    assert not config.privacy.show_identities
    assert not config.privacy.show_room_names


@pytest.mark.parametrize(
    ("setting", "seconds"),
    [
        ('backfill = "24h30m"', 88200),
        ('backfill = "7d"', 604800),
        ('recheck = "1m"', 60),
        ('recheck = "24h"', 86400),
    ],
)
def test_the_past_is_read_as_far_and_changes_as_often_as_is_said(config_file, config_text, setting, seconds):
    config = load(config_file, config_text, f"[collect]\n{setting}\n")
    assert getattr(config.collect, setting.split()[0]) == seconds


def test_paths_are_relative_to_the_file_and_not_to_where_alertd_was_started(config_file, tmp_path):
    config = load_config(config_file())
    assert config.rule_paths == (tmp_path / "rules",)
    assert config.store.url.get_secret_value() == f"sqlite:///{tmp_path}/alertd.db"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("sqlite:////var/lib/alertd/alertd.db", "sqlite:////var/lib/alertd/alertd.db"),
        ("postgresql://alertd:secret@db/alertd", "postgresql://alertd:secret@db/alertd"),
    ],
)
def test_other_store_urls_stay_as_they_are(config_file, config_text, url, kept):
    config = load(config_file, config_text, f'[store]\nurl = "{url}"\n')
    assert config.store.url.get_secret_value() == kept


def test_a_route_takes_what_it_does_not_say_from_the_one_above(config_file, config_text):
    routes = """
group_by = ["alertname"]
group_wait = "1m"

[[route.routes]]
matchers = ['severity="page"', 'account=~"prod.*"']
repeat_interval = "1h"
continue = true

[[route.routes.routes]]
group_by = ["..."]
group_wait = "0s"
"""
    route = load(config_file, config_text.replace('receiver = "oncall"', f'receiver = "oncall"{routes}')).route
    child, grandchild = route.routes[0], route.routes[0].routes[0]
    assert (child.receiver, child.group_by, child.group_wait, child.repeat_interval) == (
        "oncall",
        ("alertname",),
        60,
        3600,
    )
    assert child.continue_
    assert [str(matcher) for matcher in child.matchers] == ['severity="page"', 'account=~"prod.*"']
    assert (grandchild.receiver, grandchild.group_by_all, grandchild.group_by) == ("oncall", True, ())
    assert (grandchild.group_wait, grandchild.repeat_interval) == (0, 3600)
    assert not grandchild.continue_
    assert not grandchild.matchers


def test_a_route_below_one_for_all_labels_may_group_by_some_again(config_file, config_text):
    routes = '\ngroup_by = ["..."]\n[[route.routes]]\ngroup_by = ["account"]\n'
    route = load(config_file, config_text.replace('receiver = "oncall"', f'receiver = "oncall"{routes}')).route
    assert (route.routes[0].group_by_all, route.routes[0].group_by) == (False, ("account",))


def test_a_receiver_has_its_ways_in_the_order_of_the_file(config_file, config_text):
    ways = """
[[receivers.webhook]]
url = "https://example.com/one"
[[receivers.webhook]]
url = "https://example.com/two"
send_resolved = false

[[receivers]]
name = "nobody"
"""
    receivers = load(config_file, config_text, ways).receivers
    assert [kind for kind, _ in receivers["oncall"]] == ["webhook", "webhook", "console"]
    assert [settings.send_resolved for _, settings in receivers["oncall"]] == [True, False, True]
    assert receivers["nobody"] == ()


def test_a_local_simulator_may_have_any_key(config_file, config_text):
    text = config_text.replace('{ env = "ALERTD_TEST_SID" }', '"demo"\nbase_url = "http://127.0.0.1:8080/"')
    account = load(config_file, text).accounts[0]
    assert (account.base_url, account.api_key.get_secret_value()) == ("http://127.0.0.1:8080", "demo")


def test_listening_beyond_loopback_can_be_allowed(config_file, config_text):
    config = load(config_file, config_text, '[http]\nlisten = "0.0.0.0:9095"\nallow_anonymous = true\n')
    assert (config.http.host, config.http.port) == ("0.0.0.0", 9095)


@pytest.mark.parametrize(
    ("listen", "host", "address"),
    [
        ("localhost:80", "localhost", "http://localhost:80"),
        ("[::1]:9095", "::1", "http://[::1]:9095"),
        ("127.0.0.1:0", "127.0.0.1", "http://127.0.0.1:0"),
    ],
)
def test_loopback_has_several_names(config_file, config_text, listen, host, address):
    http = load(config_file, config_text, f'[http]\nlisten = "{listen}"\n').http
    assert (http.host, http.address) == (host, address)


def test_the_external_url_has_no_slash_at_its_end(config_file, config_text):
    http = load(config_file, config_text, '[http]\nexternal_url = "https://alerts.example.com/a/"\n').http
    assert http.address == "https://alerts.example.com/a"


def test_secrets_come_from_the_environment_and_from_files(config_file, config_text, write):
    path = write("secret.txt", "out of a file\n")
    text = config_text.replace('{ env = "ALERTD_TEST_SECRET" }', f'{{ file = "{path}" }}')
    account = load(config_file, text).accounts[0]
    assert account.api_key.get_secret_value() == "SK" + "a" * 32
    assert account.api_key_secret.get_secret_value() == "out of a file"


def test_no_secret_is_in_what_a_configuration_says_of_itself(config_file, config_text):
    ways = '[[receivers.webhook]]\nurl = "https://example.com/hunter2"\nsecret = "hunter2"\n[store]\nurl = "postgresql://a:hunter2@db/a"\n'
    config = load(config_file, config_text.replace('{ env = "ALERTD_TEST_SECRET" }', '"hunter2"'), ways)
    assert "hunter2" not in repr(config)
    assert "hunter2" not in str(config)
    assert "SKaaaa" not in repr(config)


def test_a_configuration_cannot_be_changed(config_file):
    config = load_config(config_file())
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.accounts = ()
    with pytest.raises(ValueError, match="frozen"):
        config.collect.every = 5


def test_mistakes_of_form_and_of_sense_are_told_together_and_in_order(config_file, config_text):
    text = config_text.replace("[route]", '[colect]\n[route]\ngroup_wait = "soon"').replace('"oncall"', '"oncal"', 1)
    with pytest.raises(InputError) as refused:
        load_config(config_file(text))
    assert [problem.line for problem in refused.value.problems] == [6, 8, 9]


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"no-such-file\.toml: cannot be read"):
        load_config(Path("no-such-file.toml"))
