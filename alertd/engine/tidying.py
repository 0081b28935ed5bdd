"""When windows forget what no rule looks back to any more."""

from __future__ import annotations

from dataclasses import dataclass

TIDY_EVERY = 30
"""Minutes between forgettings of windows: more often costs more time than it saves memory."""
BOOKS_EVERY = 10
"""Minutes between those of books, whose answers depend on it."""


@dataclass(slots=True)
class Tidying:
    """At which minutes windows last forgot, and books. Who goes on from them must forget at the same minutes."""

    windows: int | None = None
    books: int | None = None

    def books_due(self, minute: int) -> int | None:
        """The minute, a whole ten, up to which books forget at `minute`, whenever alertd was started; noted if any."""
        due = minute - minute % BOOKS_EVERY
        if due == self.books:
            return None
        self.books = due
        return due

    def are_windows_due(self, minute: int) -> bool:
        """Whether windows forget at `minute`, which is then noted."""
        if self.windows is not None and minute < self.windows + TIDY_EVERY:
            return False
        self.windows = minute
        return True
