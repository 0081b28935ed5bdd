"""What one account's trouble means for all of its requests, and for those of no other account."""

from __future__ import annotations

import asyncio
from itertools import count

import pytest
from aiohttp import web

from alertd.errors import CircuitOpenError, CredentialsError, NotFoundError, SourceError
from alertd.insights.client import SPREAD

RM = "RM" + "0" * 31 + "1"
NOON = 1_772_452_800.0  # 2026-03-02 12:00:00 UTC


class ParkedClock:
    """A clock on which whoever sleeps does so until the test says what time it is."""

    def __init__(self):
        self.time = NOON
        self.waits = []
        self._changed = asyncio.Condition()
        self._parked = []

    def now(self):
        return self.time

    async def sleep(self, seconds):
        self._parked.append(asyncio.get_running_loop().create_future())
        self.waits.append(seconds)
        async with self._changed:
            self._changed.notify_all()
        await self._parked[len(self.waits) - 1]

    async def sleepers(self, number):
        async with self._changed:
            await self._changed.wait_for(lambda: len(self.waits) >= number)

    def wake(self, seconds):
        self.time += seconds
        for parked in self._parked:
            parked.set_result(None)


def room_sid(number):
    return f"RM{number:032x}"


async def outcomes(client, number, first=1):
    """What became of so many requests made at once."""
    asking = (client.list_participants(room_sid(first + n)) for n in range(number))
    return await asyncio.gather(*asking, return_exceptions=True)


async def fail(client, times):
    for _ in range(times):
        with pytest.raises(SourceError):
            await client.list_participants(RM)


@pytest.fixture
async def impatient(analyzer, client_of, highest):
    """A client that tries each request once."""
    return client_of(analyzer.url, tries=1, dice=highest)


async def test_after_ten_failures_in_a_row_twilio_is_not_asked_any_more(analyzer, impatient):
    analyzer.will(analyzer.error(503, 20503, "Service Unavailable"))
    await fail(impatient, 12)
    assert len(analyzer.asked) == 10
    with pytest.raises(CircuitOpenError, match=r"account production: .* until 12:00:15 UTC.* 503: HTTP 503, Twilio"):
        await impatient.fetch_room(RM)
    assert len(analyzer.asked) == 10


async def test_the_request_that_opens_the_circuit_does_not_wait_for_another_try(analyzer, client_of, clock):
    client = client_of(analyzer.url, tries=4)
    analyzer.will(analyzer.raw(b"", status=500))
    for _ in range(2):
        with pytest.raises(SourceError, match="tried 4 times"):
            await client.fetch_room(RM)
    clock.waits.clear()
    with pytest.raises(CircuitOpenError, match="last 500"):
        await client.fetch_room(RM)
    assert (len(analyzer.asked), len(clock.waits)) == (10, 1)


