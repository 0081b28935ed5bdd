"""The circuit: when an account is left alone, for how long, and who may ask first."""

from __future__ import annotations

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from structlog.testing import capture_logs

from alertd.errors import CircuitOpenError, CredentialsError
from alertd.insights.answers import Trouble
from alertd.insights.circuit import FAILURES_TO_OPEN, LONGEST_OPEN, Circuit, Stretch

NOON = 1_772_452_800.0  # 2026-03-02 12:00:00 UTC
BROKEN = Trouble("503", "HTTP 503, Twilio error 20503: Service Unavailable", again=True)
REFUSED = Trouble("401", "Twilio refused the API key (HTTP 401)", error=CredentialsError)


def fail(circuit, trouble=BROKEN, times=1):
    for _ in range(times):
        entered = circuit.enter()
        circuit.failed(entered, trouble)
        circuit.leave(entered)


def succeed(circuit):
    entered = circuit.enter()
    circuit.succeeded()
    circuit.leave(entered)


@pytest.fixture
def circuit(clock, highest):
    return Circuit("production", clock.now, highest)


@pytest.fixture
def broken(circuit):
    """A circuit that has just opened."""
    fail(circuit, times=FAILURES_TO_OPEN)
    return circuit


def test_ten_failures_in_a_row_open_it(circuit):
    fail(circuit, times=9)
    circuit.check()
    fail(circuit)
    with pytest.raises(CircuitOpenError):
        circuit.check()


def test_a_success_in_between_starts_the_count_anew(circuit):
    for _ in range(5):
        fail(circuit, times=9)
        succeed(circuit)
    circuit.check()


def test_failures_that_were_in_flight_together_count_once(circuit):
    for _ in range(9):
        together = [circuit.enter() for _ in range(64)]
        for entered in together:
            circuit.failed(entered, BROKEN)
            circuit.leave(entered)
    circuit.check()


def test_the_error_names_the_account_the_last_failure_and_until_when(broken):
    with pytest.raises(CircuitOpenError) as caught:
        broken.check()
    assert str(caught.value) == (
        "account production: Twilio is left alone until 12:00:15 UTC, for nothing got through; "
        "last 503: HTTP 503, Twilio error 20503: Service Unavailable"
    )
    assert not isinstance(caught.value, CredentialsError)


def test_a_refused_key_stays_a_refused_key(circuit):
    fail(circuit, REFUSED, times=FAILURES_TO_OPEN)
    with pytest.raises(CircuitOpenError, match="refused the API key") as caught:
        circuit.check()
    assert isinstance(caught.value, CredentialsError)


def test_the_last_failure_decides_what_the_error_is(circuit):
    fail(circuit, REFUSED, times=9)
    fail(circuit, BROKEN)
    assert not isinstance(circuit.error(), CredentialsError)


def test_after_the_pause_one_may_probe_and_the_others_are_turned_away_meanwhile(broken, clock):
    clock.time += 15
    broken.enter()
    with pytest.raises(CircuitOpenError, match="until a first request gets through"):
        broken.enter()


def test_a_probe_that_succeeds_closes_it_for_all_and_for_good(broken, clock):
    clock.time += 15
    succeed(broken)
    fail(broken, times=9)
    broken.check()


def test_a_probe_that_is_cancelled_leaves_its_place_to_another(broken, clock):
    clock.time += 15
    broken.leave(broken.enter())
    succeed(broken)
    assert not broken.is_open


def test_each_probe_that_fails_doubles_the_pause_up_to_five_minutes(broken, clock):
    for seconds in (15, 30, 60, 120, 240, 300, 300):
        clock.time += seconds - 1
        with pytest.raises(CircuitOpenError):
            broken.check()
        clock.time += 1
        fail(broken)


def test_after_a_recovery_the_pauses_start_small_again(broken, clock):
    for seconds in (15, 30, 60):
        clock.time += seconds
        fail(broken)
    clock.time += 120
    succeed(broken)
    fail(broken, times=FAILURES_TO_OPEN)
    clock.time += 15
    broken.check()


