"""Whether Twilio may be asked on behalf of an account now, or is better left alone for a while."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from alertd.errors import CircuitOpenError, CredentialsError
from alertd.insights.answers import Trouble

log = structlog.get_logger()

FAILURES_TO_OPEN = 10
"""Failures in a row, those in flight together counted once. One request makes 5 tries, so no single room that always
fails opens the circuit; and 6 refusals bring the limiter from 64 down to 1, so it has tried before we give up."""
FIRST_OPEN = 15.0
LONGEST_OPEN = 300.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of time, in seconds since the epoch. A clock that was set back finds itself before it, not in it."""

    since: float
    until: float

    def left(self, now: float) -> float:
        """Seconds from `now` to its end, 0 outside of it."""
        return max(0.0, self.until - now) if self.since <= now else 0.0


class Circuit:
    """One account's: closed while requests get through, open after too many failures in a row.

    Open, it turns every request away for 15 s at first, doubling to 300 s with each failed probe, less up to half of
    it by jitter; then one request at a time may probe, whose success closes it (Michael Nygard, "Release It!", 2007,
    "Circuit Breaker"). Apart from that, `hold` keeps a Retry-After for all requests of the account.
    """

    def __init__(self, account: str, now: Callable[[], float], dice: random.Random) -> None:
        self._account = account
        self._now = now
        self._dice = dice
        self._failures = 0
        self._openings = 0
        self._round = 0
        self._last = Trouble("", "nothing")
        self._open: Stretch | None = None
        self._probing = False
        self._held = Stretch(0.0, 0.0)

    @property
    def is_open(self) -> bool:
        """Whether the last word was failure, also while a request probes."""
        return self._open is not None

    def check(self) -> None:
        """Raise CircuitOpenError if no request may begin now."""
        if self._open is not None and (self._probing or self._open.left(self._now()) > 0):
            raise self.error()

    def enter(self) -> int:
        """Begin a try, or raise CircuitOpenError; hand the number to `failed` if it comes to that, and to `leave`."""
        self.check()
        self._probing = self.is_open
        return self._round

    def leave(self, entered: int) -> None:
        """The try is over, however it went: if it was the probe and told nothing, another may probe."""
        if entered == self._round:
            self._probing = False

    def succeeded(self) -> None:
        """Twilio answered the account: nothing stands against asking more."""
        if self.is_open:
            log.info("circuit_closed", account=self._account)
        self._open = None
        self._failures = self._openings = 0

    def failed(self, entered: int, trouble: Trouble) -> None:
        """The account's try failed. Tries that began before a failure already counted tell nothing new."""
        self._last = trouble
        if entered != self._round:
            return
        self._round += 1
        self._failures += 1
        if self.is_open or self._failures >= FAILURES_TO_OPEN:
            self._trip(trouble)

    def hold(self, seconds: float) -> None:
        """Twilio asked for so many seconds without requests; the longest such wish counts."""
        now = self._now()
        if seconds > self._held.left(now):
            self._held = Stretch(now, now + seconds)

    def held(self) -> float:
        """Seconds for which no request may begin because Twilio asked so."""
        return self._held.left(self._now())

    def error(self) -> CircuitOpenError:
        """What to tell whoever is turned away."""
        last = f"{self._last.reason}: {self._last.text}"
        told = f"account {self._account}: Twilio is left alone {self._until()}, for nothing got through; last {last}"
        return _KeyRefusedError(told) if issubclass(self._last.error, CredentialsError) else CircuitOpenError(told)

    def _trip(self, trouble: Trouble) -> None:
        bound = min(LONGEST_OPEN, FIRST_OPEN * 2.0 ** min(self._openings, 10))
        seconds = self._dice.uniform(bound / 2, bound)
        now = self._now()
        self._open, self._probing = Stretch(now, now + seconds), False
        self._openings += 1
        told = {"reason": trouble.reason, "error": trouble.text, "seconds": round(seconds, 1)}
        log.warning("circuit_opened", account=self._account, **told)

    def _until(self) -> str:
        if self._open is not None and self._open.left(self._now()) > 0:
            return f"until {datetime.fromtimestamp(self._open.until, UTC):%T} UTC"
        return "until a first request gets through"


class _KeyRefusedError(CircuitOpenError, CredentialsError):
    """An open circuit whose cause is the key: whoever tells the two apart sees both."""
