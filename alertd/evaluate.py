"""Loop 2: step decide() over every tick that is due, each committed whole with the notifications it calls for."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import NamedTuple, Protocol

import msgspec
import structlog

from alertd.clock import Clock
from alertd.engine.alerts import Alert
from alertd.engine.counting import Counted, Windows
from alertd.engine.explain import Explanation, explain
from alertd.engine.fields import Show
from alertd.engine.outcome import Outcome, Policy, Snapshot
from alertd.engine.questions import Question
from alertd.engine.records import SettledRoom
from alertd.engine.ticks import NO_ALERTS, Change, missing, next_tick, step, still_needed
from alertd.engine.windows import MINUTE
from alertd.errors import StoreError

log = structlog.get_logger()

MOST_AHEAD = 300
"""Seconds by which what is decided may be ahead of the clock before that is an error."""
MOST_EXPLAINED = 50
"""Alerts that are explained at one instant; where more begin at once it is the fleet's trouble anyway."""
KEEP_EVERY = 600
"""Seconds after which what is counted is kept again."""
MOST_UNWRITTEN = 3600
"""Seconds of decisions that changed nothing and need not be written down: they would come out the same again."""
PORTION = 500
"""Changes that are read at once."""
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

    async def coming(self, after: int, upto: int, most: int) -> tuple[list[Change], int]:
        """The first of these changes, about `most` of them, and the instant up to which they are all there are."""

    def visible(self, at: int, ended_after: int, ended_upto: int = 2**62) -> AsyncIterator[list[SettledRoom]]:
        """The rooms with `ended_after` < `ended` ≤ `ended_upto` as they were known at `at`, by `ended`, in batches."""

    async def commit(self, outcome: Outcome, *, expected: int | None, until: int) -> bool:
        """Write what a decision changed; False if another one came first."""

    async def trouble(self, kind: str, subject: str, message: str, now: int) -> None:
        """Note what cannot be done."""

    async def clear_trouble(self, kind: str, subject: str, now: int) -> None:
        """It can be done again."""


class Keeper(Protocol):
    """Keeps what was counted from one run to the next, so that no start need count weeks of rooms; as store.Store."""

    async def kept_counted(self, moment: int) -> tuple[int, Counted] | None:
        """What was kept last, with its instant."""

    async def keep_counted(self, at: int, counted: Counted) -> None:
        """Keep this in place of what was kept before."""


class _Adopted(NamedTuple):
    """A policy that waits for the next turn, with the windows of its new rules as they stood at an instant."""

    policy: Policy
    fresh: Windows | None
    at: int


class _News:
    """What becomes known in `after` < instant ≤ `upto`, read in portions: to ask for each instant takes longer than to
    decide at it, while a week may have to be caught up with."""

    def __init__(self, ledger: Ledger, after: int, upto: int) -> None:
        self._ledger = ledger
        self._read, self._upto = after, upto
        self._changes: deque[Change] = deque()

    async def next_at(self) -> int | None:
        """When the next change became known; None if there is none."""
        if not self._changes and self._read < self._upto:
            portion, self._read = await self._ledger.coming(self._read, self._upto, PORTION)
            self._changes.extend(portion)
        return self._changes[0].at if self._changes else None

    async def take(self, tick: int) -> list[Change]:
        """The changes up to the tick that were not taken yet."""
        taken = []
        while (at := await self.next_at()) is not None and at <= tick:
            taken.append(self._changes.popleft())
        return taken


