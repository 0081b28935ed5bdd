"""Which figures alertd publishes for Prometheus; labels are bounded by configuration, never by what Twilio sends."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from alertd import __version__

ALERTMANAGER = "0.34.0"
"""The release of Alertmanager whose meaning alertd follows; some dashboards ask for it."""


class Metrics:
    """One registry of its own, so that several daemons can live in one process."""

    content_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        build = Gauge("alertd_build_info", "The running version; always 1.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        like = Gauge(
            "alertmanager_build_info",
            "The Alertmanager release alertd acts like; always 1.",
            ["version"],
            registry=registry,
        )
        like.labels(ALERTMANAGER).set(1)
        self.looks = Counter(
            "alertd_looks_total", "Looks at an account, by how they ended.", ["account", "outcome"], registry=registry
        )
        self.last_look = Gauge(
            "alertd_last_look_timestamp_seconds", "When an account was last seen whole.", ["account"], registry=registry
        )
        self.rooms = Counter(
            "alertd_rooms_total", "Rooms by what became of them.", ["account", "state"], registry=registry
        )
        self.waiting = Gauge(
            "alertd_rooms_waiting", "Rooms that have ended and are not settled.", ["account"], registry=registry
        )
        self.requests = Counter(
            "alertd_twilio_requests_total",
            "Requests to Twilio by kind and outcome.",
            ["account", "kind", "outcome", "reason"],
            registry=registry,
        )
        self.request_seconds = Histogram(
            "alertd_twilio_request_duration_seconds", "How long Twilio took to answer.", ["kind"], registry=registry
        )
        self.decisions = Counter("alertd_decisions_total", "Instants decided at.", registry=registry)
        self.evaluated_until = Gauge(
            "alertd_evaluated_until_timestamp_seconds", "The instant up to which rules were judged.", registry=registry
        )
        self.rule_failures = Counter("alertd_rule_failures_total", "Rules that failed.", ["rule"], registry=registry)
        self.alerts = Gauge("alertd_alerts", "Alerts by state.", ["state"], registry=registry)
        self.deliveries = Counter(
            "alertd_deliveries_total", "Attempts to send, by result.", ["integration", "result"], registry=registry
        )
        self.outbox = Gauge(
            "alertd_notifications", "Notifications in the outbox by state.", ["state"], registry=registry
        )
        self.loop_failures = Counter(
            "alertd_loop_failures_total", "Turns of a loop that failed as a whole.", ["loop"], registry=registry
        )

    def exposition(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)
