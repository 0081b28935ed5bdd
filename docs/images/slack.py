"""Draws slack.png: the message that alertd really sends to Slack for an incident of the simulator, as Slack shows it.

.venv/bin/python docs/images/slack.py        (needs Chromium, and Lato for Slack's look)
"""
# ruff: noqa: INP001, D103 - a script, not a package; each function draws what its name says

from __future__ import annotations

import asyncio
import html
import re
import subprocess
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from alertd import logs
from alertd.app import built
from alertd.cli.demo import CONFIG, shipped_rules
from alertd.cli.simulate import KEY, SECRET, account_table
from alertd.clock import FastClock
from alertd.config import load
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve

PICTURE = Path(__file__).with_name("slack.png")
STYLE = """
* { margin: 0; box-sizing: border-box } body { font: 15px/1.46 Lato, sans-serif; color: #1d1c1d; padding: 18px 22px }
.message { display: flex; gap: 9px; width: 800px } .icon { width: 36px; height: 36px; border-radius: 8px; flex: none;
background: #1d1c1d; color: #fff; font-weight: 900; text-align: center; line-height: 36px } .app { font-weight: 900 }
.badge { font-size: 10px; background: #ddd; color: #616061; border-radius: 2px; padding: 1px 3px; margin: 0 4px }
.time, .context { color: #616061; font-size: 12px } .context { font-size: 13px } h1 { font-size: 18px; margin: 4px 0 }
.bar { border-left: 4px solid; border-radius: 4px; padding: 2px 0 2px 12px } .bar > * { margin: 6px 0 }
.fields { display: grid; grid-template-columns: 1fr 1fr; gap: 8px 14px } a { color: #1264a3; text-decoration: none }
code { font: 12px Menlo, "DejaVu Sans Mono", monospace; color: #c01343; background: #f8f8f8; border: 1px solid #ddd;
border-radius: 3px; padding: 1px 3px; overflow-wrap: anywhere } .text { white-space: pre-wrap }
"""


def text(piece: dict[str, Any]) -> str:
    """A text object: plain as it is, mrkdwn with links, code spans and bold. Slack's three entities are HTML's too."""
    words = html.escape(html.unescape(piece["text"]), quote=False) if piece["type"] == "plain_text" else piece["text"]
    if piece["type"] == "mrkdwn":
        words = re.sub(r"<(https?://[^|>]+)\|([^>]+)>", r'<a href="\1">\2</a>', words)
        words = re.sub(r"`([^`]+)`", r"<code>\1</code>", words)
        words = re.sub(r"(?m)\*([^*\n]+)\*", r"<b>\1</b>", words)
    return f'<div class="text">{words}</div>'


def block(one: dict[str, Any]) -> str:
    if one["type"] == "header":
        return f"<h1>{text(one['text'])}</h1>"
    if one["type"] == "context":
        return f'<div class="context">{"".join(map(text, one["elements"]))}</div>'
    fields = "".join(map(text, one.get("fields", [])))
    return text(one["text"]) if "text" in one else f'<div class="fields">{fields}</div>'


def page(message: dict[str, Any], at: float) -> str:
    """The whole message as Slack lays it out."""
    bars = "".join(
        f'<div class="bar" style="border-color: {bar["color"]}">{"".join(map(block, bar["blocks"]))}</div>'
        for bar in message["attachments"]
    )
    clock = f"{datetime.fromtimestamp(at, UTC):%H:%M}"
    head = f'<span class="app">alertd</span><span class="badge">APP</span><span class="time">{clock}</span>'
    body = "".join(map(block, message["blocks"])) + bars
    start = f'<meta charset="utf-8"><style>{STYLE}</style><div class="message"><div class="icon">a</div>'
    return f"{start}<div>{head}{body}</div></div>"


def configuration(folder: str, twilio: str, slack: str) -> Path:
    """The demo's, with Slack in place of the terminal."""
    account = account_table(twilio).replace("simulated", "production", 1)
    words = CONFIG.format(account=account, rules=shipped_rules(), listen="127.0.0.1:9095").replace("terminal", "oncall")
    path = Path(folder, "alertd.toml")
    path.write_text(words.replace("[[receivers.console]]", f'[[receivers.slack]]\nwebhook_url = "{slack}"'))
    return path


async def first_message() -> tuple[dict[str, Any], float]:
    """What Slack is sent first in the demo's incident, and when."""
    arrived: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def hook(request: web.Request) -> web.Response:
        arrived.put_nowait(await request.json())
        return web.Response(text="ok")

    slack = web.Application()
    slack.router.add_post("/", hook)
    clock = FastClock(time.time(), 1.0)
    simulator = build_app(load_scenario("short-outage"), clock, {KEY: SECRET}, seed=1)
    async with TestServer(slack) as server, serve(simulator) as twilio:
        with tempfile.TemporaryDirectory() as folder:
            config = configuration(folder, twilio, str(server.make_url("/")))
            async with built(load(config), clock) as app:
                await app.once()
                clock.run_at(120)
                running = asyncio.create_task(app.run())
                message, at = await arrived.get(), clock.now()
                app.stopping.set()
                await running
    return message, at


def draw(source: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder, "slack.html")
        written.write_text(source)
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", "--force-device-scale-factor=1.5"]
        window = ["--window-size=850,920", f"--screenshot={PICTURE}"]
        subprocess.run(["chromium", *options, *window, written.as_uri()], check=True, capture_output=True)  # noqa: S603, S607


if __name__ == "__main__":
    logs.set_up("auto", "error")
    draw(page(*asyncio.run(first_message())))
