"""alertd and a real Alertmanager tell the same of the same alerts: whom, of which groups, in which order."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.engine.groups import Integration
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.outcome import Policy
from alertd.engine.routes import Matcher, Route, Tree
from alertd.evaluate import Evaluator
from alertd.web.alertmanager import as_alertmanager_yaml
from alertd.web.posting import PostingApi
from alertd.web.silences import SilencesApi

MINUTE = 60
TIMES = {"group_wait": MINUTE, "group_interval": 3 * MINUTE}
BELOW = (
    Route(receiver="silences", group_by=("alertname",), matchers=(Matcher.parse('alertname=~"AlertdSilence.*"'),)),
    Route(receiver="mailbox", group_by=("alertname", "account"), matchers=(Matcher.parse("severity=ticket"),), **TIMES),
    Route(receiver="owner", group_by_all=True, matchers=(Matcher.parse('region=~"ie.*"'),), continue_=True, **TIMES),
    Route(
        receiver="pager",
        group_by=("severity",),
        matchers=(Matcher.parse("region!=au1"),),
        repeat_interval=4 * MINUTE,
        **TIMES,
    ),
    Route(
        receiver="night",
        group_by=("alertname",),
        matchers=(Matcher.parse("region=au1"),),
        active_time_intervals=("never",),
        **TIMES,
    ),
)
NEVER = TimeInterval("never", (Interval(years=((1999, 1999),)),))
RECEIVERS = ("oncall", "silences", "mailbox", "owner", "pager", "night")
POLICY = Policy(
    rules=(),
    tree=Tree(Route(receiver="oncall", group_by=("alertname",), routes=BELOW, **TIMES)),
    integrations={name: (Integration(f"{name}/webhook[0]"),) for name in RECEIVERS},
    inhibit_rules=(
        InhibitRule(
            source=(Matcher.parse("severity=page"),),
            target=(Matcher.parse("severity=ticket"),),
            equal=("account", "region"),
        ),
    ),
    intervals={"never": NEVER},
)


def labels(alertname: str, severity: str, region: str, account: str = "production") -> dict[str, str]:
    return {"alertname": alertname, "severity": severity, "region": region, "account": account}


DOWN = labels("RegionDown", "page", "ie1")
ABROAD = labels("RegionDown", "page", "au1")
SLOW = labels("Slow", "ticket", "us1")
SLOW_TOO = labels("Slow", "ticket", "br1")
INHIBITED = labels("Slow", "ticket", "ie1")
SILENCED = labels("Slow", "ticket", "us1", account="staging")
STORY: tuple[tuple[str, Any], ...] = (
    ("silence", {"account": "staging"}),
    ("post", (DOWN, ABROAD, SLOW, INHIBITED, SILENCED)),
    ("wait", 3),
    ("post", (SLOW_TOO,)),
    ("wait", 6),
    ("end", (DOWN,)),
    ("wait", 3),
    ("unsilence", None),
    ("wait", 3),
    ("end", (SLOW, SLOW_TOO, INHIBITED, SILENCED, ABROAD)),
    ("wait", 3),
)
"""What happens, and how many minutes pass; those of the real one are seconds, since it cannot be told the time. Groups
are looked at in the first minute after each wait.

