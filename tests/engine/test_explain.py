"""Which slice carries the failures: the cause stands first, once, and what is everywhere is called so."""

from __future__ import annotations

import math
from functools import cache
from itertools import count

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from alertd.engine.conditions import parse_condition
from alertd.engine.explain import Explanation, explain
from alertd.engine.kinds import Rate
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.simulator.scenario import load_scenario
from alertd.simulator.summaries import participant_summary, room_summary
from alertd.simulator.traffic import Traffic

JS, IOS = "twilio-video.js", "twilio-video-ios"
_numbers = count()


def plain(_field, value):
    return value


def room(*people, account="production", **values):
    number = next(_numbers)
    participants = [
        Participant(participant_sid=f"PA{number:024x}{place:08x}", **person) for place, person in enumerate(people)
    ]
    return SettledRoom(
        account=account,
        room=Room(room_sid=f"RM{number:032x}", **values),
        participants=tuple(participants),
        ended=1_772_452_800,
        known_at=1_772_453_280,
    )


def calls(failed, total, sdk=None, **values):
    """So many rooms of one participant each, of whom so many lost their media."""
    if sdk is not None:
        name, version = sdk
        values["publisher_info"] = {"name": name, "sdk_version": version} | values.get("publisher_info", {})
    return [room(values | {"error_code": 53405 if place < failed else None}) for place in range(total)]


@pytest.fixture
def told(losing_media):
    """Explains the rule about lost media: `told(inside, before)`; keywords replace parts of the rule."""

    def make(inside, before=(), labels=None, show=plain, **parts) -> Explanation:
        return explain(losing_media(**parts), labels or {"account": "production"}, inside, before, show)

    return make


def named(explanation):
    return [(one.field, one.value) for one in explanation.slices]


# -- what is said


def test_by_hand_an_outage_in_one_region(told):
    """q_all = 21/2040, q = (4 + 6) / (400 + 6/q_all), e = 50 q = 0.50872, and 31 ln(31/e) - (31 - e) = 96.914."""
    inside = calls(31, 50, media_region="ie1") + calls(9, 203, media_region="us1")
    before = calls(4, 400, media_region="ie1") + calls(16, 1600, media_region="us1")
    told_ = told(inside, before)
    (one,) = told_.slices
    assert (one.field, one.value, one.matched, one.total) == ("media_region", "ie1", 31, 50)
    assert one.share == 0.62
    assert one.relative_risk == pytest.approx(0.62 / (9 / 203))
    assert one.surprise == pytest.approx(96.914, abs=0.001)
    assert (told_.matched, told_.total, told_.rooms_affected, told_.localised) == (40, 253, 40, True)
    assert told_.text == "localised: media_region ie1 carries 31 of 40 (62 % of its 50, 14 times the rest)"


def test_what_fails_everywhere_is_fleet_wide(told):
    inside = calls(20, 100, media_region="ie1") + calls(40, 200, media_region="us1")
    before = calls(1, 1000, media_region="ie1") + calls(2, 2000, media_region="us1")
    assert told(inside, before).verdict == "fleet-wide"
    assert told(inside, before).text == "fleet-wide: no slice stands out"


@pytest.mark.parametrize(
    ("by", "verdict"),
    [((), "fleet-wide"), (("account",), "fleet-wide"), (("account", "media_region"), "spread over the whole group")],
)
def test_only_what_is_all_of_an_account_is_called_the_fleets(told, by, verdict):
    labels = {"account": "production", "media_region": "au1"}
    inside, before = calls(20, 100, media_region="au1"), calls(1, 1000, media_region="au1")
    told_ = told(inside, before, labels, by=by)
    assert told_.verdict == verdict
    assert told_.text == f"{verdict}: no slice stands out"


def test_a_slice_a_little_worse_than_the_rest_is_named_but_does_not_carry_it(told):
    inside = calls(30, 100, media_region="ie1") + calls(50, 200, media_region="us1")
    before = calls(1, 1000, media_region="ie1") + calls(2, 2000, media_region="us1")
    expected = "fleet-wide: media_region ie1 carries 30 of 80 (30 % of its 100, 1.2 times the rest)"
    assert told(inside, before).text == expected


def test_a_slice_that_is_always_worse_is_not_the_cause_of_what_is_new(told):
    inside = calls(10, 100, media_region="in1") + calls(20, 100, media_region="us1")
    before = calls(100, 1000, media_region="in1") + calls(10, 1000, media_region="us1")
    assert named(told(inside, before)) == [("media_region", "us1")]


