"""Who gets in: everybody here for reading, nobody from elsewhere; with logins only who has one may change a thing."""

from __future__ import annotations

import asyncio
import base64

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from alertd.logins import Logins, hash_password, hash_token
from alertd.web.gate import USER, Gate, is_local

LOGINS = Logins({"ann": hash_password("correct horse")}, {"deploy": hash_token("t0ken")})
ANN = {"Authorization": f"Basic {base64.b64encode(b'ann:correct horse').decode()}"}
BOB = {"Authorization": f"Basic {base64.b64encode(b'bob:guess').decode()}"}
KARMA = {"Origin": "http://karma.example.com", "X-Forwarded-For": "192.0.2.7"}
JSON = {"Content-Type": "application/json"}
FROM_AFAR = {"Host": "alerts.example.com"}  # as through a proxy on this machine


async def at_once(_seconds: float) -> None:
    """No time for tests."""


@pytest.fixture
def client_of(aiohttp_client):
    """A client of a page that anybody reads and changes whom the gate lets."""

    async def make(logins: Logins = Logins(), **settings):  # noqa: B008 - a constant
        async def tell(request: web.Request) -> web.Response:
            return web.Response(text=f"hello {request[USER] or 'you'}")

        app = web.Application(middlewares=[Gate(logins, **({"wait": at_once} | settings)).middleware])
        for path in ("/page", "/api/v2/silences", "/-/healthy"):
            app.router.add_route("*", path, tell)
        return await aiohttp_client(app)

    return make


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_without_logins_programs_on_this_machine_may_all(client_of, method):
    assert (await (await client_of()).request(method, "/page")).status == 200


async def test_and_others_may_read(client_of):
    client = await client_of()
    assert (await client.get("/page", headers=FROM_AFAR)).status == 200
    answer = await client.post("/page", headers=FROM_AFAR)
    assert (answer.status, await answer.text()) == (403, "changes are taken from this machine only\n")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/page", {}, 200),
        ("POST", "/page", {}, 401),
        ("DELETE", "/page", {}, 401),
        ("POST", "/page", ANN, 200),
        ("POST", "/page", {"Authorization": "Bearer t0ken"}, 200),
        ("POST", "/page", BOB, 401),
        ("GET", "/page", BOB, 401),
        ("GET", "/page", FROM_AFAR, 401),
        ("GET", "/page", FROM_AFAR | ANN, 200),
        ("POST", "/page", FROM_AFAR | ANN, 200),
        ("GET", "/-/healthy", FROM_AFAR, 200),
        ("POST", "/-/healthy", FROM_AFAR, 401),
        ("POST", "/page", ANN | {"Origin": "https://evil.example.com"}, 403),
        ("POST", "/page", ANN | {"Origin": "null"}, 403),
        ("POST", "/page", ANN | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/page", ANN | {"Sec-Fetch-Site": "same-site"}, 403),
        ("POST", "/page", ANN | {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", "/page", ANN | KARMA | JSON, 200),
        ("DELETE", "/page", ANN | KARMA, 200),
        ("POST", "/page", ANN | KARMA | {"Content-Type": "text/plain"}, 403),
        ("POST", "/page", ANN | KARMA, 403),
        ("POST", "/page", ANN | KARMA | JSON | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("POST", "/page", ANN | KARMA | {"Sec-Fetch-Site": "same-origin"}, 200),
        ("POST", "/page", ANN | JSON | {"Origin": "http://karma.example.com"}, 403),
        ("POST", "/page", KARMA | JSON, 401),
    ],
)
async def test_with_logins_changes_need_one_and_reading_from_elsewhere_too(client_of, method, path, headers, status):
    answer = await (await client_of(LOGINS)).request(method, path, headers=headers)
    assert answer.status == status
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


async def test_whoever_logged_in_is_known_by_name(client_of):
    answer = await (await client_of(LOGINS)).post("/page", headers=ANN)
    assert await answer.text() == "hello ann"


async def test_reading_may_be_open_to_all_and_changes_are_not(client_of):
    client = await client_of(LOGINS, allow_anonymous=True)
    assert (await client.get("/page", headers=FROM_AFAR)).status == 200
    assert (await client.post("/page", headers=FROM_AFAR)).status == 401


async def test_clients_of_alertmanager_get_a_json_string_that_they_can_print(client_of):
    answer = await (await client_of(LOGINS)).post("/api/v2/silences")
    assert (answer.content_type, await answer.json()) == (
        "application/json",
        "log in: this needs a user or a token of [http.auth]",
    )


async def test_each_wrong_guess_from_one_address_waits_longer_and_none_is_judged_beside_another(client_of):
    waits: list[float] = []
    waiting = 0

    async def wait(seconds: float) -> None:
        nonlocal waiting
        waiting += 1
        assert waiting == 1
        waits.append(seconds)
        await asyncio.sleep(0)
        waiting -= 1

    client = await client_of(LOGINS, wait=wait)
    answers = await asyncio.gather(*(client.post("/page", headers=BOB) for _ in range(8)))
    assert {answer.status for answer in answers} == {401}
    assert waits == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]
    assert (await client.post("/page", headers=ANN)).status == 200
    await client.post("/page", headers=BOB)
    assert waits[-1] == 0.25, "whoever got in begins anew"


async def test_refusals_are_logged_without_what_was_sent(client_of, capsys):
    await (await client_of(LOGINS)).post("/page", headers=BOB)
    said = capsys.readouterr()
    assert "request_refused" in said.out + said.err
    assert "guess" not in said.out + said.err
    assert BOB["Authorization"].split()[1] not in said.out + said.err


class Connection:
    """A connection from an address."""

    def __init__(self, peer):
        self.peer = peer

    def get_extra_info(self, name, default=None):
        return self.peer if name == "peername" else default


@pytest.mark.parametrize(
    ("peer", "host", "local"),
    [
        (("127.0.0.1", 40000), "127.0.0.1:9095", True),
        (("::1", 40000, 0, 0), "[::1]:9095", True),
        (("::ffff:127.0.0.1", 40000, 0, 0), "localhost", True),
        (("127.0.0.1", 40000), "evil.example.com", False),
        (("127.0.0.1", 40000), "[broken", False),
        (("192.0.2.7", 40000), "127.0.0.1:9095", False),
        (("::ffff:192.0.2.7", 40000, 0, 0), "127.0.0.1:9095", False),
        (None, "127.0.0.1:9095", False),
    ],
    ids=str,
)
def test_this_machine_is_known_by_address_and_name(peer, host, local):
    request = make_mocked_request("POST", "/-/reload", {"Host": host}, transport=Connection(peer))
    assert is_local(request) == local
