"""What can be seen at a tick: which accounts, which starts of rooms, and whether it is known what still goes on."""

from __future__ import annotations

from alertd.engine.coverage import listed_until
from alertd.engine.kinds import Absent
from alertd.engine.outcome import PASSED, Policy, Snapshot
from alertd.engine.samples import LATE
from alertd.engine.windows import MINUTE


def all_listed(policy: Policy, snapshot: Snapshot, minute: int, account: str) -> int:
    """The last minute whose starts have all been listed: some minutes ago, before the last sight and the last list."""
    sights = [sight.seen_until for sight in snapshot.sights if sight.account == account]
    lists = [part.started_until for part in snapshot.coverage.get(account, ()) if part.seen_at is not None]
    ends = [max(instants) // MINUTE - 1 for instants in (sights, lists) if instants]
    return min(minute - policy.listed_after, *ends, minute)


def has_gap(policy: Policy, snapshot: Snapshot, minute: int, kind: Absent, account: str) -> bool:
    """Whether some of the starts have not been listed among which rooms would be missed, or nothing has for long."""
    coverage = snapshot.coverage.get(account)
    if coverage is None:
        return False
    listed = all_listed(policy, snapshot, minute, account)
    if listed < minute - policy.listed_after - LATE:
        return True  # what windows that end so long ago would count may have been forgotten
    upto = (listed + 1) * MINUTE
    return listed_until(coverage, upto - kind.longest) < upto


def is_untold(snapshot: Snapshot, now: int) -> bool:
    """Whether the snapshot does not tell which rooms went on at `now`, in seconds: it was taken too late, or of a
    history at its end."""
    taken_at, until = snapshot.taken_at, snapshot.starts_until
    return (taken_at or 0) > now + PASSED or (until is not None and now > until)


def is_seen(policy: Policy, snapshot: Snapshot, minute: int, account: str, lately: int) -> bool:
    """Whether the account is in sight at the minute, and has been for as many seconds as `lately`."""
    now = minute * MINUTE
    return any(
        sight.account == account and sight.seen_from + lately <= now <= sight.seen_until + policy.blind_after
        for sight in snapshot.sights
    )
