"""Leases and the key for pseudonyms: what programs on one database agree upon."""

from __future__ import annotations

import asyncio

from alertd.store import open_store


async def test_a_lease_is_one_holders_until_it_runs_out(store, neighbour):
    assert await store.take_lease("poll/production", "a", now=100, seconds=30)
    assert not await neighbour.take_lease("poll/production", "b", now=129, seconds=30)
    assert await neighbour.take_lease("poll/production", "b", now=130, seconds=30)
    assert not await store.take_lease("poll/production", "a", now=131, seconds=30)


async def test_a_holder_makes_its_lease_longer(store, neighbour):
    assert await store.take_lease("evaluate", "a", now=100, seconds=30)
    assert await store.take_lease("evaluate", "a", now=120, seconds=30)
    assert not await neighbour.take_lease("evaluate", "b", now=149, seconds=30)


async def test_only_the_holder_gives_a_lease_up(store, neighbour):
    assert await store.take_lease("evaluate", "a", now=100, seconds=30)
    await neighbour.release_lease("evaluate", "b")
    assert not await neighbour.take_lease("evaluate", "b", now=101, seconds=30)
    await store.release_lease("evaluate", "a")
    assert await neighbour.take_lease("evaluate", "b", now=101, seconds=30)


async def test_leases_of_different_names_have_nothing_to_do_with_each_other(store):
    assert await store.take_lease("poll/a", "a", now=100, seconds=30)
    assert await store.take_lease("poll/b", "b", now=100, seconds=30)


async def test_of_many_that_reach_for_a_lease_one_gets_it(store, neighbour):
    reaching = [
        where.take_lease("evaluate", f"{name}{turn}", now=100, seconds=30)
        for turn in range(6)
        for name, where in (("a", store), ("b", neighbour))
    ]
    assert sum(await asyncio.gather(*reaching)) == 1


async def test_a_lease_taken_by_a_clock_that_was_days_ahead_keeps_nobody_out(store):
    assert await store.take_lease("look/production", "gone", now=20 * 86400, seconds=30)
    assert await store.take_lease("look/production", "here", now=100, seconds=30)
    assert not await store.take_lease("look/production", "third", now=100, seconds=30)


async def test_the_pseudonym_key_is_made_once_and_kept(store, neighbour, url):
    first, second = await asyncio.gather(store.pseudonym_key(), neighbour.pseudonym_key())
    assert first == second
    assert len(first) == 32
    later = await open_store(url)
    try:
        assert await later.pseudonym_key() == first
    finally:
        await later.close()


async def test_each_database_has_a_pseudonym_key_of_its_own(store, fresh_url):
    other = await open_store(fresh_url())
    try:
        assert await other.pseudonym_key() != await store.pseudonym_key()
    finally:
        await other.close()
