"""`alertd simulate`: serves a scenario, and says how to point alertd at it."""

from __future__ import annotations

import asyncio
import signal
import time
from datetime import UTC, datetime

import click

from alertd.clock import FastClock
from alertd.engine.durations import format_duration
from alertd.errors import AlertdError
from alertd.simulator.events import Event
from alertd.simulator.faultkinds import Fault
from alertd.simulator.scenario import Scenario, load_scenario, scenario_names
from alertd.simulator.server import build_app, serve

KEY, SECRET = "SK" + "5" * 32, "simulated"


def list_scenarios() -> None:
    """Print the scenarios that ship, a line each."""
    for name in scenario_names():
        click.echo(f"{name:18} {load_scenario(name).description}")


def with_traffic(scenario: Scenario, rooms_per_day: int | None) -> Scenario:
    """The scenario, with so many rooms a day if that is said."""
    return scenario if rooms_per_day is None else scenario.model_copy(update={"rooms_per_day": rooms_per_day})


def run_simulator(listen: str, scenario: str, seed: int, speed: float, rooms_per_day: int | None) -> None:
    """Serve until SIGTERM or Ctrl-C."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise AlertdError(f"--listen: {listen} is not HOST:PORT")
    chosen = with_traffic(load_scenario(scenario), rooms_per_day)
    asyncio.run(_serve(chosen, host.strip("[]"), int(port), seed, speed))


def plan(scenario: Scenario, start: int) -> list[str]:
    """What will happen and when, in the simulator's time, a line each."""
    kinds = ("incidents", "releases", "pauses", "gatherings")
    events: list[tuple[Event, str]] = [
        (event, kind.removesuffix("s")) for kind in kinds for event in getattr(scenario, kind)
    ]
    events += [(fault, _fault(fault)) for fault in scenario.faults]
    return [
        f"  {what}: {_moment(start + event.at)} to {_moment(start + event.at + event.lasts)}"
        for event, what in sorted(events, key=lambda pair: pair[0].at)
    ]


def _fault(fault: Fault) -> str:
    """The fault's kind with the keys that were given: `fault stall (share 0.01, seconds 0.5)`."""
    given = fault.model_dump(exclude={"at", "lasts", "kind"}, exclude_unset=True)
    keys = [f"{key} {format_duration(said) if key in ('after', 'up_to') else said}" for key, said in given.items()]
    return f"fault {fault.kind}" + (f" ({', '.join(keys)})" if keys else "")


def _moment(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%m-%d %H:%M} UTC"


def account_table(address: str) -> str:
    """The `[[accounts]]` of a configuration that watches the simulator at `address`."""
    keys = {"name": "simulated", "base_url": address, "api_key": KEY, "api_key_secret": SECRET}
    return "[[accounts]]\n" + "".join(f'{key} = "{value}"\n' for key, value in keys.items())


async def _serve(scenario: Scenario, host: str, port: int, seed: int, speed: float) -> None:
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    app = build_app(scenario, FastClock(time.time(), speed), {KEY: SECRET}, seed=seed)
    async with serve(app, host, port) as address:
        click.echo(f"{scenario.name}: {scenario.description}", err=True)
        for line in plan(scenario, int(time.time())):
            click.echo(line, err=True)
        click.echo(f"listening on {address}; time runs {speed:g} times as fast. To watch it, configure", err=True)
        click.echo(f"\n{account_table(address)}")
        click.echo(f"and start `alertd run --config FILE --clock {address}`.", err=True)
        await stopping.wait()
