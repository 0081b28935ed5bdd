"""`alertd run`: loads the configuration, builds the app, runs it until a signal, or once."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import click
import structlog

from alertd import __version__, logs
from alertd.app import App, built, served
from alertd.cli.progress import catching_up
from alertd.clock import Clock, FastClock, SystemClock
from alertd.config import Loaded, load
from alertd.config.forms import is_loopback
from alertd.errors import AlertdError
from alertd.reload import Reloader, watched

log = structlog.get_logger()


def run_daemon(config: Path, *, once: bool, clock_url: str | None) -> int:
    """Run as configured; status 1 from `--once` if an account could not be read."""
    if not once:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it can be heeded, it must not end what is starting
    loaded = load(config)
    logs.set_up(loaded.config.log.format, loaded.config.log.level)
    for notice in loaded.notices:
        log.warning("notice", about=str(notice))
    if clock_url:
        _rehearsing(loaded)
    clock = follow(clock_url) if clock_url else SystemClock()
    return asyncio.run(_once(loaded, clock) if once else _forever(loaded, clock))


def _rehearsing(loaded: Loaded) -> None:
    """AlertdError if an account is not a simulator's: in a faster time alertd would storm the real Twilio."""
    for account in loaded.config.accounts:
        if not is_loopback(urlsplit(account.base_url).hostname or ""):
            raise AlertdError(
                f"--clock is for rehearsals, but account {account.name} is at {account.base_url}: "
                "use a configuration that has the simulator's account alone"
            )


def follow(url: str) -> Clock:
    """The clock of the simulator at `url`; AlertdError if there is none, or not on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise AlertdError("--clock: only a simulator on this machine can set the time; write http://127.0.0.1:PORT")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/-/clock", timeout=5) as answer:  # noqa: S310 - http, checked above
            reading = json.loads(answer.read(4096))
        return FastClock(float(reading["now"]), float(reading["speed"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise AlertdError(
            f"--clock: no simulator answers at {url} ({error}); start one with `alertd simulate`"
        ) from None


async def _once(loaded: Loaded, clock: Clock) -> int:
    async with built(loaded, clock) as app, catching_up(app):
        looks = await app.once()
    for look in looks:
        if look.skipped:
            click.echo(f"alertd: account {look.account} is being looked at by another alertd", err=True)
    failed = [look for look in looks if look.error]
    for look in failed:
        click.echo(f"alertd: account {look.account} could not be read: {look.error}", err=True)
    return 1 if failed else 0


async def _forever(loaded: Loaded, clock: Clock) -> int:
    async with built(loaded, clock) as app:
        stop_on_signals(app)
        reload_on_hangup(app.reloader)
        try:
            async with served(app) as address, watched(app.reloader), catching_up(app):
                log.info("started", version=__version__, address=address, rules=len(loaded.rules))
                await app.run()
        except OSError as error:
            listen = loaded.config.http.listen
            raise AlertdError(f"http.listen: cannot listen on {listen}: {error.strerror or error}") from None
    return 0


def reload_on_hangup(reloader: Reloader) -> None:
    """Let SIGHUP have the configuration read again."""
    under_way: set[asyncio.Task[object]] = set()  # a task that nothing holds may be collected before it ends

    def begin() -> None:
        task = asyncio.create_task(reloader.reload("SIGHUP"), name="reload")
        under_way.add(task)
        task.add_done_callback(under_way.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, begin)


def stop_on_signals(app: App) -> None:
    """Let SIGTERM and Ctrl-C end the app in order."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, app.stopping.set)
