"""What a request filters by: label matchers as Alertmanager reads them, few, and quick enough for any label."""

from __future__ import annotations

import re

from aiohttp import web

from alertd.engine.patterns import complaint
from alertd.engine.routes import Matcher
from alertd.web.answers import BadRequestError

MOST_FILTERS = 100
LONGEST_FILTER = 2000
"""Filters in a request, and characters of one."""


LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
"""What a label may be called in Alertmanager and Prometheus."""


def flag(request: web.Request, name: str) -> bool:
    """A flag that is set unless the request says otherwise; what is neither true nor 1 is false, as there."""
    return request.query.get(name, "true").lower() in ("true", "1", "t")


def filters_of(request: web.Request) -> tuple[Matcher, ...]:
    """The matchers of all `filter` parameters; BadRequestError if one cannot be read, or would take too long."""
    texts = request.query.getall("filter", [])
    if len(texts) > MOST_FILTERS or any(len(text) > LONGEST_FILTER for text in texts):
        raise BadRequestError(f"at most {MOST_FILTERS} filters of {LONGEST_FILTER} characters are read")
    return tuple(map(_matcher, texts))


def pattern_of(text: str) -> re.Pattern[str] | None:
    """The regular expression of the `receiver` parameter; None for an empty one; BadRequestError as above."""
    if text and (trouble := complaint(text)):
        raise BadRequestError(f"failed to parse receiver param: {text[:100]!r} {trouble}")
    return re.compile(text) if text else None


def _matcher(text: str) -> Matcher:
    try:
        matcher = Matcher.parse(text)
    except ValueError as error:
        raise BadRequestError(f"bad matcher format: {error}") from None
    if matcher.pattern is not None and (trouble := complaint(matcher.value)):
        raise BadRequestError(f"bad matcher format: {text[:100]!r} {trouble}")
    return matcher
