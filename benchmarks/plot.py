"""The figures as one picture: bars for rooms a second and CPU a room, a line for memory; SVG by hand, light or dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple
from xml.sax.saxutils import escape

from benchmarks.figures import WAITS, Results, cpu, rates
from benchmarks.rounds import spread

WIDTH, LEFT, RIGHT = 860, 270, 80
BAR, GAP = 18, 7
NAMES = {
    "script": "script on the twilio library",
    "threads": "twilio library, threads",
    "async": "twilio library, asyncio client",
    "whole": "alertd, whole path, 100 rules",
    "fetch": "alertd, fetch only",
    "wrk": "wrk (C, nothing decoded)",
}
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .title { font-weight: 600; font-size: 15px; }
  .quiet { fill: #57606a; }
  .alertd { fill: #1a7f64; } .other { fill: #8c959f; } .limit { fill: #d0d7de; }
  .whisker { stroke: #24292f; stroke-width: 1; }
  .axis { stroke: #d0d7de; } .goal { stroke: #cf222e; stroke-dasharray: 5 4; }
  .line { fill: none; stroke: #1a7f64; stroke-width: 2.5; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet { fill: #8d96a0; }
    .alertd { fill: #3fb68b; } .other { fill: #6e7681; } .limit { fill: #3d444d; }
    .whisker { stroke: #e6edf3; }
    .axis { stroke: #3d444d; } .goal { stroke: #f85149; }
    .line { stroke: #3fb68b; }
  }
"""


class Bar(NamedTuple):
    """A bar: whose, what kind, and the values of all rounds."""

    label: str
    look: str
    values: list[float]


def draw(results: Results) -> str:
    """The whole picture, with whatever was measured."""
    parts: list[str] = []
    top = 10
    for height, lines in _panels(results):
        parts += [f'<g transform="translate(0 {top})">', *lines, "</g>"]
        top += height + 26
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">'
    title = "<title>alertd beside Twilio's library and wrk; its memory</title>"
    return "\n".join([head, title, f"<style>{STYLE}</style>", *parts, "</svg>"]) + "\n"


def _panels(results: Results) -> Iterator[tuple[int, list[str]]]:
    if "fetching" in results:
        part = results["fetching"]["found"]
        for in_flight in (32, 64):
            found = _bars((kind, 1 if kind == "script" else in_flight) for kind in NAMES)
            bars = [Bar(label, look, rates(part, name)) for label, look, name in found]
            if any(bar.look == "alertd" and bar.values for bar in bars):
                yield _bar_panel(f"Rooms a second, 30 ms away, {in_flight} requests in flight", bars)
        found = _bars((kind, 32) for kind in ("threads", "async", "fetch"))
        bars = [Bar(label, look, cpu(part, name)) for label, look, name in found]
        yield _bar_panel("CPU a room of ten, fetch and decode, µs (less is better)", bars)
    if "memory" in results:
        yield _memory_panel([(one["participants"], one["mib"]) for one in results["memory"]["found"]["series"]])


def _bars(wanted: Iterable[tuple[str, int]]) -> Iterator[tuple[str, str, str]]:
    for kind, in_flight in wanted:
        look = "alertd" if kind in ("whole", "fetch") else "limit" if kind == "wrk" else "other"
        yield NAMES[kind], look, f"{kind} {in_flight} {WAITS}"


def _bar_panel(title: str, bars: list[Bar]) -> tuple[int, list[str]]:
    """A heading and the bars that have values, each with a whisker from the lowest round to the highest."""
    shown = [(bar, spread(bar.values)) for bar in bars if bar.values]
    scale = (WIDTH - LEFT - RIGHT) / max((one.high for _, one in shown), default=1)
    lines = [f'<text class="title" x="10" y="14">{escape(title)}</text>']
    y = 28
    for bar, one in shown:
        middle, mid = y + BAR / 2, LEFT + one.median * scale
        low, high = LEFT + one.low * scale, LEFT + one.high * scale
        lines += [
            f'<text x="{LEFT - 10}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>',
            f'<rect class="{bar.look}" x="{LEFT}" y="{y}" width="{mid - LEFT:.1f}" height="{BAR}" rx="2"/>',
            f'<line class="whisker" x1="{low:.1f}" x2="{high:.1f}" y1="{middle}" y2="{middle}"/>',
            f'<text x="{max(high, mid) + 8:.1f}" y="{y + 13}">{one.median:,.0f}</text>',
        ]
        y += BAR + GAP
    return y, lines


def _memory_panel(series: list[tuple[int, float]]) -> tuple[int, list[str]]:
    """Memory over participants, with the goal of 150 MiB."""
    height, most, widest = 150, max(160.0, *(mib for _, mib in series)) * 1.05, max(1, series[-1][0])
    base, right = 30 + height, WIDTH - RIGHT

    def at(participants: float, mib: float) -> tuple[float, float]:
        return LEFT + (right - LEFT) * participants / widest, base - height * mib / most

    points = [at(*one) for one in series]
    goal = at(0, 150)[1]
    lines = [
        '<text class="title" x="10" y="14">Memory of the daemon, MiB, by participants settled</text>',
        f'<line class="axis" x1="{LEFT}" x2="{right}" y1="{base}" y2="{base}"/>',
        f'<line class="goal" x1="{LEFT}" x2="{right}" y1="{goal:.1f}" y2="{goal:.1f}"/>',
        f'<text class="quiet" x="{LEFT - 10}" y="{goal + 4:.1f}" text-anchor="end">at most 150</text>',
        f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>',
    ]
    for (x, y), (participants, mib) in zip(points, series, strict=True):
        lines.append(f'<circle class="alertd" cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
        lines.append(f'<text x="{x:.1f}" y="{y + 20:.1f}" text-anchor="middle">{mib:.0f}</text>')
        label = f"{participants / 1000:,.0f}k" if participants else "start"
        lines.append(f'<text class="quiet" x="{x:.1f}" y="{base + 18}" text-anchor="middle">{label}</text>')
    return base + 24, lines
