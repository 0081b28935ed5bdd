"""How Slack is told: one Block Kit message a notification through an incoming webhook, in which values stay values.

Slack's limits (docs.slack.dev, Block Kit reference): 50 blocks a message, 3,000 characters a section, 150 a header,
10 fields of 2,000 characters. `&`, `<` and `>` are escaped everywhere; short values stand in code spans, texts in
`plain_text` objects, and `verbatim` keeps Slack from turning names into mentions.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from pydantic import Field

from alertd import __version__
from alertd.receivers import wording
from alertd.receivers.posting import post
from alertd.receivers.receiver import Address, Escapes, Overrides, ReceiverSettings, Template
from alertd.receivers.wording import Clue, State, Story
from alertd.settings import Table
from alertd.templating import message_variables

if TYPE_CHECKING:
    import aiohttp

    from alertd.engine.groups import Notification

HEADER, SECTION, LINK = 150, 3000, 1000
COLOURS: dict[State, str] = {"FIRING": "#d92d20", "RESOLVED": "#12925a", "LATE": "#8a8f98", "TEST": "#8a8f98"}
Block = dict[str, Any]
_BRIEF_FACTS = frozenset({"Since", "Lasted", "Late", "Seen", "Rooms"})
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_CALLS = re.compile(r"@(?=(?:here|channel|everyone)\b)", re.IGNORECASE)


class SlackTemplate(Table):
    """A person's own words: `title` becomes the header (plain text), `text` all below it (Slack's mrkdwn)."""

    title: Template | None = Field(None, description="Jinja2 template of the header, plain text.")
    text: Template | None = Field(None, description="Jinja2 template of the message, mrkdwn; values are escaped.")


class SlackSettings(ReceiverSettings):
    """An incoming webhook; its URL is the secret."""

    webhook_url: Address = Field(description="The incoming webhook's address.")
    template: SlackTemplate | None = Field(None, description="Templates that replace the built-in message.")


class SlackReceiver:
    """Posts to an incoming webhook."""

    kind = "slack"

    def __init__(self, settings: SlackSettings, session: aiohttp.ClientSession, external_url: str) -> None:
        self.send_resolved = settings.send_resolved
        self.retry_for = settings.retry_for
        self._url = settings.webhook_url
        self._timeout = settings.timeout
        self._session = session
        self._external_url = external_url
        self._overrides = Overrides(self.kind, settings.template, ESCAPES)

    async def send(self, notification: Notification, now: float) -> str:
        """Post the message and return Slack's answer (`200 ok`). Raises DeliveryError.

        Slack refuses with 400 `invalid_payload`, 403 `action_prohibited`, 404 `no_service` or 410, all for good; 429
        comes with Retry-After (docs.slack.dev, "Sending messages using incoming webhooks").
        """
        texts = self._overrides.texts(message_variables(notification, self._external_url))
        body = json.dumps(payload(notification, self._external_url, texts.given)).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"alertd/{__version__}"}
        url = self._url.get_secret_value()
        return texts.answer(await post(self._session, url, body, headers, within=self._timeout, now=now))


def payload(notification: Notification, external_url: str, texts: Mapping[str, str]) -> Block:
    """The message as Slack takes it; `texts` are a person's `title` and `text` (escaped mrkdwn), where there are any.

    The header stands above the colour bars: one for each alert, so that red and green show which is which.
    """
    own_title = wording.marked_title(wording.line(texts.get("title", ""), 500), notification)
    title = own_title or wording.headline(notification)
    bars = [_bar("TEST", [_section(plain(wording.DRILL))])] if wording.is_drill(notification) else []
    if texts.get("text", "").strip():
        bars.append(_bar(wording.state(notification), _own_text(texts["text"])))
    else:
        bars += _bars(notification, external_url)
    return {
        "text": escape(title, SECTION),
        "parse": "none",
        "link_names": False,
        "mrkdwn": False,
        "unfurl_links": False,
        "blocks": [{"type": "header", "text": plain(title, HEADER)}],
        "attachments": bars,
    }


def _bars(notification: Notification, external_url: str) -> Iterable[Block]:
    told = wording.stories(notification, external_url)
    ending = list(_ending(notification, external_url))
    if len(told) == 1:
        yield _bar(told[0].state, [*_whole(told[0]), *ending])
        return
    for story in told:
        yield _bar(story.state, _brief(story))
    yield _bar(wording.state(notification), ending)


def _bar(state: State, blocks: list[Block]) -> Block:
    return {"color": COLOURS[state], "blocks": blocks}


def _whole(story: Story) -> list[Block]:
    """The only alert of a message, with all that is known of it."""
    fields = [mrkdwn(f"*{fact.name}*\n{escape(fact.value, 500)}") for fact in story.facts]
    blocks = [_section(plain(words)) for words in (story.summary, story.description) if words]
    blocks.append({"type": "section", "fields": fields[:10]})
    if story.carried_by:
        blocks.append(_section(plain(f"Carried by {story.carried_by}")))
    if story.clues:
        blocks.append(_section(_joined("\n", ["*Evidence*", *(f"• {_clue(clue)}" for clue in story.clues)])))
    if story.why:
        blocks.append(_context(plain(f"Why: {story.why}")))
    return [*blocks, _context(_joined(" ", map(code, story.labels))), _section(mrkdwn(_links(story)))]


def _brief(story: Story) -> list[Block]:
    """One of several alerts in four blocks, for ten have to fit: what, where, how bad, and the latest evidence."""
    title = [f"*{story.state}* {code(story.name)}", " / ".join(map(code, story.place)), _links(story)]
    facts = [f"{fact.name}: {fact.value}" for fact in story.facts if fact.name in _BRIEF_FACTS]
    facts += [f"Carried by {story.carried_by}"] if story.carried_by else []
    blocks = [_section(_joined(" · ", filter(None, title)))]
    if story.summary:
        blocks.append(_section(plain(story.summary)))
    blocks.append(_context(plain(" · ".join(facts))))
    if story.clues:
        blocks.append(_context(_joined("\n", [_clue(clue) for clue in story.clues])))
    return blocks


def _ending(notification: Notification, external_url: str) -> Iterable[Block]:
    more = wording.left_out(notification)
    if more:
        page = wording.web_address(f"{external_url.rstrip('/')}/alerts")
        yield _section(mrkdwn(f"and {more} more: {link(page, 'all alerts')}"))
    yield _context(plain(wording.reason(notification)))


def _clue(clue: Clue) -> str:
    error = link(clue.error_url, clue.error) if clue.error else ""
    who = f"{code(clue.room)} / {code(clue.participant)}"
    return " · ".join(filter(None, [clue.at, who, error, *map(code, clue.details)]))


def _links(story: Story) -> str:
    parts = [link(story.runbook, "Runbook")] if story.runbook else []
    return " · ".join([*parts, link(wording.web_address(story.link), "Open in alertd")])


def _own_text(words: str) -> list[Block]:
    """A person's mrkdwn in as many sections as it takes, broken at line ends where that is possible."""
    blocks, rest = [], words.strip()
    while rest:
        cut = len(rest) if len(rest) <= SECTION else (rest.rfind("\n", 1, SECTION) + 1 or SECTION)
        blocks.append(_section(mrkdwn(rest[:cut])))
        rest = rest[cut:]
    return blocks


