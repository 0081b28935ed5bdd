"""What a decision goes by (the policy), what it starts from (the snapshot), and what it changes (the outcome)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from alertd.engine.acks import Ack
from alertd.engine.alerts import Alert
from alertd.engine.coverage import Coverage
from alertd.engine.explain import Explanation
from alertd.engine.groups import Group, Integration, Notification
from alertd.engine.health import KINDS, Trouble
from alertd.engine.inhibition import InhibitRule
from alertd.engine.intervals import TimeInterval
from alertd.engine.posted import Posted
from alertd.engine.questions import Question
from alertd.engine.routes import Tree
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample
from alertd.engine.settle import OpenRoom
from alertd.engine.silences import Silence

LISTED_AFTER = 2
"""Minutes by which a room that has started is listed, unless the policy says more: a look begins each minute."""
BLIND_AFTER = 600
"""Seconds without a look at an account after which nothing counts as recovered there, unless the policy says more."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of time in which an account was polled without a gap."""

    account: str
    seen_from: int
    seen_until: int


PASSED = 1800
"""Seconds after an instant for which it is still told which rooms went on then."""


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A change of state worth keeping: the history of an alert."""

    at: int
    event: Literal["firing", "resolved", "late"]
    fingerprint: str
    rule: str
    labels: dict[str, str]
    reason: str
    sample: Sample | None = None
    late: bool = False
    starts_at: int | None = None
    ends_at: int | None = None


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What the store holds when a decision begins; alerts by fingerprint, groups by key.

    `going` are the rooms that go on: how many, by account and the minute of their start. `settled` are those that
    settled within PASSED seconds before `taken_at`, when all this stood (a decision may be about an earlier instant):
    account, start, and when. `explained` are the answers to the questions of this very decision, by fingerprint; None
    where there is no answer. `starts_until` is when a history ends to tell which rooms went on; None where it tells
    always. `coverage` is what has been listed, by account; an account that is not in it was not looked at, but written
    down by somebody.
    """

    alerts: dict[str, Alert]
    groups: dict[str, Group]
    troubles: tuple[Trouble, ...] = ()
    sights: tuple[Sight, ...] = ()
    open_rooms: tuple[OpenRoom, ...] = ()
    silences: tuple[Silence, ...] = ()
    acks: tuple[Ack, ...] = ()
    posted: tuple[Posted, ...] = ()
    going: dict[str, dict[int, int]] = {}
    settled: tuple[tuple[str, int, int], ...] = ()
    taken_at: int | None = None
    starts_until: int | None = None
    coverage: dict[str, Coverage] = {}
    explained: dict[str, Explanation | None] = {}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision changes, to be committed whole; `errors` is by rule key, `next_at` the next group deadline.

    `withheld` would have been sent but for what their `withheld` says, and are kept to be shown.

    With `questions` it is no decision yet: it is to be asked for again with their answers.
    """

    alerts: tuple[Alert, ...] = ()
    groups: tuple[Group, ...] = ()
    gone_groups: tuple[str, ...] = ()
    notifications: tuple[Notification, ...] = ()
    withheld: tuple[Notification, ...] = ()
    events: tuple[Event, ...] = ()
    errors: dict[str, str] = {}
    next_at: int | None = None
    questions: tuple[Question, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write down: all stands as it stood."""
        changes = (self.alerts, self.groups, self.gone_groups, self.notifications, self.withheld, self.events)
        return not any(changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What people have decided: rules, routes, the integrations of each receiver, and what keeps alerts quiet.

    With `heartbeat` an alert always fires, if a route asks for it. `forwards` are, by receiver, the names of the
    integrations that get no notifications but the alerts themselves.
    """

    rules: tuple[Rule, ...]
    tree: Tree
    integrations: Mapping[str, tuple[Integration, ...]]
    forwards: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    accounts: tuple[str, ...] = ()
    inhibit_rules: tuple[InhibitRule, ...] = ()
    intervals: Mapping[str, TimeInterval] = field(default_factory=dict)
    health_severity: str = "page"
    heartbeat: bool = False
    blind_after: int = BLIND_AFTER
    listed_after: int = LISTED_AFTER

    def concerns(self, trouble: Trouble) -> bool:
        """Whether the account or integration in trouble is still configured; other troubles always count."""
        subject = KINDS[trouble.kind].subject
        if subject == "account":
            return trouble.subject in self.accounts
        if subject == "integration":
            told = {one.name for integrations in self.integrations.values() for one in integrations}
            return trouble.subject in told.union(*self.forwards.values())
        return True
