"""A reload answers with what came of it; whoever may not ask for one changes nothing."""

from __future__ import annotations

import pytest
from aiohttp import web

from alertd.logins import Logins
from alertd.web.changes import reload_route
from alertd.web.gate import Gate


@pytest.fixture
def client_of(aiohttp_client):
    """A client of an alertd whose files have these problems; `asked` counts reloads."""

    async def make(*problems):
        async def reload():
            client.asked += 1
            return problems

        app = web.Application(middlewares=[Gate(Logins()).middleware])
        app.router.add_routes([reload_route(reload)])
        client = await aiohttp_client(app)
        client.asked = 0
        return client

    return make


async def test_a_reload_that_worked_says_so(client_of):
    client = await client_of()
    answer = await client.post("/-/reload")
    assert (answer.status, await answer.text()) == (200, "reloaded\n")


async def test_one_that_did_not_answers_with_every_problem(client_of):
    answer = await (await client_of("rules.yaml:3:2: no such field", "alertd.toml: what")).post("/-/reload")
    assert answer.status == 500
    assert answer.content_type == "text/plain"
    assert (await answer.text()).splitlines()[1:] == ["rules.yaml:3:2: no such field", "alertd.toml: what"]


async def test_reading_changes_nothing(client_of):
    client = await client_of()
    assert (await client.get("/-/reload")).status == 405
    assert client.asked == 0


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example.com"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example.com"},
        {"Host": "evil.example.com:9095", "Origin": "http://evil.example.com:9095", "Sec-Fetch-Site": "same-origin"},
    ],
    ids=str,
)
async def test_a_browser_that_was_sent_by_another_site_is_refused(client_of, headers):
    client = await client_of()
    answer = await client.post("/-/reload", headers=headers)
    assert answer.status == 403
    assert client.asked == 0


@pytest.mark.parametrize("site", ["none", "same-origin"])
async def test_alertds_own_page_and_programs_on_this_machine_are_not(client_of, site):
    client = await client_of()
    own = f"http://{client.host}:{client.port}"
    for headers in ({"Origin": own, "Sec-Fetch-Site": site}, {}, {"Host": "localhost:9095"}, {"Host": "[::1]:9095"}):
        assert (await client.post("/-/reload", headers=headers)).status == 200
