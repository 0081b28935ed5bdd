"""Asking Twilio's Video Log Analyzer: one account's rooms and participants, page by page, in spite of what goes wrong.

The API's facts: https://www.twilio.com/docs/video/troubleshooting/video-log-analyzer-api, and Twilio's OpenAPI
document twilio_insights_v1.
"""

from __future__ import annotations

import random
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeVar

import aiohttp
import structlog
from yarl import URL

from alertd import __version__
from alertd.clock import Clock
from alertd.engine.records import Participant, Room
from alertd.errors import SourceError
from alertd.insights.address import check_base_url, follow, instant
from alertd.insights.answers import Trouble, http_date, pause, refused, unanswered
from alertd.insights.circuit import Circuit
from alertd.insights.limits import Limiter
from alertd.insights.wire import PARTICIPANTS, ROOMS, Form, Page, Record, UnreadableError

log = structlog.get_logger()

Kind = Literal["rooms", "room", "participants", "participant"]
Outcome = Literal["ok", "retry", "failed"]
Answer = TypeVar("Answer")

MAX_PAGE_SIZE = 1000
"""Twilio's own limit (its error 20007 beyond)."""
MAX_ERROR_BODY = 64 * 1024
SPREAD = 1.0
"""Seconds over which requests begin that all had to wait for the same moment."""


class Observer(Protocol):
    """Told of each try: what was asked, how it went, the HTTP status or a slug like `timeout`, seconds it took."""

    def __call__(self, kind: Kind, outcome: Outcome, reason: str, seconds: float) -> None:
        """Take note."""


def open_session(tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """The session that all clients share: no cookies, nothing from the environment (no proxy, no netrc).

    It opens as many connections as the limiters of its clients allow; `tls` replaces the system's trusted CAs.
    """
    connector = aiohttp.TCPConnector(limit=0, ssl=tls or True)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False)