def test_few_rooms_may_have_come_from_anywhere(told):
    few = told(calls(1, 3, media_region="ie1") + calls(0, 20, media_region="us1"), calls(0, 100, media_region="us1"))
    assert (few.verdict, few.tells) == ("too few to tell", False)


def test_nothing_matches_nothing_is_told(told):
    for inside in ([], calls(0, 10, media_region="ie1")):
        empty = told(inside, calls(1, 100, media_region="ie1"))
        assert (empty.slices, empty.matched, empty.localised, empty.tells) == ((), 0, False, False)


def test_a_rest_without_any_match_still_gives_a_number(told):
    inside, before = (
        calls(31, 50, media_region="ie1") + calls(0, 200, media_region="us1"),
        calls(2, 400, media_region="ie1"),
    )
    (one,) = told(inside, before).slices
    assert one.relative_risk == pytest.approx(0.62 / (0.5 / 200))
    assert told(inside, before).text.endswith("ie1 carries 31 of 31 (62 % of its 50, none elsewhere)")


def test_without_a_past_slices_are_compared_with_the_rest_of_the_window_and_that_is_said(told):
    alone = told(calls(31, 50, media_region="ie1") + calls(9, 203, media_region="us1"))
    assert (named(alone), alone.localised, alone.without_past) == ([("media_region", "ie1")], True, True)
    assert alone.text.endswith("14 times the rest) (compared with the rest of the window: there is no past)")
    assert not told([], calls(0, 1)).without_past


def test_participants_of_one_room_fail_together_and_are_no_pattern(told):
    storm = [room(*[{"media_region": "ie1", "error_code": 53405}] * 40)]
    calm = calls(2, 200, media_region="us1") + calls(1, 50, media_region="ie1")
    before = calls(10, 1000, media_region="us1") + calls(3, 300, media_region="ie1")
    one = told(storm + calm, before)
    assert one.verdict == "too few to tell"
    many = told([room({"media_region": "ie1", "error_code": 53405}) for _ in range(40)] + calm, before)
    assert many.verdict == "localised"


# -- causes, each first and once

BEFORE = (
    calls(8, 800, (JS, "2.36.0"), media_region="us1", edge_location="ashburn", codecs=("VP8", "opus"))
    + calls(4, 400, (JS, "2.35.0"), media_region="ie1", edge_location="dublin", codecs=("H264", "opus"))
    + calls(4, 400, (IOS, "5.11.3"), media_region="ie1", edge_location="roaming", codecs=("H264", "opus"))
)
CALM = (
    calls(1, 80, (JS, "2.36.0"), media_region="us1", edge_location="ashburn", codecs=("VP8", "opus"))
    + calls(0, 40, (JS, "2.35.0"), media_region="ie1", edge_location="dublin", codecs=("H264", "opus"))
    + calls(1, 40, (IOS, "5.11.3"), media_region="ie1", edge_location="roaming", codecs=("H264", "opus"))
)
CAUSES = {
    "a region, of which most people use one edge": (
        calls(30, 40, (JS, "2.36.0"), media_region="au1", edge_location="sydney", codecs=("VP8", "opus"))
        + calls(10, 13, (IOS, "5.11.3"), media_region="au1", edge_location="roaming", codecs=("VP8", "opus")),
        [("media_region", "au1")],
    ),
    "a release, which is all that there is of its major version": (
        calls(20, 50, (JS, "3.0.0"), media_region="us1", edge_location="ashburn", codecs=("VP8", "opus"))
        + calls(10, 25, (JS, "3.0.0"), media_region="ie1", edge_location="dublin", codecs=("VP8", "opus")),
        [("sdk_version", "3.0.0")],
    ),
    "a major version in all its releases": (
        [
            one
            for minor in range(8)
            for one in calls(5, 10, (JS, f"3.{minor}.0"), media_region=("us1", "ie1")[minor % 2], codecs=("VP8",))
        ],
        [("sdk_major", f"{JS} 3")],
    ),
    "a codec among others": (
        calls(20, 50, (JS, "2.36.0"), media_region="us1", codecs=("VP8", "VP9", "opus"))
        + calls(10, 25, (JS, "2.35.0"), media_region="ie1", codecs=("VP9", "H264", "opus")),
        [("codecs", "VP9")],
    ),
    "a browser, spelled in snake case or in camel case": (
        calls(20, 50, (JS, "2.36.0"), media_region="us1", publisher_info={"browser_name": "Firefox"})
        + calls(10, 25, (JS, "2.35.0"), media_region="ie1", publisher_info={"browserName": "Firefox"})
        + calls(1, 90, (JS, "2.36.0"), media_region="us1", publisher_info={"browser_name": "Chrome"}),
        [("publisher_info.browser_name", "Firefox")],
    ),
    "two regions at once": (
        calls(30, 40, (JS, "2.36.0"), media_region="au1", codecs=("VP8",))
        + calls(20, 40, (IOS, "5.11.3"), media_region="sg1", codecs=("H264",)),
        [("media_region", "au1"), ("media_region", "sg1")],
    ),
}


