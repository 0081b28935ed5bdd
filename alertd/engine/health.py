"""What alertd says about itself: which trouble becomes which alert, how soon, and how long it is kept."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from alertd.engine.alerts import Finding, Timing
from alertd.engine.routes import Tree

RULE_PREFIX = "alertd/"
"""Begins the rule key of alerts about alertd itself; no rule file can make one."""


WATCHDOG = {"alertname": "Watchdog", "severity": "none"}
"""An alert that always fires, for who watches that alertd is at work; Prometheus' name for it."""
AT_WORK = {
    "summary": "alertd is at work",
    "description": "This alert always fires. Let something outside of this machine tell you when it does not come.",
}


def wants_watchdog(tree: Tree) -> bool:
    """Whether a route asks for the heartbeat by name: nobody else is to be bothered by it."""
    return any(
        matcher.name == "alertname" and matcher.op in ("=", "=~")
        for place in tree.match(WATCHDOG)
        for matcher in place.route.matchers
    )


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """Something alertd cannot do, since when, and (once it can again) until when.

    `subject` is what it concerns: an account, a rule, an integration.
    """

    kind: str
    subject: str
    since: int
    message: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of trouble is told: the alert's name, its subject's label, patience in seconds, and the texts.

    `summary` says what is wrong while it is, `over` what is right again; `remedy` what to do as long as it lasts.
    """

    alert: str
    subject: str
    timing: Timing
    summary: str
    over: str
    remedy: str


KINDS = {
    "poll": Kind(
        "AlertdPollFailing",
        "account",
        Timing(300, 120),
        "alertd cannot read account {subject}: it is blind there",
        "alertd reads account {subject} again",
        "Check the network and Twilio's status; alertd keeps trying and judges what it missed once it can see again.",
    ),
    "credentials": Kind(
        "AlertdCredentialsRefused",
        "account",
        Timing(0, 120),
        "Twilio refuses the API key of account {subject}: alertd is blind there",
        "Twilio takes the API key of account {subject} again",
        "Check the key in Twilio's console (revoked? other account? suspended?), set the right one and restart alertd.",
    ),
    "settling": Kind(
        "AlertdRoomsNotSettling",
        "account",
        Timing(900, 300),
        "Rooms of account {subject} are not settling in time",
        "Rooms of account {subject} settle in time again",
        "Twilio is slow to summarise; rooms are judged partial after collect.settle_timeout.",
    ),
    "records": Kind(
        "AlertdBadRecords",
        "account",
        Timing(0, 3600),
        "Twilio sends records of account {subject} that alertd cannot read whole",
        "Twilio has sent no more records of account {subject} that alertd cannot read whole",
        "The rest was read; see the log for the fields, and whether a newer alertd knows them.",
    ),
    "lost": Kind(
        "AlertdRoomsLost",
        "account",
        Timing(0, 3600),
        "Rooms of account {subject} were lost before they could be judged",
        "No more rooms of account {subject} were lost",
        "Twilio no longer has them (it keeps 7 days); look whether alertd was down or blind for long.",
    ),
    "coverage": Kind(
        "AlertdCoverageGap",
        "account",
        Timing(7200, 300),
        "Rooms of account {subject} have not been read for nearly as long as Twilio keeps them",
        "Rooms of account {subject} have been read that had nearly been kept too long",
        "alertd goes on reading them, the newest first; see the log for lists that fail, and whether it is too slow.",
    ),
    "rule": Kind(
        "AlertdRuleFailing",
        "failing_rule",
        Timing(0, 300),
        "The rule {subject} cannot be judged",
        "The rule {subject} is judged again",
        "Correct the rule; the other rules go on.",
    ),
    "delivery": Kind(
        "AlertdDeliveryFailing",
        "integration",
        Timing(300, 300),
        "Notifications to {subject} are not getting through",
        "Notifications to {subject} are getting through again",
        "alertd keeps trying; see `alertd deliveries` for what waits and what the other side answers.",
    ),
    "undelivered": Kind(
        "AlertdNotificationLost",
        "integration",
        Timing(0, 300),
        "A notification to {subject} was given up",
        "No more notifications to {subject} were given up",
        "See `alertd deliveries --failed`; after the repair `alertd deliveries retry ID` sends it all the same.",
    ),
    "receiver": Kind(
        "AlertdReceiverRemoved",
        "removed_integration",
        Timing(300, 900),
        "Notifications wait for {subject}, which is no longer in the configuration",
        "No more notifications wait for {subject}",
        "Put it back under the same name and they are sent; else they are given up after a day.",
    ),
    "config": Kind(
        "AlertdConfigReloadFailed",
        "config",
        Timing(60, 300),  # a file that is just being written is no news
        "The configuration {subject} has changed and cannot be taken up: alertd goes on with what it had",
        "The configuration {subject} is taken up: alertd runs by what it says",
        "Where a restart is needed, restart alertd or undo that change. Anything else: correct it (see "
        "`alertd check --config FILE`), and it is taken up by itself, or on SIGHUP where rules.watch is off.",
    ),
    "store": Kind(
        "AlertdStoreFailing",
        "loop",
        Timing(0, 300),
        "alertd cannot use its database in the {subject} loop",
        "alertd can use its database in the {subject} loop again",
        "Check disk space, permissions and the server; alertd tries again and loses nothing.",
    ),
    "clock": Kind(
        "AlertdClockSkewed",
        "account",
        Timing(600, 600),
        "alertd's clock and Twilio's (account {subject}) differ",
        "alertd's clock and Twilio's (account {subject}) agree again",
        "Synchronise the machine's clock (NTP); windows are judged by it.",
    ),
}


@dataclass(frozen=True, slots=True)
class Ailment:
    """A trouble as an alert to be: its rule key, labels, annotations, those once it is resolved, and what is found."""

    rule: str
    labels: dict[str, str]
    annotations: dict[str, str]
    afterwards: dict[str, str]
    finding: Finding


def ailments(troubles: Iterable[Trouble], now: int, severity: str, patience: int = 300) -> list[Ailment]:
    """What the troubles known at `now` come to, ended ones too (so that their alerts can resolve).

    An account is unreadable once it has been for `patience` seconds: where looks are rare, one that fails is no news.

    A trouble that came, went and came again is one: as long as any of its times lasts, it lasts.
    """
    latest: dict[tuple[str, str], Trouble] = {}
    for trouble in troubles:
        if trouble.since <= now:
            before = latest.get((trouble.kind, trouble.subject))
            latest[trouble.kind, trouble.subject] = trouble if before is None else max(before, trouble, key=_end)
    found = [_ailment(trouble, KINDS[trouble.kind], now, severity) for trouble in latest.values()]
    return [_patient(one, patience) if one.rule == f"{RULE_PREFIX}poll" else one for one in found]


def _patient(ailment: Ailment, patience: int) -> Ailment:
    timing = ailment.finding.timing._replace(hold_for=patience)
    return replace(ailment, finding=msgspec.structs.replace(ailment.finding, timing=timing))


def _end(trouble: Trouble) -> tuple[bool, int, int]:
    """How late a trouble ends, of equals how late it began."""
    return trouble.until is None, trouble.until or 0, trouble.since


def _ailment(trouble: Trouble, kind: Kind, now: int, severity: str) -> Ailment:
    lasts = trouble.until is None or trouble.until > now
    return Ailment(
        rule=f"{RULE_PREFIX}{trouble.kind}",
        labels={"alertname": kind.alert, kind.subject: trouble.subject, "severity": severity},
        annotations={
            "summary": kind.summary.format(subject=trouble.subject),
            "description": f"{trouble.message}. {kind.remedy}",
        },
        afterwards={
            "summary": kind.over.format(subject=trouble.subject),
            "description": f"It was: {trouble.message}.",
        },
        finding=Finding(timing=kind.timing, holds=lasts, elevated_at=now if lasts else None, why=trouble.message),
    )
