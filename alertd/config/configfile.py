"""Which configuration a file describes: read, judged as a whole, and turned into what the program works with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from alertd.config.mistakes import dotted, suggestion, validate
from alertd.config.reading import Document, KeyPath, read
from alertd.config.tables import (
    Account,
    Collect,
    ConfigTables,
    Http,
    InhibitTable,
    Log,
    Privacy,
    RouteTable,
    Store,
    StoreTables,
    config_file,
)
from alertd.config.tomltext import parse_toml
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import TimeInterval
from alertd.engine.routes import Escalation, Route
from alertd.errors import InputError, Problem
from alertd.settings import Table

INTERVALS = ("mute_time_intervals", "active_time_intervals")
Integration = tuple[str, Table]
"""One way to tell: the kind of receiver (`slack`) and its settings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A valid configuration. Paths are resolved; durations are seconds; secrets stay wrapped.

    `receivers` maps each name to its integrations, in the order of the kinds and then of the file.
    """

    path: Path
    accounts: tuple[Account, ...]
    collect: Collect
    store: Store
    rule_paths: tuple[Path, ...]
    watch: bool
    http: Http
    route: Route
    receivers: Mapping[str, tuple[Integration, ...]]
    inhibit_rules: tuple[InhibitRule, ...]
    intervals: Mapping[str, TimeInterval]
    log: Log
    privacy: Privacy


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of reading a file: the configuration unless there are problems, and what is odd but allowed.

    `rule_paths` is known even where something else is wrong, so that one pass can name the mistakes of all files.
    """

    config: Config | None
    problems: list[Problem]
    notices: list[Problem]
    rule_paths: tuple[Path, ...]


def load_config(path: Path | str) -> Config:
    """The configuration in a TOML file; InputError carries every mistake in it."""
    judged = judge_config(Path(path))
    if judged.config is None:
        raise InputError(judged.problems)
    return judged.config


def load_store(path: Path | str) -> Store:
    """Only where history is kept, for commands that need no other secret; InputError if that cannot be read."""
    path = Path(path)
    document = read(path, parse_toml)
    table = {key: value for key, value in document.data.items() if key == "store"}
    tables, problems = validate(StoreTables, replace(document, data=table))
    if tables is None or document.problems:
        raise InputError([*document.problems, *problems])
    return _beside(path.parent, tables.store)


def judge_config(path: Path) -> Judged:
    """The configuration in a TOML file, or every mistake in it."""
    try:
        document = read(path, parse_toml)
    except InputError as error:
        return Judged(None, error.problems, [], ())
    tables, problems = validate(config_file(), document)
    problems += [*document.problems, *_contradictions(document)]
    paths = tuple(path.parent / name for name in _texts(document.data, "rules", "paths", ["rules"]))
    if tables is None or problems:
        return Judged(None, problems, [], paths)
    return Judged(_config(path, tables, paths), [], list(_oddities(document, tables)), paths)


def _config(path: Path, tables: ConfigTables, rule_paths: tuple[Path, ...]) -> Config:
    return Config(
        path=path,
        accounts=tables.accounts,
        collect=tables.collect,
        store=_beside(path.parent, tables.store),
        rule_paths=rule_paths,
        watch=tables.rules.watch,
        http=tables.http,
        route=build_route(tables.route, Route(receiver="")),
        receivers={receiver.name: tuple(_integrations(receiver)) for receiver in tables.receivers},
        inhibit_rules=tuple(build_inhibit_rule(table) for table in tables.inhibit_rules),
        intervals={table.name: table.named() for table in tables.time_intervals},
        log=tables.log,
        privacy=tables.privacy,
    )


def _beside(folder: Path, store: Store) -> Store:
    """The store with an SQLite path resolved against the folder of the configuration."""
    scheme, _, place = store.url.get_secret_value().partition(":///")
    if scheme != "sqlite":
        return store
    return store.model_copy(update={"url": SecretStr(f"sqlite:///{(folder / place).absolute()}")})


def _integrations(receiver: Table) -> Iterator[Integration]:
    for kind in type(receiver).model_fields:
        if kind != "name":
            yield from ((kind, settings) for settings in getattr(receiver, kind))


def build_route(table: RouteTable, above: Route) -> Route:
    """The route of a table, with what it does not say taken from the route above it."""
    said = {
        "receiver": table.receiver,
        "group_wait": table.group_wait,
        "group_interval": table.group_interval,
        "repeat_interval": table.repeat_interval,
        "repeat_factor": table.repeat_factor,
        "repeat_at_most": table.repeat_at_most,
    }
    own = replace(
        above,
        matchers=table.matchers,
        continue_=table.continue_,
        mute_time_intervals=table.mute_time_intervals,  # as in Alertmanager these are not inherited
        active_time_intervals=table.active_time_intervals,
        escalations=tuple(Escalation(after=one.after, receiver=one.receiver) for one in table.escalations),
        routes=(),
    )
    own = replace(own, **{name: value for name, value in said.items() if value is not None})  # type: ignore[arg-type]
    if table.group_by is not None:
        everything = table.group_by == ("...",)
        own = replace(own, group_by=() if everything else table.group_by, group_by_all=everything)
    return replace(own, routes=tuple(build_route(child, own) for child in table.routes))