def test_what_was_in_flight_when_it_opened_does_not_lengthen_the_pause(circuit, clock):
    late = circuit.enter()
    fail(circuit, times=FAILURES_TO_OPEN)
    clock.time += 10
    circuit.failed(late, BROKEN)
    circuit.leave(late)
    clock.time += 5
    circuit.check()


def test_a_late_success_of_what_was_in_flight_closes_it(circuit):
    circuit.enter()
    fail(circuit, times=FAILURES_TO_OPEN)
    circuit.succeeded()
    circuit.check()


def test_a_clock_set_back_does_not_prolong_anything(broken, clock):
    broken.hold(60)
    clock.time -= 3 * 3600
    broken.check()
    assert broken.held() == 0


def test_the_longest_wish_to_be_left_alone_counts(circuit, clock):
    circuit.hold(60)
    circuit.hold(20)
    assert circuit.held() == 60
    clock.time += 45
    circuit.hold(20)
    assert circuit.held() == 20
    clock.time += 20
    assert circuit.held() == 0


def test_a_stretch_is_left_from_its_first_moment_to_its_end():
    stretch = Stretch(10.0, 20.0)
    assert [stretch.left(now) for now in (9, 10, 15, 20, 25)] == [0, 10, 5, 0, 0]


def test_opening_and_closing_are_logged_once_each(circuit, clock):
    with capture_logs() as logs:
        fail(circuit, times=FAILURES_TO_OPEN)
        clock.time += 15
        succeed(circuit)
        succeed(circuit)
    assert [(entry["event"], entry["account"]) for entry in logs] == [
        ("circuit_opened", "production"),
        ("circuit_closed", "production"),
    ]


class Laws(RuleBasedStateMachine):
    """Any requests at any time with any fate, on a clock that may also jump back."""

    def __init__(self):
        super().__init__()
        self.now = NOON
        self.circuit = Circuit("production", lambda: self.now, random.Random(7))
        self.in_flight = []
        self.probes = []
        self.failures = 0

    @rule(seconds=st.floats(0, 400) | st.floats(-10_000, 0))
    def time_passes(self, seconds):
        self.now += seconds

    @rule()
    def a_request_comes(self):
        try:
            entered = self.circuit.enter()
        except CircuitOpenError:
            assert self.circuit.is_open
            return
        request = (object(), entered)
        self.in_flight.append(request)
        if self.circuit.is_open:
            self.probes.append(request)

    @rule(data=st.data(), fate=st.sampled_from(["ok", "failed", "failed", "failed", "cancelled"]))
    @precondition(lambda self: self.in_flight)
    def a_request_ends(self, data, fate):
        request = data.draw(st.sampled_from(self.in_flight))
        self._end(request, fate)

    @rule()
    def all_fail(self):
        for request in list(self.in_flight):
            self._end(request, "failed")

    def _end(self, request, fate):
        was_open = self.circuit.is_open
        self.in_flight.remove(request)
        if request in self.probes:
            self.probes.remove(request)
        if fate == "ok":
            self.circuit.succeeded()
            self.failures = 0
            assert not self.circuit.is_open
            self.circuit.check()
        if fate == "failed":
            self.circuit.failed(request[1], BROKEN)
            self.failures += 1
        self.circuit.leave(request[1])
        if self.circuit.is_open != was_open:
            self.probes.clear()

    @invariant()
    def no_two_probe_at_once(self):
        assert len(self.probes) <= 1

    @invariant()
    def it_is_closed_after_fewer_than_ten_failures_in_a_row(self):
        assert self.failures >= FAILURES_TO_OPEN or not self.circuit.is_open

    @invariant()
    def nobody_waits_longer_than_five_minutes_for_a_probe_unless_one_is_under_way(self):
        before, self.now = self.now, self.now + LONGEST_OPEN
        if not self.probes:
            self.circuit.check()
        self.now = before


Laws.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestLaws = Laws.TestCase
