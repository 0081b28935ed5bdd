"""The words of messages: what a person woken at night reads first, and what strangers cannot put into it."""

from __future__ import annotations

import pytest

from alertd.receivers import wording


def facts(notification, url):
    return {fact.name: fact.value for fact in wording.stories(notification, url)[0].facts}


def test_the_headline_says_state_what_where_and_how_bad(make_notification):
    expected = "FIRING · MediaConnectionFailing · production / au1 · 12 of 118 participants (10.2 %)"
    assert wording.headline(make_notification()) == expected


def test_the_headline_of_several_alerts_counts_them(make_notification, make_alert, resolved_alert):
    several = make_notification(make_alert("au1"), make_alert("de1"), resolved_alert, truncated=4)
    expected = "FIRING · MediaConnectionFailing · production · 2 firing, 1 resolved, 4 not shown"
    assert wording.headline(several) == expected


def test_the_headline_of_different_alerts_names_their_number(make_notification, make_alert):
    other = make_alert(labels={"alertname": "RoomsMissing", "account": "production"})
    assert wording.headline(make_notification(make_alert(), other)) == "FIRING · 2 alerts · production · 2 firing"


def test_a_resolved_headline_says_how_long_it_was(make_notification, resolved_alert):
    headline = wording.headline(make_notification(resolved_alert))
    assert headline == "RESOLVED · MediaConnectionFailing · production / au1 · after 1h12m"


def test_what_was_over_before_it_was_noticed_is_told_as_late_from_when_to_when(make_notification, late_alert, url):
    late = make_notification(late_alert, reason="late")
    assert wording.headline(late).startswith("LATE · ")
    assert facts(late, url)["Late"] == "over before it was noticed: 2026-03-02 10:08 to 10:48 UTC (40m)"


def test_a_drill_is_marked_everywhere(make_notification, url):
    drill = make_notification(reason="test")
    assert wording.headline(drill).startswith("TEST · ")
    assert "This is a drill" in wording.plain(drill, url)


def test_a_rate_is_told_with_counts_bound_limit_rooms_people_window_and_completeness(make_notification, url):
    told = facts(make_notification(), url)
    assert told["Since"] == "2026-03-02 11:43 UTC (25m)"
    assert told["Seen"] == "12 of 118 participants (10.2 %), surely at least 6.1 %; limit 5 %"
    assert told["Rooms"] == "7 of 40 affected"
    assert told["Identities"] == "11 affected"
    assert told["Window"] == "1h"
    assert told["Settled"] == "95.8 % of the rooms known in the window"


def test_a_count_is_told_without_a_share(make_notification, make_alert, make_sample, url):
    counted = make_sample(value=3, limit=1, matched=3, lower=None, upper=None, window=1800, position=600)
    told = facts(make_notification(make_alert(sample=counted)), url)
    assert told["Seen"] == "3 of 118 participants; fires from 1"
    assert told["Window"] == "30m, ended 10m before it was judged"


@pytest.mark.parametrize(
    ("seen", "told"),
    [
        ({"value": 6.125, "limit": 5, "times": True}, ", 6.12 times the error budget; fires above 5 times"),
        ({"value": 1.2, "limit": 0.5, "times": True}, ", 1.2 times the error budget; fires above 0.5 times"),
        ({"value": 75.5, "limit": 60}, "; the value is 75.5, fires above 60"),
        ({"value": 45, "limit": 60, "below": True}, "; the value is 45, fires below 60"),
        ({"value": 1, "limit": 0, "new": ("2.31.0",)}, ""),
    ],
)
def test_a_limit_that_is_not_one_of_participants_is_not_told_as_one(
    make_notification, make_alert, make_sample, url, seen, told
):
    sample = make_sample(matched=49, total=400, lower=None, upper=None, **seen)
    assert facts(make_notification(make_alert(sample=sample)), url)["Seen"] == f"49 of 400 participants{told}"


@pytest.mark.parametrize(
    ("rooms", "told"), [(0, "no room started"), (1, "1 room started"), (1200, "1,200 rooms started")]
)
def test_too_few_rooms_are_told_as_such_with_the_limit_that_they_undercut(
    make_notification, make_alert, make_sample, url, rooms, told
):
    counts = {"value": rooms, "matched": rooms, "total": rooms, "rooms": rooms, "rooms_affected": 0, "identities": 0}
    silent = make_sample(**counts, limit=1500, of="rooms", lower=None, upper=None, below=True)
    quiet = make_notification(make_alert(sample=silent, evidence=(), first_seen=None, last_seen=None))
    assert wording.headline(quiet) == f"FIRING · MediaConnectionFailing · production / au1 · {told}"
    assert list(facts(quiet, url)) == ["Since", "Seen", "Window", "Settled"]
    assert facts(quiet, url)["Seen"] == f"{told}; fires below 1,500"


def test_a_baseline_is_told_where_there_is_one(make_notification, make_alert, make_sample, url):
    assert facts(make_notification(make_alert(sample=make_sample(baseline=0.021))), url)["Usual"] == "2.1 %"


IE1 = "media_region ie1: 31 of 40 (62 % of its 50, 14 times the rest)"


def carried(make_notification, make_alert, url, explanation):
    return wording.stories(make_notification(make_alert(explain=explanation)), url)[0].carried_by


def test_what_carries_an_alert_is_told_in_a_line(make_notification, make_alert, make_explanation, url):
    localised = make_explanation()
    assert carried(make_notification, make_alert, url, localised) == IE1
    others = make_explanation(slices=localised.slices + make_explanation("sg1").slices)
    assert carried(make_notification, make_alert, url, others) == f"{IE1}; also {IE1.replace('ie1', 'sg1')}"
    told = wording.plain(make_notification(make_alert(explain=localised)), url)
    assert f"\n  Carried by:  {IE1}\n" in told


