"""How fast settled rooms go into a store that holds a million participants already, and what they take on disk.

alertd's `Store.settle` (summaries whole and compressed, a room that is there already recognised, progress kept) against
what one would write by hand with the sqlite3 of Python: one compact row a participant, keyed by room.
Usage: python -m benchmarks.ingest ROUNDS HELD PARTICIPANTS
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from alertd.engine.records import Participant, Room, epoch
from alertd.insights.wire import PARTICIPANTS, ROOMS
from alertd.store import Settling, Store, open_store
from benchmarks import rooms
from benchmarks.rounds import Result, run, say

HELD, PARTICIPANTS_A_ROUND = 1_000_000, 40_000
ROOMS_AT_ONCE = 100
"""Rooms committed together: a thousand participants, on either side."""
FIRST = 1_772_409_600
"""2026-03-02 00:00 UTC."""
SCHEMA = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = NORMAL;
PRAGMA cache_size = -16000;
CREATE TABLE room (
    id INTEGER PRIMARY KEY, sid BLOB NOT NULL UNIQUE, ended INTEGER NOT NULL, known_at INTEGER NOT NULL
);
CREATE TABLE participant (
    room INTEGER NOT NULL, n INTEGER NOT NULL, sid BLOB NOT NULL, identity TEXT, joined INTEGER, left INTEGER,
    duration INTEGER, status INTEGER, reason INTEGER, error INTEGER, region INTEGER, edge INTEGER, sdk INTEGER,
    version INTEGER, PRIMARY KEY (room, n)
) WITHOUT ROWID;
"""


Rows = tuple[list[tuple[object, ...]], list[tuple[object, ...]]]


class ByHand:
    """The opponent: names become numbers, sids sixteen bytes, times seconds; a room is inserted once."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(SCHEMA)
        self._codes: dict[str | None, int] = {}
        self._next = 1

    def rows(self, settling: Sequence[Settling], now: int) -> Rows:
        """The rows of rooms and of their participants."""
        first, self._next = self._next, self._next + len(settling)
        numbered = list(enumerate(settling, first))
        return (
            [(number, bytes.fromhex(one.room.room_sid[2:]), one.ended, now) for number, one in numbered],
            [self._row(number, n, who) for number, one in numbered for n, who in enumerate(one.participants)],
        )

    def insert(self, rows: Rows) -> None:
        """Store rows in one transaction."""
        database = self._database
        database.execute("BEGIN IMMEDIATE")
        database.executemany("INSERT INTO room VALUES (?, ?, ?, ?)", rows[0])
        database.executemany(f"INSERT INTO participant VALUES ({', '.join('?' * 14)})", rows[1])
        database.execute("COMMIT")

    def _row(self, room: int, n: int, who: Participant) -> tuple[object, ...]:
        code, sent = self._code, who.publisher_info or {}
        return (
            room,
            n,
            bytes.fromhex(who.participant_sid[2:]),
            who.participant_identity,
            epoch(who.join_time),
            epoch(who.leave_time),
            who.duration_sec,
            code(who.status),
            code(who.end_reason),
            who.error_code,
            code(who.media_region),
            code(who.edge_location),
            code(sent.get("name")),
            code(sent.get("sdk_version")),
        )

    def _code(self, name: str | None) -> int:
        return self._codes.setdefault(name, len(self._codes))

    def close(self) -> None:
        """Bring everything into the file itself."""
        self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()


def settling(numbers: range) -> list[Settling]:
    """These rooms, as collecting hands them to the store."""
    return [_settling(number) for number in numbers]


def _settling(number: int) -> Settling:
    created = FIRST + number
    room: Room = ROOMS.one(rooms.room_row(number, created)).records[0]
    people = tuple(PARTICIPANTS.page(rooms.people(number, created, "")).records)
    return Settling(account="production", room=room, participants=people, ended=created + rooms.LASTS)


def measure(rounds: int, *, quick: bool) -> Result:
    """Participants a second of each round (`insert`: the rows by hand were ready), and bytes a participant."""
    result = run("ingest", rounds, *((2000, 1000) if quick else (HELD, PARTICIPANTS_A_ROUND)))
    say(f"ingest: {result}")
    return result


async def compare(folder: Path, rounds: int, held: int, participants: int) -> Result:
    """Fill both with `held` participants, then measure so many rounds of so many more, in turn."""
    store, by_hand = await open_store(f"sqlite:///{folder / 'alertd.db'}"), ByHand(folder / "by_hand.db")
    full, each = held // rooms.PEOPLE, participants // rooms.PEOPLE
    for batch in _batches(range(full)):
        await store.settle(batch, FIRST + full)
        by_hand.insert(by_hand.rows(batch, FIRST + full))
    say(f"both hold {held} participants")
    seconds: dict[str, list[float]] = {"alertd": [], "insert": [], "by_hand": []}
    for number in range(rounds):
        batches = list(_batches(range(full + number * each, full + (number + 1) * each)))
        seconds["alertd"].append(await _settled(store, batches))
        packing, inserting = _settled_by_hand(by_hand, batches)
        seconds["insert"].append(inserting)
        seconds["by_hand"].append(packing + inserting)
    await store.close()
    by_hand.close()
    stored = held + rounds * participants
    rates = {name: [participants / each for each in spans] for name, spans in seconds.items()}
    sizes = {name: _size(folder / f"{name}.db") / stored for name in ("alertd", "by_hand")}
    return {"held": held, "participants": participants, "rates": rates, "bytes": sizes}


def _batches(numbers: range) -> Iterator[list[Settling]]:
    for start in range(numbers.start, numbers.stop, ROOMS_AT_ONCE):
        yield settling(range(start, min(start + ROOMS_AT_ONCE, numbers.stop)))


async def _settled(store: Store, batches: Sequence[Sequence[Settling]]) -> float:
    """Seconds that alertd takes."""
    began = time.perf_counter()
    for batch in batches:
        await store.settle(batch, FIRST)
    return time.perf_counter() - began


def _settled_by_hand(by_hand: ByHand, batches: Sequence[Sequence[Settling]]) -> tuple[float, float]:
    """Seconds for making rows out of records, and for inserting them."""
    began = time.perf_counter()
    rows = [by_hand.rows(batch, FIRST) for batch in batches]
    packed = time.perf_counter()
    for part in rows:
        by_hand.insert(part)
    return packed - began, time.perf_counter() - packed


def _size(path: Path) -> int:
    """Bytes on disk, with whatever SQLite keeps beside the file."""
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*"))


def main() -> None:
    """Compare; print JSON."""
    rounds, held, participants = map(int, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(asyncio.run(compare(Path(folder), rounds, held, participants))))


if __name__ == "__main__":
    main()
