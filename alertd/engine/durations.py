"""Durations as people write them (`30s`, `5m`, `2h`, `7d`, `1h30m`) and as the engine counts them: whole seconds."""

from __future__ import annotations

import re

UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def parse_duration(text: str) -> int:
    """Seconds meant by `text`, such as `90s`, `5m` or `1h30m`; ValueError says what would be right."""
    found = _DURATION.fullmatch(text.strip())
    if not text.strip() or found is None or not any(found.groups()):
        raise ValueError(f"{text!r} is not a duration; write it like 30s, 5m, 2h or 7d")
    return sum(int(count) * unit for count, unit in zip(found.groups(), UNITS.values(), strict=True) if count)


def format_duration(seconds: int) -> str:
    """The shortest text that `parse_duration` reads as so many seconds: `90` gives `1m30s`."""
    parts, rest = [], seconds
    for name, unit in UNITS.items():
        if name == "w":
            continue
        count, rest = divmod(rest, unit)
        if count:
            parts.append(f"{count}{name}")
    return "".join(parts) or "0s"
