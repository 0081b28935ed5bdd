"""What the pages around the code say is so: commands, metrics, alerts about alertd, and configurations that load."""

from __future__ import annotations

import re
import shutil
import tomllib
from pathlib import Path

import click
import pytest
import yaml

from alertd.cli import alertd
from alertd.config import check, load_rules
from alertd.engine.health import KINDS
from alertd.engine.silencenotes import BEGAN, ENDS
from alertd.web.metrics import Metrics

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
OPERATIONS = (ROOT / "docs/operations.md").read_text()
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
PROMETHEUS_RULES = yaml.safe_load((ROOT / "deploy/prometheus-rules.yaml").read_text())
SECRETS = {
    "TWILIO_API_KEY": "SK" + "0" * 32,
    "TWILIO_API_KEY_SECRET": "hush",
    "SLACK_WEBHOOK_URL": "https://hooks.example.com/services/T/B/x",
    "HOOK_SECRET": "hush",
    "ALERTD_DATABASE": "sqlite:////data/alertd.db",
}


def blocks(language: str) -> list[str]:
    """The code blocks of README.md in a language, as they are without their indentation."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", README, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def commands(group: click.Group, above: str = "alertd") -> list[str]:
    found = []
    for name, command in group.commands.items():
        deeper = commands(command, f"{above} {name}") if isinstance(command, click.Group) else []
        alone = not isinstance(command, click.Group) or command.invoke_without_command
        found += [*([f"{above} {name}"] if alone else []), *deeper]
    return found


def headings(text: str) -> set[str]:
    """The anchors that a page's headings make, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the shipped rules, and every secret that the examples name in the environment."""
    for name, secret in SECRETS.items():
        monkeypatch.setenv(name, secret)
    shutil.copytree(ROOT / "rules", tmp_path / "rules")
    return tmp_path


def test_the_table_of_commands_is_the_command_line():
    rows = re.findall(r"^\| `(alertd[^`]*)` \|", README, re.MULTILINE)
    told = {re.sub(r" (--|[A-Z]|config\\\|).*", "", row) for row in rows}
    assert told == set(commands(alertd))


def test_the_configuration_in_the_readme_is_valid(folder):
    (folder / "alertd.toml").write_text(blocks("toml")[0])
    assert check(folder / "alertd.toml").problems == ()


def test_so_is_it_with_the_own_rule_and_webhook_added(folder):
    (folder / "alertd.toml").write_text("\n".join(blocks("toml")[:2]))
    (folder / "rules/mine.yaml").write_text(blocks("yaml")[0])
    assert check(folder / "alertd.toml").problems == ()
    (rule,) = load_rules([folder / "rules/mine.yaml"]).rules
    receivers = tomllib.loads(blocks("toml")[1])["route"]["routes"]
    assert [f'{name}="{value}"' for name, value in rule.labels.items()] == receivers[0]["matchers"]


def test_so_is_the_rehearsals(folder):
    (folder / "rehearsal.toml").write_text(blocks("toml")[2])
    assert check(folder / "rehearsal.toml").problems == ()


def test_the_configuration_for_containers_is_valid_with_the_rules_of_the_image(folder):
    words = (ROOT / "deploy/alertd.toml").read_text()
    (folder / "alertd.toml").write_text(words.replace("/usr/share/alertd/rules", "rules"))
    assert check(folder / "alertd.toml").problems == ()


def test_every_metric_is_explained():
    published = {
        f"{found.name}_total" if found.type == "counter" else found.name for found in Metrics().registry.collect()
    }
    assert published == set(re.findall(r"^\| `([a-z_]+)` \| ", OPERATIONS.split("## Metrics")[1], re.MULTILINE))


def test_prometheus_is_asked_for_metrics_that_exist():
    wanted = re.findall(
        r"alertd_[a-z_]+", str([rule["expr"] for group in PROMETHEUS_RULES["groups"] for rule in group["rules"]])
    )
    assert wanted
    assert {name for name in wanted if f"`{name}`" not in OPERATIONS} == set()


OWN = {kind.alert for kind in KINDS.values()} | {BEGAN, ENDS}


@pytest.mark.parametrize("alert", sorted(OWN))
def test_every_alert_about_alertd_has_a_section_that_says_what_to_do(alert):
    section = re.search(rf"^### {alert}\n\n(.*?)(?=^##)", OPERATIONS, re.DOTALL | re.MULTILINE)
    assert section is not None
    assert "*Do:*" in section[1]


def test_every_alert_from_prometheus_has_a_section():
    names = {rule["alert"].lower() for group in PROMETHEUS_RULES["groups"] for rule in group["rules"]}
    assert names <= headings(OPERATIONS)


def test_no_section_is_about_an_alert_that_does_not_exist():
    names = OWN | {rule["alert"] for group in PROMETHEUS_RULES["groups"] for rule in group["rules"]}
    assert set(re.findall(r"^### (Alertd\w+)$", OPERATIONS, re.MULTILINE)) == names


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_sections_that_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        linked = page.parent / path if path else page
        assert linked.exists(), target
        assert not anchor or anchor in headings(linked.read_text()), target
