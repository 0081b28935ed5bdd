"""What a configuration file may say: its tables, their keys with defaults and meaning, and what each value must be."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationInfo, create_model, field_validator

from alertd.config.forms import GroupBy, MatcherText, Name, Pause, WebAddress, host_and_port, is_loopback
from alertd.config.intervaltables import TimeIntervalTable
from alertd.config.logintables import AuthTable
from alertd.settings import Duration, Secret, Table

TWILIO = "https://insights.twilio.com"
LEAST_LOOK_BACK = 24 * 3600 + 30 * 60
_SID = re.compile(r"(SK|AC)[0-9a-fA-F]{32}")


class Account(Table):
    """A Twilio account, polled with its own API key."""

    name: Name = Field(description="Name of the account; the label `account` of its alerts.", examples=["production"])
    base_url: str = Field(
        TWILIO, description="Address of the Insights API; plain http only to a loopback address, such as a simulator."
    )
    api_key: Secret = Field(description="SID of an API key, SK…; an Account SID, AC…, serves for local testing.")
    api_key_secret: Secret = Field(description="The API key's secret.")

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        if value == TWILIO:
            return value
        from alertd.insights.address import check_base_url  # not needed for Twilio's own address

        complaint = check_base_url(value)
        if complaint:
            raise ValueError(complaint)
        return value.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _check_api_key(cls, value: SecretStr, info: ValidationInfo) -> SecretStr:
        from urllib.parse import urlsplit

        base_url = info.data.get("base_url")  # missing where it is wrong itself
        local = base_url is None or is_loopback(urlsplit(base_url).hostname or "")
        if not local and _SID.fullmatch(value.get_secret_value()) is None:
            raise ValueError(
                "does not look like a SID: SK (or AC) and 32 hexadecimal digits; create one in the console"
            )
        return value

    @field_validator("api_key_secret")
    @classmethod
    def _check_secret(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("is empty")
        return value


class Collect(Table):
    """How rooms are fetched from Twilio."""

    every: Duration = Field(60, description="How often new rooms are asked for.")
    settle_timeout: Duration = Field(
        1800, description="How long after its end an unfinished room is given up and judged as it is."
    )
    look_back: Duration = Field(
        90000, description="How long before now a room may have started: at least 24h30m, the longest room and its lag."
    )
    backfill: Duration = Field(
        90000,
        description="How far back the first look at an account goes: at least 24h30m, at most the 7d that Twilio "
        "keeps. It reads the newest rooms first.",
    )
    recheck: Duration = Field(
        600,
        description="How long the summary of a settled room that changed may go on to change before it is read again.",
    )
    max_in_flight: int = Field(
        16, ge=1, le=256, description="Requests at once for each account; fewer by itself when Twilio asks for it."
    )

    @field_validator("every")
    @classmethod
    def _check_every(cls, value: int) -> int:
        if not 1 <= value <= 3600:
            raise ValueError("must be between 1s and 1h")
        return value

    @field_validator("settle_timeout")
    @classmethod
    def _check_settle_timeout(cls, value: int) -> int:
        if not 60 <= value <= 86400:
            raise ValueError("must be between 1m and 24h; Twilio's data settle in up to 30m")
        return value

    @field_validator("look_back")
    @classmethod
    def _check_look_back(cls, value: int) -> int:
        if not LEAST_LOOK_BACK <= value <= 7 * 86400:
            raise ValueError(
                "must be between 24h30m and 7d: a room lasts up to 24h and appears up to 30m later; Twilio keeps 7 days"
            )
        return value

    @field_validator("backfill")
    @classmethod
    def _check_backfill(cls, value: int) -> int:
        if not LEAST_LOOK_BACK <= value <= 7 * 86400:
            raise ValueError("must be between 24h30m, as far as every wide look reaches, and the 7d that Twilio keeps")
        return value

    @field_validator("recheck")
    @classmethod
    def _check_recheck(cls, value: int) -> int:
        if not 60 <= value <= 86400:
            raise ValueError("must be between 1m and 24h")
        return value


class Store(Table):
    """Where history, alerts and the outbox are kept."""

    url: Secret = Field(
        SecretStr("sqlite:///alertd.db"),
        description="sqlite:///PATH (relative to this file's folder; a fourth slash makes it absolute), or "
        "postgresql://USER:PASSWORD@HOST/NAME.",
        examples=["sqlite:///alertd.db", {"env": "ALERTD_DATABASE"}],
    )
    keep: Duration = Field(3024000, description="How long settled rooms are kept; Twilio itself keeps 7 days.")

    @field_validator("url")
    @classmethod
    def _check_url(cls, value: SecretStr) -> SecretStr:
        if re.match(r"sqlite:///[^/]|sqlite:////[^/]|postgres(ql)?://\S+", value.get_secret_value()) is None:
            raise ValueError("write sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME")
        return value

    @field_validator("keep")
    @classmethod
    def _check_keep(cls, value: int) -> int:
        if value < 8 * 86400:
            raise ValueError("must be at least 8d: what Twilio still lists (7 days) must be known to have been counted")
        return value


class Rules(Table):
    """Where the rules are."""

    paths: tuple[str, ...] = Field(
        ("rules",),
        min_length=1,
        description="Rule files, or folders with *.yaml, *.yml and *.toml files (*.test.* are tests), relative to this "
        "file's folder.",
    )
    watch: bool = Field(True, description="Whether a change of this file or of a rule file takes effect by itself.")


class Http(Table):
    """alertd's own web page and API."""

    allow_anonymous: bool = Field(
        False,
        description="Let everybody read who can connect, from wherever; changes need a login all the same.",
    )
    auth: AuthTable = Field(AuthTable(), description="Who can log in.")
    listen: str = Field("127.0.0.1:9095", description="HOST:PORT to listen on; port 0 takes a free one.")
    external_url: WebAddress | None = Field(
        None, description="Address under which people reach the page; used in messages. Default: where it listens."
    )

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, value: str, info: ValidationInfo) -> str:
        host, _ = host_and_port(value)
        auth = info.data.get("auth")  # missing where it is wrong itself
        if not is_loopback(host) and info.data.get("allow_anonymous") is False and auth == AuthTable():
            raise ValueError(
                "listens beyond this machine without a login; set one in [http.auth], use 127.0.0.1 (behind a proxy "
                "that asks for one), or allow it with allow_anonymous = true"
            )
        return value

    @property
    def host(self) -> str:
        """The host to listen on; empty for every interface."""
        return host_and_port(self.listen)[0]

    @property
    def port(self) -> int:
        """The port to listen on."""
        return host_and_port(self.listen)[1]

    @property
    def address(self) -> str:
        """The address for links: external_url, or else where alertd listens."""
        if self.external_url:
            return self.external_url
        host = self.host if is_loopback(self.host) else "127.0.0.1"
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"


