"""Regular expressions of strangers: what people write passes, what would take forever does not."""

from __future__ import annotations

import pytest

from alertd.engine.patterns import complaint


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a.*",
        ".*a.*b.*",
        "(foo|bar)",
        "stag.*",
        "[a-z]+-[0-9]+",
        "(ab){3}",
        "(?i)abc",
        "^(?!x).*$",
        "us[12]|.*x",
        "ü+",
    ],
)
def test_what_people_write_is_taken(pattern):
    assert complaint(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a+)+$", "more than one way"),
        ("(a|aa)*", "more than one way"),
        ("((a?)b)*", "more than one way"),
        (".*.*.*.*", "more than 3 repeats"),
        ("a?" * 11 + "a" * 11, "more than 10 options"),
        (r"(a)\1", "refers back"),
        ("(", "not a regular expression"),
        ("a{99999999999}", "not a regular expression"),
        ("(" * 600 + ")" * 600, ""),
        ("a" * 1001, "longer than 1000"),
    ],
)
def test_what_takes_too_long_is_refused_with_its_reason(pattern, why):
    assert why in complaint(pattern)
