"""Loop 2: step decide() over every tick that is due, each committed whole with the notifications it calls for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Protocol

import structlog

from alertd.clock import Clock
from alertd.engine.counting import Show, Windows
from alertd.engine.decide import Outcome, Policy, Snapshot
from alertd.engine.records import SettledRoom
from alertd.engine.ticks import Change, missing_since, next_tick, step, still_needed
from alertd.engine.windows import MINUTE
from alertd.errors import StoreError

log = structlog.get_logger()

MOST_AHEAD = 300
"""Seconds by which what is decided may be ahead of the clock before that is an error."""
Judged = Callable[[int, Outcome, Snapshot], None]
"""Is told of each decision: its instant, what it changed, and what stands after it."""


class Ledger(Protocol):
    """Where rooms come from and decisions go; see store.Store for meaning and errors. Replays bring their own."""

    async def evaluated_until(self) -> int | None:
        """Up to when decisions are committed."""

    async def snapshot(self, at: int) -> Snapshot:
        """All that a decision at `at` looks at."""

    async def next_change(self, after: int) -> int | None:
        """The first instant later than `after` at which `changes` has something."""

    async def changes(self, after: int, upto: int) -> list[Change]:
        """What became known or ceased to hold in `after` < instant ≤ `upto`, in order."""

    def visible(self, at: int, ended_after: int, ended_upto: int = 2**62) -> AsyncIterator[list[SettledRoom]]:
        """The rooms with `ended_after` < `ended` ≤ `ended_upto` as they were known at `at`, by `ended`, in batches."""

    async def commit(self, outcome: Outcome, *, expected: int | None, until: int) -> bool:
        """Write what a decision changed; False if another one came first."""

    async def trouble(self, kind: str, subject: str, message: str, now: int) -> None:
        """Note what cannot be done."""

    async def clear_trouble(self, kind: str, subject: str, now: int) -> None:
        """It can be done again."""


class Evaluator:
    """Keeps the windows, a cache of the ledger's rooms, and brings the ledger's alerts up to the present."""

    def __init__(
        self,
        store: Ledger,
        policy: Policy,
        clock: Clock,
        show: Show,
        judged: Judged = lambda _at, _outcome, _after: None,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._show = show
        self._judged = judged
        self._began: int | None = None
        self._windows: Windows | None = None
        self._counted_until: int | None = None

    async def turn(self) -> int:
        """Decide at every instant that is due and not yet decided; returns when the next one comes.

        If anything fails the windows are dropped, so that the next turn begins from what is committed. StoreError also
        where decisions are ahead of the clock, which was set back: until they are not, nothing can be judged.
        """
        try:
            return await self._turn()
        except BaseException:
            self._windows = None
            raise

    async def _turn(self) -> int:
        now = int(self._clock.now())
        self._began = self._began or now
        until = await self._store.evaluated_until()
        if until is not None and until > now + MOST_AHEAD:
            raise StoreError(
                f"the database was judged up to {_clock_time(until)}, but the clock here says {_clock_time(now)}; "
                "set it right (NTP), or, if that was a rehearsal with --clock, use another database: nothing is judged "
                "before that time comes"
            )
        snapshot = await self._store.snapshot(now)
        windows = await self._windows_at(until or 0, still_needed(snapshot))
        done = now - 1 if until is None else until  # the first decision of all is about the present
        while True:
            tick = next_tick(done, now, await self._store.next_change(until or 0), _next_flush(snapshot))
            if tick is None:
                await self._tell_unseen(snapshot, now)
                return min((done // MINUTE + 1) * MINUTE, _next_flush(snapshot) or now + MINUTE)
            if until is None:
                changes = await self._first_changes(windows, tick)
            else:
                changes = await self._changes(windows, until, tick)
            outcome, snapshot = step(tick, self._policy, windows, snapshot, changes)
            self._counted_until = tick
            if not await self._store.commit(outcome, expected=until, until=tick):
                return now  # another alertd was faster: begin again from what it wrote
            await self._report(outcome, snapshot, tick)
            done = until = tick

    async def _windows_at(self, moment: int, needed: dict[str, int]) -> Windows:
        """The windows as they stood at `moment`: those at hand, brought up to it if another alertd decided since."""
        windows, counted = self._windows, self._counted_until
        if windows is None or counted is None or counted > moment:
            windows = await self._rebuilt(moment, needed)
        elif counted < moment:
            changes = await self._changes(windows, counted, moment)
            for change in changes:
                windows.fold(change.room, change.sign)
            windows.begin()
            windows.forget(moment // MINUTE, needed)
        self._windows, self._counted_until = windows, moment
        return windows

    async def _rebuilt(self, moment: int, needed: dict[str, int]) -> Windows:
        windows = Windows(self._policy.rules, self._show)
        since = min([moment // MINUTE - windows.longest, *needed.values()])
        async for batch in self._store.visible(moment, since * MINUTE):
            for settled in batch:
                windows.fold(settled)
        windows.begin()
        windows.forget(moment // MINUTE, needed)
        return windows

    async def _first_changes(self, windows: Windows, tick: int) -> list[Change]:
        """At the first decision everything is news, perhaps rooms of a week: most are counted batch by batch."""
        newest = await self._store.changes(tick - 1, tick)
        async for batch in self._store.visible(tick - 1, 0):
            for settled in batch:
                windows.fold(settled)
        return newest

    async def _changes(self, windows: Windows, after: int, tick: int) -> list[Change]:
        """What became known by the tick; for rooms that come very late, what was forgotten is counted again first."""
        changes = await self._store.changes(after, tick)
        down_to = missing_since(windows, changes, tick)
        if down_to is not None:
            forgotten = (windows.kept_since + 1) * MINUTE
            async for batch in self._store.visible(after, down_to * MINUTE, forgotten):
                windows.recount(batch, down_to)
            windows.reach(down_to)
        return changes

    async def _tell_unseen(self, snapshot: Snapshot, now: int) -> None:
        """Say which accounts have not been seen for long, whatever it is that keeps looks from ending or beginning."""
        told = {one.subject for one in snapshot.troubles if one.until is None and one.kind in ("poll", "credentials")}
        for account in self._policy.accounts:
            sights = [sight.seen_until for sight in snapshot.sights if sight.account == account]
            seen = max([self._began or now, *sights])
            if now - seen > self._policy.blind_after and account not in told:
                log.error("account_unseen", account=account, since=seen)
                await self._store.trouble("poll", account, f"no look came to its end since {_clock_time(seen)}", now)

    async def _report(self, outcome: Outcome, snapshot: Snapshot, tick: int) -> None:
        for event in outcome.events:
            log.info("alert_changed", event_kind=event.event, labels=event.labels, reason=event.reason, at=event.at)
        for key, message in outcome.errors.items():
            log.error("rule_failed", rule=key, error=message)
            await self._store.trouble("rule", key, message, tick)
        for trouble in snapshot.troubles:
            lasting = trouble.kind == "rule" and trouble.until is None
            if lasting and trouble.subject not in outcome.errors:
                await self._store.clear_trouble("rule", trouble.subject, tick)
        self._judged(tick, outcome, snapshot)


def _clock_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%F %T} UTC"


def _next_flush(snapshot: Snapshot) -> int | None:
    return min((group.flush_at for group in snapshot.groups.values()), default=None)
