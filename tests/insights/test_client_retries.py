"""What the client does when Twilio, or the network, does not answer as it should."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

import pytest
import trustme
from aiohttp import web

from alertd.errors import CredentialsError, NotFoundError, SourceError
from alertd.insights.answers import unanswered
from alertd.insights.client import SPREAD

RM = "RM" + "0" * 31 + "1"
HTML = b"<html><body><h1>503 Service Unavailable</h1></body></html>"


class Notes:
    """An observer that keeps what it is told, but for the seconds."""

    def __init__(self):
        self.told = []

    def __call__(self, kind, outcome, reason, seconds):
        assert seconds >= 0
        self.told.append((kind, outcome, reason))


@pytest.fixture
def notes():
    return Notes()


async def hang_up(request: web.Request) -> web.Response:
    request.transport.abort()
    return web.Response()


async def cut_short(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"meta": {"next_page_url"')
    request.transport.close()
    return response


def failures(analyzer):
    return {
        "429": analyzer.error(429, 20429, "Too Many Requests"),
        "408": analyzer.raw(b"", status=408),
        "500": analyzer.error(500, 20500, "Internal Server Error"),
        "503": analyzer.raw(HTML, "text/html", 503),
        "unreadable": analyzer.raw(HTML, "text/html", 200),
        "unreadable ": analyzer.raw(b'{"meta": {}, "participants": [{"participant_sid": "PA'),
        "unreadable  ": analyzer.json({"code": 20404, "message": "odd", "status": 404}),
        "truncated": cut_short,
    }


@pytest.mark.parametrize(
    "kind",
    ["429", "408", "500", "503", "unreadable", "unreadable ", "unreadable  ", "truncated"],
)
async def test_what_may_pass_is_tried_again_until_it_works(analyzer, client_of, clock, notes, participant, kind):
    failure = failures(analyzer)[kind]
    analyzer.will(failure, failure, analyzer.participants(participant()))
    assert len(await client_of(analyzer.url, observe=notes).list_participants(RM)) == 1
    assert len(clock.waits) == 2
    reason = kind.strip()
    assert notes.told == [
        ("participants", "retry", reason),
        ("participants", "retry", reason),
        ("participants", "ok", "200"),
    ]


async def test_a_connection_that_breaks_is_tried_again(analyzer, client_of, clock, notes, participant):
    # aiohttp quietly asks a second time when a connection breaks before the answer, so one try of ours is two of these.
    analyzer.will(*[hang_up] * 4, analyzer.participants(participant()))
    assert len(await client_of(analyzer.url, observe=notes).list_participants(RM)) == 1
    assert len(clock.waits) == 2
    assert [reason for _, _, reason in notes.told] == ["connection", "connection", "200"]


async def test_a_retry_in_the_middle_of_a_listing_repeats_only_that_page(analyzer, client, listed, room):
    analyzer.will(analyzer.rooms(room(), then="?PageToken=b"), cut_short, analyzer.rooms(room()))
    assert len(await listed(client)) == 2
    assert [request.query.get("PageToken") for request in analyzer.asked] == [None, "b", "b"]


async def test_after_the_last_try_the_error_says_who_what_and_why(analyzer, client_of, clock, notes):
    request_id = {"Twilio_Request_Id": "RQ" + "7" * 32}
    analyzer.will(analyzer.error(503, 20503, "Service Unavailable", **request_id))
    with pytest.raises(SourceError) as caught:
        await client_of(analyzer.url, tries=3, observe=notes).list_participants(RM)
    assert str(caught.value) == (
        f"account production: GET /v1/Video/Rooms/{RM}/Participants: HTTP 503, "
        f"Twilio error 20503: Service Unavailable, request RQ{'7' * 32} (tried 3 times)"
    )
    assert len(analyzer.asked) == 3
    assert len(clock.waits) == 2
    assert notes.told[-1] == ("participants", "failed", "503")


async def test_the_waits_double_with_full_jitter(analyzer, client_of, clock, highest):
    analyzer.will(analyzer.raw(b"", status=500))
    with pytest.raises(SourceError):
        await client_of(analyzer.url, tries=9, dice=highest).fetch_room(RM)
    assert clock.waits == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("header", "date", "least"),
    [
        ("20", None, 20),
        ("Mon, 02 Mar 2026 12:00:25 GMT", "Mon, 02 Mar 2026 12:00:00 GMT", 25),
        ("86400", None, 300),
    ],
)
async def test_retry_after_is_honoured_in_both_its_forms_and_capped(
    analyzer, client, clock, status, header, date, least
):
    dated = {"Date": date} if date else {}
    analyzer.will(analyzer.json({}, status, Retry_After=header, **dated), analyzer.participants())
    await client.list_participants(RM)
    assert least <= sum(clock.waits) <= least + SPREAD


async def test_a_retry_after_date_is_measured_by_the_servers_clock(analyzer, client, clock):
    slow = {"Retry_After": "Mon, 02 Mar 2026 15:00:25 GMT", "Date": "Mon, 02 Mar 2026 15:00:00 GMT"}
    analyzer.will(analyzer.json({}, 503, **slow), analyzer.participants())
    await client.list_participants(RM)
    assert 25 <= sum(clock.waits) <= 25 + SPREAD


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (400, 20001, SourceError),
        (401, 20003, CredentialsError),
        (403, 20006, CredentialsError),
        (404, 20404, NotFoundError),
        (422, 20422, SourceError),
    ],
)
async def test_what_cannot_pass_fails_at_once(analyzer, client_of, clock, notes, status, code, error):
    analyzer.will(analyzer.error(status, code, "so it is"))
    with pytest.raises(SourceError, match=f"HTTP {status}, Twilio error {code}: so it is") as caught:
        await client_of(analyzer.url, observe=notes).fetch_room(RM)
    assert type(caught.value) is error
    assert (len(analyzer.asked), clock.waits) == (1, [])
    assert notes.told == [("room", "failed", str(status))]


async def test_refused_credentials_say_what_to_check(analyzer, client):
    analyzer.will(analyzer.error(401, 20003, "Authentication Error - invalid username"))
    with pytest.raises(CredentialsError, match="check api_key and api_key_secret"):
        await client.fetch_room(RM)


async def test_a_status_counts_even_if_the_body_that_explains_it_is_cut_short_or_endless(analyzer, client):
    async def torn(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=401, headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"code"')
        request.transport.close()
        return response

    analyzer.will(torn, analyzer.raw(b" " * 1_000_000, status=403))
    for status in (401, 403):
        with pytest.raises(CredentialsError, match=f"HTTP {status}"):
            await client.fetch_room(RM)


async def test_a_server_that_stalls_is_a_time_out(analyzer, client_of, clock, notes):
    released = asyncio.Event()

    async def stall(request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async def stall_in_the_body(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"meta"')
        await released.wait()
        return response

    analyzer.will(stall, stall_in_the_body)
    with pytest.raises(SourceError, match=r"no complete answer within the time-out \(tried 2 times\)"):
        await client_of(analyzer.url, timeout=0.1, tries=2, observe=notes).fetch_room(RM)
    released.set()
    assert notes.told == [("room", "retry", "timeout"), ("room", "failed", "timeout")]


async def test_a_refused_connection_is_said_so_and_tried_again(client_of, clock, notes):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(SourceError, match=rf"no connection to 127\.0\.0\.1:{port} \(.*\); check base_url"):
        await client_of(f"http://127.0.0.1:{port}", tries=2, observe=notes).fetch_room(RM)
    assert notes.told[-1] == ("room", "failed", "connection")
    assert len(clock.waits) == 1


async def test_a_name_that_does_not_resolve_is_said_so(client_of, notes):
    # The name is longer than DNS allows, so no query ever leaves the machine.
    with pytest.raises(SourceError, match="could not be resolved; check base_url and this machine's DNS"):
        await client_of("https://" + "long." * 60 + "invalid", tries=1, observe=notes).fetch_room(RM)
    assert notes.told == [("room", "failed", "dns")]


@pytest.fixture
async def tls_analyzer(analyzer):
    """The scripted server with a certificate of its own authority, and that authority."""
    import ssl

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server = type(analyzer)()
    await server.start(context)
    yield server, authority
    await server.stop()


async def test_a_trusted_certificate_is_taken(tls_analyzer, client_of, participant):
    import ssl

    server, authority = tls_analyzer
    context = ssl.create_default_context()
    authority.configure_trust(context)
    server.will(server.participants(participant()))
    assert len(await client_of(server.url, tls=context).list_participants(RM)) == 1


async def test_an_untrusted_certificate_is_a_tls_problem_that_waiting_does_not_cure(
    tls_analyzer, client_of, clock, notes
):
    server, _ = tls_analyzer
    with pytest.raises(SourceError, match=r"TLS problem with 127\.0\.0\.1:\d+: its certificate was not accepted .*CA"):
        await client_of(server.url, observe=notes).fetch_room(RM)
    assert (clock.waits, server.asked) == ([], [])
    assert notes.told == [("room", "failed", "tls")]


async def test_tls_to_a_plain_port_is_a_tls_problem(analyzer, client_of, notes):
    with pytest.raises(SourceError, match=r"TLS problem .* the handshake failed"):
        await client_of(analyzer.url.replace("http:", "https:"), tries=2, observe=notes).fetch_room(RM)
    assert notes.told[-1] == ("room", "failed", "tls")


async def test_an_answer_that_is_not_http_is_a_broken_connection(client_of):
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SourceError, match=r"the connection broke \(\w+\)"):
            await client_of(f"http://127.0.0.1:{port}", tries=1).fetch_room(RM)


def test_a_socket_error_of_any_kind_is_a_broken_connection():
    assert unanswered(OSError("no buffer space")).text == "the connection broke (OSError)"


async def test_the_server_never_sees_more_requests_at_once_than_allowed(analyzer, client_of, participant):
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.01)
        return await analyzer.participants(participant())(request)

    analyzer.will(slow)
    client = client_of(analyzer.url, max_in_flight=3)
    answers = await asyncio.gather(*(client.list_participants(RM) for _ in range(20)))
    assert all(len(people) == 1 for people in answers)
    assert analyzer.most_at_once == 3


async def test_too_many_at_once_for_twilio_become_fewer_until_all_get_through(analyzer, client_of, participant):
    async def for_two(request: web.Request) -> web.StreamResponse:
        crowded = analyzer.at_once > 2
        await asyncio.sleep(0.01)
        answer = analyzer.error(429, 20429, "Too Many Requests") if crowded else analyzer.participants(participant())
        return await answer(request)

    analyzer.will(for_two)
    client = client_of(analyzer.url, max_in_flight=16, tries=10)
    answers = await asyncio.gather(*(client.list_participants(RM) for _ in range(30)))
    assert all(len(people) == 1 for people in answers)
    assert client.limiter.limit <= 4


async def test_a_cancelled_request_gives_its_place_back(analyzer, client_of, participant):
    arrived = asyncio.Event()

    async def stall_once(request: web.Request) -> web.Response:
        arrived.set()
        await asyncio.Event().wait()
        return web.Response()

    analyzer.will(stall_once, analyzer.participants(participant()))
    client = client_of(analyzer.url, max_in_flight=1)
    stuck = asyncio.create_task(client.list_participants(RM))
    await arrived.wait()
    stuck.cancel()
    assert len(await client.list_participants(RM)) == 1
    with pytest.raises(asyncio.CancelledError):
        await stuck


async def test_a_listing_left_half_way_holds_no_place(analyzer, client_of, room):
    analyzer.will(analyzer.rooms(room(), then="?PageToken=b"))
    client = client_of(analyzer.url, max_in_flight=1)
    async for _ in client.list_rooms(created_after=datetime(2026, 3, 1, tzinfo=UTC)):
        break
    assert client.limiter.busy == 0
