"""What [http.auth] may say: who can log in, by the hash of a password or of a token."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from alertd.config.forms import Name
from alertd.logins import Logins, check_password_hash, check_token_hash
from alertd.settings import Secret, Table


class UserTable(Table):
    """Somebody with a password (HTTP Basic)."""

    name: Name = Field(description="The user's name.", examples=["ann"])
    password_hash: Secret = Field(
        description="What `alertd login NAME` prints.", examples=[{"env": "ALERTD_ANN_PASSWORD_HASH"}]
    )

    @field_validator("password_hash")
    @classmethod
    def _check_hash(cls, value: SecretStr) -> SecretStr:
        return _checked(value, check_password_hash(value.get_secret_value()))


class TokenTable(Table):
    """A program with a token (HTTP Bearer)."""

    name: Name = Field(description="The program's name.", examples=["deploy"])
    token_hash: Secret = Field(
        description="What `alertd login --token NAME` prints.", examples=[{"env": "ALERTD_DEPLOY_TOKEN_HASH"}]
    )

    @field_validator("token_hash")
    @classmethod
    def _check_hash(cls, value: SecretStr) -> SecretStr:
        return _checked(value, check_token_hash(value.get_secret_value()))


class AuthTable(Table):
    """Who can log in. Changes then need it, from wherever; reading needs it from beyond this machine."""

    users: tuple[UserTable, ...] = Field((), description="People, who log in with a password.")
    tokens: tuple[TokenTable, ...] = Field((), description="Programs, which send a token.")

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        names = [user.name for user in self.users] + [token.name for token in self.tokens]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"{twice!r} stands twice; each user and token needs a name of its own")
        return self

    @property
    def logins(self) -> Logins:
        """Who can log in, for those who ask."""
        return Logins(
            {user.name: user.password_hash.get_secret_value() for user in self.users},
            {token.name: token.token_hash.get_secret_value() for token in self.tokens},
        )


def _checked(value: SecretStr, complaint: str) -> SecretStr:
    if complaint:
        raise ValueError(complaint)
    return value
