"""Each file in bad/ says in its first lines which problems it has, and no others: `# expect: LINE:COLUMN: MESSAGE`."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from alertd.config import load_config, load_rules
from alertd.errors import InputError

HERE = Path(__file__).parent
CONFIGS = sorted((HERE / "bad/config").glob("*.toml"))
RULES = sorted(path for path in (HERE / "bad/rules").iterdir() if path.suffix in (".yaml", ".toml"))

ALERTD = HERE.parents[1] / "alertd"
JUDGES = [
    *("settings", "templating", "config/forms", "config/ruleforms", "config/ruletables", "config/ruledraft"),
    *(
        "config/intervaltables",
        "config/tables",
        "config/yamltext",
        "config/tomltext",
        "engine/conditions",
        "engine/durations",
    ),
    *("engine/expressions", "engine/fields", "engine/literals", "engine/predicates", "engine/routes"),
]
"""Where messages about files come from."""
TELLING = {"ValueError", "LiteralError", "_NotAllowedError", "UnknownFieldError", "Mistake", "SyntaxMistake"}
TELLING |= {"TemplateSyntaxError", "SecurityError", "wrong", "mistake"}
UNSEEN = {
    # bounds that take huge files, which have tests of their own
    *(" is nested more than ", " is a number of more than ", " has more than ", " values, aliases counted in full"),
    *("is nested more than ", "is a number of more than ", "has more than ", "is a number of too many digits"),
    *("this condition has more than ", "this is nested deeper than ", "line 1: the template is nested too deeply"),
    # what a reader of files lets nobody write: keys that are no text, expressions that are none, bytes of nought
    *(" is no name of a field", "an expression is text; ", " needs quotes", "cannot be read; "),
}


def messages(module):
    """The longest fixed piece of each message that a module can give."""
    for call in ast.walk(ast.parse((ALERTD / f"{module}.py").read_text())):
        if isinstance(call, ast.Call) and (getattr(call.func, "id", "") or getattr(call.func, "attr", "")) in TELLING:
            for argument in call.args:
                parts = argument.values if isinstance(argument, ast.JoinedStr) else [argument]
                texts = [part.value for part in parts if isinstance(part, ast.Constant)]
                yield max((text for text in texts if isinstance(text, str)), key=len, default="")


def expected(path):
    lines = path.read_text().splitlines()
    return [line.removeprefix("# expect: ") for line in lines if line.startswith("# expect: ")]


def said(error, path):
    """The problems without the file's own name, and with other files named as seen from the samples' folder."""
    return [str(problem).removeprefix(f"{path}:").replace(f"{path.parents[1]}/", "") for problem in error.problems]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_bad_configuration_is_refused_with_every_mistake_at_its_place(path):
    with pytest.raises(InputError) as refused:
        load_config(path)
    assert said(refused.value, path) == expected(path)


@pytest.mark.parametrize("path", RULES, ids=lambda path: path.stem)
def test_a_bad_rule_file_is_refused_with_every_mistake_at_its_place(path):
    with pytest.raises(InputError) as refused:
        load_rules([path])
    assert said(refused.value, path) == expected(path)


@pytest.mark.parametrize("path", [*CONFIGS, *RULES], ids=lambda path: path.stem)
def test_no_message_repeats_a_secret(path):
    """The samples that hold something secret hold the word hunter2."""
    with pytest.raises(InputError) as refused:
        load_config(path) if path in CONFIGS else load_rules([path])
    assert "hunter2" not in str(refused.value)


def test_every_sample_expects_something():
    assert all(expected(path) for path in [*CONFIGS, *RULES])


@pytest.mark.parametrize("module", JUDGES)
def test_there_is_a_sample_for_every_message(module):
    seen = "\n".join(line for path in [*CONFIGS, *RULES] for line in expected(path))
    assert {text for text in messages(module) if len(text) > 8 and text not in seen} <= UNSEEN
