"""The pages show whoever was woken at night what stands and why, and let nobody's text act in the browser."""

from __future__ import annotations

import re
import sqlite3
from base64 import b64encode
from contextlib import closing
from hashlib import sha256
from urllib.parse import quote

import msgspec
import pytest

from alertd.engine.acks import Ack
from alertd.engine.coverage import Seen
from alertd.engine.kinds import Absent, Count, Rate
from alertd.engine.routes import Matcher
from alertd.engine.silences import Draft, expired, put
from alertd.web.pages import MOST_ROWS

PATHS = ["/", "/alerts", "/silences", "/notifications", "/rooms", "/rules"]
HOUR = 3600


def in_this_order(text: str, *words: str) -> bool:
    places = [text.index(word) for word in words]
    return places == sorted(places)


# -- alerts


@pytest.mark.parametrize("path", ["/", "/alerts"])
async def test_what_fires_comes_first_then_what_is_pending_then_what_is_over(
    read, browser, stored, make_alert, clock, path
):
    now = int(clock.now())
    await stored(
        make_alert("Gone", state="resolved", ends_at=now - 60, changed_at=now - 60, active_at=None),
        make_alert("Soon", state="pending", active_at=now - 120, starts_at=None, changed_at=now - 120),
        make_alert("Bad"),
        make_alert("Worse", changed_at=now - 30, starts_at=now - 30),
        make_alert("Missed", state="resolved", late=True, ends_at=now - 900, changed_at=now - 90, active_at=None),
    )
    page = await read(await browser(), path)
    assert in_this_order(page.text, "Firing 2", "Worse", "Bad", "Pending 1", "Soon", "Over", "Gone", "Missed")
    assert "over before it was noticed: 2026-03-02 11:35 UTC" in page.text


async def test_what_was_over_a_day_ago_or_never_fired_is_not_in_the_list(read, browser, stored, make_alert, clock):
    now = int(clock.now())
    old = now - 25 * HOUR
    await stored(
        make_alert("Ancient", state="resolved", ends_at=old, changed_at=old, starts_at=old - HOUR),
        make_alert("NeverMind", state="inactive", changed_at=now - 60, starts_at=None),
    )
    page = await read(await browser(), "/alerts")
    assert "Nothing fires. Nothing is pending, and nothing ended in the last 24 hours." in page.text
    assert "Ancient" not in page.text
    assert "NeverMind" not in page.text


async def test_an_alert_says_how_bad_it_is_since_when_and_why(read, browser, stored, make_alert):
    await stored(make_alert())
    page = await read(await browser(), "/alerts")
    for words in (
        "since 2026-03-02 11:35 UTC (25m)",
        "account=production media_region=au1 severity=page",
        "10.2 % of calls in au1 lost their media connection",
        "Seen 12 of 118 participants (10.2 %)",
        "Surely at least 6.1 %",
        "Limit 5 %",
        "Rooms affected 7 of 40",
        "Identities 11",
        "Window 1h, ended 5m before it was judged",
        "Settled 95.8 % of its rooms",
        "Why: 10.2 % of 118 participants match",
    ):
        assert words in page.text
    assert "https://runbooks.example.com/media?x=1&y=2" in page.links


async def test_an_alert_says_which_slice_carries_it_unless_there_is_nothing_to_say(
    read, browser, stored, make_alert, make_explanation
):
    silent = make_explanation(slices=(), localised=False, rooms_affected=2)
    await stored(make_alert("Told", explain=make_explanation()), make_alert("Untold", explain=silent))
    page = await read(await browser(), "/alerts")
    assert "Where: localised: media_region ie1 carries 31 of 40 (62 % of its 50, 14 times the rest)" in page.text
    assert page.text.count("Where:") == 1


