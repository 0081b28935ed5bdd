"""Builders for the notifications that receivers are given, and the strangers' texts that must not harm anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd.engine.groups import Notification, NotifiedAlert

NOON = 1772453280  # 2026-03-02 12:08 UTC
URL = "http://alertd.example.com:9095"
HOSTILE = "<!channel> <@U1> @here `*_~ {{ 7*7 }} <script>alert(1)</script>\r\nBcc: all@example.com\x1b[31m\u202e"


@pytest.fixture
def make_alert(make_sample, make_evidence) -> Callable[..., NotifiedAlert]:
    def make(region: str = "au1", **changes: Any) -> NotifiedAlert:
        labels = {
            "alertname": "MediaConnectionFailing",
            "account": "production",
            "media_region": region,
            "severity": "page",
        }
        known = {
            "fingerprint": f"{sum(region.encode()):016x}",
            "status": "firing",
            "labels": labels,
            "annotations": {
                "summary": f"10.2 % of calls in {region} lost their media connection",
                "description": "People are cut off from audio and video. Look at Twilio's status page first.",
                "runbook_url": "https://runbooks.example.com/media?x=1&y=2",
            },
            "starts_at": NOON - 1500,
            "reason": "12 of 118 participants in 1h, at least 6.1 % beyond chance, limit 5 %",
            "sample": make_sample(),
            "evidence": tuple(make_evidence(place) for place in range(6)),
            "first_seen": NOON - 1800,
            "last_seen": NOON - 300,
        }
        return NotifiedAlert(**{**known, **changes})

    return make


@pytest.fixture
def make_notification(make_alert) -> Callable[..., Notification]:
    def make(*alerts: NotifiedAlert, **changes: Any) -> Notification:
        told = alerts or (make_alert(),)
        known = {
            "id": "msg_0123456789abcdef0123456789",
            "at": NOON,
            "group_key": '{}:{alertname="MediaConnectionFailing", account="production"}',
            "receiver": "oncall",
            "integration": "oncall/slack[0]",
            "reason": "first notification",
            "status": "firing" if any(one.status == "firing" for one in told) else "resolved",
            "group_labels": {"alertname": "MediaConnectionFailing", "account": "production"},
            "alerts": told,
        }
        return Notification(**{**known, **changes})

    return make


@pytest.fixture
def now() -> int:
    return NOON


@pytest.fixture
def url() -> str:
    return URL


@pytest.fixture
def resolved_alert(make_alert) -> NotifiedAlert:
    return make_alert(status="resolved", ends_at=NOON + 2820, reason="not elevated for 15m")


@pytest.fixture
def late_alert(make_alert) -> NotifiedAlert:
    return make_alert(
        status="resolved", late=True, starts_at=NOON - 7200, ends_at=NOON - 4800, reason="held while down"
    )


@pytest.fixture
def hostile(make_alert, make_evidence, make_explanation, make_notification) -> Notification:
    """Every text that a stranger can choose calls everybody, injects a header, scripts, and turns the terminal."""
    labels = {"alertname": HOSTILE, "account": HOSTILE, "room": "`" + HOSTILE * 20, "lone": "\ud800"}
    annotations = {
        "summary": HOSTILE,
        "description": HOSTILE * 200,
        "runbook_url": "javascript:alert(1)",
        HOSTILE: HOSTILE,
    }
    clue = make_evidence(
        room_sid=HOSTILE, participant_sid=HOSTILE, end_reason=HOSTILE, sdk=HOSTILE, media_region=HOSTILE,
        room_name=HOSTILE, identity=HOSTILE, error_url="https://example.com/|<!channel>",
    )  # fmt: skip
    told = {"evidence": (clue,) * 5, "explain": make_explanation(HOSTILE), "reason": HOSTILE}
    one = make_alert(labels=labels, annotations=annotations, **told)
    return make_notification(one, group_key=HOSTILE, group_labels=labels, receiver=HOSTILE)


class Endpoint:
    """A web server that answers as it is told and keeps what it was sent."""

    def __init__(self) -> None:
        self.status, self.text, self.headers = 200, "ok", {}
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    def answer(self, status: int, text: str = "", **headers: str) -> None:
        self.status, self.text = status, text
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def take(self, request: web.Request) -> web.Response:
        self.requests.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, text=self.text, headers=self.headers)


@pytest.fixture
async def endpoint():
    one = Endpoint()
    app = web.Application()
    app.router.add_post("/{path:.*}", one.take)
    async with TestServer(app, host="127.0.0.1") as server:
        one.url = str(server.make_url("/hook/T0KEN"))
        yield one


@pytest.fixture
async def session():
    async with aiohttp.ClientSession() as one:
        yield one


@pytest.fixture
async def silent_server():
    """The port of a server that takes connections and says nothing."""
    over = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    over.set()
    server.close()
    await server.wait_closed()
