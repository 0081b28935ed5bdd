"""What Retry-After and dates say, how long the pauses get, and how a refusal reads."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alertd.errors import CredentialsError, NotFoundError, SourceError
from alertd.insights.answers import LONGEST_PAUSE, LONGEST_RETRY_AFTER, http_date, pause, refused, retry_after

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("Mon, 02 Mar 2026 12:00:20 GMT", 20),
        ("Monday, 02-Mar-26 12:00:20 GMT", 20),
        ("Mon Mar  2 12:00:20 2026", 20),
        ("Mon, 02 Mar 2026 11:00:00 GMT", 0),
        ("3600", LONGEST_RETRY_AFTER),
        ("9" * 5000, LONGEST_RETRY_AFTER),
        ("Mon, 02 Mar 2027 12:00:00 GMT", LONGEST_RETRY_AFTER),
        ("", 0),
        ("-5", 0),
        ("1.5", 0),
        ("٣", 0),
        ("soon", 0),
        ("Mon, 99 Mar 2026 12:00:00 GMT", 0),
    ],
)
def test_retry_after_is_read_as_seconds_or_date_and_capped(header, seconds):
    assert retry_after(header, NOON) == seconds


def test_a_date_that_is_none_is_none():
    assert http_date("Mon, 02 Mar 2026 12:00:00 GMT") == NOON
    assert http_date("yesterday") is None


@given(st.text(max_size=60))
def test_no_header_breaks_the_reading(header):
    http_date(header)
    assert 0 <= retry_after(header, NOON) <= LONGEST_RETRY_AFTER


@given(st.integers(1, 2000), st.integers())
def test_a_pause_is_jittered_and_bounded_by_the_doubling(tries, seed):
    assert 0 <= pause(min(tries, 900), random.Random(seed)) <= min(LONGEST_PAUSE, 2.0 ** min(tries - 1, 10))


@pytest.mark.parametrize(("status", "wait"), [(429, 20), (503, 20), (500, 0), (408, 0), (404, 0), (401, 0)])
def test_only_a_429_and_a_503_may_ask_to_be_left_alone(status, wait):
    assert refused(status, {"Retry-After": "20"}, b"", NOON).wait == wait


@pytest.mark.parametrize(
    ("status", "error", "again", "answered"),
    [
        (400, SourceError, False, True),
        (401, CredentialsError, False, False),
        (403, CredentialsError, False, False),
        (404, NotFoundError, False, True),
        (408, SourceError, True, False),
        (422, SourceError, False, True),
        (429, SourceError, True, False),
        (500, SourceError, True, False),
        (502, SourceError, True, False),
        (599, SourceError, True, False),
        (204, SourceError, False, False),
        (307, SourceError, False, False),
    ],
)
def test_each_status_says_what_to_raise_whether_to_try_again_and_whether_the_account_is_well(
    status, error, again, answered
):
    trouble = refused(status, {}, b"", NOON)
    assert (trouble.error, trouble.again, trouble.reason) == (error, again, str(status))
    assert trouble.answered is answered


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            b'{"code": 20007, "message": "Page size too large", "status": 400}',
            "Twilio error 20007: Page size too large",
        ),
        (b'{"title": "Invalid", "detail": "PageSize > 1000", "code": 20007}', "Twilio error 20007: PageSize > 1000"),
        (b'{"title": "Invalid parameter"}', "HTTP 400: Invalid parameter"),
        (b'{"code": "x", "message": {"a": 1}}', "HTTP 400"),
        (b"[1]", "HTTP 400"),
        (b"<html>", "HTTP 400"),
        (b"\xff", "HTTP 400"),
        (b"", "HTTP 400"),
    ],
)
def test_the_text_says_what_twilio_said_in_whatever_shape(body, said):
    assert said in refused(400, {}, body, NOON).text


def test_the_servers_words_stay_on_one_line_and_short():
    body = b'{"code": 1, "message": "a\\nFAKE LOG LINE\\u001b[31m' + b"x" * 5000 + b'"}'
    text = refused(400, {"Twilio-Request-Id": "RQ1\tRQ2"}, body, NOON).text
    assert text.isprintable()
    assert len(text) < 300
    assert text.endswith("request RQ1 RQ2")


def test_a_redirect_names_the_host_it_points_to():
    assert "to moved.example" in refused(302, {"Location": "https://moved.example/x"}, b"", NOON).text
    assert "redirect" in refused(302, {"Location": "https://[broken"}, b"", NOON).text
