"""Whatever settles, is replaced, read and committed in whatever order: the store agrees with a list and two loops."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alertd.engine.outcome import Outcome

HORIZON = 40

settles = st.tuples(
    st.just("settle"),
    st.integers(0, HORIZON - 1),
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=5),  # rooms and versions of them
)
reads = st.tuples(st.just("read"), st.integers(0, HORIZON))
commits = st.tuples(st.just("commit"), st.integers(0, HORIZON))
clock = count(1)


@dataclass
class Version:
    """One version of a room, from when on it was known and from when on no longer."""

    room: int
    version: int
    known_at: int
    replaced_at: int | None = None

    def visible(self, at: int) -> bool:
        return self.known_at <= at and (self.replaced_at is None or at < self.replaced_at)


@dataclass
class Oracle:
    """What the store should hold, kept the simplest way."""

    versions: list[Version] = field(default_factory=list)
    closed: int = -1

    def settle(self, now: int, rooms: list[tuple[int, int]]) -> int:
        changed = 0
        for room, version in dict(rooms).items():
            current = [one for one in self.versions if one.room == room and one.replaced_at is None]
            if [one.version for one in current] != [version]:
                known_at = max(now, self.closed + 1, *(one.known_at for one in current))
                for one in current:
                    one.replaced_at = known_at
                self.versions.append(Version(room, version, known_at))
                changed += 1
        return changed

    def visible(self, at: int) -> list[Version]:
        return [one for one in self.versions if one.visible(at)]

    def changes(self, after: int, upto: int) -> list[tuple[int, int, int, int]]:
        found = []
        for at in range(after + 1, upto + 1):
            found += [(at, one.room, -1, one.version) for one in self.visible(at - 1) if not one.visible(at)]
            found += [(at, one.room, 1, one.version) for one in self.visible(at) if not one.visible(at - 1)]
        return sorted(found)


@given(steps=st.lists(st.one_of(settles, settles, reads, commits), max_size=12))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_changes_and_visible_agree_with_the_oracle(store, settling, steps):
    base = next(clock) * 1000  # each example has a stretch of time and an account of its own
    account, oracle, seen, after = f"account {base}", Oracle(), set(), -1

    async def changes(after: int, upto: int, *, close: bool) -> list[tuple[int, int, int, int]]:
        return [
            (one.at - base, int(one.room.room.room_sid[-8:], 16), one.sign, one.room.room.duration_sec or 0)
            for one in await store.changes(base + after, base + upto, close=close)
        ]

    async def visible(at: int) -> list[tuple[int, int]]:
        found = [room for batch in [part async for part in store.visible(base + at, 0)] for room in batch]
        return [
            (int(one.room.room_sid[-8:], 16), one.room.duration_sec or 0) for one in found if one.account == account
        ]

    for step in steps:
        match step:
            case ("settle", now, rooms):
                batch = [settling(room, account=account, duration_sec=version) for room, version in rooms]
                assert await store.settle(batch, now=base + now) == oracle.settle(now, rooms)
            case ("read", upto) if upto > after:
                oracle.closed = max(oracle.closed, upto)
                got = await changes(after, upto, close=True)
                assert got == oracle.changes(after, upto)
                for _, room, sign, version in got:  # folding what changed gives what is visible
                    (seen.add if sign > 0 else seen.remove)((room, version))
                assert sorted(await visible(upto)) == sorted(seen)
                after = upto
            case ("commit", until):
                expected = await store.evaluated_until()
                if expected is None or base + until > expected:
                    assert await store.commit(Outcome(), expected=expected, until=base + until)
                    oracle.closed = max(oracle.closed, until)
    assert await changes(-1, 2 * HORIZON, close=False) == oracle.changes(-1, 2 * HORIZON)
    for at in range(0, 2 * HORIZON, 9):
        rooms = await visible(at)
        assert len(rooms) == len({room for room, _ in rooms})
        assert sorted(rooms) == sorted((one.room, one.version) for one in oracle.visible(at))
