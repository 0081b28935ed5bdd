"""Logins: only the right password or token opens, and what is kept of them opens nothing."""

from __future__ import annotations

import base64

import pytest

from alertd.logins import Logins, check_password_hash, check_token_hash, hash_password, hash_token, new_token

TOKEN = "alertd_" + "t0ken" * 8
HASHED = "scrypt$16384$8$1$nVkFsve4+PsSgaF2toT+Mw==$NrqPOcLSxlDKnWV2dqtPQ7QpVUFh45z9Eyw0AYCs3RA="
"""Of `correct horse`; made once, since names of tests must not change from run to run."""


@pytest.fixture(scope="module")
def logins() -> Logins:
    return Logins({"ann": HASHED}, {"deploy": hash_token(TOKEN)})


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (basic("ann:correct horse"), "ann"),
        (basic("ann:correct horse").replace("Basic", "basic"), "ann"),
        (f"Bearer {TOKEN}", "deploy"),
        (basic("ann:wrong horse"), None),
        (basic("ann:"), None),
        (basic("bob:correct horse"), None),
        (basic("ann"), None),
        (basic("deploy:" + TOKEN), None),
        (basic("ann:" + HASHED), None),
        (f"Bearer {hash_token(TOKEN)}", None),
        ("Bearer ", None),
        ("Basic !!!", None),
        ("Basic /w==", None),
        ("Digest x", None),
        ("", None),
    ],
)
def test_only_who_knows_the_secret_gets_in(logins, sent, name):
    assert logins.who(sent) == name
    assert logins.who(sent) == name  # the second time from memory


def test_nobody_gets_in_where_there_are_no_logins():
    assert not Logins()
    assert Logins().who(basic(":")) is None


def test_a_new_token_is_long_and_never_the_same():
    assert len({new_token() for _ in range(20)}) == 20
    assert min(len(new_token()) for _ in range(20)) > 40


def test_one_password_gives_another_hash_each_time():
    assert hash_password("correct horse") != HASHED
    assert "correct" not in HASHED


@pytest.mark.parametrize(
    "text",
    [
        *("", "correct horse", "scrypt$1$8$1$AAAA$AAAA", HASHED.replace("16384", "16385"), HASHED[:-8]),
        *(HASHED.replace("$8$1$", "$8$0$"), HASHED.replace("16384", str(2**30)), HASHED + "$x"),
    ],
)
def test_what_is_no_hash_is_told_with_the_command_that_makes_one(text):
    assert "alertd login NAME" in check_password_hash(text)
    assert check_password_hash(HASHED) == ""


@pytest.mark.parametrize("text", ["", TOKEN, "sha256$abc", hash_token("x").upper()])
def test_nor_is_a_token_its_hash(text):
    assert "alertd login --token NAME" in check_token_hash(text)
    assert check_token_hash(hash_token(TOKEN)) == ""
