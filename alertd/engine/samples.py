"""What a rule sees: the scene it is judged on, the windows it looks at, and the sample that its alert carries."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

import msgspec

from alertd.engine.rough import Rough
from alertd.engine.windows import MINUTE, Series, Sums

Of = Literal["participants", "rooms", "identities"]
LATE = 30
"""Minutes by which Twilio's logs may trail the end of a room (Video Log Analyzer documentation)."""
STEP = 5
"""Minutes between the positions at which a short window is judged."""
Spans = Sequence[tuple[int, int]]
"""Stretches of minutes, first and last."""


class Sample(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a rule saw for one group in one window, in the rule's own unit `of`; times and lengths in seconds.

    `value` is what is compared with `limit`, and `below` says that the rule holds under it, not over it; `lower` and
    `upper` bound a share; `baseline` is what is usual, in the unit of `value`; `position` is how long before the tick
    the window ends; `settled_share` is rooms settled of rooms known in the window; `learning` says that too little is
    known of the past to judge; `new` are the values that were never seen before; `times` says that `value` and `limit`
    are multiples of an error budget.
    """

    value: float
    limit: float
    matched: int
    total: int
    rooms: int
    rooms_affected: int
    identities: int
    window: int
    position: int
    of: Of = "participants"
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    settled_share: float | None = None
    below: bool = False
    learning: bool = False
    new: tuple[str, ...] = ()
    times: bool = False

    @property
    def rate(self) -> float:
        """The plain share of matches, 0 where nothing was counted."""
        return self.matched / self.total if self.total else 0.0


class View(NamedTuple):
    """A window as a rule sees it: the minutes with `after` < minute ≤ `upto`, and what the rule makes of them.

    `offset` is how many minutes before the tick it ends, `window` its full length in seconds (recovery may have cut
    it short), `excess` by how much it is worse than another window of the same rule; the rest as in the sample.
    """

    offset: int
    window: int
    after: int
    upto: int
    sums: Sums
    matched: int
    total: int
    holds: bool
    value: float
    limit: float
    excess: float
    lower: float | None = None
    upper: float | None = None
    baseline: float | None = None
    learning: bool = False
    new: tuple[str, ...] = ()
    times: bool = False


class Peer(NamedTuple):
    """A group of the same rule, and the stretches of minutes in which its alert fired."""

    series: Series
    fired: Spans = ()


class Scene(NamedTuple):
    """One group of a rule at one minute.

    No window reaches back to minute `floor` or before. `peers` gives all groups of the rule, this one included;
    `fired` are the stretches in which this group's alert fired, `firing` is the sample of the alert that fires now.
    Where starts count, `listed` is the last minute whose starts are all listed (None: the scene's own), and `waiting`
    how many rooms, by the minute of their start, have not settled yet.
    """

    series: Series
    minute: int
    floor: int = 0
    peers: Callable[[], Iterable[Peer]] = tuple
    fired: Spans = ()
    firing: Sample | None = None
    listed: int | None = None
    waiting: Mapping[int, int] = {}

    def at(self, minute: int) -> Scene:
        """The same group at another minute."""
        return self._replace(minute=minute)


class Kind(Protocol):
    """A kind of rule: what it holds on. All lengths in seconds but `minutes`."""

    @property
    def of(self) -> Of:
        """What it counts."""

    @property
    def reach(self) -> int:
        """How far back it looks in all."""

    @property
    def minutes(self) -> int:
        """How many whole minutes back it looks into the counts minute by minute."""

    @property
    def hindsight(self) -> int:
        """For how many minutes behind a room that came late windows are judged again; 0 where that tells nothing."""

    @property
    def holds_below(self) -> bool:
        """Whether it holds under its limit."""

    @property
    def needs_match(self) -> bool:
        """Whether nothing can hold where nothing matches."""

    @property
    def needs_many(self) -> bool:
        """Whether rooms without a match can make it hold, because they make too small a sample large enough."""

    def judge(self, scene: Scene) -> View:
        """Whether it holds at the scene's minute in any of its windows and positions; the worst of them."""

    def judge_then(self, scene: Scene) -> View | None:
        """What it would have said at the scene's minute, had all been known: windows that end right there.

        None where the kind says nothing in hindsight.
        """

    def elevated(self, scene: Scene) -> int | None:
        """The last minute at which trouble went on, as far as the late half hour shows; None if it does not."""

    def traffic_judged(self, scene: Scene, since: int) -> bool:
        """Whether enough traffic ended after minute `since` to call quiet a recovery."""

    def conceivable(self, scene: Scene, after: int, upto: int) -> bool:
        """Whether any window inside these minutes can hold at all: most are quiet, and this is cheap."""

    def may_have_held(self, rough: Rough) -> bool:
        """Whether a window can have held of which this is known: if not, it need not be counted again."""

    def in_words(self) -> str:
        """When it holds, in words."""

    def describe(self, sample: Sample) -> str:
        """The sample in words, the reason of a change."""


class Past(NamedTuple):
    """Minutes, first to last, in which a rule held unseen; how many of them, and the worst window."""

    first: int
    last: int
    minutes: int
    worst: View


def positions(window: int) -> range:
    """How many minutes before the tick a window of so many seconds may end: short ones at several."""
    return range(0, LATE + 1, STEP) if window <= LATE * MINUTE else range(1)


def span(scene: Scene, offset: int, length: int) -> tuple[int, int]:
    """The window of `length` seconds that ends `offset` minutes before the scene, as (after, upto) in minutes."""
    upto = scene.minute - offset
    return max(upto - length // MINUTE, scene.floor), upto


def earliest(scene: Scene, length: int) -> tuple[int, int]:
    """The minutes that windows of `length` seconds cover in all their positions, as (after, upto)."""
    return span(scene, positions(length)[-1], length)[0], scene.minute


def counted(of: Of, series: Series, after: int, upto: int, sums: Sums) -> tuple[int, int]:
    """Matches and population of a window in the unit that the rule counts."""
    if of == "rooms":
        return sums.affected, sums.rooms
    return series.identities(after, upto) if of == "identities" else (sums.matched, sums.total)


def latest_elevated(scene: Scene, length: int, is_elevated: Callable[[int], bool]) -> int | None:
    """The latest minute before the scene at which a window of `length` seconds is elevated.

    Since logs trail, the windows that ended some minutes ago are looked at again, each position of them.
    """
    if not scene.series.between(max(scene.minute - LATE - length // MINUTE, scene.floor), scene.minute).matched:
        return None
    return next((scene.minute - offset for offset in positions(length) if is_elevated(offset)), None)


def worst(views: Iterable[View]) -> View:
    """The view that holds with the most excess; the latest of equals."""
    return max(views, key=lambda view: (view.holds, view.excess, -view.offset))


def can_matter(kind: Kind, matches: bool) -> bool:
    """Whether rooms can have made a rule hold, of which it is known whether anything matches in them."""
    return matches or kind.needs_many or not kind.needs_match


def judge_past(kind: Kind, scene: Scene, fresh: Iterable[int], hold_for: int) -> Past | None:
    """Where a rule held before the late half hour, as judged now that the rooms of the minutes `fresh` are known.

    Only windows that contain one of them are looked at: all others were judged when they were the latest. None where
    it held nowhere, or never for as long as `hold_for` (seconds).
    """
    latest = scene.minute - LATE - 1
    seen = {ending for first in fresh for ending in range(first, min(first + kind.hindsight - 1, latest) + 1)}
    if not seen or not kind.conceivable(scene, max(min(seen) - kind.minutes, scene.floor), max(seen)):
        return None
    views = [kind.judge_then(scene.at(ending)) for ending in sorted(seen)]
    held = [view for view in views if view is not None and view.holds]
    if not held or (_longest_run([view.upto for view in held]) - 1) * MINUTE < hold_for:
        return None
    return Past(held[0].upto, held[-1].upto, len(held), max(held, key=lambda view: view.excess))


def _longest_run(minutes: Iterable[int]) -> int:
    """How many of the minutes, given in order, follow directly on one another at most."""
    longest = run = 0
    before = None
    for minute in minutes:
        run = run + 1 if before == minute - 1 else 1
        longest, before = max(longest, run), minute
    return longest


def sample_of(kind: Kind, scene: Scene, view: View, settled_share: float | None = None) -> Sample:
    """The view as alerts carry it."""
    return Sample(
        value=view.value,
        limit=view.limit,
        matched=view.matched,
        total=view.total,
        rooms=view.sums.rooms,
        rooms_affected=view.sums.affected,
        identities=scene.series.identities(view.after, view.upto)[0] if view.sums.matched else 0,
        window=view.window,
        position=(scene.minute - view.upto) * MINUTE,
        of=kind.of,
        lower=view.lower,
        upper=view.upper,
        baseline=view.baseline,
        settled_share=settled_share,
        below=kind.holds_below,
        learning=view.learning,
        new=view.new,
        times=view.times,
    )


_ONE: dict[Of, str] = {"participants": "participant", "rooms": "room", "identities": "identity"}


def number_of(count: int, of: Of) -> str:
    """`1 room`, `5 participants`."""
    return f"{count} {_ONE[of] if count == 1 else of}"


def percent(share: float) -> str:
    """A share for the reason of a change: `12.5 %`."""
    return f"{100 * share:.3g} %"
