"""Which base URLs are taken, and where links to a next page may lead."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from yarl import URL

from alertd.insights.address import check_base_url, follow, instant

HERE = URL("https://insights.twilio.com/v1/Video/Rooms?PageSize=1000")


@pytest.mark.parametrize(
    "url",
    [
        "https://insights.twilio.com",
        "https://insights.twilio.com/",
        "https://proxy.example:8443/twilio",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://localhost:8080",
        "http://[::1]:8080",
    ],
)
def test_https_and_loopback_are_good_base_urls(url):
    assert check_base_url(url) is None


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("http://insights.twilio.com", "https"),
        ("http://127.0.0.1.example.com", "https"),
        ("http://10.0.0.1", "https"),
        ("ftp://127.0.0.1", "write a URL like https://insights.twilio.com"),
        ("insights.twilio.com", "write a URL like https://insights.twilio.com"),
        ("", "write a URL like https://insights.twilio.com"),
        ("https://", "URL"),
        ("https://[::1", "not a URL"),
        ("https://insights..com", "not a host name"),
        ("https://" + "x" * 64 + ".com", "not a host name"),
        ("https://insights.twilio.com:port", "not a URL"),
        ("https://SK1:secret@insights.twilio.com", "api_key"),
        ("https://insights.twilio.com?a=1", "query"),
        ("https://insights.twilio.com/#a", "fragment"),
    ],
)
def test_a_bad_base_url_gets_a_complaint_that_says_what_to_do(url, complaint):
    assert complaint in check_base_url(url)


def test_the_complaint_about_credentials_in_the_url_does_not_repeat_them():
    assert "hunter2" not in check_base_url("https://SK1:hunter2@insights.twilio.com")


@pytest.mark.parametrize(
    "link",
    [
        "https://insights.twilio.com/v1/Video/Rooms?PageToken=2",
        "https://insights.twilio.com:443/v1/Video/Rooms?PageToken=2",
        "HTTPS://INSIGHTS.twilio.com/v1/Video/Rooms?PageToken=2",
        "/v1/Video/Rooms?PageToken=2",
        "?PageToken=2",
        "Rooms?PageToken=2",
        "Rooms?PageToken=2#top",
    ],
)
def test_a_link_on_the_same_server_is_followed_absolute_or_relative(link):
    assert str(follow(HERE, link)) == "https://insights.twilio.com/v1/Video/Rooms?PageToken=2"


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/v1/Video/Rooms",
        "//evil.example/v1/Video/Rooms",
        "http://insights.twilio.com/v1/Video/Rooms",
        "https://insights.twilio.com:8443/v1/Video/Rooms",
        "https://insights.twilio.com.evil.example/v1/Video/Rooms",
        "https://insights.twilio.com\\@evil.example/",
        "https://insights.twilio.com@evil.example/",
        "https://someone:else@insights.twilio.com/v1/Video/Rooms",
        "https://[::1",
        "https://insights.twilio.com:port/",
        "javascript:alert(1)",
    ],
)
def test_a_link_that_leads_elsewhere_is_refused(link):
    with pytest.raises(ValueError, match="the link to the next page"):
        follow(HERE, link)


def test_the_refusal_names_both_servers():
    with pytest.raises(ValueError, match=r"evil\.example.*insights\.twilio\.com"):
        follow(HERE, "https://evil.example/v1")


def test_times_are_sent_in_utc_whatever_their_zone():
    assert instant(datetime(2026, 3, 2, 12, 0, 1, 999_999, tzinfo=UTC)) == "2026-03-02T12:00:01Z"
    assert instant(datetime(2026, 3, 2, 12, tzinfo=timezone(timedelta(hours=2)))) == "2026-03-02T10:00:00Z"
    assert instant(datetime(2026, 3, 2, 12, tzinfo=UTC).replace(tzinfo=None)) == "2026-03-02T12:00:00Z"