@pytest.mark.parametrize("cause", CAUSES)
def test_the_cause_is_named_once_and_not_again_by_what_goes_with_it(told, cause):
    rooms, expected = CAUSES[cause]
    explanation = told(CALM + rooms, BEFORE)
    assert named(explanation) == expected
    assert explanation.localised


def test_a_slice_that_narrows_another_is_named_beside_it(told):
    """Sydney fails for a third of all, and nearly always for those with an old version."""
    sydney = calls(20, 100, (JS, "2.36.0"), media_region="au1") + calls(28, 30, (JS, "2.7.3"), media_region="au1")
    elsewhere = calls(0, 100, (JS, "2.7.3"), media_region="us1") + calls(0, 300, (JS, "2.36.0"), media_region="us1")
    explanation = told(sydney + elsewhere, calls(2, 500, (JS, "2.36.0")) + calls(2, 500, (JS, "2.7.3")))
    assert named(explanation) == [("media_region", "au1"), ("sdk_version", "2.7.3")]


@pytest.mark.parametrize(("field", "value"), [("account", "second"), ("room_type", "go")])
def test_an_account_or_a_room_type_can_be_the_cause_too(told, field, value):
    fine, failing = {"account": "first", "room_type": "group"}, {"account": "first", "room_type": "group", field: value}
    before = [room({}, **usual) for usual in (fine, failing) for _ in range(80)]
    inside = [room({}, **fine) for _ in range(80)] + [room({"error_code": 53405}, **failing) for _ in range(20)]
    assert named(told(inside, before, by=())) == [(field, value)]


def test_what_all_have_of_whom_anything_is_known_is_not_named(told):
    inside = calls(30, 100, codecs=("opus",)) + calls(0, 5, codecs=None)
    assert named(told(inside, calls(1, 1000, codecs=("opus",)))) == []


# -- who counts


def test_only_participants_of_the_group_count_and_what_makes_the_group_is_not_named(told):
    group = {"account": "production", "media_region": "au1"}
    mine = calls(20, 40, (JS, "2.37.0"), media_region="au1") + calls(1, 100, (JS, "2.36.0"), media_region="au1")
    others = calls(90, 90, (IOS, "5.0.0"), media_region="us1")
    elsewhere = [room({"media_region": "au1", "error_code": 53405}, account="staging") for _ in range(50)]
    before = calls(2, 400, (JS, "2.36.0"), media_region="au1")
    explanation = told(mine + others + elsewhere, before, labels=group, by=("account", "media_region"))
    assert (explanation.matched, explanation.total) == (21, 140)
    assert named(explanation) == [("sdk_version", "2.37.0")]


def test_only_the_population_counts(told):
    among = parse_condition({"room_type": "group"}).condition
    inside = [room({"media_region": "ie1", "error_code": 53405}, room_type=kind) for kind in ("group", "go") * 10]
    assert told(inside, among=among).total == 10


def test_a_group_of_those_who_say_nothing_is_a_group(told):
    inside = calls(10, 20, (JS, "2.37.0")) + calls(10, 20, (JS, "2.36.0"), media_region="us1")
    assert told(inside, by=("account", "media_region")).total == 20


def test_a_personal_group_is_found_under_its_pseudonym(told):
    inside = [
        room({"participant_identity": name, "error_code": 53405, "media_region": "ie1"}) for name in ("ann", "bob") * 5
    ]
    labels = {"participant_identity": "anon-ann"}
    explanation = told(inside, labels=labels, by=("participant_identity",), show=lambda _, value: f"anon-{value}"[:300])
    assert explanation.total == 5


def test_nobody_and_no_room_is_ever_named(told):
    inside = [
        room({"participant_identity": "ann@example.com", "error_code": 53405}, room_name="therapy") for _ in range(30)
    ]
    explanation = told(inside + calls(0, 100), calls(1, 1000))
    assert "ann" not in explanation.text
    assert "therapy" not in explanation.text


def test_a_room_that_cannot_be_read_is_passed_by(told):
    def show(_field, value):
        if value == "poison":
            raise ValueError
        return value

    inside = [room({"error_code": 53405}, room_name=name) for name in ("poison", "fine")]
    assert told(inside, labels={"room_name": "fine"}, by=("room_name",), show=show).total == 1


