"""Alerts that others post over Alertmanager's API v2, as amtool and Prometheus do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
import structlog
from aiohttp import web

from alertd.clock import Clock
from alertd.engine.alerts import fingerprint
from alertd.engine.posted import RESOLVE_TIMEOUT, Posted
from alertd.store import Store
from alertd.web.answers import BadRequestError, answering, body_of, instant_of
from alertd.web.filters import LABEL_NAME

log = structlog.get_logger()

MOST_LABELS, LONGEST_VALUE, LONGEST_ANNOTATION = 64, 1024, 16_384
"""Labels of one alert, characters of a label, and of an annotation."""
MOST_POSTED = 20_000
"""Alerts in one request."""


class PostedAlert(msgspec.Struct):
    """An alert that is sent."""

    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: datetime | None = None  # noqa: N815 - Alertmanager's name
    endsAt: datetime | None = None  # noqa: N815 - as above
    generatorURL: str = ""  # noqa: N815 - as above


@dataclass(frozen=True, slots=True)
class PostingApi:
    """Posting alerts over a store."""

    store: Store
    clock: Clock

    def routes(self) -> list[web.RouteDef]:
        """Its one path."""
        return [web.post("/api/v2/alerts", answering(self.posted))]

    async def posted(self, request: web.Request) -> web.Response:
        """Keep what is sent; where one cannot be, 400, and the others are kept all the same."""
        now, sent = int(self.clock.now()), await body_of(request, list[PostedAlert], "alerts")
        if len(sent) > MOST_POSTED:
            raise BadRequestError(f"at most {MOST_POSTED} alerts are taken at once")
        taken, wrong = list[Posted](), list[str]()
        for one in sent:
            try:
                taken.append(_posted(one, now))
            except ValueError as error:
                wrong.append(str(error))
        await self.store.post(taken, lambda known, new: new.after(known, now))
        if wrong:
            log.warning("alerts_refused", alerts=len(wrong), first=wrong[0][:200])
            raise BadRequestError("; ".join(dict.fromkeys(wrong))[:2000])
        return web.Response()


def _posted(sent: PostedAlert, now: int) -> Posted:
    labels = {name: value for name, value in sent.labels.items() if value}
    if trouble := _wrong(labels, sent.annotations):
        raise ValueError(trouble)
    starts, ends = instant_of(sent.startsAt), instant_of(sent.endsAt)
    begins = int(starts if starts is not None else min(now, ends or now))
    if ends is not None and begins > ends:
        raise ValueError("start time must be before end time")
    return Posted(
        fingerprint=fingerprint(labels),
        labels=labels,
        annotations=sent.annotations,
        starts_at=begins,
        ends_at=now + RESOLVE_TIMEOUT if ends is None else int(ends),
        updated_at=now,
        timeout=ends is None,
        generator_url=sent.generatorURL[:LONGEST_VALUE],
    )


def _wrong(labels: Mapping[str, str], annotations: Mapping[str, str]) -> str:
    """Why these cannot be an alert, or an empty text."""
    if not labels:
        return "at least one label pair required"
    bad = next((name for name in (*labels, *annotations) if LABEL_NAME.fullmatch(name) is None), None)
    if bad is not None:
        return f'invalid label set: invalid name "{bad[:100]}"'
    if len(labels) + len(annotations) > MOST_LABELS:
        return f"more than {MOST_LABELS} labels and annotations"
    for values, most in ((labels.values(), LONGEST_VALUE), (annotations.values(), LONGEST_ANNOTATION)):
        if any(len(value) > most for value in values):
            return f"a label or annotation has more than {most} characters"
    return ""
