"""What fires is sent to every Alertmanager again and again, and a member that fails is its own trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import Interval, TimeInterval
from alertd.engine.outcome import Outcome, Policy, Snapshot
from alertd.engine.routes import Matcher, Route, Tree
from alertd.forward import BATCH, RESEND, RETENTION, TRY_AGAIN, Forwarder, forwarded
from alertd.receivers.alertmanager import AlertmanagerMember, AlertmanagerSettings

NOON = 1_772_452_800
NAME = "central/alertmanager[0]"


def alert(name: str, **parts: Any) -> Alert:
    labels = {"alertname": name, "account": "production", **parts.pop("labels", {})}
    known = {"state": "firing", "starts_at": NOON - 600, "annotations": {"summary": "Look."}, "rule": "R"}
    return Alert(**({"fingerprint": fingerprint(labels), "labels": labels} | known | parts))


def over(one: Alert, ends_at: int, **parts: Any) -> Alert:
    return msgspec.structs.replace(one, state="resolved", ends_at=ends_at, changed_at=ends_at, **parts)


def policy(route: Route | None = None, **parts: Any) -> Policy:
    """One receiver that forwards, to which every alert is routed."""
    known = {"rules": (), "tree": Tree(route or Route(receiver="central")), "integrations": {"central": ()}}
    return Policy(**(known | {"forwards": {"central": (NAME,)}} | parts))


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
def members(session) -> Callable[..., dict[str, tuple[AlertmanagerMember, ...]]]:
    def of(*urls: str, **settings: Any) -> dict[str, tuple[AlertmanagerMember, ...]]:
        read = AlertmanagerSettings(url=list(urls), **settings)
        return {NAME: tuple(AlertmanagerMember(read, url, session, "http://alertd.example.com") for url in read.url)}

    return of


@pytest.fixture
def forwarder(store, clock, members) -> Callable[..., Forwarder]:
    def of(*urls: str, following: Policy | None = None, counted: Any = None, **settings: Any) -> Forwarder:
        counting = counted or (lambda _integration, _result: None)
        found = members(*urls, **settings)
        return Forwarder(store, following or policy(), found, clock, counting, wall=clock.now)

    return of


@pytest.fixture
def stand(store, clock) -> Callable[..., Any]:
    """Has alerts stand in the store as of now."""

    async def put(*alerts: Alert) -> None:
        before, now = await store.evaluated_until(), int(clock.now())
        assert await store.commit(Outcome(alerts=alerts), expected=before, until=max(now, (before or 0) + 1))

    return put


async def lasting(store, clock) -> dict[str, str]:
    """The troubles that last: subject and message of those of the kind that deliveries have."""
    troubles = (await store.snapshot(int(clock.now()))).troubles
    return {one.subject: one.message for one in troubles if one.until is None and one.kind == "delivery"}


def ends(got: list[list[dict[str, Any]]]) -> list[str]:
    """When the only alert of each request is said to end, without its date."""
    return [one["endsAt"][11:19] for (one,) in got]


def sent(following: Policy, *alerts: Alert, now: float = NOON) -> list[str]:
    snapshot = Snapshot(alerts={one.fingerprint: one for one in alerts}, groups={})
    return [one.labels["alertname"] for one in forwarded(following, snapshot, now, RETENTION)[NAME]]


def test_what_fires_is_forwarded_and_what_is_pending_or_inactive_is_not():
    pending = alert("Soon", state="pending", starts_at=None, active_at=NOON)
    assert sent(policy(), alert("A"), pending, alert("Never", state="inactive", starts_at=None)) == ["A"]


def test_what_is_over_is_forwarded_for_a_quarter_of_an_hour_even_if_it_is_pending_again():
    gone = over(alert("A"), NOON)
    again = msgspec.structs.replace(gone, state="pending", active_at=NOON + 60)
    assert [sent(policy(), one, now=NOON + 899) for one in (gone, again)] == [["A"], ["A"]]
    assert sent(policy(), gone, now=NOON + 900) == []


def test_what_was_over_before_it_was_noticed_is_not_forwarded():
    assert sent(policy(), over(alert("A"), NOON - 60, late=True)) == []


def test_the_order_is_that_of_fingerprints():
    alerts = [alert(name) for name in ("A", "B", "C", "D", "E")]
    by_fingerprint = [one.labels["alertname"] for one in sorted(alerts, key=lambda one: one.fingerprint)]
    assert sent(policy(), *alerts) == by_fingerprint != ["A", "B", "C", "D", "E"]


def test_only_what_the_routes_lead_there_goes_and_once_though_by_two_of_them():
    pages = Route(receiver="central", matchers=(Matcher.parse("severity=page"),), continue_=True)
    again = Route(receiver="central", matchers=(Matcher.parse("account=production"),))
    route = Route(receiver="nobody", routes=(pages, again))
    page = alert("Page", labels={"severity": "page"})
    elsewhere = alert("Elsewhere", labels={"account": "staging"})
    assert sent(policy(route), page, elsewhere) == ["Page"]


def test_what_is_inhibited_or_muted_here_goes_all_the_same():
    everything = (Matcher.parse('alertname=~".+"'),)
    always = Route(receiver="central", matchers=everything, mute_time_intervals=("always",))
    explained = InhibitRule(source=(Matcher.parse("alertname=A"),), target=(Matcher.parse("alertname=B"),), equal=())
    intervals = {"always": TimeInterval("always", (Interval(),))}
    quiet = policy(Route(receiver="nobody", routes=(always,)), inhibit_rules=(explained,), intervals=intervals)
    assert sorted(sent(quiet, alert("A"), alert("B"))) == ["A", "B"]


async def test_it_is_sent_again_each_minute_with_an_end_that_is_put_off(forwarder, stand, member, clock):
    await stand(alert("A"))
    sender = forwarder(member.url)
    for _ in range(7):
        await sender.settle()
        clock.reading += RESEND / 3
    assert ends(member.got) == ["12:04:00", "12:05:00", "12:06:00"]
    assert {one["startsAt"] for (one,) in member.got} == {"2026-03-02T11:50:00Z"}


async def test_a_turn_says_when_the_next_one_is_due(forwarder, stand, member, clock):
    sender = forwarder(member.url)
    assert await sender.turn() is None
    await stand(alert("A"))
    await sender.settle()
    assert await sender.turn() == clock.now() + RESEND


async def test_what_changes_is_sent_at_once_and_the_rest_at_its_time(forwarder, stand, member, clock):
    one, two = alert("A"), alert("B")
    await stand(one, two)
    sender = forwarder(member.url)
    await sender.settle()
    clock.reading += 10
    await stand(msgspec.structs.replace(one, annotations={"summary": "It is worse."}), alert("C"))
    await sender.settle()
    assert [sorted(names) for names in member.names()] == [["A", "B"], ["A", "C"]]
    clock.reading += RESEND - 10
    await sender.settle()
    assert member.names()[2:] == [["B"]]


async def test_a_recovery_is_sent_at_once_and_again_for_a_quarter_of_an_hour(forwarder, stand, member, clock):
    await stand(alert("A"))
    sender = forwarder(member.url)
    await sender.settle()
    clock.reading += 30
    await stand(over(alert("A"), NOON + 30))
    for _ in range(20):
        await sender.settle()
        clock.reading += RESEND
    assert ends(member.got) == ["12:04:00", *["12:00:30"] * 15]
    await stand(alert("A", starts_at=int(clock.now())))
    await sender.settle()
    assert member.got[-1][0]["startsAt"] == "2026-03-02T12:20:30Z"


async def test_in_a_rehearsal_a_minute_is_one_of_the_machine(forwarder, stand, member, clock):
    clock.speed = 60.0
    await stand(alert("A"))
    sender = forwarder(member.url)
    await sender.settle()
    assert await sender.turn() == clock.now() + 60 * RESEND
    clock.reading += 60 * RESEND
    await sender.settle()
    assert len(member.got) == 2


async def test_many_alerts_go_in_several_requests(forwarder, stand, member):
    await stand(*(alert(f"A{number}") for number in range(2 * BATCH + 1)))
    await forwarder(member.url).settle()
    assert [len(alerts) for alerts in member.got] == [BATCH, BATCH, 1]


async def test_every_member_of_a_cluster_gets_everything(forwarder, stand, member, other):
    await stand(alert("A"), alert("B"))
    await forwarder(member.url, other.url).settle()
    assert member.got == other.got
    assert len(member.got[0]) == 2


async def test_one_that_fails_is_tried_again_and_its_trouble_ends_by_itself(
    forwarder, stand, member, other, store, clock
):
    await stand(alert("A"))
    counted = []
    member.status, member.text = 503, "settling"
    sender = forwarder(member.url, other.url, counted=lambda *how: counted.append(how))
    await sender.settle()
    assert await lasting(store, clock) == {NAME: "member 1 of 2: 127.0.0.1 answered 503 settling"}
    assert sorted(counted) == [(NAME, "again"), (NAME, "sent")]
    assert await sender.turn() == clock.now() + TRY_AGAIN
    member.status = 200
    clock.reading += TRY_AGAIN
    await sender.settle()
    assert (len(member.got), len(other.got)) == (2, 1)
    assert await lasting(store, clock) == {}


async def test_one_that_asks_for_a_pause_gets_it_but_no_longer_than_what_fires_would_stand(
    forwarder, stand, member, clock
):
    await stand(alert("A"))
    sender = forwarder(member.url)
    for asked, given in (("40", 40), ("7200", RESEND)):
        member.status, member.headers = 429, {"Retry-After": asked}
        await sender.settle()
        assert await sender.turn() == clock.now() + given
        clock.reading += given


async def test_nobody_there_is_a_trouble_that_tells_no_secret(forwarder, stand, store, clock, unused_tcp_port):
    await stand(alert("A"))
    sender = forwarder(f"http://127.0.0.1:{unused_tcp_port}/T0KEN", username="alertd", password="s3cret")
    await sender.settle()
    (said,) = (await lasting(store, clock)).values()
    assert said.startswith("the connection to 127.0.0.1 failed")
    assert "T0KEN" not in said
    assert "s3cret" not in said


async def test_one_that_hangs_keeps_no_other_waiting(forwarder, stand, member, other, clock):
    await stand(alert("A"))
    member.gate = asyncio.Event()
    sender = forwarder(member.url, other.url)
    for _ in range(3):
        await sender.turn()
        async with asyncio.timeout(30):
            await sender.done.wait()
        sender.done.clear()
        clock.reading += RESEND
    assert (len(member.got), len(other.got)) == (1, 3)
    member.gate.set()
    await sender.drain(30)


async def test_an_alert_that_is_refused_keeps_no_other_from_being_sent(forwarder, stand, member, store, clock):
    alerts = sorted((alert(f"A{number}") for number in range(BATCH + 1)), key=lambda one: one.fingerprint)
    member.refused = alerts[0].labels["alertname"]
    await stand(*alerts)
    await forwarder(member.url).settle()
    assert [len(got) for got in member.got] == [BATCH, 1]
    assert "answered 400" in (await lasting(store, clock))[NAME]


async def test_whether_one_in_trouble_is_back_is_asked_though_nothing_is_left_to_be_sent(
    forwarder, stand, member, store, clock
):
    """The trouble may be from before a restart, or the alerts may be over by now."""
    await store.trouble("delivery", NAME, "it did not answer", NOON - 3600)
    await store.trouble("delivery", "oncall/slack[0]", "it did not answer", NOON - 3600)
    sender = forwarder(member.url)
    member.status = 503
    await sender.settle()
    assert NAME in await lasting(store, clock)
    member.status = 200
    clock.reading += TRY_AGAIN
    await sender.settle()
    assert member.got == [[], []]
    assert set(await lasting(store, clock)) == {"oncall/slack[0]"}
    await sender.settle()
    assert member.got == [[], []]


async def test_a_member_that_breaks_is_a_failure_like_any_other(store, clock, stand):
    class Broken:
        """Fails in a way that nobody has thought of."""

        async def send(self, alerts, present):
            raise KeyError("oops")

    await stand(alert("A"))
    await Forwarder(store, policy(), {NAME: (Broken(),)}, clock, wall=clock.now).settle()
    assert await lasting(store, clock) == {NAME: "alertd itself failed to send; see its log"}


async def test_other_members_and_routes_count_from_a_reload_on(forwarder, members, stand, member, other, clock):
    await stand(alert("A"))
    sender = forwarder(member.url)
    await sender.settle()
    clock.reading += RESEND
    sender.adopt(policy(), members(other.url))
    assert sender.done.is_set()
    await sender.settle()
    assert (len(member.got), other.names()) == (1, [["A"]])
    sender.adopt(policy(Route(receiver="nobody")), members(other.url))
    clock.reading += RESEND
    await sender.settle()
    assert len(other.got) == 1


async def test_what_comes_of_a_member_that_was_removed_meanwhile_is_neither_counted_nor_told(
    forwarder, members, stand, member, other, store, clock
):
    await stand(alert("A"))
    counted = []
    member.gate, member.status = asyncio.Event(), 503
    sender = forwarder(member.url, counted=lambda *how: counted.append(how))
    await sender.turn()
    sender.adopt(policy(), {})
    member.gate.set()
    await sender.drain(30)
    assert (counted, await lasting(store, clock)) == ([], {})


async def test_a_stop_leaves_what_hangs(forwarder, stand, member):
    await stand(alert("A"))
    member.gate = asyncio.Event()
    sender = forwarder(member.url)
    await sender.turn()
    await sender.drain(0.05)
    member.gate.set()
    await sender.settle()