async def test_a_count_is_told_as_a_number_not_as_a_share(read, browser, stored, make_alert, make_sample):
    count = make_sample(value=7, matched=7, total=40, limit=5, lower=None, position=0, of="rooms")
    await stored(make_alert(sample=count))
    page = await read(await browser(), "/alerts")
    assert "Seen 7 of 40 rooms Fires from 5 " in page.text


async def test_what_is_missing_is_told_without_a_share_of_anything(read, browser, stored, make_alert, make_sample):
    few = make_sample(value=2, matched=2, total=2, rooms=2, limit=10, lower=None, position=0, of="rooms", below=True)
    await stored(make_alert(sample=few, evidence=()))
    page = await read(await browser(), "/alerts")
    assert "Seen 2 rooms Fires below 10 " in page.text
    assert "affected" not in page.text


async def test_evidence_is_folded_and_leads_to_twilios_dictionary(read, browser, stored, make_alert):
    await stored(make_alert())
    page = await read(await browser(), "/alerts")
    assert ("open", None) not in page.attributes
    for words in (
        "RM" + "0" * 32,
        "PA" + "0" * 31 + "2",
        "media_connection_failed",
        "53405",
        "2.28.1",
        "au1 via sydney",
    ):
        assert words in page.text
    assert "https://www.twilio.com/docs/api/errors/53405" in page.links


async def test_an_alert_without_a_sample_such_as_those_about_alertd_is_shown_too(read, browser, stored, make_alert):
    labels = {"alertname": "AlertdPollFailing", "account": "production", "severity": "page"}
    await stored(make_alert("AlertdPollFailing", labels=labels, sample=None, evidence=(), first_seen=None))
    assert "AlertdPollFailing" in (await read(await browser(), "/alerts")).text


async def test_a_link_in_a_message_leads_to_one_alert_opened_with_its_history(
    read, browser, stored, make_alert, make_event, clock
):
    now, alert, other = int(clock.now()), make_alert(), make_alert("Other")
    await stored(
        alert,
        other,
        events=(
            make_event(alert, "firing", now - 2 * HOUR),
            make_event(alert, "resolved", now - HOUR, reason="not elevated for 15m"),
            make_event(other, "firing", now - HOUR, reason="something else"),
            make_event(alert, "late", now - 60, starts_at=now - 1800, ends_at=now - 1200, late=True),
        ),
    )
    page = await read(await browser(), f"/alerts?fingerprint={alert.fingerprint}")
    assert ("open", None) in page.attributes
    history = page.text.partition("History")[2]
    assert in_this_order(history, "2026-03-02 11:59 UTC late", "11:00 UTC resolved", "10:00 UTC firing")
    assert "11:30 UTC to 2026-03-02 11:40 UTC (10m)" in history
    assert "not elevated for 15m" in history
    assert "Other" not in page.text
    assert "something else" not in page.text


async def test_of_an_alert_that_is_long_forgotten_its_history_is_left(
    read, browser, stored, make_alert, make_event, clock
):
    alert = make_alert()
    await stored(events=(make_event(alert, "resolved", int(clock.now()) - 20 * 24 * HOUR),))
    page = await read(await browser(), f"/alerts?fingerprint={alert.fingerprint}")
    assert in_this_order(page.text, "MediaLost", "account=production", "It was over long ago", "resolved")


async def test_an_unknown_fingerprint_is_said_kindly_and_leads_back(read, browser, stored, make_alert, hostile):
    await stored(make_alert())
    client = await browser()
    for fingerprint in ("0" * 16, hostile, "a" * 5000):
        page = await read(client, f"/alerts?fingerprint={quote(fingerprint)}", status=404)
        assert "There is no alert with this fingerprint." in page.text
        assert "alerts" in page.links


async def test_no_more_alerts_are_shown_than_a_browser_bears(read, browser, stored, make_alert):
    flood = [make_alert(f"Alert{place}", fingerprint=f"{place:016x}", evidence=()) for place in range(MOST_ROWS + 7)]
    await stored(*flood)
    page = await read(await browser(), "/alerts")
    assert page.count("article") == MOST_ROWS
    assert "and 7 more alerts" in page.text


