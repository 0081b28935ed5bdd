"""What scenarios are made of: things that begin some time after the simulator's start and last for a while."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from alertd.settings import Duration, Table

Share = Annotated[float, Field(ge=0, le=1)]


class Event(Table):
    """Something that begins `at` seconds after the simulator's start and `lasts` so many (`for` in the file)."""

    at: Duration
    lasts: Duration = Field(alias="for", gt=0)

    def covers(self, elapsed: float) -> bool:
        """Whether it goes on so many seconds after the simulator's start."""
        return 0 <= elapsed - self.at < self.lasts
