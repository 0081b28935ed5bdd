"""decide(now, policy, windows, snapshot) -> Outcome: the whole flow, from counted rooms to due notifications."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

import msgspec

from alertd.engine import own, posted
from alertd.engine.alerts import Alert, Finding, Timing, advance, fired, over
from alertd.engine.counting import Windows
from alertd.engine.durations import format_duration
from alertd.engine.health import RULE_PREFIX
from alertd.engine.kinds import Absent
from alertd.engine.outcome import Event, Outcome, Policy, Snapshot
from alertd.engine.populations import GroupWindow
from alertd.engine.questions import Question, question
from alertd.engine.rules import Rule
from alertd.engine.samples import LATE, Peer, Scene, View, judge_past, sample_of
from alertd.engine.settle import OpenRoom
from alertd.engine.sight import all_listed, has_gap, is_seen, is_untold
from alertd.engine.telling import tell
from alertd.engine.windows import MINUTE

SHOWN = 5
"""Participants that an alert shows as evidence."""


@dataclass(slots=True)
class _Tick:
    """The working copy of one decision; `judged` are the fingerprints of the groups that were judged.

    `waiting` are the minutes in which rooms ended, `unsettled` those in which they started (with how many did), of
    rooms that are known and not settled. Between whole minutes only what is `lively` is judged, by rule key: groups in
    which rooms were counted since, and those with an alert that is on. At a whole minute (None) all are in which
    anything may hold; `named` is how many rules have a name, `on` are the rules with an alert that is on.
    """

    now: int
    policy: Policy
    windows: Windows
    snapshot: Snapshot
    alerts: dict[str, Alert]
    waiting: dict[str, list[int]]
    unsettled: dict[str, dict[int, int]]
    errors: dict[str, str]
    judged: set[str] = field(default_factory=set)
    changed: dict[str, Alert] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    questions: list[Question] = field(default_factory=list)
    named: Mapping[str, int] = field(default_factory=dict)
    on: Collection[str] = ()
    lively: Mapping[str, list[GroupWindow]] | None = None

    @property
    def minute(self) -> int:
        """The whole minute of the tick."""
        return self.now // MINUTE


def decide(now: int, policy: Policy, windows: Windows, snapshot: Snapshot) -> Outcome:
    """What follows at `now` (seconds since the epoch) from what was counted and what stood before.

    Total and without side effects: the same arguments give the same outcome, and nothing passed in is changed. A rule
    that fails is an entry in `errors`; its alerts stay as they are and all other rules are judged.
    """
    waiting = _waiting(snapshot.open_rooms, now)
    tick = _Tick(
        now,
        policy,
        windows,
        snapshot,
        dict(snapshot.alerts),
        waiting,
        _unsettled(policy, snapshot, now),
        dict(windows.faults),
    )
    tick.named = Counter(rule.alert for rule in policy.rules)
    tick.on = {alert.rule for alert in tick.alerts.values() if alert.state in ("pending", "firing")}
    if now % MINUTE:
        tick.lively = _lively(tick)
    for rule in policy.rules:
        if tick.lively is None or rule.key in tick.lively:
            _judge_rule(tick, rule)
    _judge_orphans(tick)
    for before, after in tuple(posted.moved(now, snapshot.posted, tick.alerts)):
        _keep(tick, before, after)
    for before, after in tuple(own.moved(now, policy, snapshot, tick.alerts)):
        _keep(tick, before, after)
    telling = tell(now, policy, tick.alerts, tick.changed.keys(), snapshot)
    return Outcome(
        alerts=tuple((tick.changed | telling.alerts).values()),
        groups=telling.groups,
        gone_groups=telling.gone,
        notifications=telling.notifications,
        withheld=telling.withheld,
        events=_in_order(tick.events, policy.rules),
        errors=tick.errors,
        next_at=telling.next_at,
        questions=tuple(tick.questions),
    )


def _in_order(events: Iterable[Event], rules: Iterable[Rule]) -> tuple[Event, ...]:
    """By rule and fingerprint: in which order groups were first seen depends on when alertd was started."""
    place = {rule.key: number for number, rule in enumerate(rules)}
    return tuple(sorted(events, key=lambda event: (place.get(event.rule, len(place)), event.fingerprint)))


def _lively(tick: _Tick) -> dict[str, list[GroupWindow]]:
    """The groups about which there is anything new since the minute's own tick; of rules of one name all groups."""
    lively = tick.windows.fresh()
    for rule in tick.policy.rules:
        if _needs_all(tick, rule):
            lively[rule.key] = list(tick.windows.groups(rule))
    return lively