async def test_no_more_of_a_history_is_shown_either(read, browser, stored, make_alert, make_event, clock):
    alert, now = make_alert(evidence=()), int(clock.now())
    await stored(alert, events=tuple(make_event(alert, "firing", now - place) for place in range(MOST_ROWS + 2)))
    page = await read(await browser(), f"/alerts?fingerprint={alert.fingerprint}")
    assert page.count("tr") == MOST_ROWS + 1
    assert "and 2 more changes" in page.text


# -- all pages


@pytest.mark.parametrize("path", PATHS)
async def test_every_page_can_be_read_while_the_store_is_empty(read, browser, path):
    page = await read(await browser(), path)
    assert page.count("h1") == 1


# -- notifications


async def test_the_outbox_tells_what_was_sent_to_whom_why_and_how_it_went(
    read, browser, store, stored, make_notification, clock
):
    now = int(clock.now())
    await stored(notifications=tuple(make_notification(number) for number in (1, 2, 3)))
    await store.sent(make_notification(1).id, now, "200 ok")
    await store.failed(make_notification(2).id, now, "answered 404: no_team")
    await store.again(make_notification(3).id, now + 300, now, "answered 503")
    client = await browser()
    page = await read(client, "/notifications")
    assert "1 waiting to be sent, 1 sent, 1 failed, 0 withheld." in page.text
    assert in_this_order(page.text, "answered 503", "answered 404: no_team", "200 ok")
    assert (
        "queued due 2026-03-02 12:05 UTC oncall/slack[0] first notification firing MediaLost 1 answered 503"
        in page.text
    )
    failed = await read(client, "/notifications?failed=1")
    assert "answered 404: no_team" in failed.text
    assert "200 ok" not in failed.text


async def test_a_notification_of_many_alerts_names_ten(read, browser, stored, make_notification):
    (told,) = make_notification().alerts
    many = [msgspec.structs.replace(told, labels={"alertname": f"Alert{place}"}) for place in range(14)]
    await stored(notifications=(make_notification(alerts=tuple(many)),))
    page = await read(await browser(), "/notifications")
    assert "Alert0, Alert1" in page.text
    assert "Alert9 and 4 more" in page.text


async def test_the_newest_notifications_are_shown_the_rest_is_counted(read, browser, stored, make_notification):
    await stored(notifications=tuple(make_notification(number) for number in range(MOST_ROWS + 3)))
    page = await read(await browser(), "/notifications")
    assert page.count("tr") == MOST_ROWS + 1
    assert "and 3 more notifications" in page.text


# -- rooms


async def test_rooms_that_wait_longest_come_first_with_what_they_wait_for(
    read, browser, store, stored, make_open_room, clock
):
    now = int(clock.now())
    await stored()
    await store.note_open(
        "production",
        [
            make_open_room(1, ended=None, why="in progress"),
            make_open_room(2, ended=now - 300),
            make_open_room(3, ended=now - 1500, why="no state"),
        ],
    )
    page = await read(await browser(), "/rooms")
    assert "0 settled with 0 participants, 2 waiting to settle, 1 still going on." in page.text
    first, second, last = (f"RM{number:032x}" for number in (3, 2, 1))
    assert in_this_order(page.text, first, "UTC 25m no state", second, "UTC 5m", last, "still going on in progress")


async def test_what_was_never_listed_is_said_of_each_account(read, browser, store, stored, clock):
    now = int(clock.now())
    await stored()
    listed = Seen(started_from=now - 7200, started_until=now, seen_at=now)
    await store.cover("production", (Seen(started_from=now - 90000, started_until=now - 7200, seen_at=None), listed))
    page = await read(await browser(), "/rooms")
    assert "production: not listed yet are rooms that started from" in page.text
    await store.cover("production", (listed,))
    page = await read(await browser(), "/rooms")
    assert "production: every room that started since" in page.text


