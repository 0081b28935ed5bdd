"""Alerts that others post, as to an Alertmanager: they fire from their start until their end, or until no more come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from alertd.engine.alerts import Alert, Finding, Timing, advance

RULE = "posted/api"
"""Stands for the key of a rule; no rule file can make it."""
RESOLVE_TIMEOUT = 300
"""Seconds for which an alert stands that was posted without an end (Alertmanager's resolve_timeout)."""


class Posted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An alert as it was last posted; instants in seconds since the epoch, `ends_at` in the future until it is over.

    With `timeout` nobody said when it ends.
    """

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: int
    ends_at: int
    updated_at: int
    timeout: bool = False
    generator_url: str = ""

    def fires(self, now: int) -> bool:
        """Whether it does at `now`."""
        return self.starts_at <= now < self.ends_at

    def after(self, known: Posted | None, now: int) -> Posted:
        """What is known of it once this was posted, as in Alertmanager (types.Alert.Merge): one that goes on keeps its
        beginning, and an end that was said and is later than this one."""
        if known is None or not known.fires(now):
            return self
        said_later = self.fires(now) and not known.timeout and known.ends_at > self.ends_at
        ends_at, timeout = (known.ends_at, False) if said_later else (self.ends_at, self.timeout)
        starts_at = min(known.starts_at, self.starts_at)
        return msgspec.structs.replace(self, starts_at=starts_at, ends_at=ends_at, timeout=timeout)


def is_posted(alert: Alert) -> bool:
    """Whether somebody else posted the alert."""
    return alert.rule == RULE


def as_alert(posted: Posted) -> Alert:
    """The alert to be, before it has fired."""
    return Alert(fingerprint=posted.fingerprint, rule=RULE, labels=posted.labels)


def moved(now: int, posted: Iterable[Posted], alerts: Mapping[str, Alert]) -> Iterator[tuple[Alert, Alert]]:
    """The posted alerts that change at `now`, before and after; labels that an alert of a rule has are that one's.

    What is no longer known, because nobody posted it for long, is over.
    """
    known = set()
    for one in posted:
        known.add(one.fingerprint)
        before = alerts.get(one.fingerprint) or as_alert(one)
        if is_posted(before) and (after := _after(now, one, before)) is not before:
            yield before, after
    for alert in alerts.values():
        if is_posted(alert) and alert.state == "firing" and alert.fingerprint not in known:
            yield alert, advance(alert, _gone("it is no longer posted"), now)


def _after(now: int, one: Posted, before: Alert) -> Alert:
    if not one.fires(now):
        return (
            advance(before, _gone("it was posted as over, or no longer"), now) if before.state == "firing" else before
        )
    if before.state == "firing":
        same = before.annotations == one.annotations
        return before if same else msgspec.structs.replace(before, annotations=one.annotations)
    finding = Finding(timing=Timing(may_flap=False), holds=True, why="it was posted")
    began = advance(before, finding, now)
    return msgspec.structs.replace(began, annotations=one.annotations, starts_at=one.starts_at)


def _gone(why: str) -> Finding:
    return Finding(timing=Timing(), holds=False, gone=why)
