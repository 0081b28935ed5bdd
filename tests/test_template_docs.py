"""docs/templates.md says all that a template can use, and nothing that it cannot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alertd.engine.explain import Explanation, Slice
from alertd.engine.groups import Notification, NotifiedAlert
from alertd.engine.samples import Sample
from alertd.engine.windows import Evidence
from alertd.receivers import SETTINGS
from alertd.templating import ANNOTATION_VARIABLES, FILTERS, MESSAGE_VARIABLES, compile_text

PAGE = (Path(__file__).parents[1] / "docs/templates.md").read_text()
OURS = {"percent", "duration", "time", "number"}


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def first_column(text: str) -> set[str]:
    """The names in the first column of a section's tables."""
    cells = re.findall(r"^\| ([^|]+) \|", text, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def names(struct: type) -> set[str]:
    """The fields and properties of a record, which are what a template can read."""
    properties = {name for name, value in vars(struct).items() if isinstance(value, property)}
    return {*struct.__struct_fields__, *properties}


def test_the_variables_of_annotations():
    assert first_column(section("In a rule's annotations")) == ANNOTATION_VARIABLES


def test_the_variables_of_messages_and_the_templates_of_each_receiver():
    kinds = {kind for kind in SETTINGS if "template" in SETTINGS[kind].model_fields}
    assert first_column(section("In a receiver's message")) == MESSAGE_VARIABLES | kinds | {"webhook"}
    for kind in kinds:
        template = SETTINGS[kind].model_fields["template"].annotation.__args__[0]
        row = re.search(rf"^\| `{kind}` \| (.*) \|$", PAGE, re.MULTILINE)[1]
        assert set(re.findall(r"`(\w+)`", row)) == set(template.model_fields)


@pytest.mark.parametrize(
    ("title", "struct"),
    [("Alert", NotifiedAlert), ("Sample", Sample), ("Evidence", Evidence)],
    ids=str,
)
def test_what_each_record_has(title, struct):
    assert first_column(section(title)) == names(struct)


def test_what_a_notification_and_an_explanation_have():
    own = names(Notification) - MESSAGE_VARIABLES - {"common_labels", "common_annotations"}
    assert own == set(re.findall(r"`notification\.(\w+)`", PAGE))
    told = set(re.findall(r"`(\w+)`", section("Explain")))
    assert told - {"localised"} == (names(Explanation) | names(Slice)) - {"localised"}


def test_the_filters():
    told = set(re.findall(r"`([a-z]\w*)`", section("Filters"))) - {"safe"}
    assert told == {*FILTERS, *OURS}


@pytest.mark.parametrize("name", sorted(OURS))
def test_our_own_filters_exist_and_give_what_is_said(name):
    row = re.search(rf"^\| `{name}` \| (.*) \|$", PAGE, re.MULTILINE)[1]
    given, *_, expected = re.findall(r"`([^`]+)`", row)
    value = float(given)
    render = compile_text(f"{{{{ value|{name} }}}}", name="example")
    assert render({"value": value}) == expected
    assert render({"value": None}) == "n/a"