async def test_a_flood_of_rooms_is_counted(read, browser, store, stored, make_open_room):
    await stored()
    await store.note_open("production", [make_open_room(number) for number in range(MOST_ROWS + 1)])
    page = await read(await browser(), "/rooms")
    assert page.count("tr") == MOST_ROWS + 1
    assert "and 1 more rooms" in page.text


# -- rules


async def test_rules_are_listed_in_words_with_their_place_and_their_alerts(
    read, browser, stored, make_alert, losing_media, clock
):
    rate = losing_media(labels={"severity": "page"}, by=("account", "media_region"), source="rules/media.yaml:8")
    count = losing_media(alert="Rare", kind=Count(at_least=3, over=1800, of="rooms"), hold_for=300)
    await stored(
        make_alert("A", rule=rate.key),
        make_alert("B", rule=rate.key),
        make_alert("C", rule=rate.key, state="pending", active_at=int(clock.now())),
    )
    page = await read(await browser(rate, count), "/rules")
    for words in (
        "more than 5 % of participants within 1h, 99 % sure",
        "account, media_region",
        "MediaLost rules/media.yaml:8",
        "severity=page 2 firing 1 pending",
        "Rare at least 3 rooms within 30m account 5m none",
    ):
        assert words in page.text


async def test_no_rules_at_all_is_told_to_be_a_mistake(read, browser):
    page = await read(await browser(rules=()), "/rules")
    assert "There are no rules, so nothing can fire." in page.text


def test_absence_is_told_in_words():
    assert Absent(fewer_than=5, over=7200).in_words() == "fewer than 5 rooms started within 2h"


def test_one_is_not_told_as_many():
    assert Count(at_least=1).in_words() == "at least 1 participant within 30m"


def test_a_share_that_needs_no_confidence_is_not_said_to_be_sure():
    words = Rate(above=0.1, over=7200, of="identities", min=20, min_rooms=4, confidence=None).in_words()
    assert words == "more than 10 % of identities within 2h; needs 20 identities, and a match in 4 rooms"


# -- what strangers typed


@pytest.fixture
async def hostile_pages(
    browser, store, stored, make_alert, make_evidence, make_explanation, make_event, make_notification, hostile, clock
):
    """Pages on which every text that anybody can choose is hostile."""
    clue = make_evidence(
        room_sid=hostile, participant_sid=hostile, account=hostile, room_name=hostile, identity=hostile,
        end_reason=hostile, sdk=hostile, media_region=hostile, error_url="javascript:alert(1)",
    )  # fmt: skip
    alert = make_alert(
        labels={"alertname": hostile, "account": hostile, hostile: hostile},
        annotations={"summary": hostile, "runbook_url": "javascript:alert(1)", hostile: hostile},
        evidence=(clue,),
        explain=make_explanation(hostile),
        reason=hostile,
    )
    (told,) = make_notification().alerts
    told = msgspec.structs.replace(told, labels=alert.labels)
    sent = make_notification(integration=hostile, alerts=(told,))
    await stored(alert, events=(make_event(alert, "firing", int(clock.now())),), notifications=(sent,))
    await store.sent(sent.id, int(clock.now()), hostile)
    await store.trouble("poll", hostile, hostile, int(clock.now()))
    now = int(clock.now())
    draft = Draft(
        matchers=(Matcher("alertname", "=", hostile),),
        starts_at=now,
        ends_at=now + HOUR,
        created_by=hostile,
        comment=hostile,
        annotations={},
    )
    await store.change_silence("", lambda known: put(known, draft, now, "s1"))
    return await browser(accounts=(hostile,)), alert.fingerprint


