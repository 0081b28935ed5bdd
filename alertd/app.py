"""The composition root: builds every part from the configuration, runs the loops, stops them in order."""

from __future__ import annotations

import asyncio
import ctypes
import hashlib
import platform
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog
from aiohttp import ClientSession, web
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from alertd.clock import Clock
from alertd.collect import Collector, Look
from alertd.config import Config, Loaded
from alertd.config.tables import Account
from alertd.deliver import Attempt, Deliverer
from alertd.engine.outcome import Outcome, Policy, Snapshot
from alertd.errors import AlertdError
from alertd.evaluate import Evaluator, Judged
from alertd.forward import Counted, Forwarder
from alertd.insights.client import InsightsClient, open_session
from alertd.policy import members_of, policy_of, receivers_of
from alertd.pseudonyms import shown
from alertd.reload import Reloader
from alertd.store import Store, open_store
from alertd.web import build_web, openapi
from alertd.web.alertmanager import AlertmanagerApi
from alertd.web.api import AlertdApi
from alertd.web.backtesting import BacktestApi
from alertd.web.changes import reload_route
from alertd.web.gate import Gate
from alertd.web.metrics import Metrics
from alertd.web.pages import Pages
from alertd.web.posting import PostingApi
from alertd.web.prometheus import PrometheusApi
from alertd.web.silences import SilencesApi

log = structlog.get_logger()

STOP_WITHIN = 10.0
"""Real seconds for what is under way to end after a stop is asked for."""
SWITCH_EVERY = 0.0005
"""Real seconds after which threads take turns: each statement comes back from SQLite's thread, and would wait ten times
as long while rooms are read (Python's usual 5 ms)."""
M_ARENA_MAX = -8
"""mallopt's name for how many heaps there may be (glibc's malloc.h)."""
TRY_AGAIN = 5.0
"""Real seconds before a loop that failed as a whole goes on."""
PRUNE_EVERY = 3600
WATCH_EVERY = 10.0
"""Real seconds after which an account is tried again at which another alertd looks: it may be gone."""

Turn = Callable[[], Awaitable[float | None]]
"""One turn of a loop; returns the instant at which it has more to do, None if only a bell can tell."""


@dataclass(slots=True)
class Loop:
    """A loop by name: turns when its bell rings or when its next instant comes, and outlives what fails in a turn."""

    name: str
    turn: Turn
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    failed_at: float | None = None


