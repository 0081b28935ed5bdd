"""What docs/detection.md shows of the histories: for each size a table of rules and incidents, and its false alarms."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from statistics import median
from typing import Any

Histories = list[dict[str, Any]]
TITLES = {
    "regional-outage": "regional outage, 40 min",
    "blip": "blip, 3 min",
    "turn-failure": "TURN failure, 1 h",
    "bad-sdk-release": "bad release, over 6 h",
    "slow-burn": "slow burn, over 24 h",
    "big-room-storm": "one bad webinar (silence is right)",
}
SILENCE = "big-room-storm"
HOURS_FROM = 120
"""Minutes from which on hours are told."""
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"


def with_figures(page: str, histories: Histories) -> str:
    """The page with new figures between its marks."""
    found = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)
    return found.sub(lambda _: f"{BEGIN}\n{figures(histories)}\n{END}", page)


def as_json(histories: Histories) -> str:
    """The histories as they are kept, one a line."""
    return "[\n" + ",\n".join(json.dumps(history) for history in histories) + "\n]\n"


def figures(histories: Histories) -> str:
    """A heading and a table for each size, the smallest first."""
    sizes = sorted({history["size"] for history in histories})
    return "\n".join(line for size in sizes for line in _section([one for one in histories if one["size"] == size]))


def _section(histories: Histories) -> Iterator[str]:
    rooms, number = histories[0]["size"], len(histories)
    weeks = sum(history["clean_hours"] for history in histories) / 168
    histories_of = "1 history" if number == 1 else f"{number} histories"
    yield f"\n### {rooms:,} rooms a day: {histories_of}, {weeks:.1f} clean weeks\n"
    rules = list(histories[0]["found"])
    names = [name for name in TITLES if name in histories[0]["found"][rules[0]]]
    yield f"| rule | {' | '.join(TITLES[name] for name in names)} | false alarms a clean week | strays |"
    yield "|---" * (len(names) + 3) + "|"
    for rule in rules:
        cells = [_cell(name, [history["found"][rule][name] for history in histories]) for name in names]
        false, stray = (sum(history[key][rule] for history in histories) for key in ("false", "stray"))
        yield f"| {rule} | {' | '.join(cells)} | {false / weeks:.2f} ({false}) | {stray} |"


def _cell(incident: str, minutes: list[float | None]) -> str:
    found = [one for one in minutes if one is not None]
    share = f"{len(found)} of {len(minutes)}"
    if not found or incident == SILENCE:
        return share
    spread = f" ({_between(min(found), max(found))})" if len(found) > 1 else ""
    return f"**{_lasting(median(found))}**{spread}, {share}"


def _between(low: float, high: float) -> str:
    """The two, with their units only where these differ."""
    unit = {_lasting(minutes).split()[1] for minutes in (low, high)}
    return f"{_lasting(low)} to {_lasting(high)}" if len(unit) > 1 else f"{_figure(low)} to {_figure(high)}"


def _lasting(minutes: float) -> str:
    return f"{_figure(minutes)} {'min' if minutes < HOURS_FROM else 'h'}"


def _figure(minutes: float) -> str:
    return f"{minutes:.0f}" if minutes < HOURS_FROM else f"{minutes / 60:.1f}"
