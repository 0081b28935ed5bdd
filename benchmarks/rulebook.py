"""The hundred rules that alertd judges by in these measurements, and the configuration around them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import yaml

CODES = (
    *(53405, 53001, 53000, 53205, 53400, 53406, 53407, 20104, 53118, 53216, 53002, 53003, 53204, 53105, 53106),
    *(53114, 53117, 53203, 53206, 53300, 53301, 53302, 53303, 53304, 53305),
)
Table = dict[str, object]


def rules(number: int = 100) -> list[Table]:
    """So many rules as in a rule file: four for each error code, over four kinds of groups and two populations."""
    return list(_all_rules())[:number]


def _all_rules() -> Iterator[Table]:
    for code in CODES:
        yield {
            "alert": f"Failing{code}",
            "match": {"error_code": code},
            "by": ["account", "media_region"],
            "rate": {"above": "5%", "over": "1h"},
        }
        yield {
            "alert": f"Counted{code}",
            "match": {"any": [{"error_code": code}, {"error_code": [code + 1, code + 2]}]},
            "by": ["account"],
            "count": {"at_least": 500, "over": "30m"},
        }
        yield {
            "alert": f"OldSdk{code}",
            "match": {"error_code": code, "sdk_version": "< 2.28"},
            "by": ["account", "sdk"],
            "rate": {"above": "10%", "over": "2h"},
        }
        yield {
            "alert": f"Short{code}",
            "among": {"room_type": ["group", "group_small"]},
            "match": {"error_code": code, "duration_sec": "< 10", "media_region": {"not": "us1"}},
            "by": ["account", "edge_location"],
            "rate": {"above": "3%", "over": "6h"},
        }


def write_config(folder: Path, base_url: str, in_flight: int, number: int = 100) -> Path:
    """A configuration for the server at `base_url`, with so many rules and a database in `folder`."""
    (folder / "rules").mkdir()
    (folder / "rules" / "hundred.yaml").write_text(yaml.safe_dump({"rules": rules(number)}), encoding="utf-8")
    config = folder / "alertd.toml"
    config.write_text(
        f"""
[[accounts]]
name = "production"
api_key = "SK{"1" * 32}"
api_key_secret = "secret"
base_url = "{base_url}"

[collect]
max_in_flight = {in_flight}

[store]
url = "sqlite:///{folder}/alertd.db"

[route]
receiver = "nobody"

[[receivers]]
name = "nobody"
""",
        encoding="utf-8",
    )
    return config
