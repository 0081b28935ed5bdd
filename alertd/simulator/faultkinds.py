"""The kinds of `[[faults]]`: what can be wrong with requests, with rooms and with the clock, and the keys of each."""

from __future__ import annotations

from typing import Annotated, Literal, Self, get_args

from pydantic import BeforeValidator, Field, model_validator

from alertd.settings import Duration
from alertd.simulator.events import Event, Share

RealSeconds = Annotated[float, Field(gt=0, le=600)]


class Sharing(Event):
    """A fault of requests or pages strikes this share of them, one of rooms this share of the rooms."""

    share: Share = 1.0


# Of a request: whether it strikes is drawn anew for every one.


class Status(Sharing):
    """Requests are answered with an error, perhaps with a Retry-After header: seconds, or an HTTP date."""

    kind: Literal["status"] = "status"
    status: Annotated[int, Field(ge=400, le=599)]
    retry_after: int | None = Field(default=None, ge=0)
    retry_after_as: Literal["seconds", "date"] = "seconds"

    @model_validator(mode="after")
    def _has_something_to_spell(self) -> Self:
        if self.retry_after_as == "date" and self.retry_after is None:
            raise ValueError("retry_after_as needs a retry_after")
        return self


class Html(Sharing):
    """A gateway answers with a page for people instead of JSON, perhaps even under the status 200."""

    kind: Literal["html"]
    status: int = 502

    @model_validator(mode="after")
    def _may_have_a_body(self) -> Self:
        if self.status != 200 and not 400 <= self.status <= 599:
            raise ValueError("status must be 200 or from 400 to 599")
        return self


class Stall(Sharing):
    """No answer comes for so many real seconds, then the connection is closed."""

    kind: Literal["stall"]
    seconds: RealSeconds


class Reset(Sharing):
    """The connection is reset (TCP RST) instead of an answer."""

    kind: Literal["reset"]


class Truncated(Sharing):
    """Less of the body comes than announced, then the connection closes (`short`); or the JSON ends early (`json`)."""

    kind: Literal["truncated"]
    how: Literal["short", "json", "either"] = "either"


class Drip(Sharing):
    """The body comes bit by bit, for so many real seconds."""

    kind: Literal["drip"]
    seconds: RealSeconds


class Revoked(Event):
    """The API key is refused (401)."""

    kind: Literal["revoked"]


# Of a page of a list: drawn anew for every one.


class RepeatedLink(Sharing):
    """The link to the next page leads back: to the page itself, or to the first one."""

    kind: Literal["repeated_link"]
    to: Literal["itself", "first", "either"] = "either"


class Shifting(Sharing):
    """The link to the next page of rooms counts rows, so that rooms which start or vanish meanwhile shift them.

    Up to `lost` further rows fall out before the next page is read, and as many are never seen by who pages through.
    """

    kind: Literal["shifting"]
    lost: int = Field(default=0, ge=0, le=1000)


class Twice(Sharing):
    """Up to so many rooms stand twice, on one page or on two that follow each other."""

    kind: Literal["twice"]
    rooms: int = Field(default=3, ge=1, le=1000)


class Malformed(Sharing):
    """One record of a page has a value of a wrong type: text for a number, a list for text, a null SID, a number for a
    time."""

    kind: Literal["malformed"]
    of: Literal["rooms", "participants", "either"] = "either"


# Of a room: drawn once, from seed and SID, so that every request sees the same. `at` and `for` are about its end.


class Delayed(Sharing):
    """Sets in so many simulated seconds `after` something; with `up_to`, at a moment drawn between the two."""

    after: Duration
    up_to: Duration | None = None

    @model_validator(mode="after")
    def _runs_forwards(self) -> Self:
        if self.up_to is not None and self.up_to < self.after:
            raise ValueError("up_to must not be less than after")
        return self


class Late(Delayed):
    """The API knows nothing of the room until so long after it started."""

    kind: Literal["late"]


class Vanishing(Delayed):
    """The API knows nothing of the room any more from so long after it ended, complete or not."""

    kind: Literal["vanishing"]


class Changing(Delayed):
    """The summary is complete too early: so long after that a participant, errors, totals and the end are corrected."""

    kind: Literal["changing"]


class Drift(Sharing):
    """The room and its participants have keys and words that no document mentions."""

    kind: Literal["drift"]


# Of the clock.


class Skew(Event):
    """All of the simulator's time, its Date header included, is so many seconds ahead (or, if negative, behind)."""

    kind: Literal["skew"]
    seconds: int = Field(ge=-86_400, le=86_400)


RoomFault = Late | Vanishing | Changing | Drift


def _of_usual_kind(table: object) -> object:
    """A table that does not say its kind is a `status`: for long there was no other."""
    return {"kind": "status"} | table if isinstance(table, dict) else table


_Kinds = (
    Status | Html | Stall | Reset | Truncated | Drip | Revoked
    | RepeatedLink | Shifting | Twice | Malformed
    | Late | Vanishing | Changing | Drift
    | Skew
)  # fmt: skip
Fault = Annotated[_Kinds, Field(discriminator="kind"), BeforeValidator(_of_usual_kind)]


def fault_keys() -> dict[str, list[str]]:
    """The keys that a table of each kind can have, by kind."""
    kinds: tuple[type[Event], ...] = get_args(_Kinds)
    return {
        get_args(kind.model_fields["kind"].annotation)[0]: sorted(
            field.alias or name for name, field in kind.model_fields.items()
        )
        for kind in kinds
    }
