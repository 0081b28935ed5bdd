"""What kinds have in common that look at one window, of `over` seconds."""

from __future__ import annotations

from alertd.engine.samples import Kind, Scene, earliest, positions
from alertd.engine.windows import MINUTE


class OneWindow:
    """How far such a kind looks: as far as its window."""

    __slots__ = ()
    over: int

    @property
    def reach(self) -> int:
        """How far back it looks."""
        return self.over

    @property
    def minutes(self) -> int:
        """The window in minutes."""
        return self.over // MINUTE

    @property
    def hindsight(self) -> int:
        """The window."""
        return self.over // MINUTE


def offsets(kind: Kind, scene: Scene, over: int) -> range:
    """The positions in which a window is worth a look: one will do where nothing can hold in any."""
    every = positions(over)
    return every if len(every) == 1 or kind.conceivable(scene, *earliest(scene, over)) else range(1)
