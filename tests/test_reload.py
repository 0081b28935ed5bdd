"""Changed files take effect as a whole or not at all, and whoever runs alertd hears which."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from alertd.config import Loaded, load
from alertd.errors import StoreError
from alertd.reload import Files, Reloader, needs_restart, watched
from alertd.web.metrics import Metrics

CONFIG = """
[[accounts]]
name = "production"
api_key = "SK55555555555555555555555555555555"
api_key_secret = "hush"
[collect]
every = "1m"
[store]
url = "sqlite:///alertd.db"
[rules]
paths = ["rules"]
[http]
listen = "127.0.0.1:0"
[route]
receiver = "oncall"
[[receivers]]
name = "oncall"
[[receivers.webhook]]
url = "http://127.0.0.1:9/"
"""
RULE = "rules:\n  - alert: {name}\n    match: {{error_code: 53405}}\n    any: true\n"
BROKEN = "rules:\n  - alert: Broken\n    match: {eror_code: 53405}\n    any: true\n"


class World:
    """A configuration with a folder of rules, and a daemon that takes up what it is given, or fails as told."""

    def __init__(self, folder: Path, store: Any, clock: Any) -> None:
        self.folder, self.store, self.clock = folder, store, clock
        self.config, self.rules = folder / "alertd.toml", folder / "rules"
        self.rules.mkdir()
        self.config.write_text(CONFIG)
        self.write("first")
        self.metrics = Metrics()
        self.taken: list[Loaded] = []
        self.failure: Exception | None = None
        self.reloader = Reloader(load(self.config), self.adopt, store, clock, self.metrics)

    def write(self, name: str, text: str | None = None) -> Path:
        path = self.rules / f"{name}.yaml"
        path.write_text(RULE.format(name=name) if text is None else text)
        return path

    def change(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    async def adopt(self, loaded: Loaded) -> None:
        if self.failure:
            raise self.failure
        self.taken.append(loaded)

    def names(self) -> list[list[str]]:
        """The rules of each configuration that was taken up."""
        return [[rule.alert for rule in loaded.rules] for loaded in self.taken]

    def figure(self, name: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"alertd_config_last_reload_{name}")

    async def troubles(self) -> list[str]:
        lasting = [one for one in (await self.store.snapshot(int(self.clock.now()))).troubles if one.until is None]
        assert {one.subject for one in lasting if one.kind == "config"} <= {str(self.config)}
        return [one.message for one in lasting if one.kind == "config"]


@pytest.fixture
def world(tmp_path, store, clock) -> World:
    return World(tmp_path, store, clock)


async def eventually(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():  # noqa: ASYNC110 - what is awaited begins in the file system
            await asyncio.sleep(0.02)


async def test_a_good_change_is_taken_up(world):
    world.write("second")
    world.clock.reading += 60
    assert await world.reloader.reload("test") == ()
    assert world.names() == [["first", "second"]]
    assert world.reloader.running is world.taken[0]
    assert world.figure("successful") == 1
    assert world.figure("success_timestamp_seconds") == world.clock.now()


async def test_one_mistake_keeps_everything_as_it_was_and_is_told(world):
    before, since = world.reloader.running, world.figure("success_timestamp_seconds")
    world.change('receiver = "oncall"', 'receiver = "oncall"\ngroup_wait = "1s"')
    broken = world.write("broken", BROKEN)
    world.clock.reading += 60
    problems = await world.reloader.reload("test")
    assert [problem.partition(": ")[0] for problem in problems] == [f"{broken}:3:13"]
    assert "error_code" in problems[0]
    assert (world.taken, world.reloader.running, world.reloader.problems) == ([], before, problems)
    assert (world.figure("successful"), world.figure("success_timestamp_seconds")) == (0, since)
    assert await world.troubles() == [problems[0]]


async def test_every_mistake_is_named_and_the_alert_says_how_many_there_are(world):
    world.write("broken", BROKEN)
    world.change('receiver = "oncall"', 'receiver = "nobody"')
    problems = await world.reloader.reload("test")
    assert len(problems) == 2
    assert await world.troubles() == [f"{problems[0]} (and 1 more)"]


async def test_a_correction_ends_the_trouble(world):
    broken = world.write("broken", BROKEN)
    assert await world.reloader.reload("test")
    broken.unlink()
    assert await world.reloader.reload("test") == ()
    assert world.reloader.problems == ()
    assert world.figure("successful") == 1
    assert await world.troubles() == []


async def test_so_does_a_start_with_files_that_are_right(world):
    world.write("broken", BROKEN)
    assert await world.reloader.reload("test")
    (world.rules / "broken.yaml").unlink()
    await Reloader(load(world.config), world.adopt, world.store, world.clock, Metrics()).started()
    assert await world.troubles() == []


async def test_what_counts_from_a_start_only_is_refused_by_its_keys(world):
    world.write("second")
    world.change('every = "1m"', 'every = "2m"\nmax_in_flight = 3')
    world.change('api_key_secret = "hush"', 'api_key_secret = "other"')
    (problem,) = await world.reloader.reload("test")
    assert "accounts, collect.every, collect.max_in_flight changed, which needs a restart" in problem
    assert "other" not in problem.replace("another", "")
    assert world.taken == []


def test_nothing_needs_a_restart_where_rules_routes_and_receivers_change(world):
    before = load(world.config).config
    world.change('paths = ["rules"]', 'paths = ["rules", "rules/first.yaml"]\nwatch = false')
    world.change('url = "http://127.0.0.1:9/"', 'url = "http://127.0.0.1:10/"\nsend_resolved = false')
    world.change('receiver = "oncall"', 'receiver = "oncall"\ngroup_by = ["..."]')
    assert list(needs_restart(before, load(world.config).config)) == []


async def test_a_database_that_fails_is_no_fault_of_the_files_so_they_are_tried_again(world):
    world.failure = StoreError("the database is locked")
    world.write("second")
    assert await world.reloader.reload("test") == ("the database is locked",)
    await world.reloader.look()
    assert world.taken == []
    world.failure = None
    await world.reloader.look()
    assert world.names() == [["first", "second"]]


async def test_whatever_else_breaks_is_a_problem_and_no_end_of_the_daemon(world):
    world.failure = KeyError("oops")
    assert await world.reloader.reload("test") == ("KeyError inside alertd; see its log",)


async def test_a_trouble_that_could_not_be_noted_is_noted_later(world):
    class Locked:
        """The store, which cannot be written to at first."""

        refusals = 1

        def __getattr__(self, name):
            return getattr(world.store, name)

        async def trouble(self, *what):
            if self.refusals:
                self.refusals -= 1
                raise StoreError("the database is locked")
            await world.store.trouble(*what)

    reloader = Reloader(load(world.config), world.adopt, Locked(), world.clock, Metrics())
    world.write("broken", BROKEN)
    await reloader.look()
    assert await world.troubles() == []
    await reloader.look()
    assert len(await world.troubles()) == 1


def replaced(world: World) -> None:
    """As many editors save: a new file takes the place of the old."""
    new = world.rules / ".first.yaml.new"
    new.write_text(RULE.format(name="other"))
    new.replace(world.rules / "first.yaml")


CHANGES: dict[str, Callable[[World], object]] = {
    "a rule file that is written": lambda world: world.write("first", RULE.format(name="other")),
    "one that is replaced": replaced,
    "one that is added": lambda world: world.write("second"),
    "one that is removed": lambda world: (world.rules / "first.yaml").unlink(),
    "the configuration": lambda world: world.change('receiver = "oncall"', 'receiver = "oncall"\ngroup_wait = "1s"'),
    "other folders of rules": lambda world: world.change('paths = ["rules"]', 'paths = ["rules/first.yaml"]'),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_a_change_is_seen_once(world, change):
    await world.reloader.look()
    assert world.taken == []
    change(world)
    await world.reloader.look()
    await world.reloader.look()
    assert len(world.taken) == 1


async def test_what_is_no_rule_is_no_change(world):
    (world.rules / "first.test.yaml").write_text("cases: []")
    (world.rules / ".hidden.yaml").write_text("rules: []")
    (world.rules / "README.md").write_text("what these are")
    await world.reloader.look()
    assert world.taken == []


async def test_what_changed_since_the_start_was_read_is_seen_at_the_first_look(world):
    world.write("second")
    await world.reloader.look()
    assert world.names() == [["first", "second"]]


async def test_a_mistake_is_looked_at_once_and_its_correction_is_seen_wherever_it_is_made(world):
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    world.change('paths = ["rules"]', 'paths = ["elsewhere"]')
    (elsewhere / "one.yaml").write_text(BROKEN)
    await world.reloader.look()
    assert world.reloader.problems
    (elsewhere / "one.yaml").write_text(RULE.format(name="moved"))
    await world.reloader.look()
    assert (world.reloader.problems, world.names()) == ((), [["moved"]])


@pytest.mark.parametrize("change", [CHANGES["a rule file that is written"], replaced], ids=["written", "replaced"])
async def test_watching_takes_up_a_change_by_itself(world, change):
    async with watched(world.reloader):
        await asyncio.sleep(0.3)  # most likely it watches by now; if not, the first look sees it
        change(world)
        await eventually(lambda: world.names() == [["other"]])


@asynccontextmanager
async def watched_beside_a_database(world: World) -> AsyncIterator[None]:
    """Watched as it is live: in the folder of the configuration a database is written to all the time."""

    async def write() -> None:
        while True:
            (world.folder / "alertd.db-wal").write_text("x")
            await asyncio.sleep(0.2)

    writing = asyncio.create_task(write())
    async with watched(world.reloader):
        await asyncio.sleep(0.5)
        yield
    writing.cancel()


async def test_a_folder_that_goes_is_told_and_once_it_is_back_its_files_are_watched_again(world):
    away = world.folder / "away"
    async with watched_beside_a_database(world):
        world.rules.rename(away)
        await eventually(lambda: bool(world.reloader.problems))
        assert str(world.rules) in world.reloader.problems[0]
        away.rename(world.rules)
        await eventually(lambda: world.names() == [["first"]])
        assert world.reloader.problems == ()
        world.write("first", RULE.format(name="other"))
        await eventually(lambda: world.names()[1:] == [["other"]])


async def test_another_folder_in_the_place_of_one_is_taken_up_and_watched(world):
    new = world.folder / "new"
    new.mkdir()
    (new / "first.yaml").write_text(RULE.format(name="swapped"))
    async with watched_beside_a_database(world):
        shutil.rmtree(world.rules)
        new.rename(world.rules)
        await eventually(lambda: world.names() == [["swapped"]])
        world.write("first", RULE.format(name="other"))
        await eventually(lambda: world.names()[1:] == [["other"]])


async def test_a_folder_behind_a_link_is_taken_up_and_watched_when_the_link_is_turned(world):
    for name in ("old", "new"):
        (world.folder / name).mkdir()
        (world.folder / name / "one.yaml").write_text(RULE.format(name=name))
    link = world.folder / "link"
    link.symlink_to("old")
    world.change('paths = ["rules"]', 'paths = ["link"]')
    await world.reloader.reload("test")
    async with watched_beside_a_database(world):
        (world.folder / "turned").symlink_to("new")
        (world.folder / "turned").replace(link)
        await eventually(lambda: world.names() == [["old"], ["new"]])
        (link / "one.yaml").write_text(RULE.format(name="other"))
        await eventually(lambda: world.names()[2:] == [["other"]])


async def test_a_change_of_which_the_system_tells_nothing_is_found_by_looking(world):
    elsewhere = world.folder.parent / f"{world.folder.name}-elsewhere.yaml"
    elsewhere.write_text(RULE.format(name="first"))
    (world.rules / "first.yaml").unlink()
    (world.rules / "first.yaml").symlink_to(elsewhere)
    await world.reloader.reload("test")
    async with watched_beside_a_database(world):
        elsewhere.write_text(RULE.format(name="other"))
        await eventually(lambda: world.names() == [["first"], ["other"]])


async def test_a_folder_without_rules_that_goes_is_a_problem_too(world):
    (world.folder / "more").mkdir()
    world.change('paths = ["rules"]', 'paths = ["rules", "more"]')
    await world.reloader.reload("test")
    (world.folder / "more").rmdir()
    await world.reloader.look()
    assert str(world.folder / "more") in world.reloader.problems[0]


def test_another_folder_by_the_same_name_is_listened_to_anew(world):
    files = Files(world.config)
    before = files.folders()
    world.write("second")
    assert files.folders() == before
    world.rules.rename(world.folder / "away")
    world.rules.mkdir()
    assert files.folders() != before


async def test_watching_goes_on_after_a_mistake_and_in_folders_that_are_new(world):
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    async with watched(world.reloader):
        world.change('paths = ["rules"]', 'paths = ["elsewhere"]')
        (elsewhere / "one.yaml").write_text(BROKEN)
        await eventually(lambda: bool(world.reloader.problems))
        (elsewhere / "one.yaml").write_text(RULE.format(name="moved"))
        await eventually(lambda: world.names() == [["moved"]])


async def test_a_config_map_of_kubernetes_is_taken_up_when_its_links_are_swapped(world, tmp_path):
    mount = tmp_path / "mount"
    for name, rule in (("..1", "first"), ("..2", "second")):
        (mount / name).mkdir(parents=True)
        (mount / name / "alertd.toml").write_text(CONFIG.replace('paths = ["rules"]', 'paths = ["rules.yaml"]'))
        (mount / name / "rules.yaml").write_text(RULE.format(name=rule))
    (mount / "..data").symlink_to("..1")
    for name in ("alertd.toml", "rules.yaml"):
        (mount / name).symlink_to(f"..data/{name}")
    reloader = Reloader(load(mount / "alertd.toml"), world.adopt, world.store, world.clock, Metrics())
    async with watched(reloader):
        await asyncio.sleep(0.3)
        (mount / "..new").symlink_to("..2")
        (mount / "..new").replace(mount / "..data")
        await eventually(lambda: world.names() == [["second"]])


async def test_where_it_is_not_wanted_nothing_is_watched(world):
    world.change('paths = ["rules"]', 'paths = ["rules"]\nwatch = false')
    await world.reloader.reload("test")
    async with watched(world.reloader):
        world.write("second")
        await asyncio.sleep(1.0)
    assert world.names() == [["first"]]


def test_the_database_beside_the_configuration_wakes_nobody(world):
    files = Files(world.config)
    assert not files.may_count(str(world.folder / "alertd.db-wal"))
    assert files.may_count(str(world.config))
    assert files.may_count(str(world.rules / "any.yml"))
