"""A notification is sent until it is through, in order within its group, and one receiver's trouble is its own."""

from __future__ import annotations

import asyncio
import random

from alertd.deliver import LONGEST_PAUSE, SEND_WITHIN, WAIT_FOR_RECEIVER, Deliverer, pause
from alertd.engine.groups import Notification, NotifiedAlert
from alertd.engine.outcome import Outcome
from alertd.errors import DeliveryError, StoreError


class ScriptedReceiver:
    """Answers as told: each item is an answer or an exception; the last one stays."""

    kind = "webhook"
    send_resolved = True
    retry_for = 3600

    def __init__(self, *answers: str | Exception) -> None:
        self.answers = list(answers)
        self.got: list[str] = []
        self.gate: asyncio.Event | None = None
        self.began = asyncio.Event()

    async def send(self, notification: Notification, now: float) -> str:
        self.got.append(notification.id)
        self.began.set()
        if self.gate is not None:
            await self.gate.wait()
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def notification(name: str, integration: str = "oncall/webhook[0]", group: str = "{}:{}", at: int = 0) -> Notification:
    alert = NotifiedAlert(fingerprint="f" * 16, status="firing", labels={"alertname": "X"}, annotations={}, starts_at=1)
    return Notification(
        id=name,
        at=at,
        group_key=group,
        receiver="oncall",
        integration=integration,
        reason="first notification",
        status="firing",
        group_labels={},
        alerts=(alert,),
    )


async def queue(store, clock, *notifications: Notification) -> None:
    now, before = int(clock.now()), await store.evaluated_until()
    assert await store.commit(Outcome(notifications=notifications), expected=before, until=max(now, (before or 0) + 1))


async def states(store) -> dict[str, str]:
    return {entry.id: entry.state for entry in await store.deliveries()}


async def lasting(store, clock) -> set[str]:
    return {one.kind for one in (await store.snapshot(int(clock.now()))).troubles if one.until is None}


async def until(store, name: str, state: str) -> None:
    async with asyncio.timeout(30):
        while (await states(store))[name] != state:  # noqa: ASYNC110 - what is awaited is a row, not an event
            await asyncio.sleep(0.01)


def deliverer(store, clock, **receivers) -> Deliverer:
    named = {f"oncall/{name}[0]": receiver for name, receiver in receivers.items()}
    return Deliverer(store, named, clock, "test", random.Random(1))


