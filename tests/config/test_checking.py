"""`check` names the mistakes of the configuration and of all its rules in one go; `load` gives both or refuses."""

from __future__ import annotations

import json

import pytest

from alertd.config import check, load
from alertd.errors import InputError


def test_valid_files_are_loaded_together(config_file, tmp_path):
    loaded = load(config_file())
    assert [rule.alert for rule in loaded.rules] == ["Failing"]
    assert loaded.files == (tmp_path / "alertd.toml", tmp_path / "rules/one.yaml")
    assert loaded.notices == ()


def test_mistakes_of_the_configuration_and_of_its_rules_are_told_together(config_file, config_text):
    path = config_file(config_text + "[colect]\n", "rules:\n  - {alert: A, when: eror, any: true}\n")
    found = check(path)
    assert not found.valid
    assert [problem.file.rpartition("/")[2] for problem in found.problems] == ["alertd.toml", "one.yaml"]
    with pytest.raises(InputError) as refused:
        load(path)
    assert refused.value.problems == list(found.problems)


def test_rules_can_be_checked_without_a_configuration(config_file, tmp_path):
    config_file()
    found = check(None, [tmp_path / "rules"])
    assert found.valid
    assert found.rules == 1


def test_a_check_is_told_to_machines_as_json(config_file, config_text, tmp_path):
    found = check(config_file(config_text + "[colect]\n"))
    assert json.loads(json.dumps(found.as_json())) == {
        "valid": False,
        "files": [str(tmp_path / "alertd.toml"), str(tmp_path / "rules/one.yaml")],
        "rules": 1,
        "problems": [
            {
                "file": str(tmp_path / "alertd.toml"),
                "line": 12,
                "column": 2,
                "message": 'unknown key "colect"; did you mean "collect"?',
            }
        ],
        "notices": [],
    }


def test_no_rule_may_look_back_further_than_history_is_kept(config_file, config_text):
    rules = "rules:\n  - {alert: Slow, when: error, count: {at_least: 5, over: 10d}}\n"
    path = config_file(config_text + '[store]\nkeep = "8d"\n', rules)
    with pytest.raises(InputError, match=r"one\.yaml:2:1: Slow looks back 10d, but store.keep is 8d"):
        load(path)


def test_having_no_rules_is_odd(config_file):
    loaded = load(config_file(rules="rules: []\n"))
    assert "nothing can ever fire" in loaded.notices[0].message


def test_a_receiver_that_no_route_names_is_odd(config_file, config_text):
    notices = check(config_file(config_text + '[[receivers]]\nname = "spare"\n')).notices
    assert [(notice.line, notice.message) for notice in notices] == [(13, 'no route leads to the receiver "spare"')]


def test_links_that_only_work_on_this_machine_are_odd(config_file, config_text):
    notices = check(config_file(config_text + '[http]\nlisten = "0.0.0.0:80"\nallow_anonymous = true\n')).notices
    assert "links in messages will point to http://127.0.0.1:80" in notices[0].message
