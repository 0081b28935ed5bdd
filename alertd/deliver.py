"""Loop 3: claim due notifications from the outbox, send each, mark it sent, put it off or give it up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import structlog

from alertd.clock import Clock
from alertd.engine.groups import Notification
from alertd.errors import DeliveryError, StoreError
from alertd.receivers import Receiver
from alertd.store import Claimed, Store

log = structlog.get_logger()

MOST_AT_ONCE = 128
"""Notifications on their way at the same time: so many that a receiver which hangs leaves room for the others."""
SEND_WITHIN = 310
"""Real seconds for one attempt, whatever hangs; a receiver's own time-out is 300 at most."""
LEASE = 360
"""Real seconds for which a claimed notification belongs to one alertd: longer than an attempt, or it is sent twice."""
WAIT_FOR_RECEIVER = 86400
"""Seconds for which a notification waits for a receiver that is not in the configuration: it may come back, or another
alertd, of a newer configuration, has it."""
RECORD_TRIES, RECORD_PAUSE = 10, 3.0
"""How often the database is asked to take down how an attempt went, and the real seconds between."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0
"""Seconds between attempts: doubled each time, up to the longest."""

Result = Literal["sent", "again", "failed"]


class Attempt(NamedTuple):
    """How a delivery went, for counting."""

    integration: str
    result: Result


def pause(attempts: int, retry_after: float | None, dice: random.Random) -> float:
    """Seconds until the next attempt after so many: what the other side asked for, else exponential with jitter."""
    if retry_after is not None:
        return min(max(retry_after, 1.0), 3600.0)
    ceiling = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(attempts, 10))
    return ceiling * dice.uniform(0.5, 1.0)


class Deliverer:
    """Sends what is due through the receivers' integrations, each by its own name (`oncall/slack[0]`)."""

    def __init__(
        self,
        store: Store,
        receivers: Mapping[str, Receiver],
        clock: Clock,
        holder: str,
        dice: random.Random | None = None,
        delivered: Callable[[Attempt], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._receivers = receivers
        self._clock = clock
        self._holder = holder
        self._dice = dice or random.Random()
        self._delivered = delivered
        self._under_way: dict[str, asyncio.Task[None]] = {}
        self.done = asyncio.Event()

    def adopt(self, receivers: Mapping[str, Receiver]) -> None:
        """Send through other receivers from now on; what is under way ends as it began."""
        self._receivers = receivers
        self.done.set()

    async def turn(self) -> int | None:
        """Start sending all that is due; returns when more falls due (None: nothing waits).

        A slow receiver keeps only its own notifications waiting: sending goes on while the next turn begins.
        """
        room = MOST_AT_ONCE - len(self._under_way)
        if room > 0:
            lease = int(LEASE * self._clock.speed)
            for claimed in await self._store.claim(int(self._clock.now()), self._holder, lease, room):
                task = asyncio.create_task(self._deliver(claimed), name=f"deliver {claimed.notification.id}")
                self._under_way[claimed.notification.id] = task
                task.add_done_callback(partial(self._finished, claimed.notification.id))
        return await self._store.next_send_at()

    def _finished(self, key: str, task: asyncio.Task[None]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery_broke", id=key, error=f"{type(error).__name__}: {error}")
        self.done.set()

    async def take_back(self) -> None:
        """At the start: what a killed predecessor of the same name had in its hands is due again at once."""
        await self._store.give_back_all(self._holder)

    async def drain(self, seconds: float) -> None:
        """Let what is under way end within so many real seconds; give the rest back to the outbox."""
        tasks = dict(self._under_way)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks.values(), timeout=seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        await self._store.give_back([key for key, task in tasks.items() if task in late], self._holder)

    async def settle(self) -> None:
        """Send until nothing more is due now, for a single cycle."""
        while True:
            soonest = await self.turn()
            if self._under_way:
                await asyncio.wait(list(self._under_way.values()), return_when=asyncio.FIRST_COMPLETED)
            elif soonest is None or soonest > self._clock.now():
                return

    async def _deliver(self, claimed: Claimed) -> None:
        notification = claimed.notification
        result: Result
        try:
            answer = await self._send(notification)
        except DeliveryError as error:
            result = await self._not_sent(claimed, error)
        except Exception as error:  # a receiver that breaks must not take the loop with it; it is tried again
            log.exception("receiver_broke", integration=notification.integration)
            broken = DeliveryError(f"{type(error).__name__} inside alertd; see its log", permanent=False)
            result = await self._not_sent(claimed, broken)
        else:
            result = "sent"
            await self._record(partial(self._store.sent, notification.id, self._now(), answer))
            over = ["delivery", "undelivered", "receiver"]
            await self._store.clear_troubles(over, notification.integration, self._now())
            log.info("notification_sent", id=notification.id, integration=notification.integration, answer=answer)
        if notification.integration in self._receivers:  # figures are about what is configured
            self._delivered(Attempt(notification.integration, result))

    async def _send(self, notification: Notification) -> str:
        receiver = self._receivers.get(notification.integration)
        if receiver is None:
            raise DeliveryError("this receiver is no longer in the configuration", permanent=False)
        try:
            async with asyncio.timeout(SEND_WITHIN):
                return await receiver.send(notification, self._clock.now())
        except TimeoutError:
            raise DeliveryError(f"no end of sending within {SEND_WITHIN} s", permanent=False) from None

    async def _record(self, outcome: Callable[[], Awaitable[None]]) -> None:
        """Write down how an attempt went; a database that fails is asked again, or what was sent is sent once more."""
        for _ in range(RECORD_TRIES - 1):
            try:
                return await outcome()
            except StoreError as error:
                log.warning("delivery_not_recorded_yet", error=str(error))
                await self._clock.sleep(RECORD_PAUSE * self._clock.speed)
        return await outcome()

    async def _not_sent(self, claimed: Claimed, error: DeliveryError) -> Result:
        notification, now = claimed.notification, self._now()
        receiver = self._receivers.get(notification.integration)
        patience = WAIT_FOR_RECEIVER if receiver is None else receiver.retry_for
        expired = now - claimed.created_at >= patience
        final = error.permanent or expired
        result: Result = "failed" if final else "again"
        log.error("notification_not_sent", id=notification.id, integration=notification.integration, error=str(error),
                  result=result, attempts=claimed.attempts + 1)  # fmt: skip
        if final:
            await self._record(partial(self._store.failed, notification.id, now, str(error)))
        else:
            send_at = now + pause(claimed.attempts, error.retry_after, self._dice)
            await self._record(partial(self._store.again, notification.id, int(send_at) + 1, now, str(error)))
        await self._note(notification.integration, error, now, final=final)
        return result

    async def _note(self, integration: str, error: DeliveryError, now: int, *, final: bool) -> None:
        """Take down what is in trouble: the integration, or the configuration that has it no more."""
        removed = integration not in self._receivers
        kind = "undelivered" if final else "receiver" if removed else "delivery"
        await self._store.trouble(kind, integration, str(error), now)
        if final or not removed:
            await self._store.clear_trouble("receiver", integration, now)

    def _now(self) -> int:
        return int(self._clock.now())
