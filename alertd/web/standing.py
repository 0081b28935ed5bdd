"""How alertd itself is, for whoever reads its pages: what troubles it, what it sees, how far it has judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from alertd.engine.health import KINDS, Trouble
from alertd.engine.outcome import Policy, Sight, Snapshot


class TroubleTold(NamedTuple):
    """A trouble that lasts, in words; `since` in seconds since the epoch."""

    summary: str
    message: str
    remedy: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How alertd is at `now`; instants in seconds since the epoch.

    `seen` is, by configured account, when it was last seen whole (None: never), `judged_until` up to when rules were
    judged. `waiting` counts rooms that ended and are not settled, `going_on` those that did not end, `firing` alerts.
    """

    now: int
    troubles: tuple[TroubleTold, ...]
    seen: dict[str, int | None]
    judged_until: int | None
    waiting: int
    going_on: int
    firing: int
    blind_after: int

    @property
    def unseen(self) -> dict[str, int | None]:
        """The accounts at which alertd is blind: what fires there is not known to be over."""
        return {name: at for name, at in self.seen.items() if at is None or self.now - at > self.blind_after}

    @property
    def is_behind(self) -> bool:
        """Whether the pages show an old state, because rules have not been judged for a while."""
        return self.judged_until is None or self.now - self.judged_until > self.blind_after

    @property
    def is_well(self) -> bool:
        """Whether alertd does all it should."""
        return not self.troubles and not self.unseen and not self.is_behind

    @property
    def seen_at(self) -> int | None:
        """Since when no account has gone unseen; None if there is none, or one never was seen."""
        known = [at for at in self.seen.values() if at is not None]
        return min(known) if known and len(known) == len(self.seen) else None


def standing_at(now: int, policy: Policy, snapshot: Snapshot, judged_until: int | None) -> Standing:
    """How alertd is, from what the store holds; what has left the configuration does not count."""
    going_on = sum(room.ended is None for room in snapshot.open_rooms)
    lasting = [one for one in snapshot.troubles if one.until is None and policy.concerns(one)]
    return Standing(
        now=now,
        troubles=tuple(_told(trouble) for trouble in lasting),
        seen={name: _last_seen(snapshot.sights, name) for name in policy.accounts},
        judged_until=judged_until,
        waiting=len(snapshot.open_rooms) - going_on,
        going_on=going_on,
        firing=sum(alert.state == "firing" for alert in snapshot.alerts.values()),
        blind_after=policy.blind_after,
    )


def _last_seen(sights: Iterable[Sight], account: str) -> int | None:
    return max((sight.seen_until for sight in sights if sight.account == account), default=None)


def _told(trouble: Trouble) -> TroubleTold:
    kind = KINDS[trouble.kind]
    return TroubleTold(kind.summary.format(subject=trouble.subject), trouble.message, kind.remedy, trouble.since)
