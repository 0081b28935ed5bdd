"""alertd's own API: what Alertmanager's and Prometheus' cannot say; why an alert was told, or was not, and who looks
after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec
import structlog
from aiohttp import web

from alertd.clock import Clock
from alertd.engine.acks import Ack, standing
from alertd.engine.alerts import Alert
from alertd.engine.groups import Group
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.telling import Quieted
from alertd.forward import Stand
from alertd.receivers.webhook import facts, rfc3339
from alertd.store import OutboxEntry, Store
from alertd.web.answers import BadRequestError, MissingError, answering, as_json, body_of, seconds_of
from alertd.web.gate import USER, signed

log = structlog.get_logger()

USUAL_ACK, LONGEST_ACK = "4h", 7 * 86400
"""How long an acknowledgement stands unless something else is said, and at most (seconds)."""
TOO_LONG = "an acknowledgement stands for at most 7d; a silence may be longer"
LONGEST_COMMENT = 1000
MOST_LISTED = 1000


class PostedAck(msgspec.Struct):
    """Somebody who looks after an alert."""

    by: str = ""
    comment: str = ""
    duration: str = USUAL_ACK


@dataclass(frozen=True, slots=True)
class AlertdApi:
    """The API over a store; `running` gives the policy of the running configuration, `forwarded` how the Alertmanagers
    stand with an alert that it is sent to."""

    store: Store
    running: Callable[[], Policy]
    clock: Clock
    forwarded: Callable[[Alert], Sequence[Stand]] = lambda _alert: ()

    def routes(self) -> list[web.RouteDef]:
        """Every path."""
        return [
            web.get("/api/alertd/alerts", answering(self.alerts)),
            web.put("/api/alertd/alerts/{fingerprint}/ack", answering(self.acknowledge)),
            web.delete("/api/alertd/alerts/{fingerprint}/ack", answering(self.leave)),
            web.get("/api/alertd/notifications", answering(self.notifications)),
            web.get("/api/alertd/coverage", answering(self.coverage)),
            web.get("/api/alertd/rooms/waiting", answering(self.waiting)),
        ]

    async def alerts(self, _request: web.Request) -> web.Response:
        """What is pending or fires, with the reason for it, who looks after it, and who was told, or why not."""
        moment = await self._moment()
        shown = [one for _, one in sorted(moment.snapshot.alerts.items()) if one.state in ("pending", "firing")]
        return as_json([_alert_json(one, moment, self.forwarded(one)) for one in shown])

    async def acknowledge(self, request: web.Request) -> web.Response:
        """Somebody looks after an alert that fires; nobody is told of it again until then, or until it is over."""
        sent, moment = await body_of(request, PostedAck, "ack"), await self._moment()
        alert = _firing(request, moment)
        ack = Ack(
            fingerprint=alert.fingerprint,
            at=moment.now,
            until=moment.now + seconds_of(sent.duration, LONGEST_ACK, TOO_LONG),
            by=signed(sent.by[:100], request.get(USER, "")),
            comment=sent.comment[:LONGEST_COMMENT],
        )
        await self.store.put_ack(ack)
        log.info("alert_acknowledged", fingerprint=ack.fingerprint, by=ack.by, until=ack.until)
        return as_json(_ack_json(ack))

    async def leave(self, request: web.Request) -> web.Response:
        """Nobody looks after the alert any more."""
        mark = request.match_info["fingerprint"]
        if not await self.store.drop_ack(mark):
            raise MissingError("nobody looks after this alert")
        log.info("alert_left", fingerprint=mark, by=request.get(USER, ""))
        return web.Response()

    async def notifications(self, request: web.Request) -> web.Response:
        """The newest notifications, sent, waiting, failed or withheld, each with its reason."""
        found = await self.store.deliveries(failed=request.query.get("failed") == "true", limit=_limit(request))
        return as_json([_notification_json(entry) for entry in found])

    async def coverage(self, _request: web.Request) -> web.Response:
        """By account, which starts of rooms were listed, and when; and in which stretches it was seen."""
        snapshot = (await self._moment()).snapshot
        names = sorted({*self.running().accounts, *(sight.account for sight in snapshot.sights)})
        return as_json([await self._account(name, snapshot) for name in names])

    async def _account(self, name: str, snapshot: Snapshot) -> dict[str, Any]:
        listed = await self.store.coverage(name)
        return {
            "account": name,
            "listed": [
                {
                    "started_from": rfc3339(part.started_from),
                    "started_until": rfc3339(part.started_until),
                    "seen_at": None if part.seen_at is None else rfc3339(part.seen_at),
                    "rooms": part.rooms,
                }
                for part in listed
            ],
            "sights": [
                {"from": rfc3339(sight.seen_from), "until": rfc3339(sight.seen_until)}
                for sight in snapshot.sights
                if sight.account == name
            ],
        }

    async def waiting(self, request: web.Request) -> web.Response:
        """Rooms that are known and not settled yet, with why, those that are looked at next first."""
        rooms = sorted((await self._moment()).snapshot.open_rooms, key=lambda room: (room.look_again_at, room.room_sid))
        return as_json(
            [
                {
                    "account": room.account,
                    "room_sid": room.room_sid,
                    "listed_at": rfc3339(room.listed_at),
                    "ended": None if room.ended is None else rfc3339(room.ended),
                    "look_again_at": rfc3339(room.look_again_at),
                    "why": room.why,
                }
                for room in rooms[: _limit(request)]
            ]
        )

    async def _moment(self) -> _Moment:
        now, policy = int(self.clock.now()), self.running()
        snapshot = await self.store.snapshot(now)
        return _Moment(now, policy, snapshot, Quieted(policy, snapshot.alerts, snapshot, now))


class _Moment(NamedTuple):
    """All that an answer goes by."""

    now: int
    policy: Policy
    snapshot: Snapshot
    quieted: Quieted


def _alert_json(alert: Alert, moment: _Moment, stands: Sequence[Stand]) -> dict[str, Any]:
    acks = standing(moment.snapshot.acks, moment.snapshot.alerts, moment.now)
    ack = acks.get(alert.fingerprint)
    return {
        "fingerprint": alert.fingerprint,
        "state": alert.state,
        "labels": alert.labels,
        "annotations": alert.annotations,
        "activeAt": None if alert.active_at is None else rfc3339(alert.active_at),
        "startsAt": rfc3339(alert.starts_at) if alert.state == "firing" and alert.starts_at is not None else None,
        "reason": alert.reason,
        "flaps": alert.flaps,
        "quiet": moment.quieted.why(alert) if alert.state == "firing" else "",
        "acknowledged": None if ack is None else _ack_json(ack),
        "notifications": list(_told(alert, moment)) if alert.state == "firing" else [],
        "forwarded": [_stand_json(stand) for stand in stands] if alert.state == "firing" else [],
        "alertd": facts(alert),
    }


def _stand_json(stand: Stand) -> dict[str, Any]:
    return stand._asdict() | {"taken": None if stand.taken is None else rfc3339(int(stand.taken))}


def _ack_json(ack: Ack) -> dict[str, Any]:
    return {"by": ack.by, "comment": ack.comment, "at": rfc3339(ack.at), "until": rfc3339(ack.until)}


def _told(alert: Alert, moment: _Moment) -> Iterator[dict[str, Any]]:
    """For each integration that the routes lead to: when it was last told, or why it was not."""
    for group in moment.snapshot.groups.values():
        place = moment.policy.tree.at(group.route)
        if place is None or alert.fingerprint not in group.members:
            continue
        quiet = moment.quieted.quiet(place.route, group)
        for integration in moment.policy.integrations.get(group.receiver, ()):
            told = group.told.get(integration.name)
            knows = told is not None and alert.fingerprint in told.firing
            yield {
                "integration": integration.name,
                "told": rfc3339(told.at) if told is not None and knows else None,
                "why": _why(alert, group, knows=knows, quiet=quiet.muted or quiet.hidden.get(alert.fingerprint, "")),
            }


def _why(alert: Alert, group: Group, *, knows: bool, quiet: str) -> str:
    """Why it was told, or will be, or is not."""
    if knows:
        return alert.reason
    return quiet or f"its group is told at {rfc3339(group.flush_at)}"


def _notification_json(entry: OutboxEntry) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(entry)
    moments = ("created_at", "send_at", "sent_at")
    return fields | {name: rfc3339(fields[name]) for name in moments if fields.get(name) is not None}


def _firing(request: web.Request, moment: _Moment) -> Alert:
    mark = request.match_info["fingerprint"]
    alert = moment.snapshot.alerts.get(mark)
    if alert is None or alert.state != "firing":
        raise MissingError(f"no alert with the fingerprint {mark[:50]} fires")
    return alert


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "100")
    if not text.isdecimal() or not 1 <= int(text) <= MOST_LISTED:
        raise BadRequestError(f"limit is a number from 1 to {MOST_LISTED}")
    return int(text)
