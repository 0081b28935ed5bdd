"""History files: what is written is read back, whatever the file's size; a bad line is told with its place."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alertd.engine.outcome import Sight
from alertd.engine.records import Participant, Room, SettledRoom, Whole
from alertd.errors import InputError
from alertd.history import MAX_LINE, PROBLEMS_KEPT, Attendance, HistoryFile, write_room

NOON = 1_772_452_800
END = datetime.fromtimestamp(NOON, UTC)
LINE = {
    "account": "production",
    "settled_at": "2026-03-02T12:08:00Z",
    "partial": False,
    "room": {"room_sid": "RM1", "end_time": "2026-03-02T12:00:00Z"},
    "participants": [{"participant_sid": "PA1"}, {"participant_sid": "PA2"}],
}
WHOLE = json.dumps(LINE)[1:]


def settled(**parts: Any) -> SettledRoom:
    values = {
        "account": "production",
        "room": Room(room_sid="RM1", end_time=END),
        "participants": (Participant(participant_sid="PA1"),),
        "ended": NOON,
        "known_at": NOON + 480,
    }
    return SettledRoom(**(values | parts))


@pytest.fixture
def file(tmp_path: Path) -> Callable[..., Path]:
    """Writes a history file: each line given as bytes, as text, or as what JSON is to say."""

    def write(*lines: Any, name: str = "rooms.ndjson") -> Path:
        raw = [
            line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else dumped(line)
            for line in lines
        ]
        path = tmp_path / name
        path.write_bytes(b"\n".join([*raw, b""]))
        return path

    return write


def dumped(line: object) -> bytes:
    return json.dumps(line).encode()


def line(**parts: Any) -> dict[str, Any]:
    return LINE | parts


def without(*keys: str) -> dict[str, Any]:
    return {key: value for key, value in LINE.items() if key not in keys}


def mistake(path: Path) -> str:
    """What is said of the file, without its name."""
    with pytest.raises(InputError) as refused:
        list(HistoryFile(path))
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{path}:")
    return str(problem).removeprefix(f"{path}:").strip()


# What is written


def test_a_line_has_twilios_own_names_and_says_when_the_room_settled():
    raw = write_room(settled(partial=True))
    assert raw.endswith(b"}\n")
    assert raw.count(b"\n") == 1
    assert json.loads(raw) == {
        "account": "production",
        "settled_at": "2026-03-02T12:08:00Z",
        "partial": True,
        "room": {"room_sid": "RM1", "end_time": "2026-03-02T12:00:00Z"},
        "participants": [{"participant_sid": "PA1"}],
    }


def test_a_room_without_an_end_time_says_when_it_ended_where_nothing_else_does():
    lost = settled(room=Room(room_sid="RM1", room_status="completed"), ended=NOON, known_at=NOON + 60)
    assert json.loads(write_room(lost))["ended"] == "2026-03-02T12:00:00Z"


def test_a_room_that_ended_before_alertd_was_there_reads_as_known_ten_minutes_after_its_end(file):
    first_look = Attendance([Sight(account="production", seen_from=NOON + 86400, seen_until=NOON + 90000)])
    before = settled(known_at=NOON + 86400)
    lost = settled(room=Room(room_sid="RM2", room_status="completed"), ended=NOON, known_at=NOON + 86400)
    lines = [write_room(one, missed=first_look.missed(one)) for one in (before, lost)]
    assert all("settled_at" not in json.loads(line) for line in lines)
    assert [(one.ended, one.known_at) for one in HistoryFile(file(*[line.rstrip() for line in lines]))] == [
        (NOON, NOON + 600)
    ] * 2
    assert not first_look.missed(settled(known_at=NOON + 480))  # known in time all the same
    assert not first_look.missed(settled(ended=NOON + 86460, known_at=NOON + 2 * 86400))


def test_nothing_in_a_line_makes_a_terminal_act_or_turns_the_writing_around():
    name = "\x1b[2J\x9b2J\x7f\u202e\u2066\u2028é日"
    raw = write_room(settled(room=Room(room_sid="RM1", room_name=name, end_time=END)))
    assert all(character.isprintable() for character in raw.decode().rstrip("\n"))
    assert "é日" in raw.decode()
    assert json.loads(raw)["room"]["room_name"] == name


# What is read is what was written

NUMBER = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.datetimes(
    datetime(1, 1, 2),  # noqa: DTZ001 - Hypothesis adds the zone
    datetime(9999, 12, 30),  # noqa: DTZ001
    timezones=st.none()
    | st.just(UTC)
    | st.builds(timezone, st.integers(-1439, 1439).map(lambda m: timedelta(minutes=m))),
)
SCALAR = (
    st.none() | st.booleans() | NUMBER | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
SENT = st.recursive(SCALAR, lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside), max_leaves=5)
VALUES: dict[object, st.SearchStrategy[Any]] = {
    str: st.text(min_size=1),
    str | None: st.none() | st.text(),
    bool | None: st.none() | st.booleans(),
    Whole | None: st.none() | NUMBER,
    datetime | None: st.none() | MOMENT,
    tuple[str, ...] | None: st.none() | st.lists(st.text()).map(tuple),
    dict[str, Any] | None: st.none() | st.dictionaries(st.text(), SENT, max_size=3),
}


def records(form: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return st.builds(form, **{field.name: VALUES[field.type] for field in msgspec.structs.fields(form)})


INSTANT = st.integers(0, 4 * 10**9)
ROOMS = st.builds(
    SettledRoom,
    account=st.text(min_size=1),
    room=records(Room),
    participants=st.lists(records(Participant), max_size=3).map(tuple),
    ended=INSTANT,
    known_at=INSTANT,
    partial=st.booleans(),
)


@settings(deadline=None)  # other work may share the machine
@given(st.lists(ROOMS, max_size=3), st.booleans())
def test_rooms_come_back_exactly_and_in_the_order_of_the_file(tmp_path_factory, rooms, packed):
    path = tmp_path_factory.mktemp("history") / "rooms"
    raw = b"".join(map(write_room, rooms))
    path.write_bytes(gzip.compress(raw) if packed else raw)
    assert list(HistoryFile(path)) == rooms


# What is read


def test_the_time_of_settling_is_ten_minutes_after_the_end_where_it_is_not_said(file):
    (room,) = HistoryFile(file(without("settled_at", "partial")))
    assert (room.ended, room.known_at, room.partial, room.replaced_at) == (NOON, NOON + 600, False, None)


@pytest.mark.parametrize("moment", ["2026-03-02T12:08:00", "2026-03-02T12:08:00.9Z", "2026-03-02T17:38:00+05:30"])
def test_times_may_have_any_zone_and_are_utc_without_one(file, moment):
    (room,) = HistoryFile(file(line(settled_at=moment)))
    assert room.known_at == NOON + 480


def test_a_room_without_end_time_ended_at_its_start_and_duration(file):
    summary = {
        "room_sid": "RM1",
        "room_status": "completed",
        "create_time": "2026-03-02T11:50:00Z",
        "duration_sec": 600,
    }
    (room,) = HistoryFile(file(line(room=summary)))
    assert room.ended == NOON


def test_unknown_keys_are_ignored_and_unknown_values_are_data(file):
    summary = LINE["room"] | {"room_type": "hologram", "links": {"participants": "/P"}}
    people = [{"participant_sid": "PA1", "end_reason": "abducted", "mood": 7}]
    (room,) = HistoryFile(file(line(room=summary, participants=people, note="mine")))
    assert (room.room.room_type, room.participants[0].end_reason) == ("hologram", "abducted")


def test_a_room_without_participants_is_a_room(file):
    history = HistoryFile(file(line(participants=[])))
    assert [room.participants for room in history] == [()]
    assert (history.rooms, history.participants) == (1, 0)


def test_a_room_that_comes_twice_is_given_twice_for_who_replays_to_decide(file):
    later = line(settled_at="2026-03-02T12:20:00Z")
    assert [room.known_at for room in HistoryFile(file(later, line()))] == [NOON + 1200, NOON + 480]


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(dumped(LINE), id="no line end at the end"),
        pytest.param(b"\xef\xbb\xbf" + dumped(LINE) + b"\r\n", id="from Windows"),
        pytest.param(b"\n \t\r\n" + dumped(LINE) + b"\n\n", id="empty lines"),
        pytest.param(gzip.compress(dumped(LINE)), id="gzip whatever its name"),
        pytest.param(gzip.compress(b"\n") + gzip.compress(dumped(LINE)), id="gzip files joined"),
    ],
)
def test_a_file_is_read_however_it_was_saved(tmp_path, raw):
    (tmp_path / "rooms.ndjson").write_bytes(raw)
    assert len(list(HistoryFile(tmp_path / "rooms.ndjson"))) == 1


def test_an_empty_file_holds_no_rooms(tmp_path):
    (tmp_path / "none.ndjson.gz").write_bytes(b"")
    assert list(HistoryFile(tmp_path / "none.ndjson.gz")) == []


def test_lines_are_numbered_with_the_empty_ones(file):
    assert mistake(file(LINE, "", LINE, "{")).startswith("4:2: ")


def test_reading_again_begins_anew(file):
    history = HistoryFile(file(LINE, "nonsense", LINE), skip_bad=True)
    assert len(list(history)) == len(list(history)) == 2
    assert (history.rooms, history.participants, history.bad, len(history.problems)) == (2, 4, 1, 1)


def test_the_example_in_the_documentation_reads_as_it_says(file):
    page = Path(__file__).parents[1] / "docs/history.md"
    (example,) = re.findall(r"^```json\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    (room,) = HistoryFile(file(json.loads(example)))
    assert (room.ended, room.known_at, room.participants[0].error_code) == (NOON, NOON + 480, 53405)


# Bad lines


def test_the_first_bad_line_ends_the_reading(file):
    read = []
    with pytest.raises(InputError, match=r"rooms\.ndjson:2:1: "):
        read.extend(HistoryFile(file(LINE, "nonsense", LINE)))


def test_bad_lines_are_passed_by_if_asked_for_and_told(file):
    path = file(LINE, "nonsense", LINE, line(account=5), LINE)
    history = HistoryFile(path, skip_bad=True)
    assert len(list(history)) == 3
    assert [(problem.file, problem.line) for problem in history.problems] == [(str(path), 2), (str(path), 4)]


def test_of_many_bad_lines_the_first_are_kept_and_all_counted(file):
    history = HistoryFile(file(*["nonsense"] * 250, LINE), skip_bad=True)
    assert len(list(history)) == 1
    assert (history.bad, len(history.problems)) == (250, PROBLEMS_KEPT)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ("nonsense", "1:1: is not JSON (Expecting value); write one object {…} on each line"),
        ('{"account": "a", }', "is not JSON ("),
        ('{"é": 1} {}', "1:10: is not JSON (Extra data); write one object"),
        ('{"account": "production", "room": {', "1:36: is not JSON"),
        ("[1, 2]", "1:1: write an object {…}"),
        ("17", "1:1: write an object {…}"),
        (b'{"account": "\xc3\xa9\xff"}', "1:15: is not UTF-8; save the file as UTF-8"),
        ("{}".encode("utf-16"), "1:1: is not UTF-8; save the file as UTF-8"),
        ('{"x": NaN, ' + WHOLE, "1:1: cannot be read as JSON"),
        ('{"x": "\\ud800", ' + WHOLE, "1:1: cannot be read as JSON"),
        ('{"x":' * 100_000, "1:1: is nested too deeply"),
        ('{"x": ' + "9" * 5000 + "}", "1:1: "),
        (without("account"), '1:1: the key "account" is missing'),
        (without("room"), '1:1: the key "room" is missing'),
        (without("participants"), '1:1: the key "participants" is missing'),
        ('{"account": "", "room": {"room_sid": "RM1"}, "participants": []}', "1:13: account: write the name of"),
        ('{"account": 5}', "1:13: account: write text"),
        ('{"account": "a", "room": null}', "1:26: room: write an object {…}"),
        ('{"account": "a", "room": { }}', '1:26: room: the key "room_sid" is missing'),
        ('{"account": "a", "room": {"room_sid": ""}, "participants": []}', "1:39: room.room_sid: write the SID"),
        ('{"account": "a", "room": {"room_sid": "R"}, "participants": {}}', "1:61: participants: write a list"),
        ('{"account": "a", "room": {"room_sid": "R"}, "participants": []}', '1:26: room: there is no "end_time"; only'),
        (line(room={"room_sid": "R", "room_status": "in-progress"}), '1:91: room: there is no "end_time"'),
        (line(settled_at=1772452800), "1:41: settled_at: write a time like 2026-03-02T12:08:00Z"),
        (line(settled_at="yesterday"), "1:41: settled_at: write a time like"),
        (line(partial="no"), "1:76: partial: write true or false"),
        (line(partial=None), "1:76: partial: write true or false"),
        (line(participants=[{"participant_sid": "PA1"}, 7]), "participants[1]: write an object {…}"),
        (line(participants=[{"participant_identity": "ann"}]), 'participants[0]: the key "participant_sid" is missing'),
    ],
)
def test_a_bad_line_says_where_it_is_wrong_and_what_would_be_right(file, bad, told):
    assert told in mistake(file(bad))
    assert mistake(file(bad)).startswith("1:")


@pytest.mark.parametrize("field", msgspec.structs.fields(Participant), ids=lambda field: field.name)
@pytest.mark.parametrize("wrong", [[1], 1.5, -(2**70)])
def test_a_wrong_type_in_one_participant_is_told_by_its_key_and_place(file, field, wrong):
    good = {"participant_sid": "PA1"}
    bad = line(participants=[good, good | {field.name: wrong}, good])
    told = mistake(file(bad))
    assert re.match(rf"1:\d+: participants\[1\]\.{field.name}: write \w", told)
    column = int(told.split(":")[1])
    assert dumped(bad)[column - 1 :].startswith(dumped(wrong))


@pytest.mark.parametrize("field", msgspec.structs.fields(Room), ids=lambda field: field.name)
def test_so_is_one_in_the_room(file, field):
    told = mistake(file(line(room=LINE["room"] | {field.name: [1]})))
    assert re.match(rf"1:\d+: room\.{field.name}: write \w", told)


def test_the_last_of_a_key_given_twice_is_the_one_that_counts_and_is_pointed_at(file):
    twice = '{"account": "a", "account": 5, "room": {"room_sid": "R"}, "participants": []}'
    assert mistake(file(twice)).startswith("1:29: account: write text")


def test_what_people_are_called_is_in_no_message(file):
    person = {"participant_sid": ["Ann"], "participant_identity": "ann@example.com"}
    bad = line(room=LINE["room"] | {"room_name": "Ann's divorce"}, participants=[person])
    assert "nn" not in mistake(file(bad)).replace("cannot", "")


def test_a_line_longer_than_the_limit_is_told_and_passed_by(tmp_path):
    path = tmp_path / "long.ndjson.gz"
    with gzip.open(path, "wb", compresslevel=1) as packed:
        packed.write(dumped(LINE) + b"\n" + b" " * (MAX_LINE + 10) + b"\n" + dumped(LINE) + b"\n")
    history = HistoryFile(path, skip_bad=True)
    assert len(list(history)) == 2
    assert [(problem.line, problem.message) for problem in history.problems] == [
        (2, "is longer than 64 MiB; write one room on each line")
    ]


# Bad files


def test_compressed_data_that_is_cut_short_gives_what_is_whole_and_says_so(tmp_path):
    rooms = [settled(room=Room(room_sid=f"RM{n}", end_time=END, room_name=str(n * 7919))) for n in range(5000)]
    raw = gzip.compress(b"".join(map(write_room, rooms)))
    path = tmp_path / "cut.ndjson.gz"
    path.write_bytes(raw[: len(raw) // 2])
    history = HistoryFile(path, skip_bad=True)
    read = list(history)
    assert 1000 < len(read) < 4000
    assert read == rooms[: len(read)]
    assert [problem.line for problem in history.problems] == [len(read) + 1]
    assert (
        mistake(path)
        == f"{len(read) + 1}:1: the compressed data is cut short or damaged, and ends here; copy the file again"
    )


def test_so_does_damaged_data_and_what_is_no_gzip_behind_it(tmp_path):
    for raw in (gzip.compress(dumped(LINE) + b"\n") + b"more", gzip.compress(dumped(LINE))[:-8] + b"\x00" * 8):
        (tmp_path / "odd.gz").write_bytes(raw)
        history = HistoryFile(tmp_path / "odd.gz", skip_bad=True)
        list(history)
        assert "cut short or damaged" in history.problems[0].message


@pytest.mark.parametrize("skip_bad", [False, True])
def test_a_file_that_cannot_be_read_is_an_error_however_it_is_read(tmp_path, skip_bad):
    for path, why in ((tmp_path / "missing.ndjson", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(InputError, match=f"{re.escape(str(path))}: cannot be read: {why}"):
            list(HistoryFile(path, skip_bad=skip_bad))


def test_fifty_thousand_rooms_take_no_more_memory_than_a_few(tmp_path):
    path = tmp_path / "many.ndjson.gz"
    people = tuple(Participant(participant_sid=f"PA{n:032x}", end_reason="disconnected_via_api") for n in range(3))
    raw = write_room(settled(participants=people))
    with gzip.open(path, "wb", compresslevel=1) as packed:
        for _ in range(500):
            packed.write(raw * 100)
    history = HistoryFile(path)
    tracemalloc.start()
    try:
        assert sum(len(room.participants) for room in history) == 150_000
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert history.rooms == 50_000
    assert len(raw) * 50_000 > 15e6
    assert peak < 2e6
