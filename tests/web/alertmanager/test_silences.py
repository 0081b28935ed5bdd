"""Silences by Alertmanager's clients: amtool's whole script prints the same of both, and hides the same alerts."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
SCRIPT = [
    "silence query",
    "silence add alertname=RegionDown --author=ann --comment=deploying --duration=2h",
    "silence query",
    "silence query -o json",
    "alert query",
    "alert query --silenced",
    "alert query -o json --silenced",
    "silence add region=~ie.* severity!=page -a bob -c 'odd ones' -d 30m",
    "silence add Slow -a bob -c named --start=2099-01-01T00:00:00Z --end=2099-01-02T00:00:00Z",
    "silence query -q",
    "silence query alertname=RegionDown",
    "silence query region=~ie.*",
    "silence query region=ie1",
    "silence query --created-by=bob",
    "alert query --inhibited --silenced",
    "silence update {0} -d 3h -c longer",
    "silence query",
    "silence update {2} --start=2099-03-01T00:00:00Z --end=2099-03-02T00:00:00Z",
    "silence expire {0}",
    "silence expire {0}",
    "silence query",
    "silence query --expired",
    "silence query --expired --within=1h",
    "alert query",
    "silence expire 11111111-1111-4111-8111-111111111111",
    "silence update 11111111-1111-4111-8111-111111111111 -c x",
    "silence add",
    "silence add alertname=~.* -a ann -c everything",
    "silence add a= -a ann -c nothing",
]


async def played(amtool: Any, address: str) -> list[str]:
    """What amtool printed at each step, its ids by the order in which they came."""
    ids: list[str] = []
    said = []
    for line in SCRIPT:
        words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)]
        text = await amtool(address, *[word.format(*ids) for word in words])
        for found in ID.finditer(text):
            if found[0] not in ids:
                ids.append(found[0])
        text = ID.sub(lambda found: f"ID{ids.index(found[0])}", text)
        said.append(f"$ amtool {line}\n{text}")
    return said


async def test_the_whole_script_prints_the_same_of_both(served, real, amtool):
    ours = await played(amtool, served)
    theirs = await played(amtool, real)
    for mine, other in zip(ours, theirs, strict=True):
        assert squeezed(mine) == squeezed(other)


def squeezed(text: str) -> str:
    """Without what differs by release: columns' widths, silences' annotations, and the answer to an unknown id."""
    text = re.sub(r'"annotations": ?\{\},?', "", text)
    text = re.sub(r"\[DELETE /silence/\{silenceID\}\]\[500\][^\n]*", "not there", text)
    text = re.sub(r"response status code does not match any [^\n]*\(status 404\): \{\}", "not there", text)
    return re.sub(r"[ \t]+", " ", text)


def silence(**changes: Any) -> dict[str, Any]:
    now = datetime.now(UTC)
    known = {
        "matchers": [{"name": "alertname", "value": "RegionDown", "isRegex": False}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "ann",
        "comment": "deploying",
    }
    return {name: value for name, value in (known | changes).items() if value is not None}


BAD = [
    {"comment": None},
    {"createdBy": None},
    {"startsAt": None},
    {"matchers": None},
    {"matchers": [{"name": "a", "value": "x"}]},
    {"matchers": [{"name": "a", "value": "", "isRegex": False}]},
    {"matchers": [{"name": "a-b", "value": "x", "isRegex": False}]},
    {"startsAt": "2099-01-01T00:00:00Z", "endsAt": "2098-01-01T00:00:00Z"},
    {"startsAt": "2020-01-01T00:00:00Z", "endsAt": "2020-01-02T00:00:00Z"},
    {"id": "11111111-1111-4111-8111-111111111111"},
]


@pytest.mark.parametrize("changes", BAD, ids=str)
async def test_what_is_wrong_is_refused_as_there(served, real, changes, send):
    ours, theirs = [await send(address, "POST", "silences", silence(**changes)) for address in (served, real)]
    assert ours[0] == theirs[0]
    assert str(ours[1]).lower() == str(theirs[1]).lower()


@pytest.mark.parametrize("body", ["x", 1, [], {"matchers": 1}], ids=str)
async def test_what_is_no_silence_is_refused_in_a_way_that_clients_can_read(served, body, send):
    status, said = await send(served, "POST", "silences", body)
    assert status in (400, 422)
    assert "silence body" in said["message"] or "is required" in said["message"]


async def test_a_pattern_that_takes_too_long_is_refused(served, send):
    slow = [{"name": "alertname", "value": "(a+)+b", "isRegex": True}]
    status, said = await send(served, "POST", "silences", silence(matchers=slow))
    assert (status, "more than one way" in said) == (400, True)


async def test_one_that_was_ended_stays_listed_and_can_be_read(served, send):
    _, made = await send(served, "POST", "silences", silence())
    assert (await send(served, "DELETE", f"silence/{made['silenceID']}"))[0] == 200
    status, one = await send(served, "GET", f"silence/{made['silenceID']}")
    assert (status, one["status"], one["annotations"]) == (200, {"state": "expired"}, {})
    assert [each["id"] for each in (await send(served, "GET", "silences"))[1]] == [made["silenceID"]]
    assert (await send(served, "GET", "silences?expired=false"))[1] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "silence/nope", 422),
        ("DELETE", "silence/nope", 422),
        ("GET", "silence/11111111-1111-4111-8111-111111111111", 404),
        ("DELETE", "silence/11111111-1111-4111-8111-111111111111", 404),
        ("GET", "silences?filter=(", 400),
    ],
)
async def test_what_is_not_there_is_said_to_be_so(served, method, path, status, send):
    assert (await send(served, method, path))[0] == status


async def test_active_ones_come_first_then_those_to_come_then_those_that_are_over(served, send):
    now = datetime.now(UTC)

    async def made(start: float, end: float) -> str:
        times = {"startsAt": now + timedelta(hours=start), "endsAt": now + timedelta(hours=end)}
        one = silence(**{name: moment.isoformat() for name, moment in times.items()})
        return str((await send(served, "POST", "silences", one))[1]["silenceID"])

    late, soon, next_week, over = [await made(*times) for times in ((0, 5), (0, 1), (100, 101), (0, 2))]
    await send(served, "DELETE", f"silence/{over}")
    tomorrow = await made(24, 25)
    assert [one["id"] for one in (await send(served, "GET", "silences"))[1]] == [soon, late, tomorrow, next_week, over]


async def test_a_file_of_silences_is_imported_alike(served, real, amtool, tmp_path):
    unknown = silence(id="11111111-1111-4111-8111-111111111111", comment="imported")
    (tmp_path / "silences.json").write_text(json.dumps([unknown, silence(comment="without an id")]))
    for address in (served, real):
        said = await amtool(address, "silence", "import", str(tmp_path / "silences.json"))
        assert len(ID.findall(said)) == 2
    ours, theirs = [await amtool(address, "silence", "query") for address in (served, real)]
    assert sorted(ID.sub("ID", squeezed(ours)).splitlines()) == sorted(ID.sub("ID", squeezed(theirs)).splitlines())
    assert "imported" in ours
