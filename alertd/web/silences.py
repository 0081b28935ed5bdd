"""Silences over Alertmanager's API v2: listed, made, changed and ended, as amtool and Karma do it."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import structlog
from aiohttp import web

from alertd.clock import Clock
from alertd.engine.patterns import complaint
from alertd.engine.routes import Matcher, Operator
from alertd.engine.silences import Draft, Silence, SilenceError, expired, put
from alertd.store import Store
from alertd.web.answers import (
    BadRequestError,
    InvalidError,
    MissingError,
    answering,
    as_json,
    body_of,
    instant_of,
    time_text,
)
from alertd.web.filters import LABEL_NAME, filters_of, flag
from alertd.web.gate import USER, signed

log = structlog.get_logger()

LISTED_FOR = 5 * 86400
"""Seconds for which a silence that is over is listed (Alertmanager's data.retention)."""
LATEST = 253402300799
"""The last second of the year 9999."""


class PostedMatcher(msgspec.Struct):
    """One matcher of a silence that is sent."""

    name: str
    value: str
    isRegex: bool  # noqa: N815 - Alertmanager's name
    isEqual: bool = True  # noqa: N815 - as above


class PostedSilence(msgspec.Struct):
    """A silence that is sent, in the order in which Alertmanager misses its fields."""

    comment: str
    createdBy: str  # noqa: N815 - Alertmanager's name
    endsAt: datetime  # noqa: N815 - as above
    matchers: list[PostedMatcher]
    startsAt: datetime  # noqa: N815 - as above
    id: str | None = None
    annotations: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class SilencesApi:
    """Silences over a store."""

    store: Store
    clock: Clock

    def routes(self) -> list[web.RouteDef]:
        """Every path."""
        return [
            web.get("/api/v2/silences", answering(self.listed)),
            web.post("/api/v2/silences", answering(self.posted)),
            web.get("/api/v2/silence/{id}", answering(self.one)),
            web.delete("/api/v2/silence/{id}", answering(self.ended)),
        ]

    async def listed(self, request: web.Request) -> web.Response:
        """Active ones by their end, those to come by their start, those that are over with the latest first."""
        now, wanted = int(self.clock.now()), filters_of(request)
        flags = {state: flag(request, state) for state in _ORDER}
        found = [one for one in await self.store.silences(now - LISTED_FOR) if flags[one.state(now)]]
        texts = [str(matcher) for matcher in wanted]
        told = [one for one in found if all(text in map(str, one.matchers) for text in texts)]
        return as_json([silence_json(one, now) for one in sorted(told, key=lambda one: listed_at(one, now))])

    async def posted(self, request: web.Request) -> web.Response:
        """A new silence, or a change of the one that is named."""
        now, sent = int(self.clock.now()), await body_of(request, PostedSilence, "silence")
        draft = _draft(sent, request.get(USER, ""))
        new_id = str(uuid.uuid4())

        def how(known: Silence | None) -> tuple[Silence, ...]:
            if known is None and draft.id:
                raise MissingError("silence not found")
            return put(known, draft, now, new_id)

        try:
            written = await self.store.change_silence(draft.id, how)
        except SilenceError as error:
            raise BadRequestError(str(error)) from None
        for one in written:
            step = one.history[-1]
            log.info("silence_changed", silence=one.id, by=step.by, what=step.what, until=one.ends_at)
        return as_json({"silenceID": written[-1].id})

    async def one(self, request: web.Request) -> web.Response:
        """The silence that the path names."""
        wanted, now = _id(request), int(self.clock.now())
        found = [one for one in await self.store.silences(0) if one.id == wanted]
        if not found:
            raise MissingError
        return as_json(silence_json(found[0], now))

    async def ended(self, request: web.Request) -> web.Response:
        """The silence that the path names is over from now on; one that was already stays as it is."""
        wanted, now, by = _id(request), int(self.clock.now()), request.get(USER, "")

        def how(known: Silence | None) -> tuple[Silence, ...]:
            if known is None:
                raise MissingError
            return (expired(known, now, by),)

        await self.store.change_silence(wanted, how)
        log.info("silence_changed", silence=wanted, by=by, what="expired", until=now)
        return web.Response()


_ORDER = ("active", "pending", "expired")


def listed_at(one: Silence, now: int) -> tuple[int, int, str]:
    """Where it stands in a list, as in Alertmanager's: what is active first, by its end."""
    state = one.state(now)
    when = {"active": one.ends_at, "pending": one.starts_at, "expired": -one.ends_at}[state]
    return _ORDER.index(state), when, one.id


def silence_json(one: Silence, now: int) -> dict[str, Any]:
    """A silence as Alertmanager's API has it (gettableSilence)."""
    return {
        "id": one.id,
        "status": {"state": one.state(now)},
        "updatedAt": time_text(one.updated_at),
        "startsAt": time_text(one.starts_at),
        "endsAt": time_text(one.ends_at),
        "createdBy": one.created_by,
        "comment": one.comment,
        "matchers": [_matcher_json(matcher) for matcher in one.matchers],
        "annotations": dict(one.annotations),
    }


def _matcher_json(matcher: Matcher) -> dict[str, Any]:
    return {
        "name": matcher.name,
        "value": matcher.value,
        "isRegex": matcher.op in ("=~", "!~"),
        "isEqual": matcher.op in ("=", "=~"),
    }


def _draft(sent: PostedSilence, user: str) -> Draft:
    """What is asked for."""
    starts, ends = instant_of(sent.startsAt), instant_of(sent.endsAt)
    return Draft(
        id=sent.id or "",
        matchers=tuple(_matcher(number, one) for number, one in enumerate(sent.matchers)),
        starts_at=int(starts or 0),
        ends_at=min(int(ends or 0), LATEST),
        created_by=signed(sent.createdBy, user),
        comment=sent.comment,
        annotations=_annotations(sent.annotations),
    )


def _annotations(sent: Mapping[str, str]) -> dict[str, str]:
    if len(sent) > 50:
        raise BadRequestError("silence invalid: at most 50 annotations are taken")
    return dict(sent)


def _matcher(number: int, sent: PostedMatcher) -> Matcher:
    wrong = f"silence invalid: invalid label matcher {number}"
    if LABEL_NAME.fullmatch(sent.name) is None:
        raise BadRequestError(f'{wrong}: invalid label name "{sent.name}"')
    trouble = complaint(sent.value) if sent.isRegex else ""
    if trouble:
        raise BadRequestError(f'{wrong}: the pattern "{sent.value[:100]}" {trouble}')
    op: Operator = ("=~" if sent.isEqual else "!~") if sent.isRegex else ("=" if sent.isEqual else "!=")
    return Matcher(sent.name, op, sent.value)


def _id(request: web.Request) -> str:
    said = request.match_info["id"]
    try:
        return str(uuid.UUID(said))
    except ValueError:
        raise InvalidError(f'silenceID in path must be of type uuid: "{said[:100]}"', code=601) from None
