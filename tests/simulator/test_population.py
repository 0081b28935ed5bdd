"""The people, places and failures of the simulation are ones that Twilio knows."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path

import pytest

from alertd.simulator.population import CLIENTS, ENDINGS, FAILURES, REGIONS, ROOM_TYPES, SIZES, Mix, with_version

SCHEMAS = json.loads((Path(__file__).parents[1] / "data" / "insights_video_openapi.json").read_text())["components"][
    "schemas"
]


def test_a_mix_is_drawn_from_by_weight() -> None:
    rng, mix = random.Random(1), Mix([("often", 9), ("seldom", 1), ("never", 0)])
    drawn = Counter(mix.draw(rng) for _ in range(5000))
    assert drawn["never"] == 0
    assert drawn["seldom"] / 5000 == pytest.approx(0.1, abs=0.02)


def test_regions_edges_room_types_and_codecs_stand_in_the_official_enums() -> None:
    assert {region.name for region in REGIONS.things} <= set(SCHEMAS["video_room_summary_enum_twilio_realm"]["enum"])
    assert {region.edge for region in REGIONS.things} <= set(SCHEMAS["video_room_summary_enum_edge_location"]["enum"])
    assert set(ROOM_TYPES.things) <= set(SCHEMAS["video_room_summary_enum_room_type"]["enum"])
    codecs = {codec for client in CLIENTS.things for codec in client.codecs}
    assert codecs <= set(SCHEMAS["video_room_summary_enum_codec"]["enum"])


def test_no_room_is_larger_than_twilio_allows() -> None:
    assert max(SIZES.things) == 50


def test_every_failure_has_a_code_and_no_ordinary_ending_has_one() -> None:
    assert all(failure.code for failure in FAILURES.things)
    assert {ending.code for ending in ENDINGS.things} == {None}
    assert {ending.reason for ending in ENDINGS.things} == {None, "disconnected_via_api", "unknown"}


def test_clients_say_which_sdk_they_run_except_for_a_few_that_say_nothing() -> None:
    for client in CLIENTS.things:
        told = (client.publisher_info.get("name", ""), client.publisher_info.get("sdk_version", ""))
        assert told == (client.sdk, client.version)
    assert any(client.publisher_info == {} for client in CLIENTS.things)


def test_a_client_on_another_version_differs_in_nothing_else_and_leaves_the_first_alone() -> None:
    old = next(client for client in CLIENTS.things if client.sdk == "twilio-video-ios")
    new = with_version(old, "6.0.0")
    assert new.publisher_info == old.publisher_info | {"sdk_version": "6.0.0"}
    assert (new.sdk, new.version, new.codecs) == (old.sdk, "6.0.0", old.codecs)
    assert old.version != "6.0.0"
    assert with_version(old, "6.0.0") is new


def test_failures_are_spelled_as_twilio_spells_them() -> None:
    reasons = json.loads((Path(__file__).parent / "end_reasons.json").read_text())
    for failure in FAILURES.things:
        assert failure.reason == reasons[str(failure.code)]