def _needs_all(tick: _Tick, rule: Rule) -> bool:
    """Whether all groups of the rule must be looked at, whatever is in them: one has an alert that is on, or they may
    have the same labels as those of another rule of this name, and then the first rule's counts."""
    return rule.key in tick.on or tick.named[rule.alert] > 1


def _waiting(open_rooms: Iterable[OpenRoom], now: int) -> dict[str, list[int]]:
    """The minutes in which rooms ended that are known but not settled, by account, in order."""
    found: dict[str, list[int]] = {}
    for room in open_rooms:
        if room.ended is not None and room.listed_at <= now:
            found.setdefault(room.account, []).append(room.ended // MINUTE)
    return {account: sorted(minutes) for account, minutes in found.items()}


def _unsettled(policy: Policy, snapshot: Snapshot, now: int) -> dict[str, dict[int, int]]:
    """How many rooms that are known have not settled, by account and the minute of their start, if any rule asks."""
    if not any(isinstance(rule.kind, Absent) for rule in policy.rules):
        return {}
    found = {account: dict(minutes) for account, minutes in snapshot.going.items()}
    others = [(room.account, room.started) for room in snapshot.open_rooms if room.listed_at <= now]
    others += [(account, started) for account, started, settled in snapshot.settled if settled > now]
    for account, started in others:
        if started is not None:
            minutes = found.setdefault(account, {})
            minutes[started // MINUTE] = minutes.get(started // MINUTE, 0) + 1
    return found


def _judge_rule(tick: _Tick, rule: Rule) -> None:
    if tick.windows.refused(rule):
        tick.errors.setdefault(rule.key, f"more than {rule.max_groups} combinations of {', '.join(rule.by)}")
    always = isinstance(rule.kind, Absent)
    for group in _groups(tick, rule):
        if group.fingerprint in tick.judged:
            tick.errors.setdefault(rule.key, "another rule gives its alerts the same labels; the first one counts")
            continue
        tick.judged.add(group.fingerprint)
        if group.fingerprint in tick.alerts or always or not _nothing_new(tick, rule, group):
            _judge_group(tick, rule, group)


def _groups(tick: _Tick, rule: Rule) -> Iterable[GroupWindow]:
    """The groups that a rule has seen; for absence all accounts, since one without rooms is just what it looks for."""
    if tick.lively is not None and not isinstance(rule.kind, Absent):
        return tick.lively.get(rule.key, ())
    if not isinstance(rule.kind, Absent):
        quiet = rule.kind.needs_match and not _needs_all(tick, rule)
        return tick.windows.matching(rule) if quiet else tick.windows.groups(rule)
    accounts = tick.policy.accounts or tick.windows.accounts(tick.minute)
    return [tick.windows.starts(rule, account) for account in accounts]


def _judge_group(tick: _Tick, rule: Rule, group: GroupWindow) -> None:
    """Move the alert of one group; what fails is an error of the rule and leaves the alert as it is."""
    try:
        before = tick.alerts.get(group.fingerprint)
        if before is None:
            before = Alert(fingerprint=group.fingerprint, rule=rule.key, labels=group.labels)
        _judge(tick, rule, group, before)
    except Exception as error:  # noqa: BLE001 - one poisoned rule must not stop the others; it is reported by name
        tick.errors[rule.key] = f"{type(error).__name__}: {error}"


def _judge(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert) -> None:
    idle = before.state in ("inactive", "resolved")
    if isinstance(rule.kind, Absent):
        if idle and tick.lively is not None:
            return  # what came since the minute's own tick is not missing
        if before.state != "firing" and _blind(tick, rule, group, group.labels["account"]):
            return  # what cannot be seen is not absent
    elif idle and _nothing_new(tick, rule, group):
        return
    scene = _scene(tick, rule, group, before)
    if idle and rule.kind.needs_match and not _conceivable(rule, scene):
        group.hopeless_at = group.series.matches_counted
        _judge_past(tick, rule, group, before)
        return
    view = rule.kind.judge(scene)
    if before.state != "firing" and not view.holds and _judge_past(tick, rule, group, before):
        return
    if view.holds or not idle:
        _record(tick, before, advance(before, _finding(tick, rule, group, before, view), tick.now), rule)


def _conceivable(rule: Rule, scene: Scene) -> bool:
    """Whether the rule can hold in any window that it looks at: in most groups, too little matches for that."""
    earliest = max(scene.minute - rule.kind.minutes - LATE, scene.floor)
    return rule.kind.conceivable(scene, earliest, scene.minute)


def _nothing_new(tick: _Tick, rule: Rule, group: GroupWindow) -> bool:
    """Whether an alert that is not on stays so: nothing matches, too little does and nothing is judged in hindsight, or
    the minute's own tick has judged all of it."""
    if rule.kind.needs_match and not group.series.has_matches:
        return True
    if group.is_hopeless:
        return all(minute >= tick.minute - LATE for minute in group.fresh)
    return not group.fresh and tick.lively is not None


def _scene(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert) -> Scene:
    def peers() -> list[Peer]:
        """All groups of the rule, with what is known of their alerts."""
        stand = tick.alerts.get
        return [Peer(other.series, fired(stand(other.fingerprint), tick.minute)) for other in tick.windows.groups(rule)]

    firing = before.sample if before.state == "firing" else None
    scene = Scene(group.series, tick.minute, before.floor // MINUTE, peers, fired(before, tick.minute), firing)
    if not isinstance(rule.kind, Absent):
        return scene
    account = group.labels["account"]
    return scene._replace(
        listed=all_listed(tick.policy, tick.snapshot, tick.minute, account), waiting=tick.unsettled.get(account, {})
    )


def _judge_past(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert) -> bool:
    """Tell what held unseen, if anything did: late rooms are judged as they would have been then."""
    fresh = group.decisive(rule.kind)
    if not fresh:
        return False
    past = judge_past(rule.kind, _scene(tick, rule, group, before), fresh, rule.hold_for)
    if past is None:
        return False
    finding = _finding(tick, rule, group, before, past.worst)
    why = f"held unseen for {format_duration(past.minutes * MINUTE)}: {finding.why}"
    _record(tick, before, over(before, (past.first * MINUTE, past.last * MINUTE), finding, tick.now, why), rule)
    return True


def _finding(tick: _Tick, rule: Rule, group: GroupWindow, before: Alert, view: View) -> Finding:
    series, account, scene = group.series, group.labels.get("account"), _scene(tick, rule, group, before)
    span = series.span(view.after, view.upto)
    sample = sample_of(rule.kind, scene, view, _settled_share(tick, account, view.after, view.upto))
    seen = Finding(
        timing=Timing(rule.hold_for, rule.keep_firing_for, rule.no_traffic, rule.reopen),
        holds=view.holds,
        sample=sample,
        evidence=series.evidence(view.after, view.upto, SHOWN),
        span=None if span is None else (span[0] * MINUTE, span[1] * MINUTE),
        why=rule.kind.describe(sample),
    )
    if before.state != "firing":
        return seen
    latest = rule.kind.elevated(scene)
    since = (before.elevated_at or tick.now) // MINUTE
    return msgspec.structs.replace(
        seen,
        elevated_at=None if latest is None else latest * MINUTE,
        traffic=rule.kind.traffic_judged(scene, since),
        blind=_blind(tick, rule, group, account),
    )


def _judge_orphans(tick: _Tick) -> None:
    """Alerts that are still on while their group has been forgotten, or their rule removed."""
    rules = {rule.key: rule for rule in tick.policy.rules}
    for before in list(tick.alerts.values()):
        if before.state not in ("pending", "firing") or before.fingerprint in tick.judged:
            continue
        if before.rule.startswith(RULE_PREFIX) or posted.is_posted(before):
            continue
        rule = rules.get(before.rule)
        if rule is None:
            _record(tick, before, advance(before, _gone("its rule was removed"), tick.now), None)
        elif isinstance(rule.kind, Absent) and tick.policy.accounts:
            _record(tick, before, advance(before, _gone("its account was removed"), tick.now), None)
        else:
            _judge_group(tick, rule, GroupWindow(before.labels, before.fingerprint))


def _gone(why: str) -> Finding:
    return Finding(timing=Timing(), holds=False, gone=why)


def _record(tick: _Tick, before: Alert, after: Alert, rule: Rule | None) -> None:
    if after is before:
        return
    if rule is not None:
        after = _explained(tick, rule, before, after)
    if rule is not None and (after.sample != before.sample or not before.annotations):
        after = msgspec.structs.replace(after, annotations=_annotations(tick, rule, after))
    _keep(tick, before, after)


def _explained(tick: _Tick, rule: Rule, before: Alert, after: Alert) -> Alert:
    """The alert with where its matches come from, if that is due and known; a question if it is due and not."""
    asked = question(rule, before, after, tick.now)
    if asked is None:
        return after
    if asked.fingerprint not in tick.snapshot.explained:
        tick.questions.append(asked)
        return after
    answer = tick.snapshot.explained[asked.fingerprint]
    return msgspec.structs.replace(after, explain=answer, explained_at=tick.now)


def _keep(tick: _Tick, before: Alert, after: Alert) -> None:
    tick.alerts[after.fingerprint] = tick.changed[after.fingerprint] = after
    late = after.told_late(tick.now)
    if late or (after.state != before.state and "firing" in (after.state, before.state)):
        tick.events.append(
            Event(
                at=tick.now,
                event="late" if late else ("firing" if after.state == "firing" else "resolved"),
                fingerprint=after.fingerprint,
                rule=after.rule,
                labels=after.labels,
                reason=after.reason,
                sample=after.sample,
                late=after.late,
                starts_at=after.starts_at,
                ends_at=after.ends_at,
            )
        )


def _annotations(tick: _Tick, rule: Rule, alert: Alert) -> dict[str, str]:
    """The rule's texts for this alert; one that fails gives way to its error, and is reported."""
    texts: dict[str, str] = {}
    variables = {"labels": alert.labels, "sample": alert.sample, "rule": {"alert": rule.alert, "source": rule.source}}
    for name, render in rule.annotations.items():
        try:
            texts[name] = render(variables)
        except Exception as error:  # noqa: BLE001 - a text that fails must not keep the alert from being told
            texts[name] = f"(the template of {name} failed: {error})"
            tick.errors[rule.key] = f"annotation {name}: {error}"
    return texts


def _blind(tick: _Tick, rule: Rule, group: GroupWindow, account: str | None) -> str:
    """Why quiet means nothing in this group just now; empty if it does."""
    watched = tick.policy.accounts if account is None else (account,)
    absence = isinstance(rule.kind, Absent)
    if absence and is_untold(tick.snapshot, tick.now):
        return "which rooms went on then is not known"
    lately = LATE * MINUTE if absence else 0  # by then what a first look found has been read
    seen = partial(is_seen, tick.policy, tick.snapshot, tick.minute, lately=lately)
    if not all(seen(name) for name in watched if name in tick.policy.accounts):
        return "its account could not be seen"
    if isinstance(rule.kind, Absent) and has_gap(
        tick.policy, tick.snapshot, tick.minute, rule.kind, group.labels["account"]
    ):
        return "its rooms have not all been listed"
    if group.fingerprint not in tick.judged and tick.windows.refused(rule):
        return "its rule has too many groups to count it"
    return ""


def _settled_share(tick: _Tick, account: str | None, after: int, upto: int) -> float | None:
    """Rooms settled of rooms known in the minutes with `after` < minute ≤ `upto`, for an account (None: all)."""
    books = [minutes for name, minutes in tick.waiting.items() if account in (None, name)]
    waiting = sum(bisect_right(minutes, upto) - bisect_right(minutes, after) for minutes in books)
    settled = tick.windows.settled_rooms(account, after, upto)
    return settled / (settled + waiting) if settled + waiting else None
