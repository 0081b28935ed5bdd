"""Faults strike when, whom and as often as they are meant to, alone and together, and with the same seed the same."""

from __future__ import annotations

from email.utils import parsedate_to_datetime

import pytest

ROOMS = "/v1/Video/Rooms"
LAST_DAY = {"CreatedAfter": "2026-03-01T12:00:00Z", "PageSize": "1000"}
HOUR = 3_600


async def statuses(server, count: int = 60) -> list[int]:
    return [(await server.raw(ROOMS, PageSize="1"))[0].status for _ in range(count)]


@pytest.mark.parametrize(("status", "code"), [(429, 20429), (503, 20503), (500, 20500), (401, 20003), (418, 20418)])
async def test_a_status_turns_requests_away_for_its_time(simulator, weather, status: int, code: int) -> None:
    server = await simulator(weather({"at": "10m", "for": "5m", "status": status, "retry_after": 3}))
    assert (await server.ask(ROOMS))[0].status == 200
    server.clock.time += 600
    response, body = await server.ask(ROOMS)
    assert (response.status, body["status"], body["code"]) == (status, status, code)
    assert body.keys() == {"code", "message", "more_info", "status"}
    assert response.headers["Retry-After"] == "3"
    server.clock.time += 300
    assert (await server.ask(ROOMS))[0].status == 200


async def test_a_storm_may_say_when_to_come_back_in_seconds_as_a_date_or_not_at_all(simulator, weather) -> None:
    dated = {"status": 429, "retry_after": 90, "retry_after_as": "date"}
    server = await simulator(weather(dated))
    assert (await server.ask(ROOMS))[0].headers["Retry-After"] == "Mon, 02 Mar 2026 12:01:30 GMT"
    server = await simulator(weather({"status": 429}))
    assert "Retry-After" not in (await server.ask(ROOMS))[0].headers


async def test_a_fault_strikes_its_share_of_the_requests(simulator, weather) -> None:
    server = await simulator(weather({"status": 429, "share": 0.5}))
    seen = await statuses(server)
    assert 15 < seen.count(429) < 45
    assert set(seen) == {200, 429}


async def test_several_faults_strike_side_by_side(simulator, weather) -> None:
    kinds = ({"status": 429, "share": 0.3}, {"status": 500, "share": 0.3}, {"kind": "html", "share": 0.3})
    server = await simulator(weather(*kinds))
    assert set(await statuses(server)) == {200, 429, 500, 502}


async def test_the_same_seed_has_the_same_luck_and_another_has_another(simulator, weather) -> None:
    scenario = weather({"status": 429, "share": 0.5}, {"kind": "html", "share": 0.2})
    one, same, other = [await statuses(await simulator(scenario, seed=seed)) for seed in (1, 1, 2)]
    assert one == same != other


async def test_a_revoked_key_is_refused_whoever_asks_until_it_is_restored(simulator, weather) -> None:
    server = await simulator(weather({"kind": "revoked", "at": "1h", "for": "10m"}))
    assert set(await statuses(server, 5)) == {200}
    server.clock.time += HOUR
    response, body = await server.ask(ROOMS)
    assert (response.status, body["code"], body["message"]) == (401, 20003, "Authenticate")
    assert set(await statuses(server, 20)) == {401}
    server.clock.time += 600
    assert set(await statuses(server, 5)) == {200}


@pytest.mark.parametrize("seconds", [90, -3000])
async def test_with_skew_the_api_lives_in_a_time_of_its_own(simulator, weather, noon: int, seconds: int) -> None:
    server = await simulator(weather({"kind": "skew", "at": "1h", "for": "1m", "seconds": seconds}))
    server.clock.time = noon + HOUR
    response, body = await server.ask(ROOMS, **LAST_DAY)
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == noon + HOUR + seconds
    assert (await server.ask("/-/clock", login=None))[1]["now"] == noon + HOUR
    server.clock.time = noon + HOUR + seconds  # before the fault or after it: without skew
    response, same = await server.ask(ROOMS, **LAST_DAY)
    assert parsedate_to_datetime(response.headers["Date"]).timestamp() == server.clock.time
    assert same == body


async def test_skews_add_up(simulator, weather, noon: int) -> None:
    server = await simulator(weather({"kind": "skew", "seconds": 60}, {"kind": "skew", "seconds": -20}))
    assert parsedate_to_datetime((await server.ask(ROOMS))[0].headers["Date"]).timestamp() == noon + 40
