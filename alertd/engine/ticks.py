"""Which instants are decided at, and what one tick does to windows and snapshot: what run and replays share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from alertd.engine.alerts import Alert
from alertd.engine.counting import Windows
from alertd.engine.decide import decide
from alertd.engine.outcome import Outcome, Policy, Snapshot
from alertd.engine.populations import SLACK
from alertd.engine.records import SettledRoom
from alertd.engine.revisits import Revisit
from alertd.engine.windows import MINUTE

NO_ALERTS: Mapping[str, Alert] = MappingProxyType({})


class Change(NamedTuple):
    """A settled room that begins (`sign` 1) or ceases (-1, it was replaced) to count at `at`."""

    at: int
    room: SettledRoom
    sign: int


def next_tick(after: int, upto: int, next_change: int | None, next_flush: int | None) -> int | None:
    """The next instant after `after` to decide at: a minute, a settling or a group's deadline; None if past `upto`."""
    candidates = [(after // MINUTE + 1) * MINUTE]
    candidates += [max(moment, after + 1) for moment in (next_change, next_flush) if moment is not None]
    soonest = min(candidates)
    return soonest if soonest <= upto else None


def missing(
    windows: Windows, changes: Iterable[Change], now: int, alerts: Mapping[str, Alert] = NO_ALERTS
) -> Revisit | None:
    """What must be counted again to judge those of the changes that came very late; None if none did.

    `alerts` as they stand before, by fingerprint.
    """
    late = [(one.room, one.sign) for one in changes if one.room.ended // MINUTE <= now // MINUTE - SLACK]
    if not any(sign > 0 for _, sign in late):
        return None
    return windows.missing(late, {mark: alert.floor // MINUTE for mark, alert in alerts.items() if alert.floor})


def step(
    now: int, policy: Policy, windows: Windows, snapshot: Snapshot, changes: Iterable[Change]
) -> tuple[Outcome, Snapshot]:
    """Count what became known, decide, forget; the outcome and the snapshot that follows from it.

    What was counted since the last step is news too. If there are questions nothing has been decided: step again, with
    the answers in the snapshot and no changes.
    """
    for change in changes:
        windows.fold(change.room, change.sign)
    outcome = decide(now, policy, windows, snapshot)
    if outcome.questions:
        return outcome, snapshot
    windows.begin()
    after = applied(snapshot, outcome)
    windows.forget(now // MINUTE, still_needed(after))
    return outcome, after


def still_needed(snapshot: Snapshot) -> dict[str, int]:
    """The minute since which each firing alert's group must be kept, to tell whether traffic was judged since."""
    return {
        alert.fingerprint: (alert.elevated_at or alert.changed_at) // MINUTE
        for alert in snapshot.alerts.values()
        if alert.state == "firing"
    }


def applied(snapshot: Snapshot, outcome: Outcome) -> Snapshot:
    """The snapshot after an outcome."""
    gone = set(outcome.gone_groups)
    groups = {key: group for key, group in snapshot.groups.items() if key not in gone}
    return msgspec.structs.replace(
        snapshot,
        alerts=snapshot.alerts | {alert.fingerprint: alert for alert in outcome.alerts},
        groups=groups | {group.key: group for group in outcome.groups},
        explained={},
    )
