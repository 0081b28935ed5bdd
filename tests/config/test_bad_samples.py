"""Each file in bad/ says in its first lines which problems it has, and no others: `# expect: LINE:COLUMN: MESSAGE`."""

from __future__ import annotations

from pathlib import Path

import pytest

from alertd.config import load_config, load_rules
from alertd.errors import InputError

HERE = Path(__file__).parent
CONFIGS = sorted((HERE / "bad/config").glob("*.toml"))
RULES = sorted(path for path in (HERE / "bad/rules").iterdir() if path.suffix in (".yaml", ".toml"))


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
