"""The pages that people read in a browser: alerts, notifications, rooms and rules as they are now, to look at only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import jinja2
import structlog
from aiohttp import web

from alertd.clock import Clock
from alertd.engine.acks import standing
from alertd.engine.alerts import Alert
from alertd.engine.durations import format_duration
from alertd.engine.kinds import AnyKind
from alertd.engine.outcome import Policy, Snapshot
from alertd.engine.settle import OpenRoom
from alertd.engine.silencenotes import silenced_by
from alertd.engine.silences import Silence
from alertd.engine.telling import Quieted
from alertd.errors import StoreError
from alertd.htmlpages import environment, style_hash
from alertd.store import Store
from alertd.templating import duration, time
from alertd.web.silences import LISTED_FOR, listed_at
from alertd.web.standing import standing_at

log = structlog.get_logger()
Handler = Callable[[web.Request], Awaitable[web.Response]]

MOST_ROWS = 500
"""Rows on a page; what is beyond is counted."""
RECENT = 86400
"""Seconds for which what is over stays on the page of alerts."""
HISTORY = 5000
"""The newest events of all alerts, among which the history of one is looked for."""
LONGEST = 1500
"""Characters of one text on a page."""
TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True)
class Pages:
    """The pages over a store.

    `running` gives the policy of the running configuration, with its rules, accounts and integrations; `problems` those
    that keep a newer one from being taken up.
    """

    store: Store
    running: Callable[[], Policy]
    clock: Clock
    problems: Callable[[], Sequence[str]] = tuple

    def routes(self) -> list[web.RouteDef]:
        """Every page, under its path."""
        pages: dict[str, Handler] = {
            "/": self.alerts,
            "/alerts": self.alerts,
            "/notifications": self.notifications,
            "/silences": self.silences,
            "/rooms": self.rooms,
            "/rules": self.rules,
        }
        return [web.get(path, _explained(handler)) for path, handler in pages.items()]

    async def alerts(self, request: web.Request) -> web.Response:
        """Every alert that matters now, or the one that `fingerprint` names."""
        fingerprint = request.query.get("fingerprint")
        if fingerprint:
            return await self._one_alert(fingerprint)
        snapshot = await self._snapshot()
        alerts = in_order(snapshot.alerts.values(), self._now())
        shown = {"alerts": alerts[:MOST_ROWS], "more": len(alerts) - MOST_ROWS, "quiet": self._quiet(snapshot)}
        return await self._page("alerts.html", snapshot, shown)

    async def _one_alert(self, fingerprint: str) -> web.Response:
        """The alert with its history; 404 if neither is kept (any more)."""
        snapshot = await self._snapshot()
        alert = snapshot.alerts.get(fingerprint)
        events = [event for event in await self.store.events(limit=HISTORY) if event.fingerprint == fingerprint][::-1]
        if alert is None and not events:
            words = "There is no alert with this fingerprint. If it was over long ago, it is not kept any more."
            return await self._page("message.html", snapshot, {"title": "No such alert", "message": words}, status=404)
        labels = events[0].labels if alert is None else alert.labels
        shown = {"alert": alert, "labels": labels, "events": events[:MOST_ROWS], "more": len(events) - MOST_ROWS}
        shown |= {"quiet": self._quiet(snapshot)}
        return await self._page("alert.html", snapshot, shown)

    async def notifications(self, request: web.Request) -> web.Response:
        """The outbox, newest first; with `failed=1` only what was given up."""
        failed = request.query.get("failed") == "1"
        entries = await self.store.deliveries(failed=failed, limit=MOST_ROWS)
        counts = await self.store.outbox_counts()
        more = (counts["failed"] if failed else sum(counts.values())) - len(entries)
        shown = {"entries": entries, "counts": counts, "failed": failed, "more": more}
        return await self._page("notifications.html", await self._snapshot(), shown)

    async def silences(self, _request: web.Request) -> web.Response:
        """The silences, active ones first, each with what it hides now and who did what to it."""
        now, snapshot = self._now(), await self._snapshot()
        silences = sorted(await self.store.silences(now - LISTED_FOR), key=lambda one: listed_at(one, now))
        firing = [alert for alert in snapshot.alerts.values() if alert.state == "firing"]
        hides = {
            one.id: [
                (alert.fingerprint, alert.labels.get("alertname", "")) for alert in firing if _hides(one, alert, now)
            ]
            for one in silences[:MOST_ROWS]
        }
        shown = {"silences": silences[:MOST_ROWS], "hides": hides, "more": len(silences) - MOST_ROWS}
        return await self._page("silences.html", snapshot, shown)

    def _quiet(self, snapshot: Snapshot) -> dict[str, str]:
        """By fingerprint, why nobody is told of an alert that fires, or not again."""
        now = self._now()
        quieted = Quieted(self.running(), snapshot.alerts, snapshot, now)
        acks = standing(snapshot.acks, snapshot.alerts, now)
        firing = {mark: alert for mark, alert in snapshot.alerts.items() if alert.state == "firing"}
        why = {mark: quieted.why(alert) or str(acks.get(mark, "")) for mark, alert in firing.items()}
        return {mark: reason for mark, reason in why.items() if reason}

    async def rooms(self, _request: web.Request) -> web.Response:
        """What of each account was never listed, and the rooms that are not settled, those that ended first on top."""
        snapshot, counts = await self._snapshot(), await self.store.counts()
        rooms = sorted(snapshot.open_rooms, key=_ended_first)
        coverage = {account: await self.store.coverage(account) for account in self.running().accounts}
        unlisted = {
            account: [part for part in parts if part.seen_at is None][::-1] for account, parts in coverage.items()
        }
        seen = {account: parts[0].started_from for account, parts in coverage.items() if parts}
        shown = {"rooms": rooms[:MOST_ROWS], "counts": counts, "more": len(rooms) - MOST_ROWS}
        shown |= {"unlisted": unlisted, "seen_from": seen}
        return await self._page("rooms.html", snapshot, shown)

    async def rules(self, _request: web.Request) -> web.Response:
        """The rules that were loaded, with how many alerts each has by state."""
        snapshot = await self._snapshot()
        states = Counter((alert.rule, alert.state) for alert in snapshot.alerts.values())
        rules = self.running().rules
        shown = {"rules": rules[:MOST_ROWS], "states": states, "more": len(rules) - MOST_ROWS}
        return await self._page("rules.html", snapshot, shown)

    async def _snapshot(self) -> Snapshot:
        return await self.store.snapshot(self._now())

    def _now(self) -> int:
        return int(self.clock.now())

    async def _page(
        self, template: str, snapshot: Snapshot, shown: Mapping[str, object], status: int = 200
    ) -> web.Response:
        now = self._now()
        standing = standing_at(now, self.running(), snapshot, await self.store.evaluated_until())
        return rendered(template, {"now": now, "standing": standing, "problems": self.problems(), **shown}, status)


def in_order(alerts: Iterable[Alert], now: int) -> list[Alert]:
    """What fires, then what is pending, then what ended (or was told late) in the last day; each the newest first."""
    order = {"firing": 0, "pending": 1, "resolved": 2}
    recent = [
        one for one in alerts if one.state in order and (one.state != "resolved" or one.changed_at > now - RECENT)
    ]
    return sorted(recent, key=lambda one: (order[one.state], -one.changed_at, one.fingerprint))


def _in_words(kind: AnyKind) -> str:
    return kind.in_words()


def rendered(template: str, variables: Mapping[str, object], status: int) -> web.Response:
    """A page for a browser: it may fetch nothing, run nothing and be framed by nobody."""
    headers = {
        "Content-Security-Policy": _policy_of_content(),
        "Cache-Control": "no-store",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }
    text = _environment().get_template(template).render(variables)
    return web.Response(text=text, status=status, content_type="text/html", headers=headers)


def _explained(handler: Handler) -> Handler:
    """The handler, with a page that says why where the database fails it."""

    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except StoreError as error:
            log.warning("page_failed", path=request.path, error=str(error))
            return rendered("unavailable.html", {"message": str(error)}, 503)

    return answer


def _hides(silence: Silence, alert: Alert, now: int) -> bool:
    return silence in silenced_by([silence], alert, now)


def _ended_first(room: OpenRoom) -> tuple[bool, int, str]:
    return room.ended is None, room.listed_at if room.ended is None else room.ended, room.room_sid


@cache
def _environment() -> jinja2.Environment:
    made = environment(TEMPLATES, LONGEST)
    made.filters |= {"duration": duration, "time": time}
    made.filters |= {"iso": _iso, "clock": _clock, "roughly": _roughly, "in_words": _in_words}
    return made


def _policy_of_content() -> str:
    """Nothing but the one style sheet."""
    source = f"default-src 'none'; style-src '{style_hash(TEMPLATES)}'"
    return f"{source}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def _iso(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _clock(instant: int) -> str:
    return f"{datetime.fromtimestamp(instant, UTC):%H:%M:%S} UTC"


def _roughly(seconds: int) -> str:
    """How long, in the two units that matter: `1d2h`, `2h5m`, `25m13s`."""
    unit = 3600 if seconds >= 86400 else 60 if seconds >= 3600 else 1
    return format_duration(max(0, seconds) // unit * unit)