def _section(content: Block) -> Block:
    return {"type": "section", "text": content}


def _context(content: Block) -> Block:
    return {"type": "context", "elements": [content]}


def _joined(between: str, pieces: Iterable[str]) -> Block:
    """As many pieces of mrkdwn as a section holds, none cut in its middle."""
    kept: list[str] = []
    for piece in pieces:
        if len(between.join([*kept, piece])) > SECTION:
            break
        kept.append(piece)
    return mrkdwn(between.join(kept))


def mrkdwn(markup: str) -> Block:
    """Text with Slack's formatting, in which every value was already made safe; `verbatim` finds no names in it."""
    return {"type": "mrkdwn", "text": markup, "verbatim": True}


def plain(words: str, limit: int = SECTION) -> Block:
    """Text without any formatting."""
    return {"type": "plain_text", "text": escape(words, limit), "emoji": False}


def escape(words: str, limit: int) -> str:
    """Slack's three entities (docs.slack.dev, "Formatting text"), at most `limit` characters with no entity cut."""
    pieces = [_ENTITIES.get(letter, letter) for letter in _CALLS.sub("@\u200b", words)]
    ends = list(accumulate(map(len, pieces)))
    if not ends or ends[-1] <= limit:
        return "".join(pieces)
    return "".join(pieces[: bisect_right(ends, limit - 1)]) + "…"


def code(words: str) -> str:
    """A value in a code span: nothing in it is formatting, and it cannot end the span."""
    return f"`{escape(wording.line(words, 120).replace('`', chr(0x2019)), 200) or ' '}`"


def value(words: str) -> str:
    """A value that a person's template puts into mrkdwn: escaped, and unable to open a code span."""
    return escape(wording.text(words, 4000).replace("`", chr(0x2019)), 2 * SECTION)


def link(address: str | None, words: str) -> str:
    """A link that shows `words`, or only them where the address is not one to click."""
    target, shown = (address or "").replace("&", "&amp;"), escape(words, 200)
    return f"<{target}|{shown}>" if 0 < len(target) <= LINK else shown


ESCAPES: Escapes = {"text": value}
"""How values that a person's template puts into the message are escaped."""
