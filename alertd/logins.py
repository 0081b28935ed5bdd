"""Whose password or token it is: both are known as hashes only, and compared without telling how much is right."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

COST, BLOCK, LANES = 2**14, 8, 1
"""scrypt's N, r and p (RFC 7914): 16 MiB and some 50 ms for each guess."""
MOST_COST = 2**18
LONGEST_PASSWORD = 1024
"""Characters."""
_NOBODY = f"scrypt${COST}${BLOCK}${LANES}$AAAAAAAAAAAAAAAAAAAAAA==${'A' * 43}="


def hash_password(password: str) -> str:
    """`scrypt$N$r$p$SALT$KEY`, with a new salt each time; salt and key in base64."""
    salt = secrets.token_bytes(16)
    key = _scrypt(password, salt, COST, BLOCK, LANES)
    return f"scrypt${COST}${BLOCK}${LANES}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def hash_token(token: str) -> str:
    """`sha256$HEX`: a token is random and long, so that no guess needs to be made slow."""
    return f"sha256${hashlib.sha256(token.encode()).hexdigest()}"


def new_token() -> str:
    """A token that nobody can guess."""
    return f"alertd_{secrets.token_urlsafe(32)}"


def check_password_hash(text: str) -> str:
    """What is wrong with the hash of a password, or an empty text."""
    try:
        _parts(text)
    except ValueError:
        return "is not a hash that `alertd login NAME` made (scrypt$…)"
    return ""


def check_token_hash(text: str) -> str:
    """What is wrong with the hash of a token, or an empty text."""
    digits = text.removeprefix("sha256$")
    fine = text.startswith("sha256$") and len(digits) == 64 and set(digits) <= set("0123456789abcdef")
    return "" if fine else "is not a hash that `alertd login --token NAME` made (sha256$…)"


def fits(password: str, hashed: str) -> bool:
    """Whether the hash was made of this password; takes as long as making it."""
    cost, block, lanes, salt, key = _parts(hashed)
    return hmac.compare_digest(_scrypt(password[:LONGEST_PASSWORD], salt, cost, block, lanes), key)


@dataclass(frozen=True)
class Logins:
    """Who may log in: hashes of passwords and of tokens, by name."""

    passwords: Mapping[str, str] = field(default_factory=dict)
    tokens: Mapping[str, str] = field(default_factory=dict)
    _known: set[bytes] = field(default_factory=set, repr=False)
    _pepper: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __bool__(self) -> bool:
        return bool(self.passwords or self.tokens)

    def who(self, authorization: str) -> str | None:
        """The name behind an Authorization header (RFC 7617 Basic, RFC 6750 Bearer); None if it is nobody's.

        It may take 50 ms. A name that is not known takes as long as one that is.
        """
        scheme, _, sent = authorization.partition(" ")
        if scheme.lower() == "bearer":
            return self._of_token(sent.strip())
        if scheme.lower() == "basic":
            return self._of_password(sent.strip())
        return None

    def _of_token(self, token: str) -> str | None:
        hashed, found = hash_token(token), None
        for name, known in self.tokens.items():  # all of them, whichever it is
            if hmac.compare_digest(hashed, known):
                found = name
        return found

    def _of_password(self, sent: str) -> str | None:
        try:
            name, colon, password = base64.b64decode(sent, validate=True).decode().partition(":")
        except ValueError:
            return None
        if not colon:
            return None
        mark = hmac.digest(self._pepper, sent.encode(), "sha256")
        if mark in self._known:  # the same as before: programs send it with every request
            return name
        if not fits(password, self.passwords.get(name, _NOBODY)) or name not in self.passwords:
            return None
        self._known.add(mark)
        return name


def _scrypt(password: str, salt: bytes, cost: int, block: int, lanes: int) -> bytes:
    return hashlib.scrypt(password.encode(), salt=salt, n=cost, r=block, p=lanes, dklen=32, maxmem=2**30)


def _parts(hashed: str) -> tuple[int, int, int, bytes, bytes]:
    name, cost, block, lanes, salt, key = hashed.split("$")
    numbers = int(cost), int(block), int(lanes)
    raw = base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
    sane = 2**10 <= numbers[0] <= MOST_COST and not numbers[0] & (numbers[0] - 1)
    if name != "scrypt" or not sane or not 1 <= numbers[1] <= 32 or not 1 <= numbers[2] <= 16:
        raise ValueError(hashed)
    if len(raw[0]) < 8 or len(raw[1]) != 32:
        raise ValueError(hashed)
    return (*numbers, *raw)
