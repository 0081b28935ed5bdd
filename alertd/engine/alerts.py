"""The state machine of an alert: inactive, pending, firing, resolved; what moves it, and the reason it keeps.

    inactive ──holds──► pending ──held `for`──► firing ──quiet `keep_firing_for`──► resolved ──holds──► pending …
                           └──no longer holds──► inactive

Law: an alert leaves `firing` only when it was seen not to be elevated for `keep_firing_for` on end, while alertd could
see, and (for rates) traffic was judged meanwhile. No data is not recovery.

An alert that begins to fire again and again *flaps*: it then stays firing through its quiet spells, until one lasts. So
it is told once that it fires, once that it is over, and repeated like any other.

Patience is measured in whole minutes: there is a tick at each of them, so that other ticks in between change nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import msgspec

from alertd.engine.durations import format_duration
from alertd.engine.explain import Explanation
from alertd.engine.samples import Sample
from alertd.engine.windows import MINUTE, Evidence

State = Literal["inactive", "pending", "firing", "resolved"]
STRETCHES = 50
"""Stretches in which an alert fired that are remembered: no baseline needs more."""
FLAPS = 4
"""An alert that begins to fire so many times within FLAPS_WITHIN flaps."""
FLAPS_WITHIN = 6 * 3600
"""In seconds; FLAPS beginnings in it are two hours apart on average, or less."""
FLAPS_UNTIL = 2 * 3600
"""Seconds of quiet after which an alert that flaps is over, if its `keep_firing_for` is not longer."""
ONE_PIECE = 900
"""Seconds in which late news of one alert is one piece of news: after downtime rooms come in many portions."""


class Alert(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One alert: labels, annotations and where it stands; instants in seconds since the epoch.

    `elevated_at` is the last whole minute at which trouble is known to have gone on. `floor` is the moment of recovery:
    windows of this alert never reach back to it or before. `late` marks what was over before alertd learned of it; its
    `starts_at` and `ends_at` are then the stretch in which the rule held. Both stay until it fires again. `told` says
    that somebody was told that it fires, `reopened` that it does so again and belongs to what was told before. `fired`
    are the stretches of minutes, first and last, in which it has fired before. `flaps` says how many times it began to
    fire within FLAPS_WITHIN, if too often; 0 if not.
    """

    fingerprint: str
    rule: str
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    state: State = "inactive"
    active_at: int | None = None
    starts_at: int | None = None
    ends_at: int | None = None
    elevated_at: int | None = None
    floor: int = 0
    sample: Sample | None = None
    evidence: tuple[Evidence, ...] = ()
    explain: Explanation | None = None
    explained_at: int | None = None
    late: bool = False
    told: bool = False
    reopened: bool = False
    first_seen: int | None = None
    last_seen: int | None = None
    reason: str = ""
    changed_at: int = 0
    fired: tuple[tuple[int, int], ...] = ()
    flaps: int = 0

    def told_late(self, now: int) -> bool:
        """Whether alertd learned at `now` of trouble that is over."""
        return self.late and self.state == "resolved" and self.changed_at == now


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's identity of a label set: 64-bit FNV-1a over sorted `name 0xFF value 0xFF`, 16 hex digits.

    Source: prometheus/common model/signature.go; pairs with an empty value do not count.
    """
    return _signature(tuple(sorted(labels.items())))


@lru_cache(maxsize=4096)
def _signature(pairs: tuple[tuple[str, str], ...]) -> str:
    """The fingerprint of sorted pairs; those of accounts and of alertd's own alerts are asked for at every tick."""
    digest = 0xCBF29CE484222325
    for name, value in pairs:
        if value:
            for byte in name.encode() + b"\xff" + value.encode() + b"\xff":
                digest = ((digest ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


Signal = Literal["holds", "held", "clear", "elevated", "calm", "recovered"]

TRANSITIONS: Mapping[State, Mapping[Signal, State]] = {
    "inactive": {"holds": "pending", "held": "firing", "clear": "inactive"},
    "pending": {"holds": "pending", "held": "firing", "clear": "inactive"},
    "firing": {"elevated": "firing", "calm": "firing", "recovered": "resolved"},
    "resolved": {"holds": "pending", "held": "firing", "clear": "resolved"},
}
"""Every move there is; a state and a signal that are not here cannot meet."""


class Timing(NamedTuple):
    """How patient an alert is, in seconds: `for`, `keep_firing_for`, when silence alone may end it, and how soon after
    its end it is the same incident if it fires again. One that somebody else begins and ends never `may_flap`."""

    hold_for: int = 0
    keep_firing_for: int = 0
    no_traffic: int = 21600
    reopen: int = 0
    may_flap: bool = True


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What one tick found about one alert.

    `elevated_at` is the last moment at which trouble went on, as far as this tick knows; `traffic` says whether enough
    was judged since it was last elevated; `blind` why it cannot be judged now, and `gone` why it never will be again.
    `span` is when the first and the last room with a match ended, in the window of the sample.
    """

    timing: Timing
    holds: bool
    elevated_at: int | None = None
    traffic: bool = True
    blind: str = ""
    gone: str = ""
    sample: Sample | None = None
    evidence: tuple[Evidence, ...] = ()
    span: tuple[int, int] | None = None
    why: str = ""


def signal(alert: Alert, finding: Finding, now: int) -> tuple[Signal, str]:
    """What the finding means to an alert in its state, with the reason in words."""
    if alert.state != "firing":
        if not finding.holds:
            return "clear", finding.gone or "no longer holds"
        active_at = alert.active_at if alert.state == "pending" else None
        held = _waited(active_at, now) >= finding.timing.hold_for
        return ("held" if held else "holds"), finding.why
    if finding.gone:
        return "recovered", finding.gone
    if finding.blind:
        return "elevated", f"not known to have recovered: {finding.blind}"
    return ("elevated", finding.why) if _goes_on(alert, finding, now) else _calm(alert, finding, now)


def _goes_on(alert: Alert, finding: Finding, now: int) -> bool:
    """Whether trouble goes on in this very minute, or is now known to have gone on for longer than was known."""
    latest = finding.elevated_at
    return latest is not None and (latest >= now - now % MINUTE or latest > (alert.elevated_at or 0))


def _waited(since: int | None, now: int) -> int:
    """Seconds from `since` to the last whole minute."""
    return 0 if since is None else max(0, now - now % MINUTE - since)


def _calm(alert: Alert, finding: Finding, now: int) -> tuple[Signal, str]:
    quiet = _waited(alert.elevated_at, now)
    enough = max(finding.timing.keep_firing_for, FLAPS_UNTIL if alert.flaps else 0)
    if quiet < enough:
        return "calm", f"quiet for {format_duration(quiet)} of {format_duration(enough)}"
    if finding.traffic:
        return "recovered", f"not elevated for {format_duration(quiet)}"
    if quiet >= finding.timing.no_traffic:
        return "recovered", f"no traffic to judge for {format_duration(quiet)}"
    return "calm", f"quiet for {format_duration(quiet)}, but too little traffic to call it recovered"


def advance(alert: Alert, finding: Finding, now: int) -> Alert:
    """The alert after this tick; the same object where nothing changed."""
    meaning, why = signal(alert, finding, now)
    state = TRANSITIONS[alert.state][meaning]
    if state == alert.state and meaning == "clear":
        return alert
    if state != alert.state:
        return _moved(alert, finding, state, now, why)
    changes: dict[str, object] = {"reason": why + _flapping(alert.flaps)}
    if meaning == "elevated":
        changes["elevated_at"] = now - now % MINUTE if finding.blind else finding.elevated_at
    if finding.holds:
        changes |= _seen(alert, finding)
    return msgspec.structs.replace(alert, **changes)


def _moved(alert: Alert, finding: Finding, state: State, now: int, why: str) -> Alert:
    changes: dict[str, object] = {"state": state, "reason": why, "changed_at": now}
    minute = now - now % MINUTE
    if state == "pending":
        changes |= {"active_at": now, **_fresh(finding)}
    elif state == "firing":
        active = alert.active_at if alert.state == "pending" else now
        changes |= {"active_at": active, "starts_at": now, "ends_at": None, "elevated_at": minute, "late": False}
        over_for = _over_for(alert, finding.timing, now)
        changes["told"] = changes["reopened"] = over_for is not None
        if over_for is not None:
            why = f"again, {format_duration(over_for)} after it was over: {why}"
        flaps = _flaps(alert, now) if finding.timing.may_flap else 0
        changes |= {"flaps": flaps, "reason": why + _flapping(flaps), **_fresh(finding)}
    elif state == "resolved":
        changes |= {"ends_at": now, "active_at": None, "floor": max(alert.floor, alert.elevated_at or minute)}
        changes["flaps"] = 0
        changes["fired"] = fired(alert, now // MINUTE)[-STRETCHES:]
    else:
        changes |= {"active_at": None}
    return msgspec.structs.replace(alert, **changes)


def _over_for(alert: Alert, timing: Timing, now: int) -> int | None:
    """For how many seconds what was told seemed over, if it goes on now; None if what begins now is something else."""
    if alert.ends_at is None or alert.late or not alert.told or now - alert.ends_at > timing.reopen:
        return None
    return (now - alert.ends_at) // MINUTE * MINUTE


def _flaps(alert: Alert, now: int) -> int:
    """How many times it has begun to fire lately, if it does so now and that is too often; 0 if not."""
    begun = 1 + sum(first * MINUTE > now - FLAPS_WITHIN for first, _ in alert.fired)
    return begun if begun >= FLAPS else 0


def _flapping(flaps: int) -> str:
    if not flaps:
        return ""
    within, until = format_duration(FLAPS_WITHIN), format_duration(FLAPS_UNTIL)
    return f" (flaps: fired {flaps} times within {within}, so it lasts until it is quiet for {until})"


def fired(alert: Alert | None, minute: int) -> tuple[tuple[int, int], ...]:
    """The stretches of minutes, first and last, in which an alert fired, up to `minute`."""
    if alert is None:
        return ()
    if alert.state != "firing" or alert.starts_at is None:
        return alert.fired
    return (*alert.fired, (alert.starts_at // MINUTE, minute))


def over(alert: Alert, stretch: tuple[int, int], finding: Finding, now: int, why: str) -> Alert:
    """The alert after learning that its rule held in a stretch (seconds, from and to) that had passed unseen."""
    start, end = stretch
    if alert.late and alert.state == "resolved" and now - alert.changed_at < ONE_PIECE:
        start = min(start, alert.starts_at or start)
    return msgspec.structs.replace(
        alert,
        state="resolved",
        late=True,
        starts_at=start,
        ends_at=end,
        active_at=None,
        floor=max(alert.floor, end),
        changed_at=now,
        reason=why,
        **_fresh(finding),
    )


def _fresh(finding: Finding) -> dict[str, object]:
    first, last = finding.span or (None, None)
    return {"sample": finding.sample, "evidence": finding.evidence, "first_seen": first, "last_seen": last}


def _seen(alert: Alert, finding: Finding) -> dict[str, object]:
    fresh = _fresh(finding)
    firsts = [moment for moment in (alert.first_seen, fresh["first_seen"]) if isinstance(moment, int)]
    return fresh | {"first_seen": min(firsts, default=None)}