class InsightsClient:
    """The Video Log Analyzer as one account sees it.

    Every method raises SourceError when Twilio did not give what was asked for even after `tries` tries,
    CredentialsError when it refused the key and NotFoundError on 404 (both at once), and CircuitOpenError when so much
    failed that the account is left alone for a while. A Retry-After keeps all requests of the account waiting.
    `clock_skew` is the server's time minus our own in seconds, by its last `Date` header (good to about a second), None
    before the first answer. `faults` counts the values of malformed records that were left out, by path.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        account: str,
        base_url: str,
        api_key: str,
        api_key_secret: str,
        clock: Clock,
        max_in_flight: int = 16,
        timeout: float = 30.0,
        tries: int = 5,
        max_pages: int = 10_000,
        max_body: int = 64 * 1024 * 1024,
        dice: random.Random | None = None,
        observe: Observer | None = None,
    ) -> None:
        if complaint := check_base_url(base_url):
            raise ValueError(f"account {account}: base_url: {complaint}")
        self.account = account
        self.page_size = MAX_PAGE_SIZE
        self.limiter = Limiter(max_in_flight)
        self.clock_skew: float | None = None
        self.faults: Counter[str] = Counter()
        self._session = session
        self._rooms = URL(base_url) / "v1/Video/Rooms"
        self._headers = {
            "Authorization": aiohttp.encode_basic_auth(api_key, api_key_secret),
            "User-Agent": f"alertd/{__version__}",
            "Accept": "application/json",
        }
        self._clock = clock
        self._timeout = aiohttp.ClientTimeout(total=timeout)
        self._tries = tries
        self._max_pages = max_pages
        self._max_body = max_body
        self._dice = dice or random.Random()
        self._circuit = Circuit(account, clock.now, self._dice)
        self._observe = observe
        self._last_date = ""

    def list_rooms(
        self,
        *,
        created_after: datetime,
        created_before: datetime | None = None,
        room_type: Sequence[str] = (),
        codec: Sequence[str] = (),
        room_name: str | None = None,
        page_size: int | None = None,
    ) -> AsyncIterator[list[Room]]:
        """The rooms that started in [created_after, created_before), page by page, in no order one could rely on.

        Without `created_after` Twilio would list only rooms completed in the last 24 hours, hence it is required.
        """
        query = [("PageSize", str(page_size or self.page_size)), ("CreatedAfter", instant(created_after))]
        if created_before is not None:
            # The filter takes whole seconds; rounded up, it leaves out no room that was asked for.
            query.append(("CreatedBefore", instant(created_before + timedelta(microseconds=999_999))))
        if room_name is not None:
            query.append(("RoomName", room_name))
        query += [("RoomType", value) for value in room_type] + [("Codec", value) for value in codec]
        return self._pages("rooms", self._rooms.with_query(query), ROOMS)

    async def fetch_room(self, room_sid: str) -> Room:
        """One room's summary."""
        return await self._one("room", self._room(room_sid), ROOMS)

    async def list_participants(self, room_sid: str) -> list[Participant]:
        """All participants of a room."""
        url = (self._room(room_sid) / "Participants").with_query(PageSize=MAX_PAGE_SIZE)
        return [who async for page in self._pages("participants", url, PARTICIPANTS) for who in page]

    async def fetch_participant(self, room_sid: str, participant_sid: str) -> Participant:
        """One participant's summary."""
        if not PARTICIPANTS.valid(participant_sid):
            raise SourceError(f"account {self.account}: not a participant SID: {participant_sid[:40]!a}")
        return await self._one("participant", self._room(room_sid) / "Participants" / participant_sid, PARTICIPANTS)

    async def server_now(self) -> float:
        """Seconds since the epoch by Twilio's clock; asks for next to nothing if Twilio has not answered yet."""
        if self.clock_skew is None:
            query = {"PageSize": "1", "CreatedAfter": instant(datetime.fromtimestamp(self._clock.now(), UTC))}
            await self._ask("rooms", self._rooms.with_query(query), ROOMS.page)
        return self._now_there()

    def _now_there(self) -> float:
        return self._clock.now() + (self.clock_skew or 0.0)

    def _room(self, room_sid: str) -> URL:
        if not ROOMS.valid(room_sid):
            raise SourceError(f"account {self.account}: not a room SID: {room_sid[:40]!a}")
        return self._rooms / room_sid

    async def _one(self, kind: Kind, url: URL, form: Form[Record]) -> Record:
        page = await self._ask(kind, url, form.one)
        self._note(page)
        return page.records[0]

    async def _pages(self, kind: Kind, url: URL, form: Form[Record]) -> AsyncIterator[list[Record]]:
        seen = {str(url)}
        while True:
            page = await self._ask(kind, url, form.page)
            self._note(page)
            yield page.records
            if page.next_link is None:
                return
            url = self._next(url, page.next_link, seen)
            seen.add(str(url))

    def _next(self, url: URL, link: str, seen: set[str]) -> URL:
        try:
            target = follow(url, link)
        except ValueError as error:
            raise self._failed(url, str(error)) from None
        if str(target) in seen:
            raise self._failed(url, f"the link after page {len(seen)} leads back to a page already seen")
        if len(seen) >= self._max_pages:
            raise self._failed(url, f"more than {self._max_pages} pages in one listing; ask for a shorter time")
        return target

    async def _ask(self, kind: Kind, url: URL, decode: Callable[[bytes], Answer]) -> Answer:
        """Ask until there is an answer, another try cannot help, the circuit opens, or there were `tries` of them."""
        tries = 0
        while True:
            tries += 1
            answer, seconds = await self._try(url, decode)
            if not isinstance(answer, Trouble):
                self._tell(kind, "ok", "200", seconds)
                return answer
            if self._circuit.is_open or not answer.again or tries == self._tries:
                self._tell(kind, "failed", answer.reason, seconds)
                raise self._given_up(url, answer, tries)
            self._tell(kind, "retry", answer.reason, seconds)
            wait = pause(tries, self._dice)
            told = {"reason": answer.reason, "wait": round(max(wait, answer.wait), 1)}
            log.info("request_retried", account=self.account, kind=kind, **told)
            await self._clock.sleep(wait)

    async def _try(self, url: URL, decode: Callable[[bytes], Answer]) -> tuple[Answer | Trouble, float]:
        """One try when it may be: the answer or what kept it away, and the seconds it took."""
        place = await self._place()
        try:
            entered = self._circuit.enter()
            started = time.monotonic()
            try:
                answer = await self._answer(url, decode)
                self._learn(answer, place, entered)
                return answer, time.monotonic() - started
            finally:
                self._circuit.leave(entered)
        finally:
            self.limiter.leave()

    async def _place(self) -> int:
        """Wait until no Retry-After stands against asking and there is room in flight; in vain, CircuitOpenError."""
        self._circuit.check()
        while True:
            while held := self._circuit.held():
                await self._clock.sleep(held + self._dice.uniform(0.0, SPREAD))
            place = await self.limiter.enter()
            if not self._circuit.held():  # it may have come while this one was in the queue
                return place
            self.limiter.leave()

    def _learn(self, answer: object, place: int, entered: int) -> None:
        """What this answer means for the requests to come."""
        if not isinstance(answer, Trouble):
            self.limiter.succeeded()
            self._circuit.succeeded()
            return
        if answer.reason == "429":
            self.limiter.refused(place)
        self._circuit.hold(answer.wait)
        if answer.answered:
            self._circuit.succeeded()
        else:
            self._circuit.failed(entered, answer)

    async def _answer(self, url: URL, decode: Callable[[bytes], Answer]) -> Answer | Trouble:
        try:
            return await self._exchange(url, decode)
        # aiohttp's exceptions can hold the request's headers, the key among them: they end here.
        except (aiohttp.ClientError, OSError) as failure:
            return unanswered(failure)
        except UnreadableError as failure:
            return Trouble("unreadable", str(failure), again=True)

    async def _exchange(self, url: URL, decode: Callable[[bytes], Answer]) -> Answer | Trouble:
        get = self._session.get(url, headers=self._headers, timeout=self._timeout, allow_redirects=False)
        async with get as response:
            self._set_skew(response.headers.get("Date", ""))
            if response.status != 200:
                return refused(response.status, response.headers, await _error_body(response), self._now_there())
            body = await _body(response, self._max_body)
        if body is None:
            return Trouble("too_big", f"the answer is larger than {self._max_body} bytes", answered=True)
        return decode(body)

    def _set_skew(self, date: str) -> None:
        # The header changes once a second; reading it only then is cheap, and most exact just after the change.
        if date == self._last_date:
            return
        self._last_date = date
        server_now = http_date(date)
        if server_now is not None:
            self.clock_skew = server_now - self._clock.now()

    def _note(self, page: Page[Record]) -> None:
        """Count what was left out, and log each path once: a format that changed would otherwise fill the log."""
        for path in page.faults:
            if path not in self.faults:
                log.warning("malformed_value_left_out", account=self.account, path=path)
            self.faults[path] += 1

    def _tell(self, kind: Kind, outcome: Outcome, reason: str, seconds: float) -> None:
        if self._observe is not None:
            self._observe(kind, outcome, reason, seconds)

    def _given_up(self, url: URL, trouble: Trouble, tries: int) -> SourceError:
        if self._circuit.is_open:
            return self._circuit.error()
        tried = f" (tried {tries} times)" if tries > 1 else ""
        return self._failed(url, trouble.text + tried, trouble.error)

    def _failed(self, url: URL, text: str, error: type[SourceError] = SourceError) -> SourceError:
        # Without the query: a room's name in it may be personal.
        return error(f"account {self.account}: GET {url.raw_path}: {text}")


async def _body(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """The whole body, None if it is larger than `most` bytes (unpacked)."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > most:
            return None
    return b"".join(chunks)


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    # The status says enough if the body that explains it does not come.
    try:
        return await _body(response, MAX_ERROR_BODY) or b""
    except (aiohttp.ClientError, OSError):
        return b""
