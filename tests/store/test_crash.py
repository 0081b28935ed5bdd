"""Killed at any moment (SIGKILL), the program leaves whole decisions behind: none told is lost, none is half there."""

from __future__ import annotations

import subprocess
import sys

from alertd.store import open_store

PROGRAM = """
import asyncio, sys
from alertd.engine.alerts import Alert
from alertd.engine.outcome import Event, Outcome
from alertd.engine.groups import Group, Notification
from alertd.engine.records import Participant, Room
from alertd.store import Settling, open_store

async def main():
    store = await open_store(sys.argv[1])
    until = await store.evaluated_until()
    print("ready", flush=True)
    while True:
        at = (until or 0) + 1
        people = tuple(Participant(participant_sid=f"PA{n}") for n in range(at % 7))
        room = Room(room_sid=f"RM{at:032x}")
        await store.settle([Settling(account="a", room=room, participants=people, ended=at)], at)
        alert = Alert(fingerprint="f" * 16, rule="r", labels={}, state="firing", changed_at=at)
        group = Group(key="g", receiver="oncall", route="0", labels={}, flush_at=at)
        event = Event(at=at, event="firing", fingerprint="f" * 16, rule="r", labels={}, reason="")
        told = Notification(id=str(at), at=at, group_key="g", receiver="oncall", integration="i", alerts=(),
                            reason="first notification", status="firing", group_labels={})
        outcome = Outcome(alerts=(alert,), groups=(group,), events=(event,), notifications=(told,))
        assert await store.commit(outcome, expected=until, until=at)
        print(at, flush=True)
        until = at

asyncio.run(main())
"""


def run_and_kill(url: str, after: int) -> int:
    """Let the program commit, kill it after so many commits it told of, and return the last one."""
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout as lines:
        assert next(lines).strip() == "ready"
        told = [int(next(lines)) for _ in range(after)]
        process.kill()
        told += [int(line) for line in lines if line.endswith("\n")]
    return told[-1]


async def test_a_kill_leaves_whole_decisions(url):
    for after in (1, 7, 23):
        told = run_and_kill(url, after)
        store = await open_store(url)
        until = await store.evaluated_until()
        assert until in {told, told + 1}  # the last one may have been committed and not yet told
        snapshot = await store.snapshot(until)
        assert [alert.changed_at for alert in snapshot.alerts.values()] == [until]
        assert [group.flush_at for group in snapshot.groups.values()] == [until]
        assert [event.at for event in await store.events()] == list(range(1, until + 1))
        assert [int(entry.id) for entry in await store.deliveries()] == list(range(until, 0, -1))[:100]
        rooms = [room async for batch in store.visible(until + 1, 0) for room in batch]
        assert len(rooms) in {until, until + 1}
        counts = await store.counts()
        assert counts["rooms"] == len(rooms)
        assert counts["participants"] == sum(len(room.participants) for room in rooms)
        await store.close()
