"""Which of a scenario's faults strike now: by the time since the start, and by a seeded draw for each request."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

from alertd.clock import Clock
from alertd.simulator.events import Event
from alertd.simulator.faultkinds import Fault, Sharing, Skew

E = TypeVar("E", bound=Event)
S = TypeVar("S", bound=Sharing)


class Faults:
    """The faults of a scenario that starts now.

    `chance` is where all draws for requests come from: the same seed and the same requests in the same order have the
    same luck.
    """

    def __init__(self, faults: Sequence[Fault], clock: Clock, *, seed: int) -> None:
        self.start = int(clock.now())
        self.chance = random.Random(f"{seed}/faults")
        self._clock = clock
        self._of_kind: dict[type[Event], list[Event]] = defaultdict(list)
        for fault in faults:
            self._of_kind[type(fault)].append(fault)

    def lasting(self, kind: type[E]) -> list[E]:
        """The faults of this kind that go on now."""
        among = self._of_kind.get(kind)
        if among is None:
            return []
        elapsed = self._clock.now() - self.start
        return [fault for fault in among if isinstance(fault, kind) and fault.covers(elapsed)]

    def strikes(self, kind: type[S]) -> S | None:
        """The first fault of this kind that strikes the present request, None if none does."""
        return next((fault for fault in self.lasting(kind) if self.chance.random() < fault.share), None)

    def now(self) -> float:
        """What the API takes for the time, seconds since the epoch: the clock's with the skew that lasts."""
        return self._clock.now() + sum(skew.seconds for skew in self.lasting(Skew))
