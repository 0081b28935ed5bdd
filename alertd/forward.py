"""The loop beside delivering: what fires is sent to other Alertmanagers again and again, as Prometheus does it.

There is no outbox: the state itself is sent, and sent again, so that nothing has to be remembered from run to run. What
Prometheus does is in its rules/alerting.go and notifier/ (prometheus/prometheus).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple, Protocol

import structlog

from alertd.clock import Clock
from alertd.engine.alerts import Alert
from alertd.engine.outcome import Policy, Snapshot
from alertd.errors import DeliveryError
from alertd.receivers.alertmanager import Present
from alertd.store import Store

log = structlog.get_logger()

RESEND = 60
"""Real seconds after which what was sent is sent again (Prometheus: --rules.alert.resend-delay)."""
RETENTION = 900
"""Real seconds for which it goes on being sent that an alert is over (Prometheus: resolvedRetention)."""
BATCH = 256
"""Alerts in one request (Prometheus: --alertmanager.notification-batch-size)."""
TRY_AGAIN = 15.0
"""Real seconds after which a member that failed is asked again, unless it asks for a pause itself. It gets RESEND of
these at most: after some more what fires would be over there."""

Counted = Callable[[str, Literal["sent", "again"]], None]
"""Is told of each request: the integration, and how it went."""


class Member(Protocol):
    """One Alertmanager; see receivers.alertmanager.AlertmanagerMember."""

    async def send(self, alerts: Sequence[Alert], present: Present) -> str:
        """Send the alerts as of the present; DeliveryError where they were not taken."""


def forwarded(policy: Policy, snapshot: Snapshot, now: float, retention: float) -> dict[str, tuple[Alert, ...]]:
    """What is to be sent at `now`, by integration, each in the order of fingerprints.

    That is what fires, and for `retention` seconds what fired, where routes lead to a receiver that forwards. What is
    inhibited, silenced or muted here goes too: the other side decides that for itself. What was over before it was
    noticed (`late`) never fired there and does not go.
    """
    found: dict[str, list[Alert]] = {name: [] for names in policy.forwards.values() for name in names}
    for alert in sorted(snapshot.alerts.values(), key=lambda alert: alert.fingerprint):
        if alert.state == "firing" or _is_just_over(alert, now, retention):
            for name in _led_to(policy, alert):
                found[name].append(alert)
    return {name: tuple(alerts) for name, alerts in found.items()}


def _is_just_over(alert: Alert, now: float, retention: float) -> bool:
    """Whether it fired lately; one that is pending again counts too, until it fires again."""
    return alert.ends_at is not None and not alert.late and now - alert.ends_at < retention


def _led_to(policy: Policy, alert: Alert) -> dict[str, None]:
    """The integrations, each once though several routes lead there."""
    receivers = [place.route.receiver for place in policy.tree.match(alert.labels)]
    return dict.fromkeys(name for receiver in receivers for name in policy.forwards.get(receiver, ()))


class _Sent(NamedTuple):
    """What was sent of an alert, and when; as long as it is the same it need not be sent at once."""

    starts_at: int | None
    ends_at: int | None
    annotations: Mapping[str, str]
    at: float

    @classmethod
    def of(cls, alert: Alert, at: float) -> _Sent:
        return cls(alert.starts_at, None if alert.state == "firing" else alert.ends_at, alert.annotations, at)


class Stand(NamedTuple):
    """How the `member` (of so many) of an integration stands with an alert: when it took it last (None: not yet), and
    what is wrong with it now."""

    integration: str
    member: int
    members: int
    taken: float | None
    error: str


@dataclass(slots=True, eq=False)
class _Contact:
    """The `nth` of so many members, what it was sent of each alert, whether it took the last (None: not asked yet),
    what is wrong if it did not, and until when it is left alone."""

    integration: str
    nth: int
    of: int
    member: Member
    sent: dict[str, _Sent] = field(default_factory=dict)
    works: bool | None = None
    error: str = ""
    rest_until: float = 0.0

    @property
    def called(self) -> str:
        """What it is called before what is said of it."""
        return f"member {self.nth} of {self.of}: " if self.of > 1 else ""

    def due_at(self, alert: Alert, resend: float) -> float:
        """When the alert is to be sent: once it is not what was sent, at once."""
        before = self.sent.get(alert.fingerprint)
        return before.at + resend if before and before == _Sent.of(alert, before.at) else 0.0

    def next_at(self, alerts: Sequence[Alert], resend: float, *, doubted: bool) -> float | None:
        """When there is something to send; one in doubt is asked whether it is there, though there be nothing."""
        due = [self.due_at(alert, resend) for alert in alerts]
        due += [0.0] if doubted and not self.works else []
        return max(min(due), self.rest_until) if due else None

    def forget_others(self, alerts: Sequence[Alert]) -> None:
        """Keep in mind only what is still sent."""
        self.sent = {
            alert.fingerprint: self.sent[alert.fingerprint] for alert in alerts if alert.fingerprint in self.sent
        }


def _contacts(members: Mapping[str, Sequence[Member]]) -> list[_Contact]:
    return [
        _Contact(name, nth, len(cluster), member)
        for name, cluster in members.items()
        for nth, member in enumerate(cluster, start=1)
    ]


class Forwarder:
    """Tells every member of every cluster what fires, each for itself: one that fails or hangs holds up no other."""

    def __init__(
        self,
        store: Store,
        policy: Policy,
        members: Mapping[str, Sequence[Member]],
        clock: Clock,
        counted: Counted = lambda _integration, _result: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._clock = clock
        self._counted = counted
        self._wall = wall
        self._policy = policy
        self._contacts = _contacts(members)
        self._under_way: dict[_Contact, asyncio.Task[None]] = {}
        self.done = asyncio.Event()

    def adopt(self, policy: Policy, members: Mapping[str, Sequence[Member]]) -> None:
        """Go by other routes and members from now on; they are told all anew. What is under way ends as it began."""
        self._policy, self._contacts = policy, _contacts(members)
        self.done.set()

    async def turn(self) -> float | None:
        """Start sending all that is to be sent now; returns when there is more (None: nothing waits)."""
        if not self._contacts:
            return None
        now, speed = self._clock.now(), self._clock.speed
        snapshot = await self._store.snapshot(int(now))
        wanted = forwarded(self._policy, snapshot, now, RETENTION * speed)
        troubled = {one.subject for one in snapshot.troubles if one.kind == "delivery" and one.until is None}
        waiting = []
        for contact in self._contacts:
            if contact in self._under_way:
                continue
            alerts, doubted = wanted.get(contact.integration, ()), contact.integration in troubled
            soonest = contact.next_at(alerts, RESEND * speed, doubted=doubted)
            if soonest is not None and soonest <= now:
                self._start(contact, alerts, now)
            elif soonest is not None:
                waiting.append(soonest)
        await self._clear(troubled, int(now))
        return min(waiting, default=None)

    def _start(self, contact: _Contact, alerts: Sequence[Alert], now: float) -> None:
        contact.forget_others(alerts)
        due = [alert for alert in alerts if contact.due_at(alert, RESEND * self._clock.speed) <= now]
        task = asyncio.create_task(self._tell(contact, due), name=f"forward {contact.integration}")
        self._under_way[contact] = task
        task.add_done_callback(partial(self._finished, contact))

    def _finished(self, contact: _Contact, task: asyncio.Task[None]) -> None:
        self._under_way.pop(contact, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("forwarding_broke", integration=contact.integration, error=f"{type(error).__name__}: {error}")
        self.done.set()

    async def _clear(self, troubled: set[str], now: int) -> None:
        """End the troubles of integrations all of whose members have taken what they were last sent."""
        for integration in troubled.intersection(contact.integration for contact in self._contacts):
            if all(contact.works for contact in self._contacts if contact.integration == integration):
                await self._store.clear_trouble("delivery", integration, now)

    def stands(self, alert: Alert) -> list[Stand]:
        """How each member stands with an alert that is forwarded to it; nothing where routes do not lead there."""
        led_to, mark = _led_to(self._policy, alert), alert.fingerprint
        return [
            Stand(one.integration, one.nth, one.of, one.sent[mark].at if mark in one.sent else None, one.error)
            for one in self._contacts
            if one.integration in led_to
        ]

    async def settle(self) -> None:
        """Send until nothing more is to be sent now, for a single cycle."""
        while True:
            await self.turn()
            if not self._under_way:
                return
            await asyncio.wait(list(self._under_way.values()))

    async def drain(self, seconds: float) -> None:
        """Let what is under way end within so many real seconds; the rest is left, for all is sent again anyway."""
        tasks = list(self._under_way.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=seconds)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _tell(self, contact: _Contact, alerts: Sequence[Alert]) -> None:
        """Send in batches; after a refusal go on, for it may be about one alert, but not where nobody answers."""
        failure: DeliveryError | None = None
        for batch in _batches(alerts):
            try:
                await self._send(contact, batch)
            except DeliveryError as error:
                failure = failure or error
                if not error.permanent:
                    break
        contact.works, contact.error = failure is None, str(failure or "")
        if failure is not None:
            await self._failed(contact, failure)

    async def _send(self, contact: _Contact, batch: Sequence[Alert]) -> None:
        now = self._clock.now()
        result: Literal["sent", "again"] = "again"
        try:
            await contact.member.send(batch, Present(now, self._wall(), self._clock.speed))
            contact.sent |= {alert.fingerprint: _Sent.of(alert, now) for alert in batch}
            result = "sent"
        except DeliveryError:
            raise
        except Exception:  # a member that breaks must not take the others with it; it is tried again
            log.exception("receiver_broke", integration=contact.integration)
            raise DeliveryError("alertd itself failed to send; see its log", permanent=False) from None
        finally:
            if contact in self._contacts:  # figures are about what is configured
                self._counted(contact.integration, result)

    async def _failed(self, contact: _Contact, error: DeliveryError) -> None:
        """Leave the member alone for a while and take down what is in trouble, unless it is configured no more."""
        now, said = self._clock.now(), f"{contact.called}{error}"
        pause = min(max(error.retry_after or TRY_AGAIN, 1.0), RESEND)
        contact.rest_until = now + pause * self._clock.speed
        log.error("alerts_not_forwarded", integration=contact.integration, error=said)
        if contact in self._contacts:
            await self._store.trouble("delivery", contact.integration, said, int(now))


def _batches(alerts: Sequence[Alert]) -> Iterator[Sequence[Alert]]:
    """The alerts in slices; one empty slice where there are none."""
    for start in range(0, max(1, len(alerts)), BATCH):
        yield alerts[start : start + BATCH]
