"""SIDs look like Twilio's, and a room can be found by its SID."""

from __future__ import annotations

import re

from alertd.simulator.sids import account_sid, room_place, room_sid


def test_sids_have_twilios_form() -> None:
    assert re.fullmatch(r"RM[0-9a-f]{32}", room_sid("key", 2_954_088, 17))
    assert re.fullmatch(r"AC[0-9a-f]{32}", account_sid("SK" + "2" * 32))


def test_every_key_has_an_account_of_its_own_and_an_account_sid_is_its_own_account() -> None:
    assert account_sid("SK1") != account_sid("SK2")
    assert account_sid("AC" + "a" * 32) == "AC" + "a" * 32


def test_a_room_sid_tells_where_its_room_is_to_whoever_knows_the_key() -> None:
    sid = room_sid("key", 2_954_088, 1_048_576)
    assert room_place("key", sid) == (2_954_088, 1_048_576)
    assert room_place("another key", sid) != (2_954_088, 1_048_576)


def test_sids_of_neighbouring_rooms_do_not_resemble_one_another() -> None:
    heads = {room_sid("key", 2_954_088, number)[:8] for number in range(200)}
    assert len(heads) == 200


def test_what_is_not_a_room_sid_has_no_place() -> None:
    for text in ("", "RM", "RM" + "g" * 32, "RM" + "A" * 32, "PA" + "0" * 32, "RM" + "0" * 33):
        assert room_place("key", text) is None
