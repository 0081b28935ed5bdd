"""What the command writes: README.md with the table and the reading of it, figures.svg, and the rounds themselves."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.figures import Figure, Results, figures, server_rows
from benchmarks.plot import draw

TEXT = """\
# Benchmarks: collecting, measured side by side

This page is written by the command that measures; only the figures change.

```sh
make bench                                  # all of it, about {minutes} min; needs 2 cores that are otherwise idle
python -m benchmarks --only fetching --rounds 7
python -m benchmarks --quick                # a minute, to see that it works: its figures mean nothing and are not kept
```

`wrk` is Debian's package of that name; without it, what is compared with it is left out.

![Rooms a second and CPU a room of alertd, Twilio's library and wrk, and alertd's memory](figures.svg)

{table}

Measured {when} on {machine}.

## How to read it

Each figure is the median of {rounds} round(s), with the lowest and the highest in brackets. In a round every contender
runs once, in a new process, one after the other; a ratio is the median of the ratios within rounds, because a busy
moment of the machine slows its neighbours too. Trust ratios more than figures: those are of this machine.

- **The opponents** fetch the same rooms from the same server. *The script* is what people write with the twilio
  library: list the rooms, then the participants of each. *In threads* is the same loop in a pool of threads that share
  a client, with the library's own connection pool. *The library's asyncio client* is the one it brings, as many
  requests at once. *wrk*, in C, asks for one room's participants over and over and looks at nothing: about the most
  there is to be had.
- **Fetch and decode** is alertd's client: requests, limits, decoding and checking every record. **The whole path** is
  one cycle of the daemon, `alertd run --once` without the start: list, fetch, store in a new SQLite database, count for
  100 rules, decide, commit.
- With a real delay anything concurrent comes near the same limit, and what differs is the CPU. So both are told.
- **API calls a settled room**: the simulator's traffic, polled every minute for a day, or for three busy hours at
  200,000 rooms a day (what is listed again once a day falls outside those), after an hour to warm up. The floor is one
  list call a look and one call for each room's participants. *In vain* are rooms whose participants were asked for
  again although nothing had changed.
- **A participant and rule**: rooms counted by 100 rules and a decision every minute, against a program written for just
  these rules, without groups that come and go, evidence, late rooms, or states.
- **Ingest**: into databases already filled, 1,000 participants a transaction on both sides. alertd keeps the summaries
  whole, compressed by room; the opponent keeps fourteen columns.
- **Memory**: resident memory of the daemon's process while rooms of ten settle at 100 a minute, with 100 rules.
  All windows are full before the second half begins.

## The server's own limits

One process of Python, by hand on `asyncio.Protocol`, prebuilt answers of rooms of ten (9.4 KB). It must not be what is
measured: beside each contender stands how much of a core it used meanwhile. wrk without delay shows about the
most that it can serve; nobody else comes near that.

{server}

The rounds themselves are in [results.json](results.json).
"""


def write(results: Results, folder: Path) -> None:
    """Write all files into the folder."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "figures.svg").write_text(draw(results), encoding="utf-8")
    (folder / "README.md").write_text(page(results), encoding="utf-8")


def read(folder: Path) -> Results:
    """What was measured before; nothing if there is none."""
    file = folder / "results.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def page(results: Results) -> str:
    """The README."""
    minutes = sum(part["about"]["seconds"] for part in results.values()) / 60
    rounds = sorted({part["about"]["rounds"] for part in results.values()})
    return TEXT.format(
        minutes=max(1, round(minutes)),
        table="\n".join(_table(figures(results))),
        when="; ".join(_when(results)),
        machine=" / ".join(dict.fromkeys(part["about"]["machine"] for part in results.values())),
        rounds=" or ".join(map(str, rounds)),
        server="\n".join(_server(results)),
    )


def about(seconds: float, rounds: int) -> dict[str, object]:
    """When, where and how often something was measured."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 1),
        "rounds": rounds,
        "machine": _machine(),
    }


def _machine() -> str:
    libraries = ", ".join(
        f"{name} {_version(name)}" for name in ("alertd", "aiohttp", "msgspec", "sqlalchemy", "twilio")
    )
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{os.cpu_count()} cores ({_model()}), {platform.system()}, {python}, {libraries}"


def _model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _when(results: Results) -> Iterator[str]:
    """The date, and of each part its own where they differ."""
    dates = {name: str(part["about"]["date"]) for name, part in results.items()}
    if len(set(dates.values())) == 1:
        yield f"on {next(iter(dates.values()))}"
        return
    for date in sorted(set(dates.values())):
        yield f"on {date}: {', '.join(name for name, own in dates.items() if own == date)}"


def _table(rows: list[Figure]) -> Iterator[str]:
    yield "| what | alertd | against | ratio | to reach | reached |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        reached = "" if row.reached is None else "yes" if row.reached else "**no**"
        yield f"| {row.what} | {row.figure} | {row.against} | {row.ratio} | {row.reach} | {reached} |"


def _server(results: Results) -> Iterator[str]:
    if "fetching" not in results:
        yield "Not measured."
        return
    yield "| contender, in flight, delay | rooms a second | the server's share of a core |"
    yield "|---|---|---|"
    for name, rate, share in server_rows(results["fetching"]["found"]):
        yield f"| {name} | {rate:,.0f} | {share:.0%} |"
