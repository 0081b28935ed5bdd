"""`alertd test` for people and for build servers: verdicts, exit statuses, JUnit's XML."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
RULES = "rules: [{alert: Lost, match: {error_code: 53405}, any: true}]\n"
PASSES = """
  - name: it fires
    rooms: [{participants: [{error_code: 53405}]}]
    expect: [{at: 20m, alerts: [{alert: Lost}]}]
"""
FAILS = r"""
  - name: "it fires <at once> & \"for sure\" \x01"
    rooms: [{participants: [{error_code: 53405}]}]
    expect: [{at: 1m, alerts: [{alert: Lost}]}]
    expect_notifications: []
"""


@pytest.fixture
def run(tmp_path):
    """Writes files of tests beside RULES, by name, and runs `alertd test`: exit status, standard output, errors."""

    def runs(*arguments: str, **tests: str) -> tuple[int, str, str]:
        (tmp_path / "my.yaml").write_text(RULES)
        for name, text in tests.items():
            (tmp_path / f"{name}.test.yaml").write_text(f"rules: my.yaml\ntests:{text}")
        command = [sys.executable, "-m", "alertd", "test", *arguments]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout, done.stderr

    return runs


def test_tests_that_pass_end_with_status_0(run):
    status, out, err = run(".", "--junit", "report.xml", one=PASSES, two=PASSES * 2)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[:5] == ["one.test.yaml", "  ok  it fires", "two.test.yaml", "  ok  it fires", "  ok  it fires"]
    assert lines[5].startswith("3 tests in 2 files passed (")


def test_one_that_fails_ends_with_status_1_and_says_why_without_colours(run):
    status, out, _ = run("one.test.yaml", "two.test.yaml", one=PASSES, two=PASSES + FAILS)
    assert status == 1
    assert "  FAILED  it fires <at once>" in out
    assert "two.test.yaml:9:14: alerts at 1m\n      expected  Lost firing\n      came      none\n" in out
    assert out.splitlines()[-1].startswith("1 of 3 tests in 2 files failed (")
    assert "\x1b" not in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'FILE...'"),
        (["nothing.test.yaml"], "nothing.test.yaml: cannot be read: No such file or directory"),
        (["bad.test.yaml"], 'bad.test.yaml:3:5: unknown key "nmae" in tests[0]; did you mean "name"?'),
        (["good.test.yaml", "--junit", "no/such/folder.xml"], "no/such/folder.xml: cannot be written"),
    ],
)
def test_what_cannot_be_read_or_written_ends_with_status_2(run, arguments, said):
    status, _, err = run(*arguments, bad="\n  - nmae: one\n    expect: [{at: 1m, alerts: []}]\n", good=PASSES)
    assert status == 2
    assert said in err


def test_the_report_is_what_build_servers_read(run, tmp_path):
    run(".", "--junit", "report.xml", one=PASSES, two=PASSES + FAILS)
    root = ElementTree.parse(tmp_path / "report.xml").getroot()
    assert (root.tag, root.get("tests"), root.get("failures")) == ("testsuites", "3", "1")
    suites = [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root]
    assert suites == [("one.test.yaml", "1", "0"), ("two.test.yaml", "2", "1")]
    passed, failed = root.findall("testsuite/testcase")[1:]
    assert (passed.get("classname"), passed.get("name"), len(passed)) == ("two.test.yaml", "it fires", 0)
    assert failed.get("name") == 'it fires <at once> & "for sure" \ufffd'
    (failure,) = failed
    assert failure.get("message") == "two.test.yaml:9:14: alerts at 1m"
    assert "expected  Lost firing" in (failure.text or "")
    assert all(float(one.get("time", "")) >= 0 for one in root.iter() if one.tag != "failure")
