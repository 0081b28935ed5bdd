"""Which tests a file holds: read, judged with its rules and routes as a whole, every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ConfigDict, Field

from alertd.config.casetables import MADE_UP, CaseFile, CaseTable
from alertd.config.configfile import build_inhibit_rule, build_route
from alertd.config.intervaltables import TimeIntervalTable
from alertd.config.mistakes import dotted, suggestion, validate
from alertd.config.reading import Document, KeyPath, Reading, read
from alertd.config.rulefiles import SUFFIXES, load_rules
from alertd.config.tables import Collect, InhibitTable, RouteTable
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml
from alertd.engine.groups import Integration
from alertd.engine.health import KINDS
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import TimeInterval
from alertd.engine.routes import Route
from alertd.engine.rules import Rule
from alertd.errors import InputError, Problem
from alertd.settings import Table


@dataclass(frozen=True, slots=True)
class Routing:
    """Who is told in a test, and when an unfinished room is given up there (seconds past its end)."""

    route: Route
    integrations: Mapping[str, tuple[Integration, ...]]
    settle_timeout: int
    inhibit_rules: tuple[InhibitRule, ...] = ()
    intervals: Mapping[str, TimeInterval] = field(default_factory=dict)


EVERYONE = Routing(
    Route(receiver="everyone", group_by_all=True, group_wait=0, group_interval=60, repeat_interval=10 * 365 * 86400),
    {"everyone": (Integration("everyone/test[0]"),)},
    Collect().settle_timeout,
)
"""Without a configuration: each alert is told by itself, in the minute in which it fires or resolves."""


@dataclass(frozen=True, slots=True)
class Cases:
    """A valid file of tests, with the rules that it tests (those that are off too) and the routes that it uses."""

    file: str
    rules: tuple[Rule, ...]
    routing: Routing
    tests: tuple[CaseTable, ...]
    document: Document

    def place(self, *path: str | int) -> str:
        """`file:line:column` of what stands at `path`."""
        return str(self.document.problem(("tests", *path), "")).removesuffix(": ")


class _Told(Table):
    """What of a receiver matters: its name, and what kinds it has; secrets and addresses may be missing here."""

    model_config = ConfigDict(extra="allow")

    name: str


class _RoutingFile(Table):
    """What of a configuration says who is told."""

    model_config = ConfigDict(extra="ignore")

    route: RouteTable
    receivers: tuple[_Told, ...] = Field(min_length=1)
    collect: Collect = Collect()
    inhibit_rules: tuple[InhibitTable, ...] = ()
    time_intervals: tuple[TimeIntervalTable, ...] = ()


def load_cases(paths: Iterable[Path]) -> list[Cases]:
    """The tests in files, and in all `*.test.*` files of folders; InputError carries every mistake of all of them."""
    found: list[Cases] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            found += [_load(file) for file in _test_files(path)]
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(list(dict.fromkeys(problems)))
    return found


def _test_files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(one for one in path.iterdir() if one.suffix in SUFFIXES and one.stem.endswith(".test"))
    if not files:
        raise InputError([Problem(str(path), 0, 0, "holds no tests; they are called NAME.test.yaml or NAME.test.toml")])
    return files


def _load(path: Path) -> Cases:
    document = read(path, _parser(path))
    if _holds_rules(path, document.data):
        named = f"{path.stem}.test{path.suffix}"
        raise InputError([Problem(str(path), 0, 0, f"this is a rule file; name its test file, {named}")])
    tables, problems = validate(CaseFile, document, MADE_UP)
    if tables is None or document.problems:
        raise InputError([*document.problems, *problems])
    rules = _rules(document, path.parent / tables.rules)
    routing = EVERYONE if tables.config is None else _routing(document, path.parent / tables.config)
    problems = list(_unknown_names(document, tables, rules, routing))
    if problems:
        raise InputError(problems)
    return Cases(str(path), rules, routing, tables.tests, document)


def _holds_rules(path: Path, data: object) -> bool:
    """Whether a file that is not named as tests holds what rule files do: a list of rules."""
    if not isinstance(data, dict) or "tests" in data or path.stem.endswith(".test"):
        return False
    return isinstance(data.get("rules"), list)


def _parser(path: Path) -> Callable[[str], Reading]:
    return parse_toml if path.suffix == ".toml" else parse_yaml


def _rules(document: Document, path: Path) -> tuple[Rule, ...]:
    """The rules at `path`; a rule that is off is tested too, for that is how to find out whether to switch it on."""
    if not path.exists():
        raise InputError([document.problem(("rules",), f"rules: there is no file or folder {path}")])
    return load_rules([path]).every


def _routing(document: Document, path: Path) -> Routing:
    """The routes and receivers of a configuration, whose secrets need not be there."""
    if not path.exists():
        raise InputError([document.problem(("config",), f"config: there is no file {path}")])
    config = read(path, parse_toml)
    tables, problems = validate(_RoutingFile, config)
    if tables is None or config.problems:
        raise InputError([*config.problems, *problems])
    integrations = {receiver.name: tuple(_integrations(receiver)) for receiver in tables.receivers}
    route = build_route(tables.route, Route(receiver=""))
    strangers = sorted(_receivers(route) - set(integrations))
    if strangers:
        message = f'route: there is no receiver "{strangers[0]}"{suggestion(strangers[0], integrations)}'
        raise InputError([config.problem(("route",), message)])
    return Routing(
        route,
        integrations,
        tables.collect.settle_timeout,
        tuple(build_inhibit_rule(table) for table in tables.inhibit_rules),
        {table.name: table.named() for table in tables.time_intervals},
    )


def _integrations(receiver: _Told) -> Iterator[Integration]:
    from alertd.receivers import KINDS  # heavy, and needed for a test with a configuration only

    for kind in KINDS:
        written = (receiver.model_extra or {}).get(kind)
        for place, settings in enumerate(written if isinstance(written, list) else ()):
            silent = isinstance(settings, dict) and settings.get("send_resolved") is False
            yield Integration(f"{receiver.name}/{kind}[{place}]", send_resolved=not silent)


def _receivers(route: Route) -> set[str]:
    return {route.receiver}.union(*(_receivers(below) for below in route.routes))


def _unknown_names(document: Document, tables: CaseFile, rules: Iterable[Rule], routing: Routing) -> Iterator[Problem]:
    """Expected alerts and receivers that cannot come, since no rule or receiver has that name."""
    alerts = {rule.alert for rule in rules} | {kind.alert for kind in KINDS.values()}
    for path, alert in _expected_alerts(tables):
        if alert not in alerts:
            known = {rule.alert for rule in rules}
            yield document.problem(path, f'{dotted(path)}: there is no rule "{alert}"{suggestion(alert, known)}')
    for nth, case in enumerate(tables.tests):
        for place, expected in enumerate(case.expect_notifications or ()):
            path = ("tests", nth, "expect_notifications", place, "receiver")
            name = expected.receiver
            if name is not None and name not in routing.integrations:
                message = f'{dotted(path)}: there is no receiver "{name}"{suggestion(name, routing.integrations)}'
                yield document.problem(path, message)


def _expected_alerts(tables: CaseFile) -> Iterator[tuple[KeyPath, str]]:
    for nth, case in enumerate(tables.tests):
        for place, expected in enumerate(case.expect):
            for which, alert in enumerate(expected.alerts):
                yield ("tests", nth, "expect", place, "alerts", which, "alert"), alert.alert
        for place, told in enumerate(case.expect_notifications or ()):
            for which, name in enumerate(told.alerts):
                yield ("tests", nth, "expect_notifications", place, "alerts", which), name
