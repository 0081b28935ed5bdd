"""Whether changed files take effect: read again as a whole, taken up as a whole or not at all, and told either way.

What stands in FIXED is built into the running parts (sessions, loops, the database, the listening socket), so a change
of it is refused with the name of the key, and everything goes on as it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import structlog

from alertd.clock import Clock
from alertd.config import Config, Loaded, load
from alertd.config.configfile import judge_config
from alertd.config.rulefiles import SUFFIXES, rule_files
from alertd.errors import AlertdError, InputError, Problem
from alertd.store import Store
from alertd.web.metrics import Metrics

log = structlog.get_logger()

FIXED = ("accounts", "collect", "store", "http", "log", "privacy")
"""Tables of the configuration that count from a start only."""
LOOK_AGAIN = 3.0
"""Real seconds after which files are looked at whatever was heard: network file systems and links to other folders are
silent, and so is a folder that was moved."""
QUIET, LONGEST = 300, 1600
"""Milliseconds without a further change until files are read, and for how long that is waited for at most."""
TOLD = 500
"""Characters of the first problem that the alert repeats."""


class FileMark(NamedTuple):
    """A file as it stands: with another inode, size or time (ns) it was written anew; all 0 where there is none."""

    path: Path
    inode: int
    size: int
    changed: int


class Folder(NamedTuple):
    """A folder as it stands: another one in its place, or behind its link, has another inode: listen anew."""

    path: Path
    device: int
    inode: int


class Files:
    """The files that a configuration is made of, as they stand on the disk."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self._read: FileMark | None = None
        self._rule_paths: tuple[Path, ...] = ()

    def marks(self) -> frozenset[FileMark]:
        """Every file that counts just now; another set means that something changed, appeared or went.

        What the configuration names and is not there counts too: a folder that went, though no rule was in it.
        """
        config = _mark(self.config)
        if config != self._read:
            self._read, self._rule_paths = config, judge_config(self.config).rule_paths
        rules, _ = rule_files(self._rule_paths)
        return frozenset([config, *map(_mark, rules)])

    def folders(self) -> frozenset[Folder]:
        """The folders in which these files are: editors put a new file in the place of the old one."""
        self.marks()
        rules = [path if path.is_dir() else path.parent for path in self._rule_paths]
        found = [(path, path.stat()) for path in [self.config.parent, *rules] if path.is_dir()]
        return frozenset(Folder(path, at.st_dev, at.st_ino) for path, at in found)

    def may_count(self, path: str) -> bool:
        """Whether a change of `path` is worth a look: the database that lies beside the configuration is not.

        Names that begin with two dots are the links by which Kubernetes swaps all files of a ConfigMap at once.
        """
        name = Path(path).name
        return name == self.config.name or name.endswith(SUFFIXES) or name.startswith("..")


def _mark(path: Path) -> FileMark:
    try:
        found = path.stat()
    except OSError:
        return FileMark(path, 0, 0, 0)
    return FileMark(path, found.st_ino, found.st_size, found.st_mtime_ns)


def needs_restart(running: Config, wanted: Config) -> Iterator[str]:
    """The keys of FIXED tables on which two configurations differ; of accounts only that they do."""
    for table in FIXED:
        before, after = getattr(running, table), getattr(wanted, table)
        if isinstance(after, tuple):
            yield from [table] if before != after else []
        else:
            names = type(after).model_fields
            yield from (f"{table}.{name}" for name in names if getattr(before, name) != getattr(after, name))


