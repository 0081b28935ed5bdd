"""What a drill tells: a made-up alert in the words of a real one, marked TEST in all that leaves.

The mark is the reason `test`, by which receivers put it into titles and texts; the label `alertd_test` and a word
before summary and description, for those who read neither; and a fingerprint and a group of its own, so that nothing
real is updated or closed by it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from alertd.config import Loaded
from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.conditions import EVERYTHING, parse_condition
from alertd.engine.drills import DRILL_LABEL
from alertd.engine.groups import Group, Integration, Notification, flush
from alertd.engine.kinds import Count
from alertd.engine.routes import Place, Tree
from alertd.engine.rules import Rule
from alertd.errors import AlertdError
from alertd.policy import policy_of
from alertd.pseudonyms import shown
from alertd.receivers.wording import DRILL
from alertd.specimens import specimen

MARK = "TEST: "
LASTS = 60
"""Seconds for which an Alertmanager takes the alert to fire: longer than the usual `group_wait`, so that it tells."""
SPOKEN = ("summary", "description")
"""The annotations that people read; others may be addresses or names."""
NEUTRAL = Rule(
    alert="AlertdTest",
    kind=Count(at_least=1),
    match=parse_condition({"error": True}).condition or EVERYTHING,
    labels={"severity": "none"},
    annotations={
        "summary": lambda _: "messages from alertd arrive here",
        "description": lambda _: f"{DRILL} Somebody has run `alertd receivers test`; figures and calls are made up.",
    },
    source="alertd receivers test",
)
"""The rule whose alert is told where none is asked for."""


@dataclass(frozen=True, slots=True)
class Drill:
    """A marked alert, `at` an instant, and the place in the routes at which it is told; `led_to` are the receivers to
    which the routes lead an alert of this kind."""

    alert: Alert
    place: Place
    group_labels: Mapping[str, str]
    group_key: str
    led_to: tuple[str, ...]
    at: int

    @property
    def waits(self) -> int:
        """The seconds that may pass until its group is told: it may be a new one, or one that was just told."""
        return max(self.place.route.group_wait, self.place.route.group_interval)

    def notification(self, integration: str) -> Notification:
        """The message to an integration (`oncall/slack[0]`), with an id of its own."""
        group = Group(
            key=self.group_key,
            receiver=integration.rpartition("/")[0],
            route=self.place.key,
            labels=dict(self.group_labels),
            members=(self.alert.fingerprint,),
        )
        known = {self.alert.fingerprint: self.alert}
        (told,) = flush(group, self.place.route, known, [Integration(integration)], self.at).notifications
        return msgspec.structs.replace(told, reason="test", id=f"msg_{secrets.token_hex(13)}")

    def passing(self) -> Alert:
        """The alert as it is forwarded: it is over LASTS seconds later, though nobody will say so then."""
        return msgspec.structs.replace(self.alert, state="resolved", ends_at=self.at + LASTS)


def drill(loaded: Loaded, receiver: str, rule: Rule | None, now: int) -> Drill:
    """A drill for a receiver at `now` (seconds since the epoch), grouped as its route would group an alert of the rule.

    AlertdError if a text of the rule cannot be made.
    """
    tree, config = policy_of(loaded).tree, loaded.config
    accounts = [account.name for account in config.accounts]
    try:
        made = specimen(rule or NEUTRAL, accounts, shown(config, b"made up"), now)
    except ValueError as error:
        raise AlertdError(f"{(rule or NEUTRAL).source}: {error}") from None
    place, led_to = _place(tree, receiver, made)
    return Drill(
        alert=marked(made),
        place=place,
        group_labels=place.group_labels(made.labels),
        group_key=f"test {place.group_key(made.labels)}",
        led_to=led_to,
        at=now,
    )


def _place(tree: Tree, receiver: str, alert: Alert) -> tuple[Place, tuple[str, ...]]:
    """Where the receiver is told of the alert, or else anybody; and who is told."""
    places = tree.match(alert.labels)
    of_receiver = [place for place in places if place.route.receiver == receiver]
    led_to = tuple(dict.fromkeys(place.route.receiver for place in places))
    return next(iter([*of_receiver, *places]), tree.root), led_to


def marked(alert: Alert) -> Alert:
    """The alert so that whoever passes on labels and annotations passes on that it is none."""
    labels = {**alert.labels, DRILL_LABEL: "true"}
    texts = {name: f"{MARK}{text}" if name in SPOKEN else text for name, text in alert.annotations.items()}
    return msgspec.structs.replace(alert, fingerprint=fingerprint(labels), labels=labels, annotations=texts)
