"""Silences are kept: written whole or not at all, seen by decisions, gone when nobody can ask for them any more."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from alertd.engine.routes import Matcher
from alertd.engine.silences import Draft, Silence, SilenceError, expired, put
from alertd.store import open_store

NOW, HOUR, DAY = 1_800_000_000, 3600, 86400
MATCHERS = tuple(map(Matcher.parse, ("severity=page", 'room=~"a\\nb|ü.*"', 'account!="x\\"y"', "region!~us.*")))
DRAFT = Draft(
    matchers=MATCHERS,
    starts_at=NOW,
    ends_at=NOW + HOUR,
    created_by="ann <b>",
    comment="dé\x00ploying",
    annotations={"ticket": "4711"},
)


async def made(store, id_="s1", **changes) -> Silence:
    (one,) = await store.change_silence("", lambda known: put(known, replace(DRAFT, **changes), NOW, id_))
    return one


async def test_what_is_read_is_what_was_written(store):
    one = await made(store)
    assert await store.silences(0) == (one,)
    assert one.matchers == MATCHERS


async def test_a_change_takes_the_place_of_what_was_known(store):
    await made(store)
    longer = replace(DRAFT, id="s1", ends_at=NOW + 2 * HOUR)
    (one,) = await store.change_silence("s1", lambda known: put(known, longer, NOW + 60, "s2"))
    assert await store.silences(0) == (one,)
    assert [step.what for step in one.history] == ["created", "end moved by +3600s"]


async def test_what_is_refused_leaves_all_as_it_was(store):
    one = await made(store)

    def refuse(known: Silence | None) -> tuple[Silence, ...]:
        assert known == one
        raise SilenceError("no")

    with pytest.raises(SilenceError):
        await store.change_silence("s1", refuse)
    assert await store.silences(0) == (one,)


async def test_two_who_change_one_at_once_both_count(store, neighbour):
    await made(store)

    def note(by: str):
        return lambda known: (replace(known, history=(*known.history, (NOW, by, "looked"))),)

    await asyncio.gather(*(each.change_silence("s1", note(by)) for by in "abc" for each in (store, neighbour)))
    ((one,), (again,)) = await store.silences(0), await neighbour.silences(0)
    assert len(one.history) == 7
    assert one == again


async def test_decisions_see_those_that_have_not_long_been_over(store):
    one = await made(store)
    assert (await store.snapshot(NOW + HOUR)).silences == (one,)
    assert (await store.snapshot(NOW + 3 * HOUR)).silences == ()


async def test_they_outlive_the_process(url, store):
    one = await made(store)
    another = await open_store(url)
    assert await another.silences(0) == (one,)
    await another.close()


async def test_those_that_were_over_long_ago_go(store):
    await made(store)
    await made(store, "s2", ends_at=NOW + 90 * DAY)
    await store.change_silence("s1", lambda known: (expired(known, NOW + 60),))
    assert (await store.prune(NOW + 40 * DAY, 35 * DAY))["silences"] == 1
    assert [one.id for one in await store.silences(0)] == ["s2"]
