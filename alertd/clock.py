"""The clock that loops read once a turn and hand down: the system's, or one that runs faster for rehearsals."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """What a loop needs to know about time; `speed` is how many of its seconds pass in a real one."""

    speed: float

    def now(self) -> float:
        """Seconds since the epoch, UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock."""


class SystemClock:
    """The machine's clock."""

    speed = 1.0

    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait for so many real seconds."""
        await asyncio.sleep(max(0.0, seconds))


class FastClock:
    """A clock that reads `start` at its making and runs `speed` times as fast as the machine's."""

    def __init__(self, start: float, speed: float) -> None:
        self.speed = speed
        self._start = start
        self._origin = time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch in this clock's own time."""
        return self._start + (time.monotonic() - self._origin) * self.speed

    def run_at(self, speed: float) -> None:
        """Go on from the present reading at another speed."""
        self._start, self._origin, self.speed = self.now(), time.monotonic(), speed

    async def sleep(self, seconds: float) -> None:
        """Wait for so many seconds of this clock, a `speed`-th of them in real time."""
        await asyncio.sleep(max(0.0, seconds) / self.speed)
