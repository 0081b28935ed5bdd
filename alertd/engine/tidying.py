"""When windows forget, and how much more than rules look back to they keep while rooms come very late."""

from __future__ import annotations

from dataclasses import dataclass

TIDY_EVERY = 10
"""Minutes between forgettings."""
REACHED_FOR = 360
"""Minutes for which what was counted again is kept, at least: where one room came very late more will, for hours."""

FARTHEST = 3 * 24 * 60
"""Minutes back beyond which nothing is kept for more such rooms: outages that long are rare, and days take much memory,
as they do while such a room is judged."""


@dataclass(slots=True)
class Tidying:
    """At which minutes windows last forgot, and books. Who goes on from them must forget at the same minutes.

    `needed` is the minute down to which rooms that came very late had to be judged since then. How many minutes back
    that was is kept as the most of the stretch that began at `since`, and of the one before it.
    """

    windows: int | None = None
    books: int | None = None
    needed: int | None = None
    since: int = 0
    most: int = 0
    most_before: int = 0

    def need(self, down_to: int) -> None:
        """A room that came very late is judged among those that ended after minute `down_to`."""
        self.needed = down_to if self.needed is None else min(self.needed, down_to)

    def books_due(self, minute: int) -> int | None:
        """The minute, a whole ten, up to which books forget at `minute`, whenever alertd was started; noted if any."""
        due = minute - minute % TIDY_EVERY
        if due == self.books:
            return None
        self.books = due
        return due

    def are_windows_due(self, minute: int) -> bool:
        """Whether windows forget at `minute`, which is then noted."""
        if self.windows is not None and minute < self.windows + TIDY_EVERY:
            return False
        self.windows = minute
        if minute >= self.since + REACHED_FOR:
            self.most_before = self.most if minute < self.since + 2 * REACHED_FOR else 0
            self.since, self.most = minute, 0
        if self.needed is not None and minute - self.needed <= FARTHEST:
            self.most = max(self.most, minute - self.needed + REACHED_FOR)
        self.needed = None
        return True

    @property
    def back(self) -> int:
        """The minutes that are kept for rooms that come very late.

        To count a day again takes as long as to count it, so it must not be forgotten between one such room and the
        next.
        """
        return max(self.most, self.most_before)
