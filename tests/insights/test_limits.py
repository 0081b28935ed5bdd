"""The limiter: how many at once, in which order, and how it moves with what Twilio bears."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertd.insights.limits import ROUNDS_TO_GROW, Limiter


async def turns(number: int = 3) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_no_more_than_the_limit_are_let_in_and_each_leaving_lets_in_the_next_in_order():
    limiter, order = Limiter(2), []

    async def come(name: int) -> None:
        await limiter.enter()
        order.append(name)

    tasks = [asyncio.create_task(come(name)) for name in range(5)]
    await turns()
    assert order == [0, 1]
    limiter.leave()
    await turns()
    assert order == [0, 1, 2]
    limiter.leave()
    limiter.leave()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3, 4]


async def test_who_comes_later_does_not_overtake_who_waits():
    limiter, order = Limiter(1), []
    await limiter.enter()

    async def come(name: str) -> None:
        await limiter.enter()
        order.append(name)

    first = asyncio.create_task(come("first"))
    await turns()
    limiter.leave()
    second = asyncio.create_task(come("second"))
    await turns()
    limiter.leave()
    await asyncio.gather(first, second)
    assert order == ["first", "second"]


async def test_requests_refused_together_halve_the_limit_once():
    limiter = Limiter(16)
    together = [await limiter.enter() for _ in range(16)]
    for entered in together:
        limiter.refused(entered)
    assert limiter.limit == 8


async def test_a_refusal_after_the_cut_halves_again_but_never_below_one():
    limiter = Limiter(8)
    limits = []
    for _ in range(6):
        limiter.refused(await limiter.enter())
        limiter.leave()
        limits.append(limiter.limit)
    assert limits == [4, 2, 1, 1, 1, 1]


async def test_after_a_cut_no_one_enters_until_enough_have_left():
    limiter = Limiter(4)
    entered = [await limiter.enter() for _ in range(4)]
    limiter.refused(entered[0])
    waiting = asyncio.create_task(limiter.enter())
    limiter.leave()
    limiter.leave()
    await turns()
    assert not waiting.done()
    limiter.leave()
    await waiting
    assert limiter.busy == 2


async def test_a_long_run_of_successes_opens_one_place_at_a_time_up_to_the_most():
    limiter = Limiter(4)
    limiter.refused(await limiter.enter())
    assert limiter.limit == 2
    for _ in range(ROUNDS_TO_GROW * 2 - 1):
        limiter.succeeded()
    assert limiter.limit == 2
    limiter.succeeded()
    assert limiter.limit == 3
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == 4


async def test_a_new_place_goes_to_who_waits():
    limiter = Limiter(2)
    limiter.refused(await limiter.enter())
    waiting = asyncio.create_task(limiter.enter())
    await turns()
    for _ in range(ROUNDS_TO_GROW):
        limiter.succeeded()
    await waiting
    assert limiter.busy == 2


async def test_a_refusal_starts_the_run_of_successes_anew():
    limiter = Limiter(4)
    first, second = await limiter.enter(), await limiter.enter()
    limiter.refused(first)
    for _ in range(ROUNDS_TO_GROW * 2 - 1):
        limiter.succeeded()
    limiter.leave()
    limiter.leave()
    limiter.refused(second)  # was in flight with the first: no cut, the run goes on
    limiter.refused(await limiter.enter())
    limiter.succeeded()
    assert limiter.limit == 1


async def test_one_who_gives_up_waiting_holds_no_place():
    limiter = Limiter(1)
    await limiter.enter()
    tired = asyncio.create_task(limiter.enter())
    patient = asyncio.create_task(limiter.enter())
    await turns()
    tired.cancel()
    limiter.leave()
    await patient
    limiter.leave()
    with pytest.raises(asyncio.CancelledError):
        await tired
    assert limiter.busy == 0


async def test_one_cancelled_in_the_moment_of_admission_passes_the_place_on():
    limiter = Limiter(1)
    await limiter.enter()
    tired = asyncio.create_task(limiter.enter())
    patient = asyncio.create_task(limiter.enter())
    await turns()
    limiter.leave()  # admits `tired`, which has not run since
    tired.cancel()
    await patient
    assert limiter.busy == 1


@given(st.lists(st.sampled_from(["ok", "refused", "broken", "cancelled"]), max_size=60), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_the_limit_holds_and_no_place_is_lost(fates, most):
    async def scene() -> None:
        limiter, inside, worst = Limiter(most), 0, 0

        async def request(fate: str) -> None:
            nonlocal inside, worst
            entered = await limiter.enter()
            inside += 1
            worst = max(worst, inside)
            try:
                await turns(2)
                if fate == "ok":
                    limiter.succeeded()
                if fate == "refused":
                    limiter.refused(entered)
            finally:
                inside -= 1
                limiter.leave()

        tasks = [asyncio.create_task(request(fate)) for fate in fates]
        await turns(2)
        for task, fate in zip(tasks, fates, strict=True):
            if fate == "cancelled":
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 10)
        assert worst <= most
        assert limiter.busy == 0
        assert 1 <= limiter.limit <= most

    asyncio.run(scene())