async def test_while_the_circuit_is_open_nobody_queues_behind_a_request_that_hangs(analyzer, client_of):
    arrived, released = asyncio.Event(), asyncio.Event()

    async def stall(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await released.wait()
        return await analyzer.participants()(request)

    refused = analyzer.error(429, 20429, "Too Many Requests")
    analyzer.will(stall, *[analyzer.raw(b"", status=500)] * 9, refused)
    client = client_of(analyzer.url, max_in_flight=2, tries=1)
    hanging = asyncio.create_task(client.list_participants(RM))
    await arrived.wait()
    await fail(client, 10)
    assert client.limiter.busy == client.limiter.limit == 1
    async with asyncio.timeout(10):
        await fail(client, 3)
    released.set()
    assert await hanging == []


async def test_when_the_pause_is_over_one_probes_and_its_success_opens_the_way_for_all(analyzer, impatient, clock):
    analyzer.will(analyzer.raw(b"", status=500))
    await fail(impatient, 10)
    clock.time += 15
    arrived, released = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        arrived.set()
        await released.wait()
        return await analyzer.participants()(request)

    analyzer.will(slow)
    probe = asyncio.create_task(impatient.list_participants(RM))
    await arrived.wait()
    assert {type(outcome) for outcome in await outcomes(impatient, 20)} == {CircuitOpenError}
    released.set()
    assert await probe == []
    assert await outcomes(impatient, 20) == [[]] * 20
    assert len(analyzer.asked) == 31


async def test_a_probe_that_is_cancelled_does_not_keep_the_others_out(analyzer, impatient, clock):
    analyzer.will(analyzer.raw(b"", status=500))
    await fail(impatient, 10)
    clock.time += 15
    arrived = asyncio.Event()

    async def stall(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    analyzer.will(stall, analyzer.participants())
    probe = asyncio.create_task(impatient.list_participants(RM))
    await arrived.wait()
    probe.cancel()
    with pytest.raises(asyncio.CancelledError):
        await probe
    assert await impatient.list_participants(RM) == []


async def test_a_failed_probe_doubles_the_pause_and_recovery_needs_nobody(analyzer, impatient, clock):
    analyzer.will(analyzer.error(401, 20003, "Authenticate"))
    await fail(impatient, 10)
    for seconds in (15, 30, 60, 120, 240, 300):
        asked = len(analyzer.asked)
        clock.time += seconds - 1
        await fail(impatient, 3)
        assert len(analyzer.asked) == asked
        clock.time += 1
        await fail(impatient, 3)
        assert len(analyzer.asked) == asked + 1
    clock.time += 300
    analyzer.will(analyzer.participants())
    assert await impatient.list_participants(RM) == []


async def test_a_key_refused_again_and_again_is_an_open_circuit_and_still_a_refused_key(analyzer, impatient):
    analyzer.will(analyzer.error(401, 20003, "Authenticate"))
    await fail(impatient, 10)
    with pytest.raises(CircuitOpenError, match="check api_key and api_key_secret") as caught:
        await impatient.list_participants(RM)
    assert isinstance(caught.value, CredentialsError)


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_concerns_one_room_never_opens_the_circuit(analyzer, impatient, status):
    analyzer.will(analyzer.error(status, 20404, "so it is"))
    await fail(impatient, 30)
    assert len(analyzer.asked) == 30


async def test_a_room_too_big_to_read_never_opens_the_circuit(analyzer, client_of):
    analyzer.will(analyzer.raw(b" " * 2000))
    await fail(client_of(analyzer.url, tries=1, max_body=1000), 30)
    assert len(analyzer.asked) == 30


async def test_a_404_shows_that_twilio_answers_the_account_again(analyzer, impatient, clock):
    analyzer.will(analyzer.raw(b"", status=500))
    await fail(impatient, 10)
    clock.time += 15
    analyzer.will(analyzer.error(404, 20404, "not found"), analyzer.participants())
    with pytest.raises(NotFoundError):
        await impatient.fetch_room(RM)
    assert await impatient.list_participants(RM) == []


async def test_one_room_that_always_fails_costs_the_others_nothing(analyzer, client):
    async def one_poisoned(request: web.Request) -> web.StreamResponse:
        answer = analyzer.raw(b"", status=500) if request.path.split("/")[4] == RM else analyzer.participants()
        return await answer(request)

    analyzer.will(one_poisoned)
    for number in range(2, 12):
        with pytest.raises(SourceError, match="tried 5 times"):
            await client.list_participants(RM)
        assert await client.list_participants(room_sid(number)) == []


async def test_a_moment_in_which_all_requests_in_flight_break_does_not_open_the_circuit(analyzer, client_of):
    everyone_is_in = asyncio.Event()

    async def break_together(request: web.Request) -> web.StreamResponse:
        if analyzer.at_once == 64:
            everyone_is_in.set()
        await everyone_is_in.wait()
        return await analyzer.raw(b"", status=502)(request)

    analyzer.will(*[break_together] * 64, analyzer.participants())
    assert await outcomes(client_of(analyzer.url, max_in_flight=64), 64) == [[]] * 64


async def test_ten_thousand_requests_in_the_queue_do_not_become_ten_thousand_tries(analyzer, client):
    analyzer.will(analyzer.raw(b"", status=503))
    failed = await outcomes(client, 10_000)
    assert {type(outcome) for outcome in failed} == {CircuitOpenError}
    assert len(analyzer.asked) <= 10 * 16
    assert client.limiter.busy == 0


async def test_a_retry_after_keeps_every_request_of_the_account_waiting_until_then(analyzer, client_of):
    clock = ParkedClock()
    client = client_of(analyzer.url, clock=clock)
    analyzer.will(analyzer.error(429, 20429, "Too Many Requests", Retry_After="120"), analyzer.participants())
    asking = asyncio.create_task(outcomes(client, 1))
    await clock.sleepers(1)
    others = asyncio.create_task(outcomes(client, 40))
    await clock.sleepers(41)
    assert len(analyzer.asked) == 1
    waits = clock.waits[1:]
    assert 120 <= min(waits) <= max(waits) <= 120 + SPREAD
    assert len(set(waits)) == 40, "so that not all of them begin at once"
    clock.wake(120 + SPREAD)
    assert await asking + await others == [[]] * 41


async def test_who_was_in_the_queue_when_twilio_asked_to_wait_waits_too(analyzer, client_of):
    clock = ParkedClock()
    analyzer.will(analyzer.error(503, 20503, "Later", Retry_After="30"), analyzer.participants())
    asking = asyncio.create_task(outcomes(client_of(analyzer.url, clock=clock, max_in_flight=1), 20))
    await clock.sleepers(20)
    assert len(analyzer.asked) == 1
    clock.wake(30 + SPREAD)
    assert await asking == [[]] * 20


async def test_a_second_retry_after_is_kept_as_well(analyzer, client, clock):
    again = analyzer.error(429, 20429, "Too Many Requests", Retry_After="50")
    analyzer.will(again, again, analyzer.participants())
    await client.list_participants(RM)
    assert 100 <= sum(clock.waits) <= 100 + 2 * SPREAD


async def test_one_accounts_trouble_touches_no_other(analyzer, other_server, client_of, clock):
    async def quick(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.005)
        return await other_server.participants()(request)

    analyzer.will(analyzer.error(429, 20429, "Too Many Requests", Retry_After="300"), analyzer.raw(b"", status=500))
    other_server.will(quick)
    ill = client_of(analyzer.url, account="ill", tries=1)
    well = client_of(other_server.url, account="well", beside=ill)
    await fail(ill, 10)
    with pytest.raises(CircuitOpenError, match="account ill"):
        await ill.list_participants(RM)
    clock.waits.clear()
    assert await outcomes(well, 100) == [[]] * 100
    assert (clock.waits, other_server.most_at_once, well.limiter.limit) == ([], 16, 16)


async def test_twilios_time_is_asked_for_once_in_the_smallest_way(analyzer, client, clock):
    analyzer.will(analyzer.json({"meta": {}, "rooms": []}, Date="Mon, 02 Mar 2026 15:00:00 GMT"))
    assert await client.server_now() == NOON + 3 * 3600
    clock.time += 10
    assert await client.server_now() == NOON + 3 * 3600 + 10
    (request,) = analyzer.asked
    assert (request.path, dict(request.query)) == (
        "/v1/Video/Rooms",
        {"PageSize": "1", "CreatedAfter": "2026-03-02T12:00:00Z"},
    )


async def test_any_answer_before_tells_twilios_time_as_well(analyzer, client, clock):
    analyzer.will(analyzer.json({"meta": {}, "participants": []}, Date="Mon, 02 Mar 2026 11:00:00 GMT"))
    await client.list_participants(RM)
    assert await client.server_now() == NOON - 3600
    assert len(analyzer.asked) == 1


@pytest.mark.parametrize(("status", "error"), [(401, CredentialsError), (500, SourceError)])
async def test_without_an_answer_there_is_no_twilio_time(analyzer, client, status, error):
    analyzer.will(analyzer.raw(b"", status=status))
    with pytest.raises(error):
        await client.server_now()


async def test_an_answer_without_a_readable_date_leaves_our_own_time(analyzer, client):
    analyzer.will(analyzer.json({"meta": {}, "rooms": []}, Date="today"))
    assert await client.server_now() == NOON


async def test_after_a_storm_the_way_back_from_one_at_a_time_to_all_is_short(analyzer, client_of):
    """With enough to ask, 1 grows to 16 within 150 times the time of one answer."""
    crowded = [analyzer.error(429, 20429, "Too Many Requests")]
    number = count(1)

    async def storm_then_calm(request: web.Request) -> web.StreamResponse:
        answer = crowded[0] if next(number) <= 5 else analyzer.participants()
        return await answer(request)

    analyzer.will(storm_then_calm)
    client = client_of(analyzer.url, tries=9)
    for _ in range(2):
        await client.list_participants(RM)
    assert client.limiter.limit == 1
    assert await outcomes(client, 1_200) == [[]] * 1_200
    assert client.limiter.limit == 16
