"""A decision is committed whole or not at all, and what it left behind is what the next one starts from."""

from __future__ import annotations

import asyncio

import pytest

from alertd.engine.alerts import Alert
from alertd.engine.groups import Told
from alertd.engine.health import Trouble
from alertd.engine.outcome import Outcome, Snapshot
from alertd.engine.samples import Sample
from alertd.engine.windows import Evidence

DAY = 86400
SAMPLE = Sample(
    value=0.5, limit=0.1, matched=5, total=10, rooms=4, rooms_affected=3, identities=5, window=3600, position=0
)


async def test_a_new_store_has_nothing_decided(store):
    assert await store.evaluated_until() is None
    assert await store.snapshot(1000) == Snapshot(alerts={}, groups={}, taken_at=1000)


async def test_what_a_decision_changed_is_what_the_next_one_finds(store, alert, group, event, notification):
    hit = Evidence(ended=900, participant_sid="PA1", room_sid="RM1", room_name="<b>\x00", error_code=53405)
    firing = alert(state="firing", sample=SAMPLE, evidence=(hit,), starts_at=900, changed_at=1000)
    told = group(members=(firing.fingerprint,), flush_at=1300, told={"oncall/slack[0]": Told(at=1000, firing=("f",))})
    outcome = Outcome(
        alerts=(firing,), groups=(told,), events=(event(1000, sample=SAMPLE),), notifications=(notification(1),)
    )
    assert await store.commit(outcome, expected=None, until=1000)
    assert await store.evaluated_until() == 1000
    snapshot = await store.snapshot(1001)
    assert snapshot.alerts == {firing.fingerprint: firing}
    assert snapshot.groups == {told.key: told}
    assert await store.events() == [event(1000, sample=SAMPLE)]
    (claimed,) = await store.claim(1000, "me", lease=60, limit=10)
    assert (claimed.notification, claimed.attempts, claimed.created_at) == (notification(1), 0, 1000)


async def test_a_decision_that_comes_second_writes_nothing(store, neighbour, alert, group, event, notification):
    assert await store.commit(Outcome(alerts=(alert(state="firing", reason="first"),)), expected=None, until=1000)
    late = Outcome(
        alerts=(alert(state="firing", reason="second"),),
        groups=(group(),),
        events=(event(1),),
        notifications=(notification(1),),
    )
    assert not await neighbour.commit(late, expected=None, until=1060)
    assert await store.evaluated_until() == 1000
    snapshot = await store.snapshot(1000)
    assert ([one.reason for one in snapshot.alerts.values()], snapshot.groups) == (["first"], {})
    assert await store.events() == []
    assert await store.outbox_counts() == {"queued": 0, "sent": 0, "failed": 0, "withheld": 0}


async def test_of_many_that_decide_at_once_one_wins(store, neighbour, notification):
    outcomes = [Outcome(notifications=(notification(number),)) for number in range(8)]
    won = await asyncio.gather(
        *(where.commit(one, expected=None, until=60) for one in outcomes for where in (store, neighbour))
    )
    assert sum(won) == 1
    assert (await store.outbox_counts())["queued"] == 1


async def test_a_notification_is_queued_once_whatever_is_decided_again(store, notification):
    assert await store.commit(Outcome(notifications=(notification(1),)), expected=None, until=60)
    again = Outcome(notifications=(notification(1, reason="repeat interval elapsed"), notification(2)))
    assert await store.commit(again, expected=60, until=120)
    entries = await store.deliveries()
    assert [(entry.id, entry.reason, entry.created_at) for entry in entries] == [
        ("note-2", "first notification", 120),
        ("note-1", "first notification", 60),
    ]


async def test_what_was_kept_back_is_shown_with_its_reason_and_sent_by_hand_only(store, notification):
    kept_back = notification(1, withheld="inhibited by Down (d)")
    assert await store.commit(Outcome(withheld=(kept_back,)), expected=None, until=60)
    assert await store.claim(100, "me", lease=60, limit=10) == []
    (entry,) = await store.deliveries()
    assert (entry.state, entry.withheld, entry.reason) == ("withheld", "inhibited by Down (d)", "first notification")
    assert await store.outbox_counts() == {"queued": 0, "sent": 0, "failed": 0, "withheld": 1}
    assert await store.retry("note-1", 100)
    (claimed,) = await store.claim(100, "me", lease=60, limit=10)
    assert claimed.notification == kept_back