async def test_nothing_that_a_stranger_typed_is_more_than_text(read, hostile_pages):
    client, fingerprint = hostile_pages
    for path in [*PATHS, f"/alerts?fingerprint={fingerprint}"]:
        page = await read(client, path)
        assert not {"script", "img", "iframe", "form", "link"} & set(page.elements)
        assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
        assert not [
            link for link in page.links if not re.match(r"https://|(alerts|silences|notifications|rooms|rules)\b", link)
        ]
        assert "\x1b" not in page.source
        assert "\u202e" not in page.source
        assert "<script>alert(1)</script>{{ 7*7 }}" in page.text


async def test_long_texts_are_cut(read, browser, stored, make_alert):
    long = "x" * 20_000
    labels = {"alertname": long, "account": long} | {f"label{place}": long for place in range(100)}
    await stored(make_alert(labels=labels, annotations={"summary": long, "description": long}, reason=long))
    page = await read(await browser(), "/alerts")
    assert len(page.source) < 30_000


@pytest.mark.parametrize("path", [*PATHS, "/alerts?fingerprint=unknown"])
async def test_a_browser_fetches_and_runs_nothing_but_the_one_style_sheet(browser, path):
    answer = await (await browser()).get(path)
    style = re.search(r"<style>(.*?)</style>", await answer.text(), re.DOTALL)
    assert style is not None
    digest = b64encode(sha256(style[1].encode()).digest()).decode()
    policy = [part.strip() for part in answer.headers["Content-Security-Policy"].split(";")]
    assert "default-src 'none'" in policy
    assert f"style-src 'sha256-{digest}'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_links_work_behind_a_proxy_that_serves_the_pages_below_a_path(read, browser):
    page = await read(await browser(), "/alerts")
    assert page.links
    assert not [link for link in page.links if link.startswith(("/", "http"))]


@pytest.mark.parametrize("path", PATHS)
async def test_pages_are_to_be_looked_at_only(browser, path):
    assert (await (await browser()).post(path)).status == 405


async def test_a_database_that_fails_is_said_in_words(read, browser, tmp_path):
    client = await browser()
    with closing(sqlite3.connect(tmp_path / "alertd.db")) as database:
        database.execute("DROP TABLE alerts")
    page = await read(client, "/alerts", status=503)
    assert "The database does not answer" in page.text


# -- silences


async def test_silences_are_shown_with_who_why_how_long_and_what_they_hide(
    read, browser, stored, store, make_alert, clock, hostile
):
    now = int(clock.now())
    alert = make_alert()
    draft = Draft(
        matchers=(Matcher.parse("alertname=MediaLost"),),
        starts_at=now,
        ends_at=now + 2 * HOUR,
        created_by="ann",
        comment=f"deploying {hostile}",
        annotations={},
    )
    await store.change_silence("", lambda known: put(known, draft, now, "s1"))
    over = await store.change_silence("", lambda known: put(known, draft, now, "s2"))
    await store.change_silence("s2", lambda _: (expired(over[0], now, "bob"),))
    await stored(alert)
    client = await browser()
    page = await read(client, "/silences")
    assert in_this_order(page.text, "active", "(2h left)", 'alertname="MediaLost"', "ann: deploying", "expired")
    assert "expired by bob" in page.text
    assert page.count("script") == 0
    card = (await read(client, "/alerts")).text
    assert "Not told: silenced by s1 (ann: deploying" in card


async def test_where_there_are_none_it_is_said_how_one_is_made(read, browser):
    page = await read(await browser(), "/silences")
    assert "There are no silences" in page.text
    assert "alertd silence add" in page.text


async def test_an_alert_that_somebody_looks_after_says_who(read, browser, stored, store, make_alert, clock):
    alert, now = make_alert(told=True), int(clock.now())
    await store.put_ack(Ack(fingerprint=alert.fingerprint, at=now, until=now + HOUR, by="ann", comment="on it"))
    await stored(alert)
    page = await read(await browser(), f"/alerts?fingerprint={alert.fingerprint}")
    assert "Not told again: acknowledged by ann: on it" in page.text
