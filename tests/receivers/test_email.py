"""Email: handed to a real mail server over TLS with a login, threaded by group, and safe from what labels say."""

from __future__ import annotations

import asyncio
import email
import email.policy
from email.utils import parsedate_to_datetime
from html.parser import HTMLParser

import pytest
import trustme
from aiosmtpd.smtp import SMTP, AuthResult
from pydantic import ValidationError

from alertd.errors import DeliveryError
from alertd.receivers import build
from alertd.receivers.email import EmailSettings, html, message

BASE = {"to": ["On Call <oncall@example.com>", "boss@example.com"], "from": "alertd <alertd@example.com>"}


class MailServer:
    """What the server keeps, and what it is told to answer to whom."""

    def __init__(self) -> None:
        self.port = 0
        self.mails = []
        self.recipients = []
        self.logins = []
        self.refusals = {}
        self.data_answer = "250 queued as 42"

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802 - aiosmtpd's name
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's name
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        self.recipients.append((envelope.mail_from, envelope.rcpt_tos))
        return self.data_answer

    def authenticate(self, server, session, envelope, mechanism, login):
        self.logins.append((login.login, login.password))
        return AuthResult(success=login.password == b"s3cret", handled=False)


async def served(mailbox, **options):
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(mailbox, loop=loop, **options), "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    return server


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
async def mailbox():
    """A mail server without TLS."""
    one = MailServer()
    server = await served(one)
    yield one
    server.close()
    await server.wait_closed()


