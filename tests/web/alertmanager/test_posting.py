"""Alerts that others post: amtool adds them to both alike, what is wrong is refused alike, and they are told."""

from __future__ import annotations

import asyncio
import re
import time

import pytest

from alertd.engine.counting import Windows
from alertd.engine.decide import decide

NEW = [
    "alert add DiskFull host=a severity=page --annotation=summary=full --generator-url=http://prometheus.example.com/graph",
    "alert add alertname=DiskFull host=b --end=2099-01-01T00:00:00Z",
    "alert add DiskFull host=c --start=2026-01-01T00:00:00Z --end=2026-01-02T00:00:00Z",
    "alert query DiskFull",
    "alert query DiskFull -o json",
    "alert add DiskFull host=a --annotation=summary=fuller",
    "alert query",
]


async def test_amtool_adds_to_both_alike(served, real, amtool):
    for line in NEW:
        ours, theirs = [await amtool(address, *line.split()) for address in (served, real)]
        assert f"$ {line}\n{plain(ours)}" == f"$ {line}\n{plain(theirs)}"


def plain(text: str) -> list[str]:
    """The lines without widths and order: those that start together have none. The real one groups a moment later."""
    lines = text.replace("unprocessed", "active").splitlines()
    return sorted(re.sub(r"[ \t]+", " ", line).strip() for line in lines)


@pytest.mark.parametrize(
    "body",
    [
        [{}],
        [{"labels": {}}],
        [{"labels": {"a": ""}}],
        [{"labels": {"a-b": "c"}}],
        [{"labels": {"a": "b"}, "startsAt": "2030-01-01T00:00:00Z", "endsAt": "2020-01-01T00:00:00Z"}],
        [],
    ],
    ids=str,
)
async def test_what_is_wrong_is_refused_as_there(served, real, body, send):
    ours, theirs = [await send(address, "POST", "alerts", body) for address in (served, real)]
    assert ours == theirs


@pytest.mark.parametrize("body", [b"x", b"{}", b'[{"labels":{"a":1}}]', b'[{"labels":{"a":"b"},"startsAt":"soon"}]'])
async def test_what_is_no_alert_is_refused(served, real, body, send):
    ours, theirs = [await send(address, "POST", "alerts", body) for address in (served, real)]
    assert (ours[0], ours[1]["code"]) == (theirs[0], theirs[1]["code"])


async def test_the_right_ones_beside_a_wrong_one_are_kept(served, get, send):
    status, said = await send(served, "POST", "alerts", [{"labels": {"alertname": "A"}}, {"labels": {"a-b": "c"}}])
    assert (status, said) == (400, 'invalid label set: invalid name "a-b"')
    assert '"alertname":"A"' in str(await asyncio.to_thread(get, f"{served}/api/v2/alerts"))


@pytest.mark.parametrize(
    ("alert", "says"),
    [
        ({"labels": {"a": "x" * 2000}}, "more than 1024 characters"),
        ({"labels": {"a": "b"}, "annotations": {"c": "x" * 20_000}}, "more than 16384 characters"),
        ({"labels": {f"a{n}": "b" for n in range(70)}}, "more than 64 labels"),
    ],
)
async def test_there_are_limits(served, alert, says, send):
    status, said = await send(served, "POST", "alerts", [alert])
    assert (status, says in said) == (400, True)


async def test_they_are_told_with_the_next_decision_and_that_they_are_over(served, store, policy, send):
    await send(served, "POST", "alerts", [{"labels": {"alertname": "DiskFull"}, "annotations": {"summary": "full"}}])
    now = int(time.time())
    windows = Windows((), lambda _field, value: value)
    outcome = decide(now, policy, windows, await store.snapshot(now))
    (one,) = [alert for alert in outcome.alerts if alert.labels["alertname"] == "DiskFull"]
    assert (one.state, one.annotations) == ("firing", {"summary": "full"})
    later = decide(now + 400, policy, windows, await store.snapshot(now))
    assert not [alert for alert in later.alerts if alert.labels["alertname"] == "DiskFull"]  # never fired in between


async def test_ten_thousand_at_once_are_kept_and_listed(served, send):
    storm = [{"labels": {"alertname": "Storm", "host": f"h{nth}"}} for nth in range(10_000)]
    assert (await send(served, "POST", "alerts", storm))[0] == 200
    status, found = await send(served, "GET", "alerts?filter=alertname%3DStorm")
    assert (status, len(found)) == (200, 10_000)