async def test_a_later_decision_overwrites_alerts_and_groups_and_removes_those_that_are_gone(store, alert, group):
    first = Outcome(alerts=(alert("a", state="pending"), alert("b", state="firing")), groups=(group("x"), group("y")))
    assert await store.commit(first, expected=None, until=60)
    second = Outcome(alerts=(alert("a", state="firing"),), groups=(group("x", flush_at=9),), gone_groups=("y", "z"))
    assert await store.commit(second, expected=60, until=120)
    snapshot = await store.snapshot(120)
    assert [(one.fingerprint[-1], one.state) for one in snapshot.alerts.values()] == [("a", "firing"), ("b", "firing")]
    assert {key: one.flush_at for key, one in snapshot.groups.items()} == {"x": 9}


async def test_a_group_key_of_any_length_and_any_characters_is_kept(store, group):
    keys = ["\x00", '{room="' + "é" * 5000 + '"}', ""]
    assert await store.commit(Outcome(groups=tuple(map(group, keys))), expected=None, until=60)
    assert set((await store.snapshot(60)).groups) == set(keys)
    assert await store.commit(Outcome(gone_groups=tuple(keys)), expected=60, until=61)
    assert (await store.snapshot(61)).groups == {}


@pytest.mark.parametrize(
    ("state", "age", "found"),
    [
        ("firing", 30 * DAY, True),
        ("pending", 30 * DAY, True),
        ("resolved", 40 * DAY - 1, True),
        ("resolved", 40 * DAY, False),
        ("inactive", 40 * DAY - 1, True),
        ("inactive", 40 * DAY, False),
    ],
)
async def test_an_alert_that_is_over_is_remembered_for_forty_days(store, alert, state, age, found):
    now = 100 * DAY
    kept: Alert = alert(state=state, changed_at=now - age, floor=7)
    assert await store.commit(Outcome(alerts=(kept,)), expected=None, until=now)
    assert list((await store.snapshot(now)).alerts.values()) == ([kept] if found else [])


async def test_events_are_the_newest_after_an_instant_oldest_first(store, event):
    told = tuple(event(at, reason=str(number)) for number, at in enumerate((10, 20, 20, 30)))
    assert await store.commit(Outcome(events=told), expected=None, until=30)
    assert [one.reason for one in await store.events()] == ["0", "1", "2", "3"]
    assert [one.reason for one in await store.events(after=10)] == ["1", "2", "3"]
    assert [one.reason for one in await store.events(after=0, limit=2)] == ["2", "3"]


async def test_a_trouble_keeps_its_beginning_and_says_the_latest(store):
    await store.trouble("poll", "production", "timed out", now=100)
    await store.trouble("poll", "production", "refused\x00", now=160)
    await store.trouble("poll", "staging", "timed out", now=130)
    assert (await store.snapshot(200)).troubles == (
        Trouble(kind="poll", subject="production", since=100, message="refused\ufffd"),
        Trouble(kind="poll", subject="staging", since=130, message="timed out"),
    )


async def test_a_trouble_that_comes_back_begins_anew(store):
    for since, until in ((100, 200), (300, 400)):
        await store.trouble("poll", "production", "timed out", now=since)
        await store.clear_trouble("poll", "production", now=until)
    await store.clear_trouble("poll", "production", now=999)
    await store.clear_trouble("poll", "never had any", now=999)
    troubles = (await store.snapshot(500)).troubles
    assert [(one.since, one.until) for one in troubles] == [(100, 200), (300, 400)]


async def test_a_trouble_is_told_from_its_beginning_until_a_week_after_its_end(store):
    await store.trouble("poll", "production", "timed out", now=DAY)
    await store.clear_trouble("poll", "production", now=2 * DAY)
    told = {at: len((await store.snapshot(at)).troubles) for at in (DAY - 1, DAY, 9 * DAY - 1, 9 * DAY)}
    assert told == {DAY - 1: 0, DAY: 1, 9 * DAY - 1: 1, 9 * DAY: 0}