def build_inhibit_rule(table: InhibitTable) -> InhibitRule:
    """The inhibition of a table."""
    return InhibitRule(source=table.source_matchers, target=table.target_matchers, equal=table.equal, name=table.name)


# What single tables cannot know. These look at the plain data, so that they are told beside all other mistakes.


def _contradictions(document: Document) -> Iterator[Problem]:
    yield from _twins(document, "accounts")
    yield from _twins(document, "receivers")
    yield from _twins(document, "time_intervals")
    yield from _missing_paths(document)
    root = document.data.get("route")
    if isinstance(root, dict):
        yield from _first_route(document, root)
        names = [str(table.get("name")) for _, table in _tables(document.data, "receivers")]
        yield from _unknown_receivers(document, root, ("route",), names)
        intervals = [str(table.get("name")) for _, table in _tables(document.data, "time_intervals")]
        yield from _unknown_intervals(document, root, ("route",), intervals)


def _twins(document: Document, key: str) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for place, table in _tables(document.data, key):
        name = table.get("name")
        if isinstance(name, str) and first.setdefault(name, place) != place:
            line = document.problem((key, first[name], "name"), "").line
            yield document.problem((key, place, "name"), f'{key}: "{name}" has been used in line {line}')


def _missing_paths(document: Document) -> Iterator[Problem]:
    folder = Path(document.file).parent
    for place, name in enumerate(_texts(document.data, "rules", "paths", ["rules"])):
        if not (folder / name).exists():
            message = f"rules.paths: there is no file or folder {folder / name}"
            yield document.problem(("rules", "paths", place), message)


def _first_route(document: Document, root: dict[str, Any]) -> Iterator[Problem]:
    if "receiver" not in root:
        yield document.problem(("route",), "route: the first route needs a receiver, for alerts that no other matches")
    for key in ("matchers", "continue", *INTERVALS):
        if key in root:
            message = f"route.{key}: the first route takes every alert and has no {key}; put it on a route below"
            yield document.problem(("route", key), message, at_key=True)


def _unknown_receivers(document: Document, route: dict[str, Any], path: KeyPath, names: list[str]) -> Iterator[Problem]:
    steps = [((*path, "escalations", nth), step) for nth, step in _tables(route, "escalations")]
    for where, told in [(path, route), *steps]:
        name, place = told.get("receiver"), (*where, "receiver")
        if isinstance(name, str) and name not in names:
            message = f'{dotted(place)}: there is no receiver "{name}"{suggestion(name, names)}'
            yield document.problem(place, message)
    for nth, child in _tables(route, "routes"):
        yield from _unknown_receivers(document, child, (*path, "routes", nth), names)


def _unknown_intervals(document: Document, route: dict[str, Any], path: KeyPath, names: list[str]) -> Iterator[Problem]:
    for key in INTERVALS:
        for nth, name in enumerate(_texts({"": route}, "", key, [])):
            if name not in names:
                place = (*path, key, nth)
                message = f'{dotted((*path, key))}: there is no time interval "{name}"{suggestion(name, names)}'
                yield document.problem(place, message)
    for nth, child in _tables(route, "routes"):
        yield from _unknown_intervals(document, child, (*path, "routes", nth), names)


def _oddities(document: Document, tables: ConfigTables) -> Iterator[Problem]:
    http = tables.http
    if not http.external_url and http.address != f"http://{http.listen}":
        message = f"http.external_url is not set: links in messages will point to {http.address}"
        yield document.problem(("http", "listen"), message)
    told = set(_receivers_of(tables.route))
    for place, receiver in enumerate(tables.receivers):
        if receiver.name not in told:
            yield document.problem(("receivers", place, "name"), f'no route leads to the receiver "{receiver.name}"')


def _receivers_of(route: RouteTable) -> Iterator[str]:
    if route.receiver:
        yield route.receiver
    yield from (step.receiver for step in route.escalations)
    for child in route.routes:
        yield from _receivers_of(child)


def _tables(data: object, key: str) -> list[tuple[int, dict[str, Any]]]:
    """The tables in the list at `key`, with their places; whatever else stands there is told elsewhere."""
    found = data.get(key) if isinstance(data, dict) else None
    return (
        [(place, item) for place, item in enumerate(found) if isinstance(item, dict)] if isinstance(found, list) else []
    )


def _texts(data: dict[str, Any], table: str, key: str, default: list[str]) -> list[str]:
    inside = data.get(table, {})
    found = inside.get(key, default) if isinstance(inside, dict) else default
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []
