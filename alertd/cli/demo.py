"""`alertd demo`: an incident that begins, is alerted on and resolves, watched in the terminal."""

from __future__ import annotations

import asyncio
import socket
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import click

import alertd
from alertd import logs
from alertd.app import App, built, served
from alertd.cli.run import stop_on_signals
from alertd.cli.simulate import KEY, SECRET, account_table
from alertd.clock import FastClock
from alertd.config import load
from alertd.engine.durations import format_duration
from alertd.simulator.scenario import Scenario, load_scenario
from alertd.simulator.server import build_app, serve

CONFIG = """
{account}
[store]
url = "sqlite:///demo.db"
[rules]
paths = ["{rules}"]
[http]
listen = "{listen}"
[route]
receiver = "terminal"
group_by = ["account", "severity"]
[[receivers]]
name = "terminal"
[[receivers.console]]
"""


def shipped_rules() -> Path:
    """The folder of the rules that ship: inside the installed package, or beside it in a clone."""
    package = Path(alertd.__file__).parent
    inside = package / "shipped_rules"
    return inside if inside.is_dir() else package.parent / "rules"


def run_demo(scenario: str, seed: int, speed: float, listen: str, *, stay: bool) -> int:
    """Run the demo; status 1 if it was stopped before the incident was over."""
    chosen = load_scenario(scenario)
    listen = listen if not listen.endswith(":0") else f"{listen[:-2]}:{_free_port()}"
    logs.set_up("auto", "error")
    with tempfile.TemporaryDirectory(prefix="alertd-demo-") as folder:
        return asyncio.run(_demo(chosen, seed, speed, listen, Path(folder), stay=stay))


def _free_port() -> int:
    """A port for the page, known before messages link to it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _demo(scenario: Scenario, seed: int, speed: float, listen: str, folder: Path, *, stay: bool) -> int:
    clock = FastClock(time.time(), 1.0)
    async with serve(build_app(scenario, clock, {KEY: SECRET}, seed=seed)) as twilio:
        config = folder / "alertd.toml"
        config.write_text(CONFIG.format(account=account_table(twilio), rules=shipped_rules(), listen=listen))
        async with built(load(config), clock) as app:
            stop_on_signals(app)
            async with served(app) as address:
                _say("A simulated Twilio account,", f"{scenario.rooms_per_day:,.0f} rooms a day.")
                _say("The scenario:", scenario.description)
                _say("First look", "at the rooms of the last day …")
                await app.once()
                _say(f"{(await app.store.counts())['rooms']:,} rooms judged.", f"The page: {address}/alerts")
                _say(f"Now time runs {speed:g} times as fast;", "rooms settle minutes after they end. Ctrl-C stops.\n")
                clock.run_at(speed)
                return await _watch(app, clock, scenario, stay=stay)


async def _watch(app: App, clock: FastClock, scenario: Scenario, *, stay: bool) -> int:
    story = Story(started=clock.now(), to_tell=_plot(scenario))
    running = asyncio.create_task(app.run(), name="demo")
    try:
        while not app.stopping.is_set():
            await asyncio.sleep(1.0)
            await story.go_on(app, clock)
            if story.over and not stay:
                app.stopping.set()
    finally:
        app.stopping.set()
        await running
        _clear()
    if not story.over:
        return 1
    _say("That was it.", f"Found {story.found} and closed {story.closed} after the start of the simulation.")
    _say("Next:", "README.md shows how to watch your own account, and to write your own rules.")
    return 0


def _plot(scenario: Scenario) -> list[tuple[int, str]]:
    """When, in seconds after the start, each incident of the scenario begins and ends, in order."""
    told = [(incident.at, "the incident begins") for incident in scenario.incidents]
    told += [(incident.at + incident.lasts, "the incident ends") for incident in scenario.incidents]
    return sorted(told)


@dataclass(slots=True)
class Story:
    """What has been seen so far; instants in the simulator's time."""

    started: float
    to_tell: list[tuple[int, str]]
    fired: int | None = None
    found: str = ""
    closed: str = ""
    over: bool = False

    async def go_on(self, app: App, clock: FastClock) -> None:
        """Show how things stand, and notice when everything that fired has been told to be over."""
        while self.to_tell and clock.now() - self.started >= self.to_tell[0][0]:
            at, what = self.to_tell.pop(0)
            moment = datetime.fromtimestamp(self.started + at, UTC)
            _say(f"{moment:%H:%M} UTC", f"{what} (in the simulator; alertd does not know yet)\n")
        counts = await app.store.counts()
        snapshot = await app.store.snapshot(int(clock.now()))
        firing = [alert for alert in snapshot.alerts.values() if alert.state == "firing"]
        paging = [alert for alert in firing if alert.labels.get("severity") == "page"]
        told = all(group.labels.get("severity") != "page" for group in snapshot.groups.values())
        if firing and self.fired is None:
            self.fired = min(alert.starts_at or 0 for alert in firing)
            self.found = f"{format_duration(int(self.fired - self.started))}"
        self.over = self.fired is not None and not paging and told
        if self.over and not self.closed:
            ended = max(alert.ends_at or 0 for alert in snapshot.alerts.values())
            self.closed = f"{format_duration(int(ended - self.started))}"
        waiting = f"{counts['rooms']:,} rooms judged, {counts['open']:,} not settled yet"
        names = ", ".join(sorted({alert.labels["alertname"] for alert in firing})) or "nothing fires"
        _status(f"{datetime.fromtimestamp(clock.now(), UTC):%H:%M} UTC  {waiting}  ·  {names}")


def _say(head: str, rest: str) -> None:
    _clear()
    click.echo(f"{click.style(head, bold=True)} {rest}", err=True)


def _status(text: str) -> None:
    """One line that is written over, on a terminal only."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[2K{click.style(text, dim=True)}", nl=False, err=True)


def _clear() -> None:
    if sys.stderr.isatty():
        click.echo("\r\x1b[2K", nl=False, err=True)
