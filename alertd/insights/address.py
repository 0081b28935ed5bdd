"""Which addresses alertd may ask: those of the configured server, over TLS unless it is this very machine."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime

from yarl import URL


def check_base_url(url: str) -> str | None:
    """What is wrong with a `base_url`, or None if nothing is."""
    try:
        parsed = URL(url)
    except ValueError as error:
        return f"not a URL: {error}"
    if parsed.scheme not in ("https", "http") or not parsed.host:
        return "write a URL like https://insights.twilio.com"
    if not _is_host_name(parsed.host):
        return "not a host name"
    if parsed.user is not None or parsed.password is not None:
        return "must not contain a user name or password; use api_key and api_key_secret"
    if parsed.query_string or parsed.fragment:
        return "must not contain a query or fragment"
    if parsed.scheme == "http" and not _is_loopback(parsed.host):
        return "plain http would show the API key to the network; use https (http is for a loopback address only)"
    return None


def follow(current: URL, link: str) -> URL:
    """The next page's URL from the link on the current page; ValueError if it leads to another server.

    The credentials go wherever the next request goes, so scheme, host and port must stay the same.
    """
    try:
        target = current.join(URL(link))
    except ValueError:
        raise ValueError("the link to the next page is not a URL") from None
    if target.user is not None or target.password is not None:
        raise ValueError("the link to the next page contains a user name or password")
    if (target.scheme, target.host, target.port) != (current.scheme, current.host, current.port):
        raise ValueError(
            f"the link to the next page leads to another server, {target.scheme}://{target.raw_host}:{target.port}; "
            f"it was not followed, so that the API key stays with {current.scheme}://{current.raw_host}:{current.port}"
        )
    return target.with_fragment(None)


def instant(moment: datetime) -> str:
    """A datetime as Twilio's filters take it, in whole seconds UTC (one without a zone is taken as UTC)."""
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _is_host_name(host: str) -> bool:
    # What the resolver would trip over: empty labels, and labels of more than 63 characters.
    try:
        return bool(host.encode("idna"))
    except UnicodeError:
        return False


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
