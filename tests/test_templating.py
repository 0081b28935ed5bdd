"""Templates of people: what they may say, how mistakes are told, and that none can run away."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from alertd.templating import ANNOTATION_VARIABLES, MESSAGE_VARIABLES, compile_text


def text(source: str, **variables: object) -> str:
    return compile_text(source, name="the summary")(variables)


def mistake(source: str, **variables: object) -> str:
    with pytest.raises(ValueError) as caught:
        text(source, **variables)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ 0.0312|percent }}", "3.1 %"),
        ("{{ 0.05|percent }}", "5 %"),
        ("{{ 0.00031|percent }}", "0.031 %"),
        ("{{ 0|percent }}", "0 %"),
        ("{{ 1|percent }}", "100 %"),
        ("{{ 300|duration }}", "5m"),
        ("{{ 5400|duration }}", "1h30m"),
        ("{{ 1772453280|time }}", "2026-03-02 12:08 UTC"),
        ("{{ 12345.678|number }}", "12,345.68"),
        ("{{ 30|number }}", "30"),
        ("{{ none|percent }} {{ none|duration }} {{ none|time }} {{ none|number }}", "n/a n/a n/a n/a"),
    ],
)
def test_filters_write_numbers_as_people_say_them(source, said):
    assert text(source) == said


def test_an_annotation_reads_labels_sample_and_rule():
    source = "{{ rule.alert }}: {{ sample.rate|percent }} in {{ labels.media_region|upper }}"
    variables = {"rule": {"alert": "Failing"}, "sample": SimpleNamespace(rate=0.102), "labels": {"media_region": "au1"}}
    assert text(source, **variables) == "Failing: 10.2 % in AU1"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("fine\n{% if %}", "line 2: Expected an expression"),
        ("{{ 1|percnt }}", "line 1: No filter named 'percnt'"),
        ("{{ 'x'|safe }}", "line 1: No filter named 'safe'"),
        ("fine\n\n{{ labels.nope }}", "line 3: 'dict object' has no attribute 'nope'"),
        ("fine\n{{ 1 / 0 }}", "line 2: division by zero"),
    ],
)
def test_a_mistake_is_told_with_its_line(source, told):
    assert mistake(source, labels={}).startswith(told)


def test_an_unknown_variable_is_refused_before_anything_is_rendered():
    with pytest.raises(ValueError, match=r"line 2: unknown variable 'lables'; did you mean 'labels'\?"):
        compile_text("a\n{{ lables.x }}", name="x", known=ANNOTATION_VARIABLES)
    with pytest.raises(ValueError, match="known are alerts, common_annotations"):
        compile_text("{{ zzz }}", name="x", known=MESSAGE_VARIABLES)


def test_loop_variables_and_range_are_known():
    source = "{% for x in labels %}{% set shown = x %}{{ shown }}{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}"
    assert compile_text(source, name="x", known=ANNOTATION_VARIABLES)({"labels": ["a"]}) == "a012"


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'x' * 1000000000 }}",
        "{{ [1] * 1000000000 }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%999999999d' % 1 }}",
        "{{ '{:>999999999}'.format(1) }}",
        "{{ 'x'.center(999999999) }}",
        "{{ 'x'|center(999999999) }}",
        "{{ range(1000000000)|list }}",
        "{% for i in range(101) %}{% endfor %}",
        "{% for a in x %}" * 4 + "{% endfor %}" * 4,
        "{% for a in x recursive %}{{ loop(x) }}{% endfor %}",
        "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        "{% set big %}{% for i in x %}{{ i }}{% endfor %}{% endset %}",
        "{% filter upper %}x{% endfilter %}",
        "{% include 'x' %}",
        "{{ namespace(x=1) }}",
        "{{" + "(" * 5000 + ")" * 5000 + "}}",
    ],
)
def test_what_could_run_or_grow_without_bounds_is_refused(source):
    assert mistake(source, x=list(range(100))).startswith("line 1: ")


@pytest.mark.parametrize("source", ["{{ ''.__class__ }}", "{{ x.__init__.__globals__ }}", "{{ x.append(1) }}"])
def test_the_sandbox_lets_nobody_out(source):
    assert "unsafe" in mistake(source, x=[])


def test_a_text_over_its_limit_is_an_error_and_never_a_shorter_text():
    assert mistake("\n{% for i in range(100) %}{% for j in range(100) %}xx{% endfor %}{% endfor %}").endswith(
        "the text of the summary is longer than 4096 bytes"
    )
    assert len(text("x" * 4096)) == 4096
    assert "longer than 4096 bytes" in mistake("€" * 1366)


def test_values_are_escaped_for_html_on_request_and_the_template_itself_is_not():
    render = compile_text("<b>{{ name }}</b>", name="x", autoescape=True)
    assert render({"name": "<script>"}) == "<b>&lt;script&gt;</b>"


def test_a_receiver_brings_its_own_escaping_of_values():
    render = compile_text("*{{ name }}* {{ 'lit' }}", name="x", escape=str.upper)
    assert render({"name": "value"}) == "*VALUE* LIT"
