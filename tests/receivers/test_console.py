"""The console: readable, coloured only for eyes, and no stranger's text steers the terminal."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from alertd.errors import DeliveryError
from alertd.receivers import build
from alertd.receivers.console import ConsoleSettings, coloured, wants_colour


def receiver(url, **settings):
    return build("console", ConsoleSettings(**settings), session=None, external_url=url)


async def test_a_message_is_printed(capsys, make_notification, url, now):
    assert await receiver(url).send(make_notification(), now) == "printed"
    printed = capsys.readouterr().out
    assert printed.startswith("FIRING · MediaConnectionFailing · production / au1 · 12 of 118 participants (10.2 %)\n")
    assert "\x1b" not in printed


async def test_control_characters_reach_no_terminal(capsys, hostile, url, now):
    await receiver(url).send(hostile, now)
    await receiver(url, template={"text": "{{ receiver }}"}).send(hostile, now)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "�[31m" in printed


async def test_a_persons_template_replaces_the_message(capsys, make_notification, url, now):
    template = {"text": "{{ status }}: {{ group_labels.alertname }} ({{ reason }})"}
    await receiver(url, template=template).send(make_notification(), now)
    assert capsys.readouterr().out == "firing: MediaConnectionFailing (first notification)\n\n"


def test_a_terminal_gets_colour_unless_the_person_wants_none():
    ours, theirs = os.openpty()
    with os.fdopen(theirs, "w") as terminal, Path(os.devnull).open("w") as file:
        assert wants_colour(terminal, {})
        assert wants_colour(terminal, {"NO_COLOR": ""})
        assert not wants_colour(terminal, {"NO_COLOR": "1"})
        assert not wants_colour(terminal, {"TERM": "dumb"})
        assert not wants_colour(file, {})
    os.close(ours)


def test_only_the_headline_is_coloured():
    assert coloured("FIRING · x\nrest\n", "FIRING") == "\x1b[1;31mFIRING · x\x1b[0m\nrest\n"


@pytest.fixture
def full_disk():
    """A file that takes nothing, not even at its closing."""
    with contextlib.suppress(OSError), Path("/dev/full").open("w") as full:
        yield full


async def test_a_full_disk_behind_standard_output_is_tried_again(make_notification, url, now, full_disk):
    with contextlib.redirect_stdout(full_disk), pytest.raises(DeliveryError, match="cannot print: No space") as caught:
        await receiver(url).send(make_notification(), now)
    assert not caught.value.permanent


async def test_an_old_terminal_gets_question_marks_instead_of_an_error(make_notification, url, now, tmp_path):
    with (tmp_path / "out").open("w", encoding="ascii") as old, contextlib.redirect_stdout(old):
        await receiver(url).send(make_notification(), now)
    assert (tmp_path / "out").read_text().startswith("FIRING ? MediaConnectionFailing ? production / au1")
