"""On top of each page stands how alertd itself is, and it is never said to be well when it is not."""

from __future__ import annotations

from alertd.engine.outcome import Outcome

PATHS = ["/", "/alerts", "/notifications", "/rooms", "/rules"]


async def test_all_is_well_is_said_with_what_it_rests_on(read, browser, store, stored, make_open_room):
    await stored()
    await store.note_open("production", [make_open_room(1), make_open_room(2), make_open_room(3, ended=None)])
    page = await read(await browser(), "/alerts")
    assert "All is well: 1 account seen 10s ago ( 11:59:50 UTC ), 2 rooms waiting to settle" in page.text
    assert "rules judged up to 12:00:00 UTC" in page.text


async def test_all_is_not_said_to_be_well_while_something_fires(read, browser, stored, make_alert):
    await stored(make_alert())
    page = await read(await browser(), "/alerts")
    assert "alertd itself is well: 1 account seen" in page.text
    assert "All is well" not in page.text


async def test_trouble_that_lasts_is_on_top_of_every_page_with_what_to_do(read, browser, store, stored, clock):
    now = int(clock.now())
    await stored()
    await store.trouble("poll", "production", "connection refused", now - 400)
    await store.trouble("delivery", "oncall/webhook[0]", "answered 500", now - 300)
    await store.clear_trouble("delivery", "oncall/webhook[0]", now - 100)
    client = await browser()
    for path in PATHS:
        page = await read(client, path)
        assert "alertd itself is in trouble" in page.text
        assert "alertd cannot read account production" in page.text
        assert "since 2026-03-02 11:53 UTC : connection refused. Check the network" in page.text
        assert "answered 500" not in page.text
        assert "All is well" not in page.text


async def test_trouble_of_what_was_removed_from_the_configuration_is_over(read, browser, store, stored, clock):
    await stored()
    await store.trouble("poll", "staging", "connection refused", int(clock.now()) - 400)
    await store.trouble("delivery", "gone/slack[0]", "answered 404", int(clock.now()) - 400)
    assert "All is well" in (await read(await browser(), "/alerts")).text


async def test_a_database_that_failed_for_a_while_concerns_everybody(read, browser, store, stored, clock):
    await stored()
    await store.trouble("store", "evaluate", "the evaluate loop failed", int(clock.now()) - 400)
    assert "alertd cannot use its database in the evaluate loop" in (await read(await browser(), "/alerts")).text


async def test_an_account_that_is_not_seen_is_named(read, browser, store, stored, clock):
    await stored()
    clock.reading += 1500
    await store.commit(Outcome(), expected=int(clock.now()) - 1500, until=int(clock.now()))
    page = await read(await browser(accounts=("production", "staging")), "/alerts")
    assert "Account production was last seen 25m10s ago , 2026-03-02 11:59 UTC" in page.text
    assert "Account staging has not been seen yet" in page.text
    assert "Rules" not in page.text.partition("Alerts")[2].partition("trouble")[2]


async def test_a_page_that_shows_an_old_state_says_so(read, browser, store, stored, clock):
    await stored()
    clock.reading += 1500
    await store.saw("production", int(clock.now()), 3600)
    page = await read(await browser(), "/alerts")
    assert "Rules were last judged as of 2026-03-02 12:00 UTC" in page.text


async def test_before_the_first_look_nothing_is_claimed(read, browser):
    page = await read(await browser(), "/")
    assert "Account production has not been seen yet" in page.text
    assert "Rules have not been judged yet" in page.text


async def test_what_keeps_a_changed_configuration_from_being_taken_up_is_listed_where_rules_and_alerts_are(
    read, browser, stored, hostile
):
    await stored()
    client = await browser(problems=[f"rules/{number}.yaml:3:2: {hostile}" for number in range(30)])
    for path in ("/", "/alerts", "/rules"):
        page = await read(client, path)
        assert "The configuration has changed and was not taken up" in page.text
        assert "rules/0.yaml:3:2:" in page.text
        assert "and 10 more: alertd check --config FILE names all" in page.text
        assert "script" not in page.elements
    for path in ("/rooms", "/notifications"):
        assert "not taken up" not in (await read(client, path)).text
    assert "not taken up" not in (await read(await browser(), "/")).text