class Log(Table):
    """How alertd logs, on standard error."""

    format: Literal["auto", "console", "json"] = Field(
        "auto", description="console for people, json for machines; auto: console on a terminal, else json."
    )
    level: Literal["debug", "info", "warning", "error"] = Field("info", description="The least that is logged.")


class Privacy(Table):
    """What may be shown of people; without these, pseudonyms are shown."""

    show_identities: bool = Field(False, description="Show participant identities in messages and on the page.")
    show_room_names: bool = Field(False, description="Show room names in messages and on the page.")


class EscalationTable(Table):
    """Who else is told of an alert that fires on and that nobody has acknowledged."""

    after: Pause = Field(description="How long after the route told it.", examples=["15m"])
    receiver: str = Field(description="Name of the receiver that is told then.", examples=["manager"])


class RouteTable(Table):
    """A route of Alertmanager's tree: what it does not say it inherits from the route above."""

    receiver: str | None = Field(None, description="Name of the receiver that is told; the first route needs one.")
    group_by: GroupBy | None = Field(
        None, description='Labels by which alerts share a message; ["..."] is all of them, [] puts all in one.'
    )
    group_wait: Duration | None = Field(None, description="How long a new group waits for more alerts. First: 30s.")
    group_interval: Pause | None = Field(None, description="How long until changes of a group are told. First: 5m.")
    repeat_interval: Pause | None = Field(None, description="How long until the same is told again. First: 4h.")
    repeat_factor: float | None = Field(
        None,
        ge=1,
        le=10,
        description="Each time so many times as long as before: 2 tells it ever more rarely. First: 1.",
    )
    repeat_at_most: Pause | None = Field(None, description="How rare it becomes at most. First: 1d.")
    matchers: tuple[MatcherText, ...] = Field(
        (), description="Which alerts take this route; all must match.", examples=[['severity="page"']]
    )
    continue_: bool = Field(False, alias="continue", description="Whether the routes after this one are tried too.")
    mute_time_intervals: tuple[str, ...] = Field(
        (),
        description="Time intervals in which this route tells nothing; that waits.",
        examples=[["nights"]],
    )
    active_time_intervals: tuple[str, ...] = Field(
        (), description="Time intervals outside of which this route tells nothing.", examples=[["office-hours"]]
    )
    escalations: tuple[EscalationTable, ...] = Field((), description="Who else is told later, and when.")
    routes: tuple[RouteTable, ...] = Field((), description="Routes below, tried in order; the first that matches wins.")


