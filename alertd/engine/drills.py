"""What marks an alert as a drill, so that nobody takes it for one and it hides no other."""

from __future__ import annotations

from collections.abc import Mapping

DRILL_LABEL = "alertd_test"
"""An alert with this label is a drill: nothing is wrong."""


def is_drill(labels: Mapping[str, str]) -> bool:
    """Whether these are the labels of a drill."""
    return DRILL_LABEL in labels