@dataclass(slots=True)
class App:
    """All parts of a daemon, built and connected."""

    config: Config
    policy: Policy
    clock: Clock
    store: Store
    metrics: Metrics
    collectors: list[Collector]
    evaluator: Evaluator
    deliverer: Deliverer
    forwarder: Forwarder
    session: ClientSession
    reloader: Reloader = field(init=False)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    looked: set[str] = field(default_factory=set)
    _loops: list[Loop] = field(default_factory=list)

    async def once(self) -> list[Look]:
        """One complete cycle: look at every account, decide, deliver what is due; then raise what broke a look."""
        looks = await asyncio.gather(
            *(collector.look(whole=True) for collector in self.collectors), return_exceptions=True
        )
        await self.evaluator.turn()
        await self.deliverer.settle()
        await self.forwarder.settle()
        for look in looks:
            if isinstance(look, BaseException):
                raise look
        return [look for look in looks if isinstance(look, Look)]

    async def run(self) -> None:
        """Run until `stopping` is set; what is under way is then finished, or given back."""
        await self.reloader.started()
        await self.deliverer.take_back()
        evaluate = Loop("evaluate", self._evaluate)
        deliver = Loop("deliver", self.deliverer.turn, self.deliverer.done)
        forward = Loop("forward", self.forwarder.turn, self.forwarder.done)
        looks = [Loop(f"collect {one.account}", self._look_at(one, evaluate.bell)) for one in self.collectors]
        prune = Loop("prune", self._prune)
        self._loops = [*looks, evaluate, deliver, forward, prune]
        scheduler = self._bells(looks, prune)
        tasks = [asyncio.create_task(self._keep_turning(loop), name=loop.name) for loop in self._loops]
        scheduler.start()
        try:
            await self.stopping.wait()
        finally:
            scheduler.shutdown(wait=False)
            await self._stop(tasks)

    def _bells(self, looks: list[Loop], prune: Loop) -> AsyncIOScheduler:
        """APScheduler as a clock only: its jobs ring bells, the loops do the work."""
        settings = {"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        scheduler = AsyncIOScheduler(timezone=UTC, job_defaults=settings)

        async def ring(loop: Loop) -> None:
            loop.bell.set()

        for loop, every in [*((loop, self.config.collect.every) for loop in looks), (prune, PRUNE_EVERY)]:
            seconds = max(0.02, every / self.clock.speed)
            scheduler.add_job(ring, "interval", args=[loop], seconds=seconds)  # the first turn needs no bell
        return scheduler

    async def _keep_turning(self, loop: Loop) -> None:
        while not self.stopping.is_set():
            loop.bell.clear()
            try:
                due = await loop.turn()
                await self._tell_failure(loop)
            except AlertdError as error:
                log.error("loop_failed", loop=loop.name, error=str(error))  # noqa: TRY400 - the message says it all
                await self._wait_out(loop)
            except Exception:  # whatever else fails, this loop and the others carry on, and it is told
                log.exception("loop_broke", loop=loop.name)
                await self._wait_out(loop)
            else:
                await self._pause(loop, due)

    async def _wait_out(self, loop: Loop) -> None:
        """Count a failed turn and give what failed some time, whatever rings meanwhile."""
        self.metrics.loop_failures.labels(loop.name).inc()
        loop.failed_at = loop.failed_at or self.clock.now()
        with suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), TRY_AGAIN)

    async def _tell_failure(self, loop: Loop) -> None:
        """Record that a loop had failed, now that the database can be written to again."""
        if loop.failed_at is None:
            return
        now, moment = int(self.clock.now()), datetime.fromtimestamp(loop.failed_at, UTC)
        with suppress(AlertdError):  # not yet, then: it is tried after the next turn
            await self.store.trouble(
                "store", loop.name, f"the {loop.name} loop failed from {moment:%H:%M:%S} UTC on", now
            )
            await self.store.clear_trouble("store", loop.name, now + 60)
            loop.failed_at = None

    async def _pause(self, loop: Loop, due: float | None) -> None:
        """Wait for the bell, the next instant or the stop."""
        wait = 3600.0 if due is None else max(0.0, (due - self.clock.now()) / self.clock.speed)
        waiting = [asyncio.create_task(bell.wait()) for bell in (self.stopping, loop.bell)]
        await asyncio.wait(waiting, timeout=wait, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()

    def _look_at(self, collector: Collector, evaluate: asyncio.Event) -> Turn:
        async def turn() -> float | None:
            look = await collector.look()
            evaluate.set()
            return self.clock.now() + WATCH_EVERY * self.clock.speed if look.skipped else None

        return turn

    async def _evaluate(self) -> float:
        """Decide, but not while what was missed is still being read: half of an hour's rooms give a wrong figure."""
        if any(one.catching_up for one in self.collectors):
            return self.clock.now() + self.clock.speed
        due = await self.evaluator.turn()
        self.deliverer.done.set()
        self.forwarder.done.set()
        return due

    async def _prune(self) -> None:
        now = min(int(self.clock.now()), *(one.common_now() for one in self.collectors))  # never by a wrong clock
        removed = await self.store.prune(now, self.config.store.keep)
        if any(removed.values()):
            log.info("pruned", **removed)
        _give_back_memory()

    async def _stop(self, tasks: list[asyncio.Task[None]]) -> None:
        log.info("stopping")
        _, late = await asyncio.wait(tasks, timeout=STOP_WITHIN)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await asyncio.gather(self.deliverer.drain(STOP_WITHIN), self.forwarder.drain(STOP_WITHIN))
        with suppress(AlertdError):
            await self.evaluator.keep()
        log.info("stopped")

    def note_look(self, look: Look) -> None:
        """Count a look; a failed one counts as made, because its failure is known."""
        metrics, account = self.metrics, look.account
        self.looked.add(account)
        if look.skipped:  # another alertd does it
            return
        metrics.looks.labels(account, "failed" if look.error else "ok").inc()
        for state, count in (
            ("settled", look.settled),
            ("corrected", look.corrected),
            ("given_up", look.given_up),
            ("lost", look.lost),
        ):
            metrics.rooms.labels(account, state).inc(count)
        metrics.missing.labels(account).set(look.missing)
        since = look.missing_since
        metrics.oldest_missing.labels(account).set(0 if since is None else max(0.0, self.clock.now() - since))
        if not look.error:
            metrics.waiting.labels(account).set(look.waiting)
            metrics.last_look.labels(account).set(self.clock.now())
            log.info("looked", account=account, listed=look.listed, settled=look.settled, waiting=look.waiting)

    async def adopt(self, loaded: Loaded) -> None:
        """Go on with other rules, routes and receivers; StoreError leaves all as it was."""
        policy = policy_of(loaded, heartbeat=True)
        receivers, members = receivers_of(loaded.config, self.session), members_of(loaded.config, self.session)
        await self.evaluator.adopt(policy)
        self.deliverer.adopt(receivers)
        self.forwarder.adopt(policy, members)
        self.metrics.keep_only({rule.key for rule in policy.rules}, receivers.keys() | members.keys())
        self.config, self.policy = loaded.config, policy

    async def release(self) -> None:
        """Leave the accounts to other alertd, or to the next run."""
        with suppress(AlertdError):
            for one in self.collectors:
                await one.release()

    async def missing(self) -> str:
        """Why alertd is not ready: its database or a loop fails, or an account has not been looked at yet."""
        try:
            await self.store.ping()
        except AlertdError as error:
            return str(error)
        failing = [f"the {loop.name} loop fails, see the log" for loop in self._loops if loop.failed_at is not None]
        waiting = [one.account for one in self.collectors if one.account not in self.looked]
        if waiting:
            failing.append(f"first look not made yet: {', '.join(waiting)}")
        return "; ".join(failing)

    async def refresh(self) -> None:
        """Bring the gauges that mirror the store up to date."""
        for state, count in (await self.store.outbox_counts()).items():
            self.metrics.outbox.labels(state).set(count)
        snapshot = await self.store.snapshot(int(self.clock.now()))
        for state in ("pending", "firing"):
            self.metrics.alerts.labels(state).set(sum(alert.state == state for alert in snapshot.alerts.values()))
        for one in self.collectors:
            if one.catch_up.of:
                self.metrics.missing.labels(one.account).set(one.missing)
        self.metrics.evaluated_until.set(await self.store.evaluated_until() or 0)


def _share_one_heap() -> None:
    """Have all threads share one heap: glibc gives each of SQLite's its own, and what rows took there, some 20 MB a
    thread, is never given back. Other C libraries do not, and have no mallopt."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def _give_back_memory() -> None:
    """Give the system what was freed: glibc keeps it, and after a busy hour that is a third of all."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@asynccontextmanager
async def built(loaded: Loaded, clock: Clock) -> AsyncIterator[App]:
    """All parts of a daemon for a configuration and its rules; closed in reverse order, whatever happened."""
    sys.setswitchinterval(SWITCH_EVERY)
    _share_one_heap()
    async with AsyncExitStack() as stack:
        config, metrics = loaded.config, Metrics()
        store = await open_store(config.store.url.get_secret_value())
        stack.push_async_callback(store.close)
        session = await stack.enter_async_context(open_session())
        holder = f"{platform.node()}/{hashlib.sha256(str(config.path.absolute()).encode()).hexdigest()[:8]}"
        policy, receivers = policy_of(loaded, heartbeat=True), receivers_of(config, session)
        app = App(
            config,
            policy,
            clock,
            store,
            metrics,
            [],
            Evaluator(store, policy, clock, shown(config, await store.pseudonym_key()), _judged(metrics), keeper=store),
            Deliverer(store, receivers, clock, holder, delivered=_delivered(metrics)),
            Forwarder(store, policy, members_of(config, session), clock, _forwarded(metrics)),
            session,
        )
        app.reloader = Reloader(loaded, app.adopt, store, clock, metrics)
        looker = f"{holder}/{secrets.token_hex(4)}"  # each process for itself, for two may share a configuration
        app.collectors = [_collector(app, account, session, looker) for account in config.accounts]
        stack.push_async_callback(app.release)
        yield app


def _collector(app: App, account: Account, session: ClientSession, holder: str) -> Collector:
    def observe(kind: str, outcome: str, reason: str, seconds: float) -> None:
        app.metrics.requests.labels(account.name, kind, outcome, reason).inc()
        app.metrics.request_seconds.labels(kind).observe(seconds)

    client = InsightsClient(
        session,
        account=account.name,
        base_url=account.base_url,
        api_key=account.api_key.get_secret_value(),
        api_key_secret=account.api_key_secret.get_secret_value(),
        clock=app.clock,
        max_in_flight=app.config.collect.max_in_flight,
        observe=observe,
    )
    collect = app.config.collect
    return Collector(
        client,
        app.store,
        app.clock,
        look_back=collect.look_back,
        settle_timeout=collect.settle_timeout,
        every=collect.every,
        backfill=collect.backfill,
        recheck=collect.recheck,
        readers=collect.max_in_flight,
        holder=holder,
        looked=app.note_look,
    )


def _judged(metrics: Metrics) -> Judged:
    def judged(_at: int, outcome: Outcome, _after: Snapshot) -> None:
        metrics.decisions.inc()
        for rule in outcome.errors:
            metrics.rule_failures.labels(rule).inc()

    return judged


def _delivered(metrics: Metrics) -> Callable[[Attempt], None]:
    return lambda attempt: metrics.deliveries.labels(attempt.integration, attempt.result).inc()


def _forwarded(metrics: Metrics) -> Counted:
    return lambda integration, result: metrics.deliveries.labels(integration, result).inc()


@asynccontextmanager
async def served(app: App) -> AsyncIterator[str]:
    """The app's web page, listening; gives the address it listens on. OSError if the port is taken."""
    pages = Pages(app.store, lambda: app.policy, app.clock, lambda: app.reloader.problems)
    http = app.config.http
    gate = Gate(http.auth.logins, allow_anonymous=http.allow_anonymous)
    made = build_web(app.metrics, app.missing, app.refresh, pages, gate)
    api = AlertmanagerApi(
        app.store, lambda: app.policy, lambda: app.config.http.address, app.clock, began=app.clock.now()
    )
    made.router.add_routes(api.routes())
    own = AlertdApi(app.store, lambda: app.policy, app.clock, app.forwarder.stands)
    for more in (SilencesApi(app.store, app.clock), PostingApi(app.store, app.clock), own):
        made.router.add_routes(more.routes())
    backtests = BacktestApi(lambda: app.config.path, app.clock)
    made.router.add_routes([*backtests.routes(), openapi.route()])
    made.on_shutdown.append(backtests.stop)
    made.router.add_routes(PrometheusApi(app.store, lambda: app.policy, app.clock).routes())
    made.router.add_routes([reload_route(lambda: app.reloader.reload("request"))])
    runner = web.AppRunner(made, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, app.config.http.host or None, app.config.http.port)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()