One group is never told (it is muted), one is told again (the pager's), an alert joins, one ends and lets another go
that it inhibited, and a silence ends.
"""


class Said(NamedTuple):
    """A notification: of which group to whom, and the alerts in it."""

    receiver: str
    group: tuple[tuple[str, str], ...]
    status: str
    alerts: tuple[tuple[str, ...], ...]


def said(receiver: str, group: dict[str, str], status: str, alerts: list[tuple[str, dict[str, str]]]) -> Said:
    texts = [(state, *(f"{name}={value}" for name, value in sorted(each.items()))) for state, each in alerts]
    return Said(receiver, tuple(sorted(group.items())), status, tuple(sorted(texts)))


class Real:
    """The real Alertmanager, in which a second is a minute, and what its webhooks brought."""

    def __init__(self, address: str, heard: list[Said]) -> None:
        self.address, self.heard = address, heard

    def now(self) -> float:
        return datetime.now(UTC).timestamp()

    async def wait(self, minutes: int) -> None:
        await asyncio.sleep(minutes)


class Ours:
    """alertd on a clock of its own: what it puts into its outbox."""

    def __init__(self, address: str, store, clock) -> None:
        self.address, self.heard = address, list[Said]()
        self._store, self._clock = store, clock
        self._evaluator = Evaluator(store, POLICY, clock, lambda _field, value: value)

    def now(self) -> float:
        return self._clock.now()

    async def wait(self, minutes: int) -> None:
        for _ in range(minutes):
            self._clock.reading += MINUTE
            await self._evaluator.turn()
            for claimed in await self._store.claim(int(self.now()), "test", 60, 100):
                one = claimed.notification
                if one.receiver == "silences":
                    continue  # that a silence began is told by alertd alone
                alerts = [(alert.status, alert.labels) for alert in one.alerts]
                self.heard.append(said(one.receiver, one.group_labels, one.status, alerts))
                await self._store.sent(one.id, int(self.now()), "200")


@pytest.fixture
async def hears():
    """A webhook, and what it was told of each receiver."""
    heard: list[Said] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.json()
        alerts = [(alert["status"], alert["labels"]) for alert in body["alerts"]]
        heard.append(said(body["receiver"], body["groupLabels"], body["status"], alerts))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        yield str(server.make_url("/")), heard


@pytest.fixture
async def ours(store, clock):
    app = web.Application()
    app.router.add_routes([*SilencesApi(store, clock).routes(), *PostingApi(store, clock).routes()])
    clock.reading += MINUTE / 2  # what is posted between two minutes is seen in the next
    async with TestServer(app) as server:
        one = Ours(str(server.make_url("/")).rstrip("/"), store, clock)
        await one.wait(1)
        yield one


async def told_by(server: Ours | Real, send) -> list[list[Said]]:
    """What was told in each wait of the story: groups in any order, the messages of one group in theirs."""
    found, silence = [], ""
    for what, of in STORY:
        now = datetime.fromtimestamp(server.now(), UTC)
        if what == "wait":
            await server.wait(of)
            found.append(sorted(server.heard, key=lambda one: (one.receiver, one.group)))
            server.heard.clear()
        elif what == "silence":
            status, answer = await send(server.address, "POST", "silences", silencing(of, now))
            assert status == 200
            silence = answer["silenceID"]
        elif what == "unsilence":
            assert (await send(server.address, "DELETE", f"silence/{silence}"))[0] == 200
        else:
            lasts = {"startsAt": now.isoformat(), "endsAt": in_a_year(now)}
            times = lasts if what == "post" else {"endsAt": now.isoformat()}
            posted = [{"labels": each} | times for each in of]
            assert (await send(server.address, "POST", "alerts", posted))[0] == 200
    return found


def in_a_year(now: datetime) -> str:
    return (now + timedelta(days=365)).isoformat()


def silencing(wanted: dict[str, str], now: datetime) -> dict[str, Any]:
    matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in wanted.items()]
    times = {"startsAt": now.isoformat(), "endsAt": in_a_year(now)}
    return {"matchers": matchers, "createdBy": "ana", "comment": "a drill", **times}


def real_config(webhook: str) -> dict[str, Any]:
    """The same routes as a second for a minute, with a webhook for each receiver."""
    config: dict[str, Any] = yaml.safe_load(as_alertmanager_yaml(POLICY))

    def hasten(route: dict[str, Any]) -> None:
        for name in ("group_wait", "group_interval", "repeat_interval"):
            route[name] = f"{int(route[name].removesuffix('s')) // MINUTE}s"
        for below in route.get("routes", ()):
            hasten(below)

    hasten(config["route"])
    for receiver in config["receivers"]:
        receiver["webhook_configs"] = [{"url": webhook}]
    return config


async def test_both_tell_the_same_of_the_same_alerts(run_real, hears, ours, send):
    webhook, heard = hears
    with run_real(real_config(webhook)) as address:
        theirs = await told_by(Real(address, heard), send)
    mine = await told_by(ours, send)
    assert mine == theirs
    firing = [[one.receiver for one in wait if one.status == "firing"] for wait in theirs]
    assert firing == [["mailbox", "owner", "pager"], ["mailbox", "pager"], ["mailbox"], ["mailbox"], []]
