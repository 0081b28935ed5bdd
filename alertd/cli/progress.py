"""How far long work has come: a line on standard error, where somebody watches."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from alertd.engine.durations import format_duration

if TYPE_CHECKING:  # both are heavy, and not needed where nobody watches
    from rich.progress import Progress, TaskID

    from alertd.app import App


@contextmanager
def shown(what: str, *, beside_output: bool = False) -> Iterator[Callable[[int], None]]:
    """Gives a function that shows a count of `what` while the work lasts; it does nothing without a terminal.

    Nor does it where `beside_output` says that the work's own output comes to the same terminal.
    """
    if not sys.stderr.isatty() or (beside_output and sys.stdout.isatty()):
        yield lambda _done: None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.completed:,} {task.description}"), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False) as lines:
        task = lines.add_task(what, total=None)
        yield lambda done: lines.update(task, completed=done)


@asynccontextmanager
async def catching_up(app: App) -> AsyncIterator[None]:
    """Shows a bar for each account whose past is being read, as long as the context lasts; nothing without a terminal.

    What is logged meanwhile is printed above the bars.
    """
    import asyncio  # heavy, and most commands have no use for it

    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("catching up {task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rooms]:,} rooms, {task.fields[left]} to go"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        showing = asyncio.create_task(_show(app, bars))
        try:
            yield
        finally:
            showing.cancel()


async def _show(app: App, bars: Progress) -> None:
    import asyncio

    tasks: dict[str, TaskID] = {}
    while True:
        for collector in app.collectors:
            account, state = collector.account, collector.catch_up
            if not state.of:
                if account in tasks:
                    bars.remove_task(tasks.pop(account))
                continue
            if account not in tasks:
                tasks[account] = bars.add_task(account, total=state.of, rooms=0, left="")
            left = format_duration(state.left // 60 * 60)
            done = state.of - state.left
            bars.update(tasks[account], total=state.of, completed=done, rooms=collector.caught_up, left=left)
        await asyncio.sleep(0.2)
