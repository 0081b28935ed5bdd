"""The page stands alone: it loads nothing, runs nothing, and whatever rooms and people are called is only text."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from alertd.backtest.comparison import compare
from alertd.backtest.report import page
from alertd.backtest.run import Findings, History, Tally, go_over
from alertd.engine.conditions import parse_condition
from alertd.engine.explain import Explanation, Slice
from alertd.engine.kinds import Count, Rate
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.replay import Replay

BEGIN = 1_772_452_800
MINUTE = 60
HOUR = 3600
UTC_ZONE = ZoneInfo("UTC")
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&amp;\u202e"
VOID = {"meta", "br", "img", "link"}


class Page(HTMLParser):
    """A page taken apart: every tag with its attributes, the text, and whether all tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str, look: str = "") -> int:
        """How many such tags have all these classes."""
        wanted = set(look.split())
        return sum(one == tag and wanted <= set((attrs.get("class") or "").split()) for one, attrs in self.tags)


def rooms(name: str, late: int = 0) -> list[SettledRoom]:
    """A room a minute for six hours; somebody fails in those of the third. All are known so many seconds `late`."""
    return [
        SettledRoom(
            account="production",
            room=Room(
                room_sid=f"RM{minute:032x}",
                room_name=name,
                end_time=datetime.fromtimestamp(BEGIN + minute * MINUTE, UTC),
            ),
            participants=tuple(
                Participant(
                    participant_sid=f"PA{minute * 10 + place:032x}",
                    participant_identity=name,
                    error_code=53405 if place == 0 and 120 <= minute < 180 else None,
                    end_reason=name,
                )
                for place in range(3)
            ),
            ended=BEGIN + minute * MINUTE,
            known_at=BEGIN + (minute + (8 if minute % 50 else 45)) * MINUTE + late,
        )
        for minute in range(360)
    ]


@pytest.fixture
def findings(policy_of) -> Callable[..., object]:
    """Goes over the rooms with rules."""

    async def make(*rules: Rule, name: str = "clinic", late: int = 0) -> Findings:
        tally = Tally()
        replay = Replay(tally.reading(rooms(name, late)))
        end = BEGIN + 6 * HOUR + late
        history = History(replay=replay, tally=tally, begin=BEGIN, end=end, source=f"the file {name}", seen_from=BEGIN)
        return await go_over(history, policy_of(*rules), lambda _field, value: value, curves=12)

    return make


def failing(at_least: int = 5, **parts: object) -> Rule:
    condition = parse_condition({"error_code": 53405}).condition
    assert condition is not None
    return Rule(**({"alert": "Failing", "kind": Count(at_least=at_least), "match": condition} | parts))  # type: ignore[arg-type]


async def test_the_page_shows_each_firing_its_notifications_and_a_curve_with_its_limit(findings):
    found = await findings(failing())
    shown = Page(page(found, UTC_ZONE))
    assert len(found.firings) == 1
    assert shown.count("rect", "span firing") == 2  # on the lane, and in the key
    assert shown.count("rect", "shade firing") == 1
    assert shown.count("polyline", "value") == shown.count("polyline", "limit") == 1
    assert shown.count("circle", "mark firing") == 3  # lane, chart, key
    assert "participants match within 30m, limit 5" in shown.text
    assert "known late" in shown.text


async def test_a_rule_that_stayed_quiet_shows_how_near_it_came(findings):
    shown = Page(page(await findings(failing(60)), UTC_ZONE))
    assert "Nothing fired" in shown.text
    assert re.search(r"\d+(\.\d)? % of its limit", shown.text)


async def test_a_rule_that_stayed_quiet_beyond_its_limit_says_why_it_did_not_hold(findings):
    plain = {"above": 0.08, "over": HOUR, "confidence": None}
    for kind, why in (
        (Rate(**plain, min=5000, min_rooms=1), r"too few are counted: 1\d\d of min 5000"),
        (Rate(**plain, min=50, min_rooms=300), r"too few rooms have a match: \d\d of min_rooms 300"),
    ):
        shown = Page(page(await findings(failing(kind=kind)), UTC_ZONE))
        assert re.search(why, shown.text)
        assert "of its limit" not in shown.text


async def test_a_rule_that_held_too_briefly_says_so(findings):
    shown = Page(page(await findings(failing(hold_for=6 * HOUR)), UTC_ZONE))
    assert "not for 6h" in shown.text


async def test_what_matched_in_rooms_known_too_late_is_not_called_nothing(findings):
    shown = Page(page(await findings(failing(1000), late=24 * HOUR), UTC_ZONE))
    assert "60 matched, known late" in shown.text
    assert "nothing matched" not in shown.text


async def test_nothing_is_loaded_and_nothing_runs(findings):
    text = page(await findings(failing()), UTC_ZONE)
    shown = Page(text)
    policy = next(attrs["content"] for tag, attrs in shown.tags if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not {"script", "link", "img", "iframe", "object", "form"} & {tag for tag, _ in shown.tags}
    for _, attrs in shown.tags:
        assert not {name for name in attrs if name.startswith("on") or name in ("style", "src")}
    assert "@import" not in text
    assert not re.findall(r"url\((?!#)", text)


async def test_hostile_names_are_only_text(findings):
    rule = failing(by=("account", "room_name"), labels={"team": HOSTILE})
    shown = Page(page(await findings(rule, name=HOSTILE), UTC_ZONE))
    assert not {"script", "img"} & {tag for tag, _ in shown.tags}
    assert "<script>alert(1)</script>" in shown.text  # as it was typed, to be read
    assert "\u202e" not in shown.text


async def test_what_carried_an_alert_is_shown_where_it_is_known(findings):
    found = await findings(failing())
    piece = Slice(
        field="media_region", value=HOSTILE, matched=31, total=50, share=0.62, relative_risk=14.0, surprise=40.0
    )
    found.firings[0].explain = Explanation(matched=40, total=400, rooms_affected=20, slices=(piece,), localised=True)
    shown = Page(page(found, UTC_ZONE))
    assert "Localised" in shown.text
    assert "31 of 50" in shown.text
    assert "14 times" in shown.text


async def test_a_comparison_shows_what_is_gained_lost_and_kept(findings):
    here, there = await findings(failing()), await findings(failing(), failing(1, alert="Touchy"))
    shown = Page(page(here, UTC_ZONE, compare(here, there, "others.yaml")))
    assert "1 alert would be gained" in shown.text
    assert shown.count("rect", "span gained") == 2  # the lane, and the key
    assert shown.count("rect", "span kept") == 3


async def test_times_and_nights_are_those_of_the_zone(findings):
    found = await findings(failing())
    assert "Mon 2 Mar 12:00" in page(found, UTC_ZONE)
    assert "Mon 2 Mar 21:00" in page(found, ZoneInfo("Asia/Tokyo"))
