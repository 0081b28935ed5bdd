"""alertd's own API: why an alert was told or not, who looks after it, and what alertd has seen."""

from __future__ import annotations

import pytest
from aiohttp import web

from alertd.engine.coverage import Coverage, Seen
from alertd.engine.groups import Group, Integration, Told
from alertd.engine.inhibition import InhibitRule
from alertd.engine.routes import Matcher, Route, Tree
from alertd.engine.silences import Draft, put
from alertd.web.api import AlertdApi
from alertd.web.gate import USER

NOON = 1_772_452_800


@pytest.fixture
def api(aiohttp_client, store, clock, policy_of, losing_media):
    """A client of the API; keywords are the policy's. Whoever sends `X-User` is logged in by that name."""

    async def make(**policy):
        told = {"integrations": {"oncall": (Integration("oncall/slack[0]"),)}, "tree": Tree(Route(receiver="oncall"))}
        made = policy_of(losing_media(), **({"accounts": ("production",)} | told | policy))

        @web.middleware
        async def named(request, handler):
            request[USER] = request.headers.get("X-User", "")
            return await handler(request)

        app = web.Application(middlewares=[named])
        app.router.add_routes(AlertdApi(store, lambda: made, clock).routes())
        return await aiohttp_client(app)

    return make


def group(*members: str, told: dict[str, Told] | None = None, flush_at: int = NOON + 90) -> Group:
    key = Tree(Route(receiver="oncall")).root.key
    return Group(
        key=f"{key}:{{}}", route=key, receiver="oncall", labels={}, members=members, flush_at=flush_at, told=told or {}
    )


async def alerts(client) -> list[dict]:
    answer = await client.get("/api/alertd/alerts")
    assert answer.status == 200
    return await answer.json()


async def test_an_alert_says_why_it_fires_and_when_who_was_told(api, stored, make_alert):
    alert = make_alert()
    told = {"oncall/slack[0]": Told(at=NOON - 60, firing=(alert.fingerprint,))}
    await stored(alert, groups=(group(alert.fingerprint, told=told),))
    (one,) = await alerts(await api())
    assert (one["state"], one["reason"]) == ("firing", alert.reason)
    assert (one["startsAt"], one["quiet"], one["acknowledged"]) == ("2026-03-02T11:35:00Z", "", None)
    assert one["notifications"] == [
        {"integration": "oncall/slack[0]", "told": "2026-03-02T11:59:00Z", "why": alert.reason}
    ]
    assert one["alertd"]["matched"] == alert.sample.matched


async def test_one_that_nobody_was_told_of_says_when_its_group_is_told(api, stored, make_alert):
    alert = make_alert()
    await stored(alert, groups=(group(alert.fingerprint),))
    (one,) = await alerts(await api())
    assert one["notifications"][0] == {
        "integration": "oncall/slack[0]",
        "told": None,
        "why": "its group is told at 2026-03-02T12:01:30Z",
    }


async def test_or_what_keeps_it_quiet(api, stored, store, make_alert):
    alert, other = make_alert(), make_alert("RegionDown")
    draft = Draft(
        matchers=(Matcher.parse("alertname=MediaLost"),),
        starts_at=NOON - 60,
        ends_at=NOON + 3600,
        created_by="ann",
        comment="deploying",
        annotations={},
    )
    await store.change_silence("", lambda known: put(known, draft, NOON - 60, "s1"))
    await stored(alert, other, groups=(group(alert.fingerprint, other.fingerprint),))
    rule = InhibitRule(source=(Matcher.parse("alertname=RegionDown"),), target=(Matcher.parse("alertname=MediaLost"),))
    found = {one["fingerprint"]: one for one in await alerts(await api(inhibit_rules=(rule,)))}
    why = f"silenced by s1 (ann: deploying); inhibited by RegionDown ({other.fingerprint})"
    assert found[alert.fingerprint]["quiet"] == why
    assert found[alert.fingerprint]["notifications"][0]["why"] == why
    assert found[other.fingerprint]["quiet"] == ""


async def test_what_is_over_is_not_listed_and_what_is_pending_is(api, stored, make_alert):
    await stored(make_alert("Over", state="resolved", ends_at=NOON), make_alert("Soon", state="pending"))
    (one,) = await alerts(await api())
    assert (one["labels"]["alertname"], one["state"], one["notifications"]) == ("Soon", "pending", [])


