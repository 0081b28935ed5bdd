"""The kinds of rule: what each holds on, and by how much; mathematics as in docs/rules.md, each with its source."""

from __future__ import annotations

from alertd.engine.kinds.absent import Absent
from alertd.engine.kinds.anomaly import Anomaly
from alertd.engine.kinds.burn_rate import BurnRate
from alertd.engine.kinds.count import Count
from alertd.engine.kinds.distinct import Distinct
from alertd.engine.kinds.metric import Metric
from alertd.engine.kinds.new_value import NewValue
from alertd.engine.kinds.rate import Rate
from alertd.engine.kinds.spike import Spike

AnyKind = Count | Rate | Absent | Anomaly | BurnRate | Spike | NewValue | Metric | Distinct

__all__ = ["Absent", "Anomaly", "AnyKind", "BurnRate", "Count", "Distinct", "Metric", "NewValue", "Rate", "Spike"]
