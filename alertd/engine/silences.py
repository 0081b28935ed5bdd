"""Which alerts people have asked to hear nothing of, until when; and what may become of such a silence."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from alertd.engine.routes import Matcher

MOST_MATCHERS = 100
"""Matchers of one silence."""
LONGEST_TEXT = 4096
"""Characters of a comment, an author, or the value of a matcher."""

SilenceState = Literal["pending", "active", "expired"]


class SilenceError(ValueError):
    """A silence that cannot be; the message says why in Alertmanager's words where it has any."""


class Step(NamedTuple):
    """One entry of a silence's history: when, who (empty: not said), and what was done."""

    at: int
    by: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A silence as somebody asks for it; `id` names the one that it is to take the place of."""

    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    created_by: str
    comment: str
    annotations: Mapping[str, str]
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """While it is active nobody is told of alerts that all its matchers match; instants in seconds since the epoch."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: int
    ends_at: int
    updated_at: int
    created_by: str
    comment: str
    annotations: Mapping[str, str]
    history: tuple[Step, ...] = ()

    def state(self, now: int) -> SilenceState:
        """Alertmanager's word for how it stands."""
        if now >= self.ends_at:
            return "expired"
        return "pending" if now < self.starts_at else "active"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it is about an alert with these labels."""
        return all(matcher.matches(labels) for matcher in self.matchers)

    def __str__(self) -> str:
        said = f": {self.comment}" if self.comment else ""
        return f"{self.id} ({self.created_by or 'nobody said who'}{said})"


def silencing(silences: Iterable[Silence], labels: Mapping[str, str], now: int) -> tuple[Silence, ...]:
    """The silences that keep an alert with these labels quiet at `now`, by id."""
    found = [one for one in silences if one.state(now) == "active" and one.matches(labels)]
    return tuple(sorted(found, key=lambda one: one.id))


def put(known: Silence | None, draft: Draft, now: int, new_id: str) -> tuple[Silence, ...]:
    """What is to be written for a draft: the silence in force comes last, before it the one that it ends.

    `known` is the silence that the draft names. It keeps its id if only its end, or the start of a pending one, moves;
    else it expires and another takes its place under `new_id` (Alertmanager's silence/silence.go, Set and canUpdate).
    SilenceError if it cannot be.
    """
    _check(draft, now)
    if known is not None and _may_change(known, draft, now):
        return (_changed(known, draft, now),)
    step = Step(now, draft.created_by, "created")
    made = Silence(
        id=new_id,
        matchers=draft.matchers,
        starts_at=max(draft.starts_at, now),
        ends_at=draft.ends_at,
        updated_at=now,
        created_by=draft.created_by,
        comment=draft.comment,
        annotations=draft.annotations,
        history=(step,),
    )
    if known is None or known.state(now) == "expired":
        return (made,)
    return (expired(known, now, draft.created_by, f"replaced by {new_id}"), made)


def expired(silence: Silence, now: int, by: str = "", what: str = "expired") -> Silence:
    """The silence after somebody ended it at `now`; one that is over stays as it is."""
    if silence.state(now) == "expired":
        return silence
    return replace(
        silence,
        starts_at=min(silence.starts_at, now),
        ends_at=now,
        updated_at=now,
        history=(*silence.history, Step(now, by, what)),
    )


def _changed(known: Silence, draft: Draft, now: int) -> Silence:
    moved = [
        f"{name} moved by {after - before:+d}s"
        for name, before, after in (
            ("start", known.starts_at, draft.starts_at),
            ("end", known.ends_at, draft.ends_at),
        )
        if before != after
    ]
    step = Step(now, draft.created_by, ", ".join(moved) or "described anew")
    return replace(
        known,
        starts_at=draft.starts_at,
        ends_at=draft.ends_at,
        updated_at=now,
        created_by=draft.created_by,
        comment=draft.comment,
        annotations=draft.annotations,
        history=(*known.history, step),
    )


def _may_change(known: Silence, draft: Draft, now: int) -> bool:
    if sorted(map(str, known.matchers)) != sorted(map(str, draft.matchers)):
        return False
    state = known.state(now)
    return (state == "active" and draft.starts_at == known.starts_at) or (state == "pending" and draft.starts_at >= now)


def _check(draft: Draft, now: int) -> None:
    if draft.starts_at >= draft.ends_at:
        raise SilenceError("failed to create silence: start time must be before end time")
    if draft.ends_at < now:
        raise SilenceError("failed to create silence: end time can't be in the past")
    if not draft.matchers:
        raise SilenceError("silence invalid: at least one matcher required")
    if len(draft.matchers) > MOST_MATCHERS:
        raise SilenceError(f"silence invalid: at most {MOST_MATCHERS} matchers are taken")
    if all(matcher.matches({}) for matcher in draft.matchers):
        raise SilenceError("silence invalid: at least one matcher must not match the empty string")
    texts = [draft.created_by, draft.comment, *(matcher.value for matcher in draft.matchers)]
    texts += [text for pair in draft.annotations.items() for text in pair]
    if any(len(text) > LONGEST_TEXT for text in texts):
        raise SilenceError(f"silence invalid: no text may be longer than {LONGEST_TEXT} characters")