async def test_what_is_due_is_sent_once_and_its_answer_kept(store, clock):
    receiver = ScriptedReceiver("200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    await sender.settle()
    assert receiver.got == ["msg_1"]
    (entry,) = await store.deliveries()
    assert (entry.state, entry.last_answer, entry.attempts) == ("sent", "200 OK", 1)


async def test_a_passing_failure_is_tried_again_under_the_same_id_and_told_meanwhile(store, clock):
    receiver = ScriptedReceiver(DeliveryError("503", permanent=False), "200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    assert await states(store) == {"msg_1": "queued"}
    assert await lasting(store, clock) == {"delivery"}
    clock.reading += 60
    await sender.settle()
    assert receiver.got == ["msg_1", "msg_1"]
    assert await states(store) == {"msg_1": "sent"}
    assert await lasting(store, clock) == set()


async def test_the_wait_the_other_side_asks_for_is_kept(store, clock):
    receiver = ScriptedReceiver(DeliveryError("429", permanent=False, retry_after=300), "200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    clock.reading += 299
    await sender.settle()
    assert len(receiver.got) == 1
    clock.reading += 2
    await sender.settle()
    assert len(receiver.got) == 2


async def test_a_refusal_for_good_is_kept_as_failed_told_and_can_be_sent_by_hand(store, clock):
    receiver = ScriptedReceiver(DeliveryError("404 no such hook", permanent=True), "200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    assert await states(store) == {"msg_1": "failed"}
    assert await lasting(store, clock) == {"undelivered"}
    assert await store.retry("msg_1", int(clock.now()))
    await sender.settle()
    assert await states(store) == {"msg_1": "sent"}
    assert await lasting(store, clock) == set()


async def test_trying_ends_after_retry_for(store, clock):
    receiver = ScriptedReceiver(DeliveryError("timeout", permanent=False))
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=receiver)
    for _ in range(100):
        await sender.settle()
        clock.reading += 60
    assert await states(store) == {"msg_1": "failed"}
    assert 5 < len(receiver.got) < 30


async def test_a_group_hears_things_in_order_even_when_the_first_has_to_wait(store, clock):
    receiver = ScriptedReceiver(DeliveryError("503", permanent=False), "200 OK")
    await queue(store, clock, notification("msg_1"))
    await queue(store, clock, notification("msg_2", at=1))
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    clock.reading += 600
    await sender.settle()
    assert receiver.got == ["msg_1", "msg_1", "msg_2"]


async def test_a_hanging_receiver_holds_up_no_other(store, clock):
    slow, quick = ScriptedReceiver("200 OK"), ScriptedReceiver("200 OK")
    slow.gate = asyncio.Event()
    await queue(store, clock, notification("msg_1", "oncall/slow[0]"), notification("msg_2", "oncall/quick[0]"))
    sender = deliverer(store, clock, slow=slow, quick=quick)
    await sender.turn()
    await until(store, "msg_2", "sent")
    await queue(store, clock, notification("msg_3", "oncall/quick[0]", group="{}:other"))
    clock.reading += 5
    await sender.turn()
    await until(store, "msg_3", "sent")
    assert (await states(store))["msg_1"] == "queued"
    slow.gate.set()
    await sender.drain(5)
    assert (await states(store))["msg_1"] == "sent"


async def test_a_stop_gives_back_what_is_under_way(store, clock):
    stuck = ScriptedReceiver("200 OK")
    stuck.gate = asyncio.Event()
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock, webhook=stuck)
    await sender.turn()
    await stuck.began.wait()
    await sender.drain(0.05)
    free = ScriptedReceiver("200 OK")
    await Deliverer(store, {"oncall/webhook[0]": free}, clock, "the next one").settle()
    assert free.got == ["msg_1"]


async def test_a_receiver_that_breaks_takes_nothing_with_it(store, clock):
    broken, fine = ScriptedReceiver(KeyError("oops"), "200 OK"), ScriptedReceiver("200 OK")
    await queue(store, clock, notification("msg_1"), notification("msg_2", "oncall/fine[0]"))
    sender = deliverer(store, clock, webhook=broken, fine=fine)
    await sender.settle()
    assert await states(store) == {"msg_1": "queued", "msg_2": "sent"}


async def test_what_waits_for_a_receiver_that_was_removed_is_told_and_sent_once_it_is_back(store, clock):
    back = ScriptedReceiver(DeliveryError("503", permanent=False), "200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock)
    for _ in range(30):
        await sender.settle()
        clock.reading += 60
    (entry,) = await store.deliveries()
    assert entry.state == "queued"
    assert "no longer in the configuration" in (entry.last_answer or "")
    assert await lasting(store, clock) == {"receiver"}
    sender.adopt({"oncall/webhook[0]": back})
    clock.reading += LONGEST_PAUSE
    await sender.settle()
    assert await lasting(store, clock) == {"delivery"}
    clock.reading += LONGEST_PAUSE
    await sender.settle()
    assert back.got == ["msg_1", "msg_1"]
    assert await lasting(store, clock) == set()


async def test_after_a_day_nobody_waits_for_a_removed_receiver_any_more(store, clock):
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(store, clock)
    await sender.settle()
    clock.reading += WAIT_FOR_RECEIVER
    await sender.settle()
    (entry,) = await store.deliveries(failed=True)
    assert "no longer in the configuration" in (entry.last_answer or "")
    assert "receiver" not in await lasting(store, clock)


async def test_what_is_under_way_when_receivers_change_ends_as_it_began(store, clock):
    old, new = ScriptedReceiver("200 old"), ScriptedReceiver("200 new")
    old.gate = asyncio.Event()
    await queue(store, clock, notification("msg_1"), notification("msg_2", group="{}:other"))
    sender = deliverer(store, clock, webhook=old)
    await sender.turn()
    await old.began.wait()
    sender.adopt({"oncall/webhook[0]": new})
    old.gate.set()
    await sender.drain(5)
    await queue(store, clock, notification("msg_3"))
    clock.reading += 5
    await sender.settle()
    assert (sorted(old.got), new.got) == (["msg_1", "msg_2"], ["msg_3"])


async def test_only_integrations_that_are_configured_are_counted(store, clock):
    counted = []
    await queue(store, clock, notification("msg_1"), notification("msg_2", "gone/webhook[0]"))
    receivers = {"oncall/webhook[0]": ScriptedReceiver("200 OK")}
    await Deliverer(store, receivers, clock, "test", random.Random(1), counted.append).settle()
    assert counted == [("oncall/webhook[0]", "sent")]


async def test_what_one_alertd_has_no_receiver_for_another_of_a_newer_configuration_sends(store, clock):
    newer = ScriptedReceiver("200 OK")
    await queue(store, clock, notification("msg_1"))
    await deliverer(store, clock).settle()
    clock.reading += 20
    await deliverer(store, clock, webhook=newer).settle()
    assert newer.got == ["msg_1"]


async def test_a_send_as_slow_as_a_receiver_may_be_is_not_begun_again_meanwhile(store, clock):
    slow = ScriptedReceiver("200 OK")
    slow.gate = asyncio.Event()
    await queue(store, clock, notification("msg_1"))
    sender, other = deliverer(store, clock, webhook=slow), Deliverer(store, {"oncall/webhook[0]": slow}, clock, "other")
    await sender.turn()
    await slow.began.wait()
    clock.reading += SEND_WITHIN
    await sender.turn()
    await other.turn()
    slow.gate.set()
    await sender.drain(5)
    await other.drain(5)
    assert slow.got == ["msg_1"]


async def test_a_receiver_that_hangs_in_many_groups_leaves_room_for_others(store, clock):
    slow, quick = ScriptedReceiver("200 OK"), ScriptedReceiver("200 OK")
    slow.gate = asyncio.Event()
    stuck = [notification(f"msg_{nth}", "oncall/slow[0]", group=f"{{}}:{nth}") for nth in range(100)]
    await queue(store, clock, *stuck, notification("msg_quick", "oncall/quick[0]"))
    sender = deliverer(store, clock, slow=slow, quick=quick)
    await sender.turn()
    await until(store, "msg_quick", "sent")
    slow.gate.set()
    await sender.drain(30)


async def test_what_was_sent_is_recorded_as_soon_as_the_database_can_and_not_sent_again(store, clock):
    class Locked:
        """The store, which at first cannot take down what was sent."""

        refusals = 3

        def __getattr__(self, name):
            return getattr(store, name)

        async def sent(self, *how):
            if self.refusals:
                self.refusals -= 1
                raise StoreError("the database is locked by another program")
            await store.sent(*how)

    receiver = ScriptedReceiver("200 OK")
    await queue(store, clock, notification("msg_1"))
    sender = deliverer(Locked(), clock, webhook=receiver)
    await sender.settle()
    clock.reading += 3600
    await sender.settle()
    assert receiver.got == ["msg_1"]
    assert await states(store) == {"msg_1": "sent"}


def test_pauses_grow_are_spread_and_have_an_end():
    dice = random.Random(7)
    for attempts in range(40):
        ceiling = min(LONGEST_PAUSE, 5 * 2**attempts)
        assert ceiling / 2 <= pause(attempts, None, dice) <= ceiling
    assert pause(3, 42.0, dice) == 42.0
    assert pause(3, 10**9, dice) == 3600.0


async def test_what_a_killed_predecessor_had_in_hands_is_sent_at_once(store, clock):
    await queue(store, clock, notification("msg_1"))
    assert await store.claim(int(clock.now()), "test", 360, 10)
    receiver = ScriptedReceiver("200 OK")
    sender = deliverer(store, clock, webhook=receiver)
    await sender.settle()
    assert receiver.got == []
    await sender.take_back()
    await sender.settle()
    assert receiver.got == ["msg_1"]