@pytest.fixture
async def safe_mailbox(authority):
    """A mail server that wants STARTTLS and a login."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    one = MailServer()
    server = await served(
        one,
        tls_context=context,
        require_starttls=True,
        authenticator=one.authenticate,
        auth_required=True,
    )
    yield one
    server.close()
    await server.wait_closed()


def receiver(port, url, **settings):
    made = EmailSettings(**{**BASE, "smarthost": f"localhost:{port}", **settings})
    return build("email", made, session=None, external_url=url)


def safe(mailbox, url, tmp_path, **settings):
    login = {"username": "alertd", "password": "s3cret", "starttls": True, "ca_file": tmp_path / "ca.pem"}
    return receiver(mailbox.port, url, **{**login, **settings})


def part(mail, kind):
    return next(piece.get_content() for piece in mail.walk() if piece.get_content_type() == f"text/{kind}")


async def test_a_message_arrives_over_starttls_with_a_login(safe_mailbox, make_notification, url, now, tmp_path):
    said = await safe(safe_mailbox, url, tmp_path).send(make_notification(), now)
    mail = safe_mailbox.mails[0]
    assert said == "queued as 42"
    assert safe_mailbox.logins == [(b"alertd", b"s3cret")]
    assert safe_mailbox.recipients == [("alertd@example.com", ["oncall@example.com", "boss@example.com"])]
    assert mail["Subject"] == "FIRING · MediaConnectionFailing · production / au1 · 12 of 118 participants (10.2 %)"
    assert mail["From"] == "alertd <alertd@example.com>"
    assert mail["To"] == "On Call <oncall@example.com>, boss@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["List-Id"] == "<alertd.example.com>"
    assert parsedate_to_datetime(mail["Date"]).timestamp() == now
    assert mail.get_content_type() == "multipart/alternative"
    assert "10.2 % of calls in au1 lost their media connection" in part(mail, "plain")
    assert "10.2 % of calls in au1 lost their media connection" in part(mail, "html")


async def test_a_group_is_one_thread_of_different_messages(mailbox, make_notification, resolved_alert, url, now):
    sender = receiver(mailbox.port, url, list_id="alerts.example.org")
    await sender.send(make_notification(), now)
    await sender.send(make_notification(), now + 60)
    await sender.send(make_notification(resolved_alert, id="msg_other"), now + 120)
    await sender.send(make_notification(id="msg_third", group_key="another"), now + 120)
    first, again, resolved, other = mailbox.mails
    assert first["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]
    assert first["References"] == first["In-Reply-To"] == resolved["References"] != other["References"]
    assert first["References"].endswith("@example.com>")
    assert first["List-Id"] == "<alerts.example.org>"


def test_ids_stay_readable_however_long_the_domain(make_notification, url, now):
    domain = "alerts." + "a-rather-long-department." * 4 + "example.com"
    settings = EmailSettings(**{**BASE, "from": f"alertd@{domain}"}, smarthost="localhost:25")
    raw = message(make_notification(), settings, url, now, {}).as_bytes()
    assert raw.count(f"@{domain}>\r\n".encode()) == 3


async def test_labels_inject_no_header_and_no_markup(mailbox, hostile, url, now):
    await receiver(mailbox.port, url).send(hostile, now)
    mail = mailbox.mails[0]
    assert mail["Bcc"] is None
    assert "Bcc: all@exampl" in mail["Subject"]
    assert "\n" not in mail["Subject"]
    assert "<script" not in part(mail, "html")
    assert "javascript:" not in part(mail, "html")
    assert "{{ 7*7 }}" in part(mail, "html")
    assert "\x1b" not in part(mail, "plain") + part(mail, "html")


def test_the_html_part_fetches_nothing_and_closes_what_it_opens(make_notification, make_alert, hostile, url):
    class Reader(HTMLParser):
        def __init__(self):
            super().__init__()
            self.open, self.fetched = [], []

        def handle_starttag(self, tag, attributes):
            self.fetched += [name for name, _ in attributes if name in {"src", "background", "srcset"}]
            self.fetched += [tag] if tag in {"link", "img", "script", "iframe"} else []
            self.open += [] if tag == "meta" else [tag]

        def handle_endtag(self, tag):
            assert self.open.pop() == tag

    many = make_notification(*(make_alert(f"r{place}") for place in range(14)))
    for notification in (make_notification(), many, hostile, make_notification(reason="test")):
        reader = Reader()
        reader.feed(html(notification, url))
        assert (reader.open, reader.fetched) == ([], [])


def test_the_html_part_links_runbook_alert_and_error(make_notification, make_alert, url):
    page = html(make_notification(*(make_alert(f"r{place}") for place in range(14))), url)
    assert 'href="https://runbooks.example.com/media?x=1&amp;y=2"' in page
    assert 'href="https://www.twilio.com/docs/api/errors/53405"' in page
    assert f'and 4 more: <a href="{url}/alerts">' in page


def test_what_carries_an_alert_stands_in_both_parts(make_notification, make_alert, make_explanation, url, now):
    one = make_notification(make_alert(explain=make_explanation("<b>ie1</b>")))
    mail = message(one, EmailSettings(**BASE, smarthost="localhost:25"), url, now, {})
    assert "Carried by:  media_region <b>ie1</b>: 31 of 40 (62 % of its 50, 14 times the rest)" in part(mail, "plain")
    shown = "media_region &lt;b&gt;ie1&lt;/b&gt;: 31 of 40 (62 % of its 50, 14 times the rest)"
    assert f'<td class="name">Carried by</td><td>{shown}</td>' in part(mail, "html")


def test_a_drill_says_so_in_both_parts(make_notification, url, now):
    settings = EmailSettings(**BASE, smarthost="localhost:25")
    mail = message(make_notification(reason="test"), settings, url, now, {})
    assert mail["Subject"].startswith("TEST · ")
    assert "This is a drill" in part(mail, "plain")
    assert "This is a drill" in part(mail, "html")


async def test_a_persons_templates_replace_subject_text_and_html(mailbox, make_notification, hostile, url, now):
    template = {"subject": "{{ status }} {{ receiver }}", "text": "say {{ receiver }}", "html": "<b>{{ receiver }}</b>"}
    sender = receiver(mailbox.port, url, template=template)
    await sender.send(make_notification(), now)
    await sender.send(hostile, now)
    mail, attack = mailbox.mails
    assert mail["Subject"] == "firing oncall"
    assert part(mail, "plain").strip() == "say oncall"
    assert part(mail, "html").strip() == "<b>oncall</b>"
    assert attack["Bcc"] is None
    assert "<script" not in part(attack, "html")


async def test_who_was_refused_is_said_where_others_took_it(mailbox, make_notification, url, now):
    mailbox.refusals = {"boss@example.com": "550 no such user"}
    said = await receiver(mailbox.port, url).send(make_notification(), now)
    assert said == "queued as 42; refused: boss@example.com (550 no such user)"


@pytest.mark.parametrize(("code", "permanent"), [("550 no such user", True), ("450 mailbox busy", False)])
async def test_if_all_are_refused_the_codes_decide(mailbox, make_notification, url, now, code, permanent):
    mailbox.refusals = {"boss@example.com": "550 no such user", "oncall@example.com": code}
    with pytest.raises(DeliveryError, match="localhost took no recipient; refused: ") as caught:
        await receiver(mailbox.port, url).send(make_notification(), now)
    assert caught.value.permanent is permanent


@pytest.mark.parametrize(("code", "permanent"), [("554 spam", True), ("452 disk full", False)])
async def test_the_servers_answer_decides_about_trying_again(mailbox, make_notification, url, now, code, permanent):
    mailbox.data_answer = code
    with pytest.raises(DeliveryError, match=f"localhost answered {code}") as caught:
        await receiver(mailbox.port, url).send(make_notification(), now)
    assert caught.value.permanent is permanent


async def test_a_wrong_password_is_final_and_stays_secret(safe_mailbox, make_notification, url, now, tmp_path):
    with pytest.raises(DeliveryError, match="localhost answered 535") as caught:
        await safe(safe_mailbox, url, tmp_path, password="wr0ng").send(make_notification(), now)
    assert caught.value.permanent
    assert "wr0ng" not in str(caught.value)


async def test_a_server_without_starttls_gets_nothing(mailbox, make_notification, url, now, tmp_path, authority):
    with pytest.raises(DeliveryError, match="STARTTLS") as caught:
        await safe(mailbox, url, tmp_path).send(make_notification(), now)
    assert not caught.value.permanent
    assert (mailbox.logins, mailbox.mails) == ([], [])


async def test_an_unknown_certificate_gets_nothing(safe_mailbox, make_notification, url, now):
    sender = receiver(safe_mailbox.port, url, starttls=True)
    with pytest.raises(DeliveryError, match=r"the connection to localhost failed.*certificate") as caught:
        await sender.send(make_notification(), now)
    assert not caught.value.permanent
    assert safe_mailbox.mails == []


async def test_nobody_listening_is_tried_again(unused_tcp_port, make_notification, url, now):
    with pytest.raises(DeliveryError, match="the connection to localhost failed") as caught:
        await receiver(unused_tcp_port, url).send(make_notification(), now)
    assert not caught.value.permanent


async def test_silence_is_a_timeout_and_tried_again(silent_server, make_notification, url, now):
    with pytest.raises(DeliveryError, match="localhost did not answer within 1 s") as caught:
        await receiver(silent_server, url, timeout="1s").send(make_notification(), now)
    assert not caught.value.permanent


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"to": []}, "at least 1 item"),
        ({"to": ["nobody"]}, "write one address"),
        ({"to": ["a@example.com, b@example.com"]}, "write one address"),
        ({"from": "a@example.com\nBcc: b@example.com"}, "write one address"),
        ({"smarthost": "localhost"}, "write host:port"),
        ({"smarthost": "localhost:99999"}, "write host:port"),
        ({"list_id": "a b"}, "write an identifier"),
        ({"ca_file": "/nonexistent.pem"}, "cannot read certificates from /nonexistent.pem: No such file"),
        ({"username": "me"}, "username and password belong together"),
        ({"tls": True, "starttls": True}, "exclude each other"),
        (
            {"smarthost": "mx.example.com:25", "starttls": False, "username": "me", "password": "x"},
            "the password would travel unencrypted",
        ),
        ({"template": {"body": "x"}}, "Extra inputs are not permitted"),
        ({"template": {"html": "\n{% if %}"}}, "line 2: "),
    ],
)
def test_settings_are_judged_at_load(changes, told):
    with pytest.raises(ValidationError, match=told):
        EmailSettings(**{**BASE, "smarthost": "localhost:25", **changes})


def test_starttls_is_insisted_on_beyond_loopback():
    def insists(smarthost, **more):
        return EmailSettings(**BASE, smarthost=smarthost, **more).insists_on_starttls

    assert insists("mx.example.com:587")
    assert insists("mx.example.com:25")
    assert not insists("mx.example.com:465", tls=True)
    assert not insists("mx.example.com:25", starttls=False)
    assert not insists("localhost:25")
    assert not insists("127.0.0.1:25")
    assert not insists("[::1]:25")


def test_the_longest_texts_still_make_a_message(make_notification, make_alert, make_evidence, url, now):
    long = '"' * 5000
    labels = {f"{place}{long}": long for place in range(60)} | {"alertname": long}
    clue = make_evidence(room_sid=long, participant_sid=long, end_reason=long, sdk=long, room_name=long, identity=long)
    texts = {"summary": long, "description": long, "runbook_url": "https://x.example/" + "&" * 1900}
    worst = make_alert(labels=labels, annotations=texts, evidence=(clue,) * 20, reason=long)
    mail = message(
        make_notification(*(worst,) * 200, truncated=9),
        EmailSettings(**BASE, smarthost="localhost:25"),
        url,
        now,
        {},
    )
    assert "and 199 more" in part(mail, "html")
    assert max(map(len, mail.as_bytes().splitlines())) <= 998