async def test_somebody_looks_after_an_alert_and_then_does_not(api, stored, make_alert, clock):
    alert = make_alert()
    await stored(alert)
    client = await api()
    path = f"/api/alertd/alerts/{alert.fingerprint}/ack"
    answer = await client.put(path, json={"by": "ann", "comment": "on it", "duration": "2h"})
    ack = {"by": "ann", "comment": "on it", "at": "2026-03-02T12:00:00Z", "until": "2026-03-02T14:00:00Z"}
    assert (answer.status, await answer.json()) == (200, ack)
    assert (await alerts(client))[0]["acknowledged"] == ack
    await clock.sleep(7200)
    assert (await alerts(client))[0]["acknowledged"] is None
    assert (await client.delete(path)).status == 200
    assert (await client.delete(path)).status == 404


async def test_who_is_logged_in_signs(api, stored, make_alert):
    alert = make_alert()
    await stored(alert)
    client = await api()
    for said, signed in (({}, "bob"), ({"by": "ann"}, "ann (logged in as bob)"), ({"by": "bob"}, "bob")):
        answer = await client.put(f"/api/alertd/alerts/{alert.fingerprint}/ack", json=said, headers={"X-User": "bob"})
        assert (await answer.json())["by"] == signed


@pytest.mark.parametrize(
    ("fingerprint", "body", "status", "says"),
    [
        ("nobody", {}, 404, "no alert with the fingerprint nobody fires"),
        ("", {"duration": "soon"}, 400, "'soon' is not a duration"),
        ("", {"duration": "8d"}, 400, "at most 7d"),
        ("", {"duration": "0s"}, 400, "at most 7d"),
        ("", {"comment": 1}, 400, "Expected `str`"),
        ("", [], 400, "Expected `object`"),
    ],
)
async def test_what_cannot_be_acknowledged_is_said(api, stored, make_alert, fingerprint, body, status, says):
    alert = make_alert()
    await stored(alert)
    client = await api()
    answer = await client.put(f"/api/alertd/alerts/{fingerprint or alert.fingerprint}/ack", json=body)
    assert answer.status == status
    assert says in str(await answer.json())


async def test_one_that_is_over_cannot_be_acknowledged(api, stored, make_alert):
    alert = make_alert(state="resolved", ends_at=NOON)
    await stored(alert)
    assert (await (await api()).put(f"/api/alertd/alerts/{alert.fingerprint}/ack", json={})).status == 404


async def test_notifications_are_listed_with_their_reasons(api, stored, make_notification):
    withheld = make_notification(2, withheld="muted by the time interval nights")
    await stored(notifications=(make_notification(),), withheld=(withheld,))
    client = await api()
    found = await (await client.get("/api/alertd/notifications")).json()
    assert [(one["state"], one["reason"], one["withheld"]) for one in found] == [
        ("withheld", "first notification", "muted by the time interval nights"),
        ("queued", "first notification", ""),
    ]
    assert len(await (await client.get("/api/alertd/notifications?limit=1")).json()) == 1
    assert await (await client.get("/api/alertd/notifications?failed=true")).json() == []


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1001", "²"])
async def test_a_limit_is_a_number(api, limit):
    assert (await (await api()).get("/api/alertd/notifications", params={"limit": limit})).status == 400


async def test_what_was_listed_and_seen_is_told_by_account(api, store):
    listed = Seen(started_from=NOON - 3600, started_until=NOON, seen_at=NOON, rooms=7)
    await store.cover("production", Coverage((listed,)))
    await store.saw("production", NOON, gap=60)
    (one,) = await (await (await api()).get("/api/alertd/coverage")).json()
    assert one == {
        "account": "production",
        "listed": [
            {
                "started_from": "2026-03-02T11:00:00Z",
                "started_until": "2026-03-02T12:00:00Z",
                "seen_at": "2026-03-02T12:00:00Z",
                "rooms": 7,
            }
        ],
        "sights": [{"from": "2026-03-02T12:00:00Z", "until": "2026-03-02T12:00:00Z"}],
    }


async def test_rooms_that_wait_to_settle_are_told_with_why(api, store, make_open_room):
    await store.note_open("production", [make_open_room(1), make_open_room(2, look_again_at=NOON, why="timeout")])
    found = await (await (await api()).get("/api/alertd/rooms/waiting")).json()
    assert [(one["room_sid"][-1], one["why"], one["look_again_at"]) for one in found] == [
        ("2", "timeout", "2026-03-02T12:00:00Z"),
        ("1", "in_progress", "2026-03-02T12:01:00Z"),
    ]