class Reloader:
    """Reads the files again when asked to, or when they change, and keeps what came of it.

    `problems` are those that the files have now, in words; empty while what runs is what they say.
    """

    def __init__(
        self, running: Loaded, adopt: Callable[[Loaded], Awaitable[None]], store: Store, clock: Clock, metrics: Metrics
    ) -> None:
        """`adopt` takes up a configuration that differs in nothing FIXED; if it raises, all is as it was before."""
        self.running = running
        self.problems: tuple[str, ...] = ()
        self._adopt = adopt
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._files = Files(running.config.path)
        self._seen = self._files.marks()
        self._again = False
        self._one_by_one = asyncio.Lock()
        self._count(well=True)

    async def started(self) -> None:
        """At a start the files were read well: what an earlier run said of them is over. StoreError if that fails."""
        await self._store.clear_trouble("config", self._subject, int(self._clock.now()))

    async def reload(self, because: str) -> tuple[str, ...]:
        """Read the files and take up what they say; returns the problems that kept everything as it was, else none."""
        async with self._one_by_one:
            self._seen = await asyncio.to_thread(self._files.marks)  # before reading: what changes meanwhile is seen
            self._again = False
            try:
                await self._take_up()
            except InputError as error:
                self.problems = tuple(map(str, error.problems))
            except AlertdError as error:  # the database, as a rule; the files may be right, so they are tried again
                self.problems, self._again = (str(error),), True
            except Exception as error:
                log.exception("reload_broke")
                self.problems = (f"{type(error).__name__} inside alertd; see its log",)
            else:
                self.problems = ()
            await self._tell(because)
            return self.problems

    async def _take_up(self) -> None:
        wanted = await asyncio.to_thread(load, self._files.config)
        fixed = ", ".join(needs_restart(self.running.config, wanted.config))
        if fixed:
            message = f"{fixed} changed, which needs a restart; until then nothing that changed takes effect"
            raise InputError([Problem(str(self._files.config), 0, 0, message)])
        await self._adopt(wanted)
        self.running = wanted

    async def _tell(self, because: str) -> None:
        """Say how it went: in the log, in the figures, and by the alert that fires while the files are wrong."""
        well, now = not self.problems, int(self._clock.now())
        self._count(well=well)
        if well:
            log.info("reloaded", because=because, rules=len(self.running.rules), files=len(self.running.files))
            for notice in self.running.notices:
                log.warning("notice", about=str(notice))
        else:
            log.error("reload_failed", because=because, problems=list(self.problems))
        try:
            if well:
                await self._store.clear_trouble("config", self._subject, now)
            else:
                await self._store.trouble("config", self._subject, _short(self.problems), now)
        except AlertdError as error:
            self._again = True
            log.warning("reload_not_noted", error=str(error))

    def _count(self, *, well: bool) -> None:
        self._metrics.reload_successful.set(well)
        if well:
            self._metrics.reload_success_at.set(self._clock.now())

    @property
    def _subject(self) -> str:
        return str(self._files.config.absolute())

    async def look(self) -> None:
        """Reload if a file changed since it was last read, or if the last time failed for another reason than files."""
        if self._again or await asyncio.to_thread(self._files.marks) != self._seen:
            await self.reload("change")

    async def watch(self) -> None:
        """Reload whenever a file changes, appears or goes, while rules.watch says so; until cancelled."""
        while True:
            try:
                await self._watch_folders(await asyncio.to_thread(self._files.folders))
            except Exception as error:  # noqa: BLE001 - a folder that may not be read, say
                _cannot_watch(error)
                await asyncio.sleep(LOOK_AGAIN)
            if not self.running.config.watch:
                await asyncio.sleep(LOOK_AGAIN)

    async def _watch_folders(self, folders: frozenset[Folder]) -> None:
        """Look at once, at what is heard, and every LOOK_AGAIN seconds, until these are no longer the folders."""
        async with _listening(self._files, folders) as heard:
            while self.running.config.watch:
                await self.look()
                if await asyncio.to_thread(self._files.folders) != folders:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(heard.wait(), LOOK_AGAIN)
                heard.clear()


@asynccontextmanager
async def _listening(files: Files, folders: frozenset[Folder]) -> AsyncIterator[asyncio.Event]:
    """An event that is set after each burst of changes in the folders, as far as the system tells of them."""
    heard = asyncio.Event()
    listening = asyncio.create_task(_listen(files, folders, heard), name="listen to folders")
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.wait([listening])  # awaited itself, its end could not be told from one that is asked of this task


async def _listen(files: Files, folders: frozenset[Folder], heard: asyncio.Event) -> None:
    from watchfiles import awatch

    changes = awatch(
        *(folder.path for folder in folders),
        watch_filter=lambda _, path: files.may_count(path),
        debounce=LONGEST,
        step=QUIET,
        recursive=False,
    )
    try:
        async with aclosing(changes):
            async for _ in changes:
                heard.set()
    except Exception as error:  # noqa: BLE001 - no watches left in the kernel, say: then looking has to do
        _cannot_watch(error)


def _cannot_watch(error: Exception) -> None:
    log.warning("watch_failed", error=f"{type(error).__name__}: {error}", looking_again_in=LOOK_AGAIN)


def _short(problems: tuple[str, ...]) -> str:
    """The first problem, and how many more there are."""
    first = problems[0] if len(problems[0]) <= TOLD else f"{problems[0][: TOLD - 1]}…"
    return first if len(problems) == 1 else f"{first} (and {len(problems) - 1} more)"


@asynccontextmanager
async def watched(reloader: Reloader) -> AsyncIterator[None]:
    """Files are watched as long as the context lasts."""
    watching = asyncio.create_task(reloader.watch(), name="watch files")
    try:
        yield
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
