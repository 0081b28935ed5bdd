"""How many requests may be in flight at once: as many as Twilio bears, found out by asking."""

from __future__ import annotations

import asyncio
from collections import deque

ROUNDS_TO_GROW = 10
"""So many times the present limit in successes before one more place is tried."""


class Limiter:
    """At most `limit` requests at once, first come first served.

    Twilio limits the concurrent requests of a whole account and answers 429 beyond (error 20429); how many is not
    published. So the limit halves when refused and grows by one after a long run of successes: additive increase,
    multiplicative decrease (Chiu and Jain 1989), never above `most`, never below 1.
    """

    def __init__(self, most: int) -> None:
        self.limit = most
        self.busy = 0
        self._most = most
        self._cuts = 0
        self._successes = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def enter(self) -> int:
        """Wait for a place; hand the number returned to `refused` if it comes to that, and `leave` in any case."""
        if self.busy < self.limit and not self._waiting:
            self.busy += 1
        else:
            await self._queue()
        return self._cuts

    def leave(self) -> None:
        """Give the place back."""
        self.busy -= 1
        self._admit()

    def succeeded(self) -> None:
        """Count a success; enough of them open one place more."""
        self._successes += 1
        if self._successes >= ROUNDS_TO_GROW * self.limit and self.limit < self._most:
            self._successes = 0
            self.limit += 1
            self._admit()

    def refused(self, entered: int) -> None:
        """Halve the limit, once for all requests that were in flight together: `entered` is what `enter` returned."""
        if entered == self._cuts:
            self._cuts += 1
            self._successes = 0
            self.limit = max(1, self.limit // 2)

    async def _queue(self) -> None:
        place = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            # Cancelled in the very moment it was admitted: the place goes on to the next.
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def _admit(self) -> None:
        while self._waiting and self.busy < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self.busy += 1
                place.set_result(None)
