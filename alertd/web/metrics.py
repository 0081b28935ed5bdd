"""Which figures alertd publishes for Prometheus; labels are bounded by configuration, never by what Twilio sends."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from alertd import __version__

ALERTMANAGER = "0.34.0"
"""The release of Alertmanager whose meaning alertd follows; some dashboards ask for it."""


class Metrics:
    """One registry of its own, so that several daemons can live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        counter, gauge = partial(Counter, registry=self.registry), partial(Gauge, registry=self.registry)
        build = gauge("alertd_build_info", "The running version; always 1.", ["version"])
        build.labels(__version__).set(1)
        like = gauge("alertmanager_build_info", "The Alertmanager release alertd acts like; always 1.", ["version"])
        like.labels(ALERTMANAGER).set(1)
        self._count_collecting(counter, gauge)
        self.decisions = counter("alertd_decisions_total", "Instants decided at.")
        until = "The instant up to which rules were judged."
        self.evaluated_until = gauge("alertd_evaluated_until_timestamp_seconds", until)
        self.rule_failures = counter("alertd_rule_failures_total", "Rules that failed.", ["rule"])
        self.alerts = gauge("alertd_alerts", "Alerts by state.", ["state"])
        attempts = "Attempts to send, by result."
        self.deliveries = counter("alertd_deliveries_total", attempts, ["integration", "result"])
        self.outbox = gauge("alertd_notifications", "Notifications in the outbox by state.", ["state"])
        went = "Whether the configuration was last read without a problem: 1, else 0."
        self.reload_successful = gauge("alertd_config_last_reload_successful", went)
        since = "When the configuration was last read without a problem."
        self.reload_success_at = gauge("alertd_config_last_reload_success_timestamp_seconds", since)
        self.loop_failures = counter("alertd_loop_failures_total", "Turns of a loop that failed as a whole.", ["loop"])

    def _count_collecting(self, counter: Callable[..., Counter], gauge: Callable[..., Gauge]) -> None:
        account = ["account"]
        looks = "Looks at an account, by how they ended."
        self.looks = counter("alertd_looks_total", looks, [*account, "outcome"])
        seen = "When an account was last seen whole."
        self.last_look = gauge("alertd_last_look_timestamp_seconds", seen, account)
        self.rooms = counter("alertd_rooms_total", "Rooms by what became of them.", [*account, "state"])
        waiting = "Rooms that have ended and are not settled."
        self.waiting = gauge("alertd_rooms_waiting", waiting, account)
        missing = "Seconds of room starts that were not listed yet, or not for long."
        self.missing = gauge("alertd_coverage_missing_seconds", missing, account)
        oldest = "Age of the oldest room start that is missing; Twilio keeps rooms for 604800 seconds."
        self.oldest_missing = gauge("alertd_coverage_oldest_missing_age_seconds", oldest, account)
        requests = "Requests to Twilio by kind and outcome."
        self.requests = counter("alertd_twilio_requests_total", requests, [*account, "kind", "outcome", "reason"])
        answers = "How long Twilio took to answer."
        self.request_seconds = Histogram(
            "alertd_twilio_request_duration_seconds", answers, ["kind"], registry=self.registry
        )

    def keep_only(self, rules: Collection[str], integrations: Collection[str]) -> None:
        """Drop what was counted for rules (by key) and integrations that are no longer configured."""
        for counter, label, kept in (
            (self.rule_failures, "rule", rules),
            (self.deliveries, "integration", integrations),
        ):
            told = {sample.labels[label] for family in counter.collect() for sample in family.samples}
            for gone in told.difference(kept):
                counter.remove_by_labels({label: gone})

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
