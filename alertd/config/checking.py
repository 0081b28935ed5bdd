"""Whether a configuration and its rules are valid together: what `alertd check` says and the daemon starts from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alertd.config.configfile import Config, Judged, judge_config
from alertd.config.rulefiles import JudgedRules, judge_rules
from alertd.engine.durations import format_duration
from alertd.engine.rules import Rule
from alertd.errors import InputError, Problem


@dataclass(frozen=True, slots=True)
class Loaded:
    """A valid configuration with its rules; `files` are all that were read, the configuration first."""

    config: Config
    rules: tuple[Rule, ...]
    notices: tuple[Problem, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found; both lists are in the order of files and lines."""

    problems: tuple[Problem, ...]
    notices: tuple[Problem, ...]
    files: tuple[Path, ...]
    rules: int

    @property
    def valid(self) -> bool:
        """Whether alertd would start with these files."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The same for machines; a problem or notice has file, line, column and message."""
        return {
            "valid": self.valid,
            "files": [str(path) for path in self.files],
            "rules": self.rules,
            "problems": [_as_json(problem) for problem in self.problems],
            "notices": [_as_json(notice) for notice in self.notices],
        }


def load(config: Path | str) -> Loaded:
    """The configuration and its rules; InputError carries every mistake of all files."""
    judged, rules = _judge(Path(config))
    problems = [*judged.problems, *rules.problems]
    if judged.config is None or problems:
        raise InputError(problems)
    notices = (*judged.notices, *rules.notices)
    return Loaded(judged.config, tuple(rules.rules), notices, (judged.config.path, *rules.files))


def check(config: Path | str | None, rules: Iterable[Path | str] = ()) -> Checked:
    """Every mistake and oddity of a configuration with its rules, of further rule files, or of rule files alone."""
    files: list[Path] = []
    problems: list[Problem] = []
    notices: list[Problem] = []
    count = 0
    found: list[JudgedRules] = [judge_rules([Path(path) for path in rules])]
    if config is not None:
        judged, own = _judge(Path(config))
        files.append(Path(config))
        problems += judged.problems
        notices += judged.notices
        found.insert(0, own)
    for part in found:
        files += part.files
        problems += part.problems
        notices += part.notices
        count += len(part.rules)
    return Checked(tuple(sorted(problems)), tuple(sorted(notices)), tuple(files), count)


def _judge(path: Path) -> tuple[Judged, JudgedRules]:
    """A configuration and its rules, with what only both together show."""
    judged = judge_config(path)
    rules = judge_rules([place for place in judged.rule_paths if place.exists()])
    if judged.config is not None:
        rules.problems.extend(_beyond_history(judged.config, rules.rules))
        if not rules.rules and not rules.problems:
            judged.notices.append(Problem(str(path), 0, 0, "there are no rules in rules.paths: nothing can ever fire"))
    return judged, rules


def _beyond_history(config: Config, rules: Iterable[Rule]) -> Iterator[Problem]:
    kept = config.store.keep
    for rule in rules:
        if rule.kind.reach > kept:
            file, _, line = rule.source.rpartition(":")
            message = (
                f"{rule.alert} looks back {format_duration(rule.kind.reach)}, but store.keep is {format_duration(kept)}"
            )
            yield Problem(file, int(line), 1, message)


def _as_json(problem: Problem) -> dict[str, Any]:
    return {"file": problem.file, "line": problem.line, "column": problem.column, "message": problem.message}
