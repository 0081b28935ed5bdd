"""Builders for what the pages show, and a browser on them."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from alertd.engine.alerts import Alert
from alertd.engine.groups import Notification, NotifiedAlert
from alertd.engine.outcome import Event, Outcome
from alertd.engine.settle import OpenRoom
from alertd.web import build_web
from alertd.web.metrics import Metrics
from alertd.web.pages import Pages

NOON = 1_772_452_800  # 2026-03-02 12:00 UTC
DAEMON = """
[[accounts]]
name = "production"
base_url = "http://127.0.0.1:1"
api_key = "SK00000000000000000000000000000000"
api_key_secret = "secret"
[rules]
paths = ["rules.yaml"]
[http]
listen = "127.0.0.1:{port}"
[route]
receiver = "nobody"
[[receivers]]
name = "nobody"
"""
HOSTILE = "\"><script>alert(1)</script>{{ 7*7 }}\x1b[31m\u202e' onload='x"


class Page(HTMLParser):
    """A page as a browser has it: its elements, its links, the text that people see."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.elements: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.links: list[str] = []
        self._text: list[str] = []
        self._in_head = False
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        self.attributes += attrs
        self.links += [value for name, value in attrs if name in ("href", "src")]
        self._in_head = tag == "head" or (self._in_head and tag != "body")

    def handle_data(self, data):
        if not self._in_head:
            self._text.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self._text))

    def count(self, tag: str) -> int:
        return self.elements.count(tag)


async def _read(client, path: str, status: int = 200) -> Page:
    answer = await client.get(path)
    assert answer.status == status
    assert answer.content_type == "text/html"
    return Page(await answer.text())


@pytest.fixture
def make_alert(make_sample, make_evidence) -> Callable[..., Alert]:
    """Makes a firing alert, until keywords say otherwise."""

    def make(name: str = "MediaLost", **changes: Any) -> Alert:
        known = {
            "fingerprint": f"{sum(name.encode()):016x}",
            "rule": "MediaLost",
            "labels": {"alertname": name, "account": "production", "media_region": "au1", "severity": "page"},
            "annotations": {
                "summary": "10.2 % of calls in au1 lost their media connection",
                "description": "People are cut off.",
                "runbook_url": "https://runbooks.example.com/media?x=1&y=2",
            },
            "state": "firing",
            "active_at": NOON - 1500,
            "starts_at": NOON - 1500,
            "sample": make_sample(position=300),
            "evidence": tuple(
                make_evidence(place, ended=NOON - 600 - 60 * place, account="production", room_name="anon-1c4f31f6e0")
                for place in range(3)
            ),
            "first_seen": NOON - 1800,
            "last_seen": NOON - 600,
            "reason": "10.2 % of 118 participants match (at least 6.1 %) within 1h, limit 5 %",
            "changed_at": NOON - 1500,
        }
        return Alert(**{**known, **changes})

    return make


def _event(alert: Alert, event: str, at: int, **changes: Any) -> Event:
    known = {"fingerprint": alert.fingerprint, "rule": alert.rule, "labels": alert.labels, "sample": alert.sample}
    return Event(**{"at": at, "event": event, "reason": alert.reason, **known, **changes})


def _notification(number: int = 1, **changes: Any) -> Notification:
    told = NotifiedAlert(
        fingerprint="0" * 16, status="firing", labels={"alertname": "MediaLost"}, annotations={}, starts_at=NOON
    )
    known = {
        "id": f"msg_{number:026x}",
        "at": NOON,
        "group_key": f"group {number}",
        "receiver": "oncall",
        "integration": "oncall/slack[0]",
        "reason": "first notification",
        "status": "firing",
        "group_labels": {},
        "alerts": (told,),
    }
    return Notification(**{**known, **changes})


def _open_room(number: int, **changes: Any) -> OpenRoom:
    known = {"account": "production", "room_sid": f"RM{number:032x}", "listed_at": NOON - 900, "ended": NOON - 720}
    return OpenRoom(**{**known, "look_again_at": NOON + 60, "why": "in_progress", **changes})


@pytest.fixture
def make_event() -> Callable[..., Event]:
    """Makes an event in the history of an alert: (alert, event, at)."""
    return _event


@pytest.fixture
def make_notification() -> Callable[..., Notification]:
    return _notification


@pytest.fixture
def make_open_room() -> Callable[..., OpenRoom]:
    return _open_room


@pytest.fixture
def hostile() -> str:
    """What a stranger types who wants to run code in somebody's browser, or to turn its text."""
    return HOSTILE


@pytest.fixture
def browser(aiohttp_client, store, clock, policy_of, losing_media) -> Callable[..., Any]:
    """Opens the pages over `store` for some rules, and problems of newer ones; the account is `production`."""

    async def nothing() -> str:
        return ""

    async def open_pages(*rules: Any, problems: Sequence[str] = (), **policy: Any) -> TestClient:
        made = policy_of(*(rules or (losing_media(),)), **({"accounts": ("production",)} | policy))
        return await aiohttp_client(
            build_web(Metrics(), nothing, nothing, Pages(store, lambda: made, clock, lambda: problems))
        )

    return open_pages


@pytest.fixture
def read() -> Callable[..., Any]:
    """Reads a page: (client, path), and the status to expect if it is not 200."""
    return _read


@pytest.fixture
def stored(store, clock):
    """Commits alerts, events and notifications as a decision of now, and has the account seen ten seconds ago."""

    async def commit(*alerts, **parts) -> None:
        now = int(clock.now())
        await store.saw("production", now - 10, 600)
        assert await store.commit(Outcome(alerts=alerts, **parts), expected=None, until=now)

    return commit


class Daemon:
    """An alertd as a process of its own, whose account does not answer and whose receiver is nobody."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "alertd.toml").write_text(DAEMON.format(port=port))
        (folder / "rules.yaml").write_text("rules:\n  - alert: AnyFailure\n    match: {error: true}\n    any: true\n")

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return (self._folder / "log").read_text()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "alertd", "run", "--config", "alertd.toml"],
                cwd=self._folder,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
            )
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{self.address}/-/healthy", timeout=5).read()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(self.log)

    def kill(self) -> None:
        """End it without a word (SIGKILL)."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(30)

    def stop(self) -> None:
        """End it in order, if it runs."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)


@pytest.fixture(scope="session")
def daemon_in() -> Callable[[Path], Daemon]:
    """Makes an alertd, not yet started, that lives in a folder."""
    return Daemon
