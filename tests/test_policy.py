"""A configuration comes to a policy and to receivers under the same names."""

from __future__ import annotations

import pytest

from alertd.config import load
from alertd.engine.health import Trouble
from alertd.insights.client import open_session
from alertd.policy import integrations_of, members_of, policy_of, receivers_of

CONFIG = """
[[accounts]]
name = "production"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "hush"
[collect]
every = "10m"
[rules]
paths = ["rules.yaml"]
[route]
receiver = "oncall"
[[receivers]]
name = "oncall"
[[receivers.console]]
[[receivers.webhook]]
url = "https://example.com/one"
[[receivers.webhook]]
url = "https://example.com/two"
send_resolved = false
[[receivers.alertmanager]]
url = "http://127.0.0.1:9093"
[[receivers]]
name = "nobody"
[[receivers]]
name = "central"
[[receivers.alertmanager]]
url = ["http://10.0.0.1:9093", "http://10.0.0.2:9093"]
[[receivers.alertmanager]]
url = "http://127.0.0.1:9094"
"""


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "alertd.toml").write_text(CONFIG)
    (tmp_path / "rules.yaml").write_text("rules:\n  - alert: X\n    match: {error: true}\n    any: true\n")
    return load(tmp_path / "alertd.toml")


def test_a_policy_has_the_rules_the_accounts_and_who_wants_to_hear_of_recoveries(loaded):
    policy = policy_of(loaded)
    assert [rule.alert for rule in policy.rules] == ["X"]
    assert policy.accounts == ("production",)
    assert {name: [tuple(one) for one in told] for name, told in policy.integrations.items()} == {
        "oncall": [
            ("oncall/webhook[0]", True),
            ("oncall/webhook[1]", False),
            ("oncall/console[0]", True),
        ],
        "nobody": [],
        "central": [],
    }
    assert policy.tree.root.route.receiver == "oncall"


def test_where_looks_are_rare_an_account_may_go_unseen_for_longer(loaded):
    assert policy_of(loaded).blind_after == 1800


async def test_receivers_have_the_names_that_notifications_go_by(loaded):
    async with open_session() as session:
        receivers = receivers_of(loaded.config, session)
    names = [one.name for told in policy_of(loaded).integrations.values() for one in told]
    assert list(receivers) == names
    assert [receivers[name].send_resolved for name in names] == [True, False, True]
    assert [kind for _, kind, _ in integrations_of(loaded.config, "oncall")] == ["webhook", "webhook", "console"]


async def test_an_alertmanager_gets_no_notifications_but_is_forwarded_to_at_every_address(loaded):
    policy = policy_of(loaded)
    assert policy.forwards == {
        "oncall": ("oncall/alertmanager[0]",),
        "nobody": (),
        "central": ("central/alertmanager[0]", "central/alertmanager[1]"),
    }
    async with open_session() as session:
        members = members_of(loaded.config, session)
    assert {name: len(cluster) for name, cluster in members.items()} == {
        "oncall/alertmanager[0]": 1,
        "central/alertmanager[0]": 2,
        "central/alertmanager[1]": 1,
    }


def test_the_trouble_of_an_alertmanager_concerns_who_has_one(loaded):
    policy = policy_of(loaded)

    def concerns(integration: str) -> bool:
        return policy.concerns(Trouble(kind="delivery", subject=integration, since=0, message="it does not answer"))

    assert concerns("central/alertmanager[1]")
    assert concerns("oncall/webhook[0]")
    assert not concerns("central/alertmanager[2]")