def test_thousands_of_invented_versions_stay_bounded_and_hide_nothing(told):
    noise = [one for number in range(3000) for one in calls(0, 1, (JS, f"9.9.{number}"), media_region="us1")]
    noise += [one for number in range(900) for one in calls(1, 1, (JS, "x" * 90 + str(number)), media_region="ie1")]
    explanation = told(noise, calls(10, 1000, (JS, "2.36.0"), media_region="us1"))
    assert named(explanation)[0] == ("media_region", "ie1")
    assert all(len(one.value) <= 64 for one in explanation.slices)


# -- laws

_people = some.fixed_dictionaries(
    {
        "media_region": some.sampled_from([None, "us1", "ie1", "au1"]),
        "codecs": some.sampled_from([None, ("VP8",), ("VP8", "opus")]),
        "error_code": some.sampled_from([None, None, 53405]),
        "publisher_info": some.sampled_from([{}, {"name": JS, "sdk_version": "2.36.0"}, {"sdk_version": "9"}]),
    }
)
_rooms = some.lists(some.lists(_people, max_size=6).map(lambda people: room(*people)), max_size=20)
MEDIA_LOST = Rule(alert="MediaLost", kind=Rate(above=0.05), match=parse_condition({"error_code": 53405}).condition)


def of_media(inside, before):
    return explain(MEDIA_LOST, {"account": "production"}, inside, before, plain)


@given(_rooms, _rooms, some.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_the_order_of_rooms_does_not_matter(inside, before, chance):
    once = of_media(inside, before)
    chance.shuffle(inside)
    chance.shuffle(before)
    assert of_media(inside, before) == once


@given(_rooms, _rooms)
@settings(max_examples=30, deadline=None)
def test_what_is_named_adds_up_and_differs_and_is_worse_than_the_rest(inside, before):
    explanation = of_media(inside, before)
    assert explanation.total == sum(len(one.participants) for one in inside)
    assert len(set(named(explanation))) == len(explanation.slices) <= 3
    surprises = [one.surprise for one in explanation.slices]
    assert surprises == sorted(surprises, reverse=True)
    for one in explanation.slices:
        assert 2 <= one.matched <= one.total < explanation.total
        assert one.matched <= explanation.matched
        assert one.relative_risk > 1
        assert math.isfinite(one.surprise)
    assert msgspec.json.decode(msgspec.json.encode(explanation), type=Explanation) == explanation


# -- simulated incidents

START = 1_772_452_800
BROKEN = parse_condition({"category": ["network", "server", "client", "config"]}).condition
FAILED = Rule(alert="Failed", kind=Rate(above=0.05), match=BROKEN)


def ended_between(traffic, since, upto):
    """The rooms that ended in that stretch, as they finally are."""
    return [_settled(traffic, one) for one in traffic.oldest_first(since - 5400, upto) if since < one.ended <= upto]


def _settled(traffic, call):
    last = max(call.settled, call.ended) + 1
    summaries = [participant_summary(call, session, last, "") for session in traffic.sessions(call)]
    return SettledRoom(
        account="production",
        room=msgspec.convert(room_summary(call, last, "", 0), Room),
        participants=tuple(msgspec.convert(one, Participant) for one in summaries),
        ended=call.ended,
        known_at=call.settled,
    )


@cache
def simulated(scenario, seed, minutes, window):
    """What is told so many minutes after the scenario began, of a window of so many minutes."""
    loaded = load_scenario(scenario).model_copy(update={"rooms_per_day": 5000})
    traffic = Traffic(loaded, account_sid=f"AC{0:032x}", seed=seed, start=START)
    now = START + minutes * 60
    inside = ended_between(traffic, now - window * 60, now)
    before = ended_between(traffic, START - 86400 - 2 * 3600, START - 86400)
    return explain(FAILED, {"account": "production"}, inside, before, plain)


@pytest.mark.parametrize("seed", [1, 2])
def test_of_simulated_incidents_the_true_cause_stands_first(seed):
    assert named(simulated("regional-outage", seed, 30, 30))[0] == ("media_region", "ie1")
    assert simulated("regional-outage", seed, 30, 30).localised
    assert named(simulated("bad-sdk-release", seed, 150, 60))[0] == ("sdk_version", "2.37.0")
    assert simulated("bad-sdk-release", seed, 150, 60).localised
    assert simulated("turn-failure", seed, 40, 30).verdict == "fleet-wide"
