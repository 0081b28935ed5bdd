"""Pruning in slices, totals, and backups of a live database."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from alertd.engine.outcome import Outcome
from alertd.errors import StoreError
from alertd.store import backup, open_store

DAY = 86400
NOW = 100 * DAY
KEEP = 45 * DAY
OLD = NOW - KEEP - 1


async def ended(store) -> list[int]:
    return [room.ended async for batch in store.visible(NOW, 0) for room in batch]


async def test_rooms_go_when_they_have_been_over_for_long_enough(store, settling):
    await store.settle([settling(1, ended=OLD, people=3), settling(2, ended=OLD + 1, people=5)], now=OLD)
    gone = await store.prune(NOW, KEEP)
    assert gone["rooms"] == 1
    assert await ended(store) == [OLD + 1]
    counts = await store.counts()
    assert (counts["rooms"], counts["participants"]) == (1, 5)


async def test_an_old_room_that_became_known_just_now_stays_until_it_was_judged(store, settling):
    await store.settle([settling(1, ended=OLD)], now=NOW)
    assert (await store.prune(NOW, KEEP))["rooms"] == 0
    assert await ended(store) == [OLD]


async def test_what_was_replaced_goes_too_and_is_not_counted_twice(store, settling):
    await store.settle([settling(1, ended=OLD, people=3)], now=OLD - 10)
    await store.settle([settling(1, ended=OLD, people=4, duration_sec=9)], now=OLD)
    assert (await store.counts())["participants"] == 4
    assert (await store.prune(NOW, KEEP))["rooms"] == 2
    counts = await store.counts()
    assert (counts["rooms"], counts["participants"]) == (0, 0)


async def test_much_goes_in_slices_between_which_others_get_their_turn(store, neighbour, settling):
    for start in range(0, 1600, 400):
        await store.settle([settling(number, ended=OLD) for number in range(start, start + 400)], now=OLD)
    left: list[int] = []

    async def watch() -> None:
        while not pruning.done():
            left.append((await neighbour.counts())["rooms"])

    pruning = asyncio.create_task(store.prune(NOW, KEEP))
    await watch()
    assert (await pruning)["rooms"] == 1600
    assert (await store.counts())["rooms"] == 0
    assert set(left) & {1100, 600, 100}


async def test_open_rooms_queued_notifications_and_lasting_troubles_stay_however_old(
    store, open_room, enqueue, notification, alert
):
    await store.note_open("production", [open_room(1, listed_at=1)])
    await store.trouble("poll", "production", "timed out", now=1)
    await enqueue(1, notification(1))
    firing = Outcome(alerts=(alert(state="firing", changed_at=1),))
    assert await store.commit(firing, expected=1, until=2)
    assert set((await store.prune(NOW, KEEP)).values()) == {0}


async def test_what_was_finished_goes_after_its_time(store, event, alert, enqueue, notification):
    await enqueue(1, *map(notification, range(4)))
    await store.sent("note-0", OLD, "ok")
    await store.failed("note-1", OLD, "404")
    await store.sent("note-2", OLD + 1, "ok")
    await store.failed("note-3", OLD + 1, "404")
    over = (alert("a", state="resolved", changed_at=OLD), alert("b", state="resolved", changed_at=OLD + 1))
    assert await store.commit(Outcome(events=(event(OLD), event(OLD + 1)), alerts=over), expected=1, until=2)
    for subject, until in (("a", OLD), ("b", OLD + 1)):
        await store.trouble("poll", subject, "timed out", now=1)
        await store.clear_trouble("poll", subject, now=until)
    for at in (OLD, OLD + 1000):
        await store.saw("production", at, gap=10)
    gone = await store.prune(NOW, KEEP)
    requests = {"silences": 0, "acks": 0, "posted_alerts": 0}  # see test_silences
    assert gone == {"rooms": 0, "alerts": 1, "events": 1, "outbox": 2, "sights": 1, "troubles": 1} | requests
    assert {entry.id for entry in await store.deliveries()} == {"note-2", "note-3"}
    assert await store.attempts("note-0") == []
    assert [one.at for one in await store.events()] == [OLD + 1]


async def test_an_alert_outlives_a_short_keep_while_decisions_look_at_it(store, alert):
    assert await store.commit(
        Outcome(alerts=(alert(state="resolved", changed_at=NOW - 5 * DAY),)), expected=None, until=1
    )
    assert (await store.prune(NOW, DAY))["alerts"] == 0
    assert len((await store.snapshot(NOW)).alerts) == 1


async def test_totals_say_how_much_is_stored(store, settling, open_room, alert, group):
    await store.settle([settling(1, people=2), settling(2, people=3)], now=10)
    await store.note_open("production", [open_room(3)])
    assert await store.commit(Outcome(alerts=(alert(),), groups=(group("a"), group("b"))), expected=None, until=20)
    assert await store.counts() == {"rooms": 2, "participants": 5, "open": 1, "alerts": 1, "groups": 2}


@pytest.mark.parametrize("kind", ["sqlite"], indirect=True)
async def test_a_backup_of_a_live_database_is_consistent_and_private(store, url, settling, tmp_path):
    await store.settle([settling(number) for number in range(50)], now=10)
    copy = tmp_path / "copy.db"

    async def keep_writing() -> None:
        for number in range(50, 5000, 2):
            await store.settle([settling(number), settling(number + 1)], now=20)

    writing = asyncio.create_task(keep_writing())
    try:
        await backup(url, copy)
    finally:
        writing.cancel()
    assert copy.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(copy) as plain:
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    plain.close()
    restored = await open_store(f"sqlite:///{copy}")
    try:
        counts = await restored.counts()
        assert counts["rooms"] >= 50
        assert counts["rooms"] % 2 == 0
        assert len([room async for batch in restored.visible(99, 0) for room in batch]) == counts["rooms"]
    finally:
        await restored.close()


async def test_a_backup_overwrites_nothing(tmp_path, sqlite_template):
    copy = tmp_path / "copy.db"
    copy.write_text("precious", encoding="utf-8")
    with pytest.raises(StoreError, match=r"copy\.db \(File exists\); name a new file"):
        await backup(f"sqlite:///{sqlite_template}", copy)
    assert copy.read_text(encoding="utf-8") == "precious"


async def test_a_backup_of_nothing_says_so_and_leaves_no_file(tmp_path):
    with pytest.raises(StoreError, match=r"there is no database .*missing\.db"):
        await backup(f"sqlite:///{tmp_path}/missing.db", tmp_path / "copy.db")
    (tmp_path / "not.db").write_text("Dear diary, " * 100, encoding="utf-8")
    with pytest.raises(StoreError, match="is not a database"):
        await backup(f"sqlite:///{tmp_path}/not.db", tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_postgresql_is_backed_up_by_its_own_tool():
    with pytest.raises(StoreError, match="pg_dump"):
        await backup("postgresql://alertd:hunter2@db.example/alertd", Path("copy.dump"))
