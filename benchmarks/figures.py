"""Which figures follow from the measured rounds, what each is compared with, and whether it reaches its goal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from benchmarks.rounds import Result, Spread, ratio, spread

Results = dict[str, Result]
"""What each part `found`, by its name, and something `about` the measuring."""
WAITS = "30ms"


class Figure(NamedTuple):
    """A row of the table; `reached` is None where there is no goal, or where nothing could be measured."""

    what: str
    figure: str
    against: str
    ratio: str = ""
    reach: str = ""
    reached: bool | None = None


def figures(results: Results) -> list[Figure]:
    """The rows of all parts that were measured."""
    return [figure for part, rows in PARTS.items() if part in results for figure in rows(results[part]["found"])]


def _fetching(part: Result) -> Iterator[Figure]:
    """What did not run at all, as in a quick look, is left out."""
    for row in _rooms():
        if rates(part, f"{row.ours} {row.delay}"):
            yield _compared(part, row)


class Row(NamedTuple):
    """One comparison of two contenders: rooms a second with a `least` ratio, or CPU a room with a `most` one."""

    what: str
    ours: str
    theirs: str
    against: str
    least: float | None = None
    most: float | None = None
    delay: str = WAITS
    of_cpu: bool = False


def _rooms() -> Iterator[Row]:
    whole, fetch = "rooms/s, whole path (fetch, decode, 100 rules, SQLite)", "rooms/s, fetch and decode"
    for n, least in ((32, 25.0), (64, 35.0)):
        yield Row(f"{whole}, {n} in flight", f"whole {n}", "script 1", "the script on the twilio library", least)
    for n, share in ((32, 0.9), (64, None)):
        what, ours = f"{fetch}, {n} in flight", f"fetch {n}"
        yield Row(what, ours, f"wrk {n}", "wrk", share)
        yield Row(what, ours, "script 1", "the script")
        yield Row(what, ours, f"threads {n}", "the library in threads")
        yield Row(what, ours, f"async {n}", "the library's asyncio client")
    what = "CPU a room in µs, fetch and decode, 32 in flight"
    yield Row(what, "fetch 32", "threads 32", "the library in threads", most=0.25, of_cpu=True)
    yield Row(what, "fetch 32", "async 32", "the library's asyncio client", of_cpu=True)
    yield Row(f"{fetch}, 32 in flight, no delay", "fetch 32", "script 1", "the script", delay="0ms")
    yield Row("rooms/s, whole path, 32 in flight, no delay", "whole 32", "script 1", "the script", delay="0ms")


def _compared(part: Result, row: Row) -> Figure:
    values = cpu if row.of_cpu else rates
    ours, theirs = values(part, f"{row.ours} {row.delay}"), values(part, f"{row.theirs} {row.delay}")
    reach, told = _goal(row), _told(spread(ours))
    if not theirs:
        return Figure(row.what, told, f"{row.against}: not measured", reach=reach)
    times = ratio(ours, theirs)
    reached = None
    if row.least is not None or row.most is not None:
        reached = (row.least or 0.0) <= times.median <= (row.most or float("inf"))
    return Figure(row.what, told, f"{row.against}: {_told(spread(theirs))}", _times(times), reach, reached)


def _goal(row: Row) -> str:
    if row.least is not None:
        return f"≥ {row.least:g}x"
    return "" if row.most is None else f"≤ {row.most:g}x"


def rates(part: Result, name: str) -> list[float]:
    """Rooms a second of a contender, round by round; empty if it did not run."""
    return [run["rooms"] / run["seconds"] for run in part["runs"].get(name, []) if run]


def cpu(part: Result, name: str) -> list[float]:
    """Microseconds of CPU a room of a contender, round by round."""
    return [run["cpu"] / run["rooms"] * 1e6 for run in part["runs"].get(name, []) if run]


def _calls(part: Result) -> Iterator[Figure]:
    """The floor: one list call a look, and one call for the participants of each room."""
    for rooms_a_day, one in part.items():
        settled, asked = one["settled"], one["list"] + one.get("room", 0) + one.get("participants", 0)
        what = f"API calls a settled room, {int(rooms_a_day):,} rooms a day"
        if not settled:
            yield Figure(what, "nothing settled", "")
            continue
        least = (one["looks"] + settled) / settled
        figure = (
            f"{asked / settled:.3f} ({one['list'] / settled:.3f} list, {one.get('room', 0) / settled:.3f} single, "
            f"{one.get('participants', 0) / settled:.3f} participants; asked again in vain: {one.get('again', 0)})"
        )
        share = asked / settled / least
        reached = share <= 1.1 and not one.get("again", 0)
        yield Figure(what, figure, f"the floor: {least:.3f}", f"{share:.2f}x", "≤ 1.1x, none in vain", reached)


def _judging(part: Result) -> Iterator[Figure]:
    microseconds = part["microseconds"]
    ours, folded, theirs = (microseconds[name] for name in ("alertd", "fold", "by_hand"))
    what = f"a participant and rule, counted and decided, at {part['rules']} rules, µs"
    by_hand = f"Python by hand: {_told(spread(theirs), '{:.2f}')}"
    reached = spread(ours).median <= 0.4
    yield Figure(what, _told(spread(ours), "{:.2f}"), by_hand, _times(ratio(ours, theirs)), "≤ 0.4 µs", reached)
    yield Figure("of that, counting, µs", _told(spread(folded), "{:.2f}"), "")


def _conditions(part: Result) -> Iterator[Figure]:
    median = spread(part["ratios"])
    against = "the same tests by hand"
    yield Figure("a compiled condition", _times(median), against, _times(median), "≤ 1.5x", median.median <= 1.5)


def _ingest(part: Result) -> Iterator[Figure]:
    ours, ready, theirs = (part["rates"][name] for name in ("alertd", "insert", "by_hand"))
    what = f"participants a second into a store that holds {part['held']:,}"
    share = ratio(ours, ready)
    against = f"sqlite3, rows ready made: {_told(spread(ready))}"
    yield Figure(what, _told(spread(ours)), against, _times(share), "≥ 0.5x", share.median >= 0.5)
    by_hand = f"sqlite3, rows made from the same records: {_told(spread(theirs))}"
    yield Figure(what, _told(spread(ours)), by_hand, _times(ratio(ours, theirs)))
    size, other = part["bytes"]["alertd"], part["bytes"]["by_hand"]
    told = f"sqlite3, one compact row a participant: {other:.0f}"
    yield Figure("bytes a participant on disk", f"{size:.0f}", told, f"{size / other:.2f}x", "≤ 110 B", size <= 110)


def _memory(part: Result) -> Iterator[Figure]:
    series = part["series"]
    last = series[-1]
    what = f"memory after {last['participants']:,} participants ({part['hours']:.1f} simulated hours), MiB"
    against = f"at the start {series[0]['mib']:.0f}; peak {part['peak_mib']:.0f}"
    yield Figure(what, f"{last['mib']:.0f}", against, "", "≤ 150 MiB", last["mib"] <= 150)
    middle = series[len(series) // 2]
    growth = (last["mib"] - middle["mib"]) / ((last["participants"] - middle["participants"]) / 100_000)
    told = ", ".join(f"{one['participants'] // 1000}k: {one['mib']:.0f}" for one in series)
    what = "growth in the second half, MiB for every 100,000 participants"
    yield Figure(what, f"{growth:.1f}", told, "", "flat: ≤ 1", growth <= 1)


PARTS: dict[str, Callable[[Result], Iterator[Figure]]] = {
    "fetching": _fetching,
    "calls": _calls,
    "judging": _judging,
    "conditions": _conditions,
    "ingest": _ingest,
    "memory": _memory,
}
"""How each part's results become figures, in the order of the table."""


def server_rows(part: Result) -> Iterator[tuple[str, float, float]]:
    """What the server did for each contender: its name, rooms a second, and the server's share of a core."""
    for name, runs in part["runs"].items():
        done = [run for run in runs if run]
        if done:
            share = spread([run["server_cpu"] / run["seconds"] for run in done])
            yield name, spread(rates(part, name)).median, share.median


def _told(one: Spread, form: str = "{:,.0f}", unit: str = "") -> str:
    middle, low, high = map(form.format, one)
    return f"{middle}{unit}" if low == high else f"{middle}{unit} ({low} to {high})"


def _times(one: Spread) -> str:
    return _told(one, "{:.1f}" if one.median >= 10 else "{:.2f}", "x")