class InhibitTable(Table):
    """While an alert fires that the source matchers match, those that the target matchers match are not told."""

    name: str = Field("", description="A name for people.")
    source_matchers: tuple[MatcherText, ...] = Field(
        min_length=1, description="Which alerts explain others; all must match.", examples=[['alertname="RegionDown"']]
    )
    target_matchers: tuple[MatcherText, ...] = Field(
        min_length=1,
        description="Which alerts are quiet meanwhile; all must match.",
        examples=[['severity="ticket"']],
    )
    equal: tuple[str, ...] = Field(
        (), description="Labels on which both must agree; one that is missing is empty.", examples=[["account"]]
    )


class ReceiverTable(Table):
    """Somebody who is told, in one or more ways. One with a name alone is told nothing."""

    name: Name = Field(description="Name by which routes call it.", examples=["oncall"])


class StoreTables(Table):
    """What of the file says where history is kept."""

    store: Store = Store()


class ConfigTables(Table):
    """The file as a whole, without the receivers: their kinds come from a registry (see `config_file`)."""

    accounts: tuple[Account, ...] = Field(min_length=1, description="The Twilio accounts to watch.")
    collect: Collect = Field(Collect(), description="How rooms are fetched from Twilio.")
    store: Store = Field(Store(), description="Where history, alerts and the outbox are kept.")
    rules: Rules = Field(Rules(), description="Where the rules are.")
    http: Http = Field(Http(), description="alertd's own web page and API.")
    route: RouteTable = Field(description="Who is told: Alertmanager's tree of routes.")
    log: Log = Field(Log(), description="How alertd logs.")
    privacy: Privacy = Field(Privacy(), description="What may be shown of people.")
    inhibit_rules: tuple[InhibitTable, ...] = Field((), description="Which alerts keep others quiet.")
    time_intervals: tuple[TimeIntervalTable, ...] = Field((), description="Times that routes can name.")
    receivers: tuple[ReceiverTable, ...] = Field(description="Who can be told, and how.")


@lru_cache(maxsize=1)
def config_file() -> type[ConfigTables]:
    """The model of a configuration file, with a table for each kind of receiver in alertd.receivers.SETTINGS."""
    from alertd.receivers import SETTINGS

    kinds: dict[str, Any] = {
        kind: (tuple[model, ...], Field((), description=f"Tell by {kind}."))  # type: ignore[valid-type]
        for kind, model in SETTINGS.items()
    }
    receiver = create_model("Receiver", __base__=ReceiverTable, __doc__=ReceiverTable.__doc__, **kinds)
    return create_model(
        "Config",
        __base__=ConfigTables,
        __doc__="The configuration of alertd.",
        receivers=(tuple[receiver, ...], Field(description="Who can be told, and how.")),
    )
