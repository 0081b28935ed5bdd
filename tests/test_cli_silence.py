"""`alertd silence` and `alertd login`: what they ask of a daemon, what they print, what they say when it fails."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.clock import SystemClock
from alertd.logins import Logins, fits, hash_password, hash_token
from alertd.web.gate import Gate
from alertd.web.silences import SilencesApi

LOGINS = Logins({"ann": hash_password("correct horse")}, {"deploy": hash_token("t0ken")})
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
Run = Callable[..., Any]


async def _alertd(*words: str, stdin: str = "", **env: str) -> tuple[int, str, str]:
    """Exit status, standard output and standard error of the command."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "alertd", *words),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | env,
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode or 0, out.decode(), err.decode()


@pytest.fixture
async def serve(store) -> AsyncIterator[Run]:
    """Serves silences to whom these logins let in; gives the address."""
    servers = []

    async def make(logins: Logins = Logins()) -> str:  # noqa: B008 - a constant
        app = web.Application(middlewares=[Gate(logins).middleware])
        app.router.add_routes(SilencesApi(store, SystemClock()).routes())
        servers.append(TestServer(app))
        await servers[-1].start_server()
        return str(servers[-1].make_url("/")).rstrip("/")

    yield make
    for server in servers:
        await server.close()


async def test_from_the_first_word_to_the_last(serve):
    url = await serve()
    words = ("Down", "region=~ie.*", "--for", "2h", "--comment", "deploying", "--author", "ann", "--url", url)
    status, out, _ = await _alertd("silence", "add", *words)
    assert status == 0
    assert ID.fullmatch(out.strip())
    _, listed, _ = await _alertd("silence", "list", ALERTD_URL=url)
    assert re.search(rf"{out.strip()}  active    .*, 1h5\dm left\n", listed)
    assert '\n    alertname="Down", region=~"ie.*"\n    ann: deploying\n' in listed
    status, said, _ = await _alertd("silence", "expire", out.strip(), "--url", url)
    assert (status, said) == (0, f"{out.strip()} is over\n")
    assert await _alertd("silence", "list", "--url", url) == (0, "", "no silences\n")
    _, over, _ = await _alertd("silence", "list", "--expired", "--json", "--url", url)
    assert [one["status"]["state"] for one in json.loads(over)] == ["expired"]


async def test_one_for_later_is_listed_as_to_come(serve):
    url = await serve()
    words = ("Down", "--start", "2099-01-01T00:00Z", "--for", "1h", "--comment", "x")
    await _alertd("silence", "add", *words, "--url", url)
    _, listed, _ = await _alertd("silence", "list", "--url", url)
    assert "  pending   2099-01-01T00:00Z to 2099-01-01T01:00Z\n" in listed


async def test_a_comment_cannot_drive_the_terminal(serve):
    url = await serve()
    await _alertd("silence", "add", "Down", "--for", "1h", "--comment", "\x1b[31mred", "--url", url)
    _, listed, _ = await _alertd("silence", "list", "--url", url)
    assert "\x1b" not in listed


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["Down", "--for", "1x"], 2, "'1x' is not a duration"),
        (["Down", "--for", "1h", "--start", "soon"], 2, "write it like 2026-03-02T12:00Z"),
        (["a=~(", "--for", "1h"], 2, "is not a regular expression"),
        (["a=~(x+)+", "--for", "1h"], 1, "more than one way"),
        (["a=~.*", "--for", "1h"], 1, "at least one matcher must not match the empty string"),
        (["Down", "--for", "1h", "--start", "2020-01-01"], 1, "end time can't be in the past"),
    ],
)
async def test_what_cannot_be_is_said(serve, words, status, says):
    found, _, err = await _alertd("silence", "add", *words, "--comment", "x", "--url", await serve())
    assert (found, says in err) == (status, True), err


@pytest.mark.parametrize("id_", ["nope", "11111111-1111-4111-8111-111111111111"])
async def test_an_unknown_one_cannot_be_ended(serve, id_):
    status, _, err = await _alertd("silence", "expire", id_, "--url", await serve())
    assert (status, err) == (1, f"alertd: there is no silence {id_}; see `alertd silence list`\n")


async def test_who_asks_without_a_login_is_told_how_to_give_one(serve):
    url = await serve(LOGINS)
    add = ("silence", "add", "Down", "--for", "1h", "--comment", "x", "--author", "bob", "--url")
    status, _, err = await _alertd(*add, url)
    assert status == 1
    assert "set ALERTD_TOKEN, or write the address as http://USER:PASSWORD@HOST:PORT" in err
    for address, env in ((url, {"ALERTD_TOKEN": "t0ken"}), (url.replace("//", "//ann:correct%20horse@"), {})):
        assert (await _alertd(*add, address, **env))[0] == 0
    _, listed, _ = await _alertd("silence", "list", "--url", url)
    assert {"bob (logged in as deploy): x", "bob (logged in as ann): x"} < set(map(str.strip, listed.splitlines()))


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1:1", "no alertd answers at http://127.0.0.1:1 ("),
        ("http://ann:secret@127.0.0.1:1", "no alertd answers at http://127.0.0.1:1 ("),
        ("ftp://x", "'ftp://x' is not an address; write it like http://127.0.0.1:9095"),
    ],
)
async def test_where_nobody_answers_it_is_said_without_the_password(url, says):
    status, _, err = await _alertd("silence", "list", "--url", url)
    assert (status, says in err, "secret" in err) == (1, True, False)


async def test_a_login_is_printed_as_the_configuration_wants_it():
    _, out, _ = await _alertd("login", "ann", stdin="correct horse\n")
    (user,) = tomllib.loads(out)["http"]["auth"]["users"]
    assert (user["name"], fits("correct horse", user["password_hash"])) == ("ann", True)
    _, out, err = await _alertd("login", "--token", "deploy")
    (token,) = tomllib.loads(out)["http"]["auth"]["tokens"]
    made = err.strip().rpartition(" ")[2]
    assert (token["name"], token["token_hash"]) == ("deploy", hash_token(made))


async def test_a_short_password_is_none():
    status, out, err = await _alertd("login", "ann", stdin="short\n")
    assert (status, out) == (2, "")
    assert "at least 8 characters" in err
