"""Talking to a running daemon over its HTTP API: where it is, who asks, and what its answers mean."""

from __future__ import annotations

import base64
import json
import os
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from alertd.errors import AlertdError

WITHIN = 30
"""Seconds for an answer."""
TOKEN = "ALERTD_TOKEN"  # noqa: S105 - the name of the variable
"""The environment variable with a token of [http.auth]."""


class DaemonError(AlertdError):
    """The daemon cannot be reached, or did not do what it was asked; `status` is that of its answer, 0 without one."""

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class _Stay(HTTPRedirectHandler):
    """Follows no redirect: the login would go along."""

    def redirect_request(self, *_: object) -> None:
        """Nowhere."""


def ask(url: str, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 - whatever JSON the daemon sends
    """The answer to one request of the daemon at `url` (it may hold `user:password@`); None if that is empty.

    Whoever has no password in the URL may have a token in ALERTD_TOKEN. DaemonError says what to do.
    """
    address, headers = _address(url)
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        headers["Content-Type"] = "application/json"
    request = Request(f"{address}{path}", data, headers, method=method)  # noqa: S310 - _address takes http(s) only
    try:
        with build_opener(_Stay).open(request, timeout=WITHIN) as answer:
            said = answer.read()
    except HTTPError as error:
        raise DaemonError(_refusal(address, error), error.code) from None
    except (URLError, OSError) as error:
        why = getattr(error, "reason", error)
        raise DaemonError(
            f"no alertd answers at {address} ({why}); start it, or name its address with --url or ALERTD_URL"
        ) from None
    return _json(said, address) if said.strip() else None


def _address(url: str) -> tuple[str, dict[str, str]]:
    """The address without a login, and the headers that hold it."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise DaemonError(f"{url!r} is not an address; write it like http://127.0.0.1:9095")
    address = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path.rstrip("/"), "", ""))
    token = os.environ.get(TOKEN, "")
    if parts.username is not None:
        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        return address, {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    return address, {"Authorization": f"Bearer {token}"} if token else {}


def _refusal(address: str, error: HTTPError) -> str:
    said = error.read(10_000).decode("utf-8", "replace").strip()
    try:
        told = json.loads(said)
    except ValueError:
        told = said
    if isinstance(told, dict):
        told = told.get("message") or told.get("error") or said
    hint = f"; set {TOKEN}, or write the address as http://USER:PASSWORD@HOST:PORT" if error.code == 401 else ""
    return f"{address} answered {error.code}: {told or error.reason}{hint}"


def _json(said: bytes, address: str) -> Any:  # noqa: ANN401 - whatever JSON the daemon sends
    try:
        return json.loads(said)
    except ValueError:
        raise DaemonError(f"what answers at {address} is not alertd; name the right address with --url") from None
