"""The outbox: claimed with a lease, retried, and for each group and integration one at a time and in order."""

from __future__ import annotations

import asyncio

from alertd.engine.groups import NotifiedAlert
from alertd.store import Attempt, Claimed, Store


def ids(claimed: list[Claimed]) -> list[str]:
    return [one.notification.id for one in claimed]


async def claimed(store: Store, now: int, holder: str = "me", lease: int = 60, limit: int = 100) -> list[str]:
    return ids(await store.claim(now, holder, lease, limit))


async def test_what_is_due_is_claimed_oldest_first_up_to_the_limit(store, enqueue, notification):
    await enqueue(100, *(notification(number) for number in (3, 1, 2)))
    assert await claimed(store, 99) == []
    assert await claimed(store, 100, limit=2) == ["note-3", "note-1"]
    assert await claimed(store, 100) == ["note-2"]


async def test_nobody_claims_what_another_holds_until_the_lease_is_over(store, neighbour, enqueue, notification):
    await enqueue(100, notification(1))
    assert await claimed(store, 100, "a", lease=60) == ["note-1"]
    assert await claimed(neighbour, 159, "b") == []
    assert await claimed(neighbour, 160, "b") == ["note-1"]


async def test_two_holders_never_claim_the_same(store, neighbour, enqueue, notification):
    await enqueue(100, *map(notification, range(50)))
    got = await asyncio.gather(
        *(claimed(where, 100, f"holder-{turn}", limit=7) for turn in range(8) for where in (store, neighbour))
    )
    everything = [one for part in got for one in part]
    assert sorted(everything) == sorted(set(everything))
    rest = await claimed(store, 100, "last")
    assert {*everything, *rest} == {f"note-{number}" for number in range(50)}


async def test_one_of_a_group_and_integration_is_out_at_a_time_and_in_order(store, neighbour, enqueue, notification):
    await enqueue(100, *(notification(number, group_key="same") for number in (1, 2, 3)), notification(4))
    assert await claimed(store, 100, "a") == ["note-1", "note-4"]
    assert await claimed(neighbour, 100, "b") == []
    await store.sent("note-1", 101, "ok")
    assert await claimed(neighbour, 101, "b") == ["note-2"]
    await neighbour.failed("note-2", 102, "gone")
    assert await claimed(store, 102, "a") == ["note-3"]


async def test_integrations_of_one_group_do_not_wait_for_each_other(store, enqueue, notification):
    both = (notification(1, group_key="same"), notification(2, group_key="same", integration="oncall/email[0]"))
    await enqueue(100, *both)
    assert await claimed(store, 100) == ["note-1", "note-2"]


async def test_a_retry_waits_for_its_time_and_those_behind_it_wait_too(store, enqueue, notification):
    await enqueue(100, *(notification(number, group_key="same") for number in (1, 2)))
    await claimed(store, 100)
    await store.again("note-1", send_at=130, now=101, error="503")
    assert await claimed(store, 129) == []
    (back,) = await store.claim(130, "me", 60, 10)
    assert (back.notification.id, back.attempts, back.created_at) == ("note-1", 1, 100)


async def test_each_attempt_is_counted_and_the_last_answer_shown(store, enqueue, notification):
    await enqueue(100, notification(1))
    await claimed(store, 100)
    await store.again("note-1", send_at=130, now=101, error="503")
    await claimed(store, 130)
    await store.sent("note-1", 131, "200 ok\x00" + "x" * 5000)
    (entry,) = await store.deliveries()
    assert (entry.state, entry.attempts, entry.sent_at) == ("sent", 2, 131)
    assert entry.last_answer is not None
    assert entry.last_answer.startswith("200 ok\ufffdx")
    assert len(entry.last_answer) == 2000
    assert await store.attempts("note-1") == [
        Attempt(at=101, outcome="again", answer="503"),
        Attempt(at=131, outcome="sent", answer=entry.last_answer),
    ]
    assert await store.attempts("nothing") == []


