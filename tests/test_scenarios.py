"""The whole daemon, with the rules that ship, against the simulator: incidents are found, calm is left alone.

Simulator and daemon share a clock that the test moves minute by minute, so that nothing depends on the machine's speed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from alertd.app import App, built
from alertd.config import load
from alertd.simulator.scenario import load_scenario
from alertd.simulator.server import build_app, serve

KEY = "SK" + "5" * 32
RULES = Path(__file__).parent.parent / "rules"
CONFIG = """
[[accounts]]
name = "simulated"
base_url = "{twilio}"
api_key = "{key}"
api_key_secret = "simulated"
[rules]
paths = ["{rules}"]
[route]
receiver = "nobody"
group_by = ["alertname"]
[[receivers]]
name = "nobody"
"""
Living = Callable[..., AbstractAsyncContextManager[Callable[[int], object]]]


@pytest.fixture
def living(tmp_path: Path, clock) -> Living:
    """A daemon that watches a scenario of so many rooms a day; what it gives lets minutes pass and returns the daemon.

    Its rules are those that ship, unless others are given.
    """

    @asynccontextmanager
    async def live(scenario: str, rules: Path = RULES, rooms: int = 2000) -> AsyncIterator[Callable[[int], object]]:
        lived = load_scenario(scenario).model_copy(update={"rooms_per_day": rooms})
        async with serve(build_app(lived, clock, {KEY: "simulated"}, seed=3)) as twilio:
            path = tmp_path / "alertd.toml"
            path.write_text(CONFIG.format(twilio=twilio, key=KEY, rules=rules))
            async with built(load(path), clock) as app:
                await app.once()

                async def pass_minutes(minutes: int, every: int = 2) -> App:
                    for _ in range(minutes // every):  # between looks each minute is judged all the same
                        clock.reading += 60 * every
                        await app.once()
                    return app

                yield pass_minutes

    return live


async def happened(app: App) -> list[tuple[str, str, str]]:
    """What changed: the event, the alertname, and the region where there is one."""
    events = await app.store.events()
    return [(one.event, one.labels["alertname"], one.labels.get("media_region", "")) for one in events]


async def test_a_regional_outage_is_found_in_its_region_and_resolves(living):
    async with living("short-outage", rooms=5000) as pass_minutes:
        seen = await happened(await pass_minutes(40))
        assert ("firing", "MediaConnectionFailing", "ie1") in seen
        assert {region for _, _, region in seen} <= {"ie1", ""}
        app = await pass_minutes(130, every=5)
        assert ("resolved", "MediaConnectionFailing", "ie1") in await happened(app)
        fired = [one.fingerprint for one in await app.store.events() if one.event == "firing"]
        assert len(fired) == len(set(fired)), "one incident, one page"


async def test_one_big_room_in_trouble_is_no_trouble_of_the_fleet(living):
    async with living("big-room-storm") as pass_minutes:
        assert await happened(await pass_minutes(100, every=4)) == []


async def test_api_trouble_blinds_alertd_for_a_while_which_it_says_and_takes_back(living):
    async with living("api-trouble") as pass_minutes:
        app = await pass_minutes(36)
        assert ("firing", "AlertdCredentialsRefused", "") in await happened(app)
        seen = await happened(await pass_minutes(20))
        assert ("resolved", "AlertdCredentialsRefused", "") in seen
        assert all(name.startswith("Alertd") for _, name, _ in seen)


async def test_two_hours_without_a_room_are_told_once_by_those_who_switched_that_on(living, tmp_path):
    rules = tmp_path / "silence.yaml"
    rules.write_text((RULES / "silence.yaml").read_text().replace("enabled: false", "enabled: true"))
    async with living("silence", rules) as pass_minutes:
        assert await happened(await pass_minutes(60, every=5)) == []
        assert await happened(await pass_minutes(70, every=5)) == [("firing", "NoRoomsStart", "")]
        seen = await happened(await pass_minutes(110, every=5))
        assert seen == [("firing", "NoRoomsStart", ""), ("resolved", "NoRoomsStart", "")]


async def test_silence_is_no_trouble_to_the_rules_as_they_ship(living):
    async with living("silence") as pass_minutes:
        assert await happened(await pass_minutes(150, every=5)) == []
