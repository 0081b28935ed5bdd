"""Why a rule does not hold on what it saw: the first thing that was lacking, in words."""

from __future__ import annotations

from alertd.engine.kinds import Absent, Anomaly, AnyKind, BurnRate, Count, Metric, NewValue, Rate, Spike
from alertd.engine.samples import Sample


def shortfall(kind: AnyKind, sample: Sample) -> str:
    """What `kind` lacked in a sample on which it did not hold: `too few are counted: 24 of min 30`."""
    if sample.learning:
        return "it is still learning what is usual"
    return _too_few(kind, sample) or _not_beyond(kind, sample)


def _too_few(kind: AnyKind, sample: Sample) -> str:
    """What was too little to judge at all; empty if it was enough."""
    if isinstance(kind, NewValue):
        return f"no value is new in {kind.min_rooms} rooms (min_rooms)"
    counted = sample.matched if isinstance(kind, Metric) else sample.total
    if isinstance(kind, Rate | Metric) and counted < kind.min:
        return f"too few are counted: {counted} of min {kind.min}"
    if isinstance(kind, Rate | Anomaly | BurnRate) and sample.rooms_affected < kind.min_rooms:
        return f"too few rooms have a match: {sample.rooms_affected} of min_rooms {kind.min_rooms}"
    return ""


def _not_beyond(kind: AnyKind, sample: Sample) -> str:
    """How it stands with the limit where enough was counted."""
    match kind:
        case Rate() if sample.value > sample.limit and sample.lower is not None:
            return "not above the limit beyond chance"
        case Anomaly() if sample.value > sample.limit:
            return "not beyond chance, or over by now"
        case Absent() if sample.value < sample.limit:
            return "not beyond chance"
        case BurnRate() if sample.value > sample.limit:
            return "it does not go on in the short window"
        case Count() | Spike():
            return "fewer than the limit"
    return f"not {'below' if sample.below else 'above'} the limit"
