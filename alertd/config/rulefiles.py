"""Which rules the rule files hold: every file read, every rule judged, every mistake named in one pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alertd.config.mistakes import dotted, validate
from alertd.config.reading import Document, read
from alertd.config.ruledraft import Draft, draft_rule
from alertd.config.ruletables import MISPLACED, SHORTEST, RuleFile
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml
from alertd.engine.rules import Rule
from alertd.errors import InputError, Problem

SUFFIXES = (".yaml", ".yml", ".toml")


@dataclass(frozen=True, slots=True)
class LoadedRules:
    """The enabled rules in the order of the files, what is odd but allowed, and the files read.

    `every` are all rules, those that are switched off among them.
    """

    rules: tuple[Rule, ...]
    every: tuple[Rule, ...]
    notices: tuple[Problem, ...]
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class JudgedRules:
    """What came of reading rule files: the enabled rules of those without problems, and all problems and notices.

    `every` are all rules of files without problems, those that are switched off among them.
    """

    rules: list[Rule]
    every: list[Rule]
    problems: list[Problem]
    notices: list[Problem]
    files: list[Path]


def load_rules(paths: Iterable[Path | str]) -> LoadedRules:
    """The rules in files and folders; InputError carries every mistake of all files."""
    judged = judge_rules([Path(path) for path in paths])
    if judged.problems:
        raise InputError(judged.problems)
    return LoadedRules(tuple(judged.rules), tuple(judged.every), tuple(judged.notices), tuple(judged.files))


def judge_rules(paths: Sequence[Path]) -> JudgedRules:
    """The rules in files and folders, and every mistake of all files."""
    files, problems = rule_files(paths)
    judged = JudgedRules([], [], problems, [], files)
    first: dict[str, str] = {}
    for file in files:
        _judge_file(file, judged, first)
    return judged


def rule_files(paths: Iterable[Path]) -> tuple[list[Path], list[Problem]]:
    """The rule files at `paths`: of a folder those directly inside, without tests and hidden files."""
    files: list[Path] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            files += sorted(filter(_is_rule_file, path.iterdir())) if path.is_dir() else [path]
        except OSError as error:
            problems.append(Problem(str(path), 0, 0, f"cannot be read: {error.strerror}"))
    return list(dict.fromkeys(files)), problems


def _is_rule_file(path: Path) -> bool:
    hidden_or_test = path.name.startswith(".") or path.stem.endswith(".test")
    return path.suffix in SUFFIXES and not hidden_or_test and path.is_file()


def _judge_file(file: Path, judged: JudgedRules, first: dict[str, str]) -> None:
    try:
        document = read(file, parse_toml if file.suffix == ".toml" else parse_yaml)
    except InputError as error:
        judged.problems.extend(error.problems)
        return
    tables, problems = validate(RuleFile, document, MISPLACED, SHORTEST)
    drafts = list(_drafts(document))
    problems += [*document.problems, *(problem for draft in drafts for problem in draft.problems)]
    problems += _twins(document, drafts, first)
    judged.problems.extend(dict.fromkeys(problems))  # those of defaults came with every rule
    judged.notices.extend(dict.fromkeys(notice for draft in drafts for notice in draft.notices))
    if tables is not None and not problems:
        every = [draft.rule(table, tables.defaults) for table, draft in zip(tables.rules, drafts, strict=True)]
        judged.every.extend(every)
        judged.rules.extend(rule for table, rule in zip(tables.rules, every, strict=True) if table.enabled)


def _drafts(document: Document) -> Iterator[Draft]:
    data = document.data if isinstance(document.data, dict) else {}
    defaults = data.get("defaults")
    rules = data.get("rules")
    for place, raw in enumerate(rules if isinstance(rules, list) else []):
        if isinstance(raw, dict):
            yield draft_rule(document, ("rules", place), raw, defaults if isinstance(defaults, dict) else {})


def _twins(document: Document, drafts: Iterable[Draft], first: dict[str, str]) -> Iterator[Problem]:
    """A problem for each rule that has the alert name and the labels of an earlier one; `first` remembers where."""
    for draft in drafts:
        if not draft.key:
            continue
        problem = document.problem((*draft.path, "alert"), "")
        before = first.setdefault(draft.key, f"{problem.file}:{problem.line}")
        if before != f"{problem.file}:{problem.line}":
            message = f"{dotted(draft.path)}: the rule in {before} has the same alert and labels; change one of them"
            yield document.problem((*draft.path, "alert"), message)
