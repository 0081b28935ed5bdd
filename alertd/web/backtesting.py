"""What rules would have done, over HTTP: a backtest in a process of its own, whose lines are passed on as they come."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
import structlog
from aiohttp import web

from alertd.clock import Clock
from alertd.web.answers import BadRequestError, answering, as_json, body_of, seconds_of

log = structlog.get_logger()

LARGEST_RULES = 256 * 1024
"""Characters of a rule file that is sent: some hundred rules."""
LONGEST = 3600.0
"""Real seconds that a backtest may take."""
FARTHEST = timedelta(days=366)
"""How far back it may go: each minute is judged, also where nothing is known of it."""
NICE = 10
"""What is asked of the past waits for what goes on now."""
WRONG_INPUT = 2
"""The command's status where what it was asked for is wrong."""
OWN_WORDS = "alertd: "
"""How the command begins what it says of an error that it knows."""
MOST_SAID = 64 * 1024
"""Characters kept of what the command says on standard error."""


class PostedBacktest(msgspec.Struct, forbid_unknown_fields=True, rename={"begin": "from", "end": "to"}):
    """What is to be gone over, and by which rules; the words are those of the command's options."""

    since: str | None = None
    begin: datetime | None = None
    end: datetime | None = None
    zone: str = "UTC"
    rules: str | None = None
    against: str | None = None
    format: Literal["yaml", "toml"] = "yaml"


class BacktestApi:
    """Backtests of the own history, one at a time; `config` names the file of the running configuration."""

    def __init__(self, config: Callable[[], Path], clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._turn = asyncio.Lock()
        self._process: Process | None = None
        self._stopping = False

    def routes(self) -> list[web.RouteDef]:
        """The path."""
        return [web.post("/api/alertd/backtest", answering(self.posted))]

    async def stop(self, _app: web.Application) -> None:
        """End what is under way: whoever asked for it is told that it broke off."""
        self._stopping = True
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def posted(self, request: web.Request) -> web.StreamResponse:
        """What `alertd backtest --json` prints, with lines on the way that say how far it is."""
        sent = await body_of(request, PostedBacktest, "backtest")
        if self._turn.locked():
            answer = as_json("a backtest is under way; one is made at a time", 429)
            answer.headers["Retry-After"] = "10"
            return answer
        async with self._turn:
            with tempfile.TemporaryDirectory(prefix="alertd-backtest-") as folder:
                words = [*_range(sent, self._clock.now()), *_rules(sent, Path(folder))]
                return await self._passed_on(request, words, folder)

    async def _passed_on(self, request: web.Request, words: list[str], folder: str) -> web.StreamResponse:
        """The command's lines; a status that says so if it has none, a last line if it breaks off later."""
        program = (sys.executable, "-m", "alertd", "backtest", "--config", str(self._config()))
        process = await asyncio.create_subprocess_exec(
            *program,
            "--own",
            "--json",
            "--progress",
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
        )
        self._process = process
        if self._stopping:  # as it began
            self._end()
        with suppress(OSError):  # it may be over, or the system may know nothing of the kind
            os.setpriority(os.PRIO_PROCESS, process.pid, NICE)
        said = asyncio.create_task(_read(process))
        too_long = asyncio.get_running_loop().call_later(LONGEST, self._end)
        try:
            return await _answer(request, process, said, folder)
        finally:
            too_long.cancel()
            self._end()
            await process.wait()
            await said
            self._process = None


async def _answer(request: web.Request, process: Process, said: asyncio.Task[str], folder: str) -> web.StreamResponse:
    if process.stdout is None:
        raise RuntimeError("the backtest has no output")
    part = await process.stdout.read(MOST_SAID)
    if not part:
        status = await process.wait()
        return as_json(_told(status, await said, folder), 400 if status == WRONG_INPUT else 500)
    answer = web.StreamResponse(headers={"Cache-Control": "no-store", "Content-Type": "application/x-ndjson"})
    await answer.prepare(request)
    try:
        while part:
            await answer.write(part)
            part = await process.stdout.read(MOST_SAID)
        if status := await process.wait():
            message = _told(status, await said, folder)
            await answer.write(msgspec.json.encode({"event": "error", "message": message}) + b"\n")
        await answer.write_eof()
    except ConnectionError:
        log.info("backtest_not_waited_for")
    return answer


async def _read(process: Process) -> str:
    """What the command says on standard error, the beginning of it."""
    kept = b""
    while process.stderr is not None and (part := await process.stderr.read(MOST_SAID)):
        kept = (kept + part)[:MOST_SAID]
    return kept.decode(errors="replace")


def _told(status: int | None, said: str, folder: str) -> str:
    """What went wrong, in the command's own words, without where the rules were put; what broke is for the log."""
    said = said.replace(f"{folder}/", "").strip()
    if not said or status == WRONG_INPUT:
        return said or "the backtest was stopped"
    log.error("backtest_failed", status=status, said=said)
    own = said.startswith(OWN_WORDS)
    return said.removeprefix(OWN_WORDS) if own else "the backtest failed; alertd's log says how"


def _range(sent: PostedBacktest, now: float) -> Iterator[str]:
    """The options that say what is gone over; BadRequestError if they cannot be."""
    if sent.since is not None and sent.begin is not None:
        raise BadRequestError("write since or from, not both")
    present = datetime.fromtimestamp(int(now), UTC)
    end = _moment("to", sent.end, present)
    yield f"--to={end.isoformat()}"
    if sent.begin is not None:
        begin = _moment("from", sent.begin, present)
        if begin >= end:
            raise BadRequestError("nothing lies between from and to")
        yield f"--from={begin.isoformat()}"
    if sent.since is not None:
        most = int(FARTHEST.total_seconds())
        yield f"--since={seconds_of(sent.since, most, f'since: at most {FARTHEST.days}d are gone over')}s"
    yield f"--zone={_zone(sent.zone)}"


def _moment(name: str, sent: datetime | None, present: datetime) -> datetime:
    if sent is None:
        return present
    if sent.tzinfo is None:
        raise BadRequestError(f"{name}: write a time with its zone, such as 2026-03-02T12:00:00Z")
    if not present - FARTHEST <= sent <= present:
        raise BadRequestError(f"{name}: write a time that is past, but not longer than {FARTHEST.days} days")
    return sent


def _zone(sent: str) -> str:
    try:
        return ZoneInfo(sent).key
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise BadRequestError(f'zone: there is no "{sent[:50]}"; write one like Europe/Berlin') from None


def _rules(sent: PostedBacktest, folder: Path) -> Iterator[str]:
    """The options that name the rules, which are put into files."""
    for name, text in (("rules", sent.rules), ("against", sent.against)):
        if text is None:
            continue
        if len(text) > LARGEST_RULES:
            raise BadRequestError(f"{name}: at most 256 KiB of rules are taken")
        file = folder / f"{name}.{sent.format}"
        file.write_text(text, encoding="utf-8")
        yield f"--{name}={file}"
