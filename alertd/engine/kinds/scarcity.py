"""Too few: judged where most is known, for the end of a window is thin until late logs have come."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from alertd.engine.samples import Scene, View


def fullest(views: Sequence[View], enough: Callable[[View], bool]) -> View:
    """The view that is worth most, of those with enough in them to say anything; the first if there is none."""
    return max([view for view in views if enough(view)] or views[:1], key=lambda view: (view.value, -view.offset))


def whole(scene: Scene) -> Scene:
    """The scene with whole windows: what a floor leaves out would be taken for missing."""
    return scene._replace(floor=0)
