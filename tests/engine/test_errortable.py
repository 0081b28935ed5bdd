"""What Twilio's codes and end reasons are taken for."""

from __future__ import annotations

import pytest

from alertd.engine.errortable import (
    CATEGORIES,
    END_REASONS,
    ERRORS,
    Ambiguous,
    Resolved,
    Unknown,
    by_code,
    by_reason,
    category_of,
    error_url,
    reason_named,
)

MEDIA = "media_connection_failed_or_media_activity_ceased"


def test_every_row_has_a_message_a_known_category_and_a_code_or_a_reason():
    assert all(row.message and row.category in CATEGORIES and (row.code or row.end_reason) for row in ERRORS)


def test_no_code_and_no_reason_is_listed_twice():
    codes = [row.code for row in ERRORS if row.code]
    assert len(codes) == len(set(codes)) == 71
    assert len(END_REASONS) == len({reason.lower() for reason in END_REASONS}) == 47


def test_reasons_come_in_the_order_of_their_codes_as_in_the_documentation_of_the_api():
    assert END_REASONS[0] == "signaling_connection_error"
    assert END_REASONS[-2:] == ("disconnected_via_api", "unknown")


def test_a_code_leads_to_its_row():
    row = by_code(53405)
    assert row is not None
    assert (row.category, row.end_reason) == ("network", MEDIA)


def test_a_code_that_nobody_documented_has_no_row():
    assert by_code(59999) is None


@pytest.mark.parametrize("text", ["room_not_found", "Room-Not-Found", "ROOM_NOT_FOUND"])
def test_a_reason_is_found_in_any_spelling(text: str):
    row = by_reason(text)
    assert row is not None
    assert row.code == 53106


@pytest.mark.parametrize(
    ("code", "reason", "category"),
    [
        (None, None, "normal"),
        (0, None, "normal"),
        (0, "disconnected_via_api", "normal"),
        (None, "room_completed_error", "normal"),
        (53118, "room_completed_error", "normal"),
        (53216, None, "normal"),
        (53405, None, "network"),
        (53405, "disconnected_via_api", "network"),
        (None, MEDIA, "network"),
        (53003, None, "client"),
        (53006, None, "server"),
        (None, "unable_to_acquire_turn_credentials", "server"),
        (53119, None, "quota"),
        (53205, "disconnected_via_api", "user"),
        (53106, None, "config"),
        (20101, None, "config"),
        (None, "unknown", "unknown"),
        (None, "something_new", "unknown"),
        (59999, None, "unknown"),
        (59999, "disconnected_via_api", "unknown"),
        (59999, MEDIA, "network"),
    ],
)
def test_how_a_call_ended_is_told_by_its_code_first_and_its_reason_second(code, reason, category):
    assert category_of(code, reason) == category


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("media_connection_failed", MEDIA),
        ("media", MEDIA),
        ("Media-Connection", MEDIA),
        ("duplicate_identity", "participant_disconnected_because_of_duplicate_identity"),
        ("room_completed", "room_completed_error"),
        ("unable_to_acquire_turn", "unable_to_acquire_TURN_credentials"),
    ],
)
def test_a_reason_may_be_shortened_to_whole_words(text: str, reason: str):
    assert reason_named(text) == Resolved(reason, exact=False)


@pytest.mark.parametrize("reason", END_REASONS)
def test_a_whole_reason_means_itself(reason: str):
    assert reason_named(reason) == Resolved(reason, exact=True)


def test_a_shortened_reason_that_fits_several_names_them():
    found = reason_named("signaling_connection")
    assert found == Ambiguous(
        ("signaling_connection_error", "signaling_connection_disconnected", "signaling_connection_timed_out")
    )


@pytest.mark.parametrize("text", ["", "media_conn", "edia_connection_failed", "nonsense", "_"])
def test_parts_of_words_mean_nothing(text: str):
    assert reason_named(text) == Unknown()


def test_first_words_win_over_words_from_the_middle():
    assert reason_named("participant_not") == Resolved("participant_not_found", exact=False)
    assert reason_named("room_type") == Resolved("room_type_is_not_valid", exact=False)


def test_a_code_links_to_its_page_in_the_dictionary():
    assert error_url(53405) == "https://www.twilio.com/docs/api/errors/53405"