def test_what_the_whole_fleet_has_is_said_to_be_fleet_wide(make_notification, make_alert, make_explanation, url):
    spread, bare = make_explanation(localised=False), make_explanation(localised=False, slices=())
    fleet = "no slice alone, it is fleet-wide"
    assert carried(make_notification, make_alert, url, spread) == f"{fleet}; most by {IE1}"
    assert carried(make_notification, make_alert, url, bare) == fleet


def test_what_a_part_of_an_account_has_is_not_said_to_be_fleet_wide(
    make_notification, make_alert, make_explanation, url
):
    part = make_explanation(localised=False, slices=(), grouped=True)
    assert part.tells
    told = carried(make_notification, make_alert, url, part)
    assert told == "no slice alone, it is spread over the whole group"


def test_few_rooms_are_said_to_be_too_few_and_if_nothing_stands_out_nothing_is_said(
    make_notification, make_alert, make_explanation, url
):
    few = make_explanation(localised=False, rooms_affected=3)
    assert carried(make_notification, make_alert, url, few) == f"too few to tell; most by {IE1}"
    silent = make_explanation(localised=False, rooms_affected=3, slices=())
    assert carried(make_notification, make_alert, url, silent) == ""
    assert "Carried by" not in wording.plain(make_notification(make_alert(explain=silent)), url)
    assert "Carried by" not in wording.plain(make_notification(make_alert(explain=None)), url)


def test_a_comparison_without_a_past_is_owned_up_to(make_notification, make_alert, make_explanation, url):
    told = carried(make_notification, make_alert, url, make_explanation(without_past=True))
    assert told == f"{IE1} (compared with the rest of the window: there is no past)"


def test_each_of_several_alerts_says_what_carries_it(make_notification, make_alert, make_explanation, url):
    several = make_notification(*(make_alert(region, explain=make_explanation()) for region in ("au1", "de1")))
    assert wording.plain(several, url).count(f"Carried by:  {IE1}") == 2


def test_an_alert_without_a_sample_is_told_all_the_same(make_notification, make_alert, url):
    bare = make_notification(make_alert(sample=None, evidence=(), first_seen=None, last_seen=None, annotations={}))
    assert wording.headline(bare) == "FIRING · MediaConnectionFailing · production / au1"
    assert list(facts(bare, url)) == ["Since"]


def test_the_five_latest_participants_are_the_evidence_latest_first(make_notification, url):
    clues = wording.stories(make_notification(), url)[0].clues
    assert [clue.at for clue in clues] == ["12:08 UTC", "12:07 UTC", "12:06 UTC", "12:05 UTC", "12:04 UTC"]
    assert clues[0].error == "error 53405"
    assert clues[0].error_url == "https://www.twilio.com/docs/api/errors/53405"
    assert "twilio-video.js 2.28.1" in clues[0].details
    assert "au1 via sydney" in clues[0].details


def test_evidence_of_another_day_has_its_date(make_notification, make_alert, make_evidence, now, url):
    old = make_notification(make_alert(evidence=(make_evidence(ended=now - 86400),)))
    assert wording.stories(old, url)[0].clues[0].at == "2026-03-01 12:08 UTC"


def test_ten_alerts_are_told_and_the_rest_is_counted(make_notification, make_alert, url):
    many = make_notification(*(make_alert(f"r{place}") for place in range(14)), truncated=3)
    assert len(wording.stories(many, url)) == 10
    assert f"and 7 more: {url}/alerts" in wording.plain(many, url)


def test_plain_text_holds_all_a_person_needs(make_notification, url):
    words = wording.plain(make_notification(), url)
    for needed in (
        "10.2 % of calls in au1 lost their media connection",
        "Runbook:     https://runbooks.example.com/media?x=1&y=2",
        "Open:        http://alertd.example.com:9095/alerts?fingerprint=",
        "error 53405: https://www.twilio.com/docs/api/errors/53405",
        "Sent because: first notification. Receiver oncall",
    ):
        assert needed in words


def test_other_annotations_are_told_with_their_names(make_notification, make_alert, url):
    noted = make_notification(make_alert(annotations={"summary": "s", "impact": "calls drop"}))
    assert "impact: calls drop" in wording.plain(noted, url)


def test_harmful_characters_become_visible_and_long_values_end_in_an_ellipsis():
    assert wording.line("a\x1b[31m\u202eb\r\n\tc\ud800") == "a�[31m�b c�"
    assert wording.text("one\r\ntwo") == "one\ntwo"
    assert wording.line("x" * 300, 10) == "x" * 9 + "…"
    assert wording.text("👩‍💻 naïve") == "👩‍💻 naïve"


@pytest.mark.parametrize(
    "address",
    [
        None,
        "",
        "javascript:alert(1)",
        "data:text/html,x",
        "//example.com",
        "https://",
        "http://[",
        "https://x/" + "y" * 3000,
    ],
)
def test_only_web_addresses_become_links(address):
    assert wording.web_address(address) is None


def test_an_address_cannot_break_out_of_a_link():
    assert (
        wording.web_address('https://x.example/a b|<"`>?q=1&r=%20')
        == "https://x.example/a%20b%7C%3C%22%60%3E?q=1&r=%20"
    )


def test_what_tells_of_drills_alone_is_marked_and_among_others_each_is(make_notification, make_alert, url):
    real, test = make_alert(), make_alert(labels={"alertname": "MediaLost", "alertd_test": "true"})
    assert wording.headline(make_notification(test)).startswith("TEST · MediaLost")
    both = make_notification(real, test)
    assert wording.headline(both).startswith("FIRING")
    assert [story.state for story in wording.stories(both, url)] == ["FIRING", "TEST"]
