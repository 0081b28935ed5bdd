"""A configuration comes to a policy and to receivers under the same names."""

from __future__ import annotations

import pytest

from alertd.config import load
from alertd.insights.client import open_session
from alertd.policy import integrations_of, policy_of, receivers_of

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
[[receivers]]
name = "nobody"
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