async def test_what_was_finished_meanwhile_stays_finished(store, neighbour, enqueue, notification):
    """A slow holder's lease runs out, another sends it; the slow one then reports a failure."""
    await enqueue(100, notification(1))
    await claimed(store, 100, "slow", lease=10)
    assert await claimed(neighbour, 110, "quick") == ["note-1"]
    await neighbour.sent("note-1", 111, "ok")
    await store.again("note-1", send_at=140, now=112, error="timed out")
    await store.failed("note-1", 113, "timed out")
    (entry,) = await store.deliveries()
    assert (entry.state, entry.attempts, entry.last_answer) == ("sent", 1, "ok")
    assert await claimed(store, 999) == []


async def test_a_report_on_an_unknown_notification_is_ignored(store):
    await store.sent("nothing", 1, "ok")
    assert await store.deliveries() == []


async def test_what_is_given_back_need_not_wait_for_the_lease(store, neighbour, enqueue, notification):
    await enqueue(100, notification(1), notification(2))
    await claimed(store, 100, "a")
    await neighbour.give_back(["note-1", "note-2"], "somebody else")
    assert await claimed(neighbour, 100, "b") == []
    await store.give_back(["note-2"], "a")
    (again,) = await neighbour.claim(100, "b", 60, 10)
    assert (again.notification.id, again.attempts) == ("note-2", 0)


async def test_the_next_time_to_send_is_when_claim_can_find_something(store, enqueue, notification):
    assert await store.next_send_at() is None
    await enqueue(100, *(notification(number, group_key="same") for number in (1, 2)))
    assert await store.next_send_at() == 100
    await claimed(store, 100, lease=60)
    assert await store.next_send_at() == 160
    await store.again("note-1", send_at=500, now=101, error="503")
    assert await store.next_send_at() == 500
    await store.sent("note-1", 501, "ok")
    assert await store.next_send_at() == 100
    await store.failed("note-2", 502, "gone")
    assert await store.next_send_at() is None


async def test_a_failed_notification_is_retried_by_hand(store, enqueue, notification):
    await enqueue(100, notification(1), notification(2))
    await claimed(store, 100)
    await store.failed("note-1", 101, "404")
    await store.sent("note-2", 101, "ok")
    assert await store.outbox_counts() == {"queued": 0, "sent": 1, "failed": 1, "withheld": 0}
    assert [entry.id for entry in await store.deliveries(failed=True)] == ["note-1"]
    assert await store.retry("note-1", now=900)
    assert not await store.retry("note-2", now=900)
    assert not await store.retry("nothing", now=900)
    assert await claimed(store, 900) == ["note-1"]
    assert await store.deliveries(failed=True) == []


async def test_a_waiting_notification_is_sent_sooner_by_hand(store, enqueue, notification):
    await enqueue(100, notification(1))
    await claimed(store, 100)
    await store.again("note-1", send_at=9000, now=101, error="503")
    assert await store.retry("note-1", now=200)
    assert await claimed(store, 200) == ["note-1"]


async def test_the_outbox_is_shown_newest_first_with_what_it_is_about(store, enqueue, notification):
    def told(name: str | None, number: int) -> NotifiedAlert:
        labels = {"alertname": name} if name else {}
        return NotifiedAlert(fingerprint=f"{number:016x}", status="firing", labels=labels, annotations={}, starts_at=1)

    alerts = (told("Bad", 1), told("Bad", 2), told(None, 3))
    await enqueue(100, notification(1))
    await enqueue(200, notification(2, alerts=alerts, status="resolved", reason="all alerts resolved"))
    newest, oldest = await store.deliveries()
    assert (newest.id, newest.alerts, newest.group_key) == ("note-2", ("Bad", f"{3:016x}"), "group-2")
    assert (newest.receiver, newest.integration, newest.reason, newest.status, newest.state) == (
        "oncall",
        "oncall/slack[0]",
        "all alerts resolved",
        "resolved",
        "queued",
    )
    assert (oldest.created_at, oldest.send_at, oldest.sent_at, oldest.last_answer) == (100, 100, None, None)
    assert [entry.id for entry in await store.deliveries(limit=1)] == ["note-2"]


async def test_the_oldest_that_waits_says_how_far_behind_delivery_is(store, enqueue, notification):
    assert await store.oldest_queued_at() is None
    await enqueue(100, notification(1))
    await enqueue(200, notification(2))
    await store.again("note-1", send_at=300, now=100, error="503")
    assert await store.oldest_queued_at() == 100
    await store.sent("note-1", 300, "ok")
    assert await store.oldest_queued_at() == 200
