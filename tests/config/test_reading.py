"""Files that cannot be read say so in one line; a problem is placed at the nearest thing that stands in the file."""

from __future__ import annotations

import os

import pytest

from alertd.config.reading import MAX_BYTES, read, read_text
from alertd.config.tomltext import parse_toml
from alertd.config.yamltext import parse_yaml
from alertd.errors import InputError


@pytest.mark.parametrize("content", [b"", b" \n\t\n", b"\xef\xbb\xbf"])
def test_an_empty_file_is_said_to_be_empty(write, content):
    path = write("empty.toml", content)
    with pytest.raises(InputError) as refused:
        read(path, parse_toml)
    assert str(refused.value) == f"{path}: is empty"


def test_text_that_is_not_utf_8_is_refused_where_it_stops_being_so(write):
    path = write("latin.yaml", "ok: 1\nname: Käse\n".encode("latin-1"))
    with pytest.raises(InputError) as refused:
        read(path, parse_yaml)
    assert str(refused.value) == f"{path}:2:8: is not UTF-8 text; save the file as UTF-8"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as refused:
        read(tmp_path / "none.toml", parse_toml)
    assert str(refused.value) == f"{tmp_path / 'none.toml'}: cannot be read: No such file or directory"


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        read(tmp_path, parse_toml)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="is not a file"):
        read(tmp_path / "pipe", parse_toml)


def test_a_huge_file_is_refused(write):
    with pytest.raises(InputError, match="is larger than 4 MiB"):
        read(write("huge.yaml", b"#" * (MAX_BYTES + 1)), parse_yaml)


def test_a_byte_order_mark_and_windows_line_ends_are_no_mistakes(write):
    path = write("windows.toml", b"\xef\xbb\xbfa = 1\r\nb = 2\r\n")
    document = read(path, parse_toml)
    assert document.data == {"a": 1, "b": 2}
    assert document.places["b",].value == (2, 5)
    assert "\r" not in read_text(path)


def test_a_problem_stands_at_its_value_or_its_key_or_the_nearest_thing_around(write):
    document = read(write("a.yaml", "a:\n  b: x\n"), parse_yaml)
    assert str(document.problem(("a", "b"), "m")).endswith("a.yaml:2:6: m")
    assert str(document.problem(("a", "b"), "m", at_key=True)).endswith("a.yaml:2:3: m")
    assert str(document.problem(("a", "none", 3), "m")).endswith("a.yaml:2:3: m")
    assert str(document.problem(("none",), "m")).endswith("a.yaml:1:1: m")
