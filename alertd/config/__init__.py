"""What the operator wants: configuration and rule files, judged whole, each mistake with its place."""

from __future__ import annotations

from alertd.config.checking import Checked, Loaded, check, load
from alertd.config.configfile import Config, Integration, load_config, load_store
from alertd.config.rulefiles import LoadedRules, load_rules
from alertd.config.schemas import schema_for

__all__ = [
    "Checked",
    "Config",
    "Integration",
    "Loaded",
    "LoadedRules",
    "check",
    "load",
    "load_config",
    "load_rules",
    "load_store",
    "schema_for",
]