class Evaluator:
    """Keeps the windows, a cache of the ledger's rooms, and brings the ledger's alerts up to the present."""

    def __init__(
        self,
        store: Ledger,
        policy: Policy,
        clock: Clock,
        show: Show,
        judged: Judged = lambda _at, _outcome, _after: None,
        *,
        keeper: Keeper | None = None,
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock
        self._show = show
        self._judged = judged
        self._keeper = keeper
        self._adopted: _Adopted | None = None
        self._kept_at = 0
        self._trusted = True
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
        needed = still_needed(snapshot)
        await self._take_up(needed)
        windows = await self._windows_at(until or 0, needed)
        await self._store.changes(now, now)  # closes all of it at once: what settles from now on is for the next turn
        done = now - 1 if until is None else until  # the first decision of all is about the present
        news = _News(self._store, done, now)
        while True:
            tick = now if until is None else next_tick(done, now, await news.next_at(), _next_flush(snapshot))
            if tick is None:
                break
            changes = await news.take(tick)
            if until is None:
                await self._count_all_before(windows, tick)
            else:
                await self._count_again(windows, changes, done, tick, snapshot.alerts)
            outcome, snapshot = await self._decided(windows, snapshot, changes, tick)
            self._counted_until = tick
            if until is None or not outcome.is_empty or tick - until > MOST_UNWRITTEN:
                if not await self._store.commit(outcome, expected=until, until=tick):
                    return now  # another alertd was faster: begin again from what it wrote
                until = tick
            await self._report(outcome, snapshot, tick)
            done = tick
            if until == done and done - self._kept_at >= MOST_UNWRITTEN:
                await self._keep_for_later(done)  # there may be days to decide: a crash must not begin them anew
        if until is not None and until < done and not await self._store.commit(Outcome(), expected=until, until=done):
            return now
        await self._tell_unseen(snapshot, now)
        if done - self._kept_at >= KEEP_EVERY:
            await self._keep_for_later(done)
        return min((done // MINUTE + 1) * MINUTE, _next_flush(snapshot) or now + MINUTE)

    async def _decided(
        self, windows: Windows, snapshot: Snapshot, changes: Iterable[Change], tick: int
    ) -> tuple[Outcome, Snapshot]:
        """What follows at the tick from what became known, and what stands then."""
        outcome, after = step(tick, self._policy, windows, snapshot, changes)
        if not outcome.questions:
            return outcome, after
        answers = await self._answers(outcome.questions, tick)
        return step(tick, self._policy, windows, msgspec.structs.replace(after, explained=answers), ())

    async def _windows_at(self, moment: int, needed: dict[str, int]) -> Windows:
        """The windows as they stood at `moment`: those at hand, brought up to it if another alertd decided since."""
        windows, counted = self._windows, self._counted_until
        if windows is None or counted is None or counted > moment:
            windows = await self._rebuilt(moment, needed)
        elif counted < moment:
            await self._bring_up(windows, counted, moment, needed)
        self._windows, self._counted_until = windows, moment
        return windows

    async def _rebuilt(self, moment: int, needed: dict[str, int]) -> Windows:
        """Windows of all rules as they stood at `moment`: as far as they go those that were kept, else from rows."""
        windows = Windows(self._policy.rules, self._show)
        kept = await self._keeper.kept_counted(moment) if self._keeper and self._trusted else None
        self._trusted = False  # until there is another: if what was kept is what fails, it must not do so again
        if kept is None:
            return await self._read(windows, moment, needed)
        at, counted = kept
        lacking = windows.lacking(counted)
        fresh = [(await self._read(Windows(lacking, self._show), at, needed)).counted()] if lacking else []
        windows.take_over(*fresh, counted)
        await self._bring_up(windows, at, moment, needed)
        return windows

    async def _read(self, windows: Windows, moment: int, needed: dict[str, int]) -> Windows:
        """Count what the windows look back to at `moment`."""
        windows.begin_at(moment // MINUTE, needed.values())
        since = min([moment // MINUTE - windows.horizon, *needed.values()])
        async for batch in self._store.visible(moment, since * MINUTE):
            for settled in batch:
                windows.fold(settled)
        windows.begin()
        windows.forget(moment // MINUTE, needed)
        return windows

    async def _bring_up(self, windows: Windows, counted: int, moment: int, needed: dict[str, int]) -> None:
        """Count what became known from one instant to another, without deciding in between."""
        news = _News(self._store, counted, moment)
        while (at := await news.next_at()) is not None:
            changes = await news.take(at)
            await self._count_again(windows, changes, at - 1, at)
            for change in changes:
                windows.fold(change.room, change.sign)
        windows.begin()
        windows.forget(moment // MINUTE, needed)

    async def keep(self) -> None:
        """Keep what is counted for the next start."""
        if self._keeper is not None and self._windows is not None and self._counted_until is not None:
            await self._keeper.keep_counted(self._counted_until, self._windows.counted())
            self._kept_at, self._trusted = self._counted_until, True

    async def _keep_for_later(self, now: int) -> None:
        """Keep what is counted, if that can be done: nobody but the next start would miss it."""
        self._kept_at = now
        try:
            await self.keep()
        except StoreError as error:
            log.warning("windows_not_kept", error=str(error))

    async def adopt(self, policy: Policy) -> None:
        """Decide by another policy from the next turn on; until its new rules have been counted, by the old one.

        Rules that count the same as before go on with their windows. StoreError if the rooms cannot be read.
        """
        moment, before = await self._store.evaluated_until(), self._windows
        whole = Windows(policy.rules, self._show)
        lacking = whole.lacking(before.counted()) if before else []
        fresh = None
        if moment is not None and lacking:
            needed = still_needed(await self._store.snapshot(moment))
            fresh = await self._read(Windows(lacking, self._show), moment, needed)
        self._adopted = _Adopted(policy, fresh, moment or 0)

    async def _take_up(self, needed: dict[str, int]) -> None:
        """Change over to an adopted policy, between two turns."""
        adopted, self._adopted = self._adopted, None
        if adopted is None:
            return
        before, counted = self._windows, self._counted_until
        self._policy, self._windows = adopted.policy, None
        windows = Windows(adopted.policy.rules, self._show)
        if before is None or counted is None or counted < adopted.at:
            return  # all is read anew
        sources = [before.counted()]
        if adopted.fresh is not None:
            await self._bring_up(adopted.fresh, adopted.at, counted, needed)
            sources.insert(0, adopted.fresh.counted())
        elif windows.lacking(sources[0]):
            return
        windows.take_over(*sources)
        self._windows = windows

    async def _count_all_before(self, windows: Windows, tick: int) -> None:
        """At the first decision everything is news, perhaps rooms of a week: most are counted batch by batch."""
        async for batch in self._store.visible(tick - 1, 0):
            for settled in batch:
                windows.fold(settled)

    async def _count_again(
        self,
        windows: Windows,
        changes: Iterable[Change],
        after: int,
        tick: int,
        alerts: Mapping[str, Alert] = NO_ALERTS,
    ) -> None:
        """For rooms that come very late, count what was forgotten of their time, as known after the last tick."""
        revisit = missing(windows, changes, tick, alerts)
        if revisit is None:
            return
        for behind, upto in revisit.stretches:
            async for batch in self._store.visible(after, (behind + 1) * MINUTE - 1, (upto + 1) * MINUTE - 1):
                windows.recount(batch, revisit)
        windows.revisited(revisit, tick // MINUTE)

    async def _answers(self, questions: Iterable[Question], tick: int) -> dict[str, Explanation | None]:
        """Where the matches of alerts come from, as known at the tick; alerts of one window share its rooms."""
        read: dict[tuple[tuple[int, int], ...], list[SettledRoom]] = {}
        answers: dict[str, Explanation | None] = {}
        for number, asked in enumerate(questions):
            if number >= MOST_EXPLAINED:
                answers[asked.fingerprint] = None
                continue
            window = ((asked.after, asked.upto),)
            for stretches in (window, asked.before):
                if stretches not in read:
                    read[stretches] = await self._rooms(stretches, tick)
            answers[asked.fingerprint] = explain(asked.rule, asked.labels, read[window], read[asked.before], self._show)
        return answers

    async def _rooms(self, stretches: Iterable[tuple[int, int]], tick: int) -> list[SettledRoom]:
        """The rooms that ended in stretches of minutes, as known at the tick."""
        found: list[SettledRoom] = []
        for after, upto in stretches:
            async for batch in self._store.visible(tick, (after + 1) * MINUTE - 1, (upto + 1) * MINUTE - 1):
                found += batch
        return found

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
        for trouble in snapshot.troubles if tick % MINUTE == 0 else ():  # only then every rule has been judged
            lasting = trouble.kind == "rule" and trouble.until is None
            if lasting and trouble.subject not in outcome.errors:
                await self._store.clear_trouble("rule", trouble.subject, tick)
        self._judged(tick, outcome, snapshot)


def _clock_time(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%F %T} UTC"


def _next_flush(snapshot: Snapshot) -> int | None:
    return min((group.flush_at for group in snapshot.groups.values()), default=None)
