"""What alertd's own API takes and answers, as an OpenAPI 3 document at /api/openapi.json."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from alertd import __version__
from alertd.web.answers import as_json

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
INSTANT: Schema = {"type": "string", "format": "date-time"}
LABELS: Schema = {"type": "object", "additionalProperties": TEXT}
FINGERPRINT: Schema = {
    "type": "string",
    "description": "Alertmanager's: 16 hexadecimal digits.",
    "example": "d284efc389a5bf32",
}


def route() -> web.RouteDef:
    """Where the document is read."""

    async def answer(_request: web.Request) -> web.Response:
        return as_json(document())

    return web.get("/api/openapi.json", answer)


def document() -> Schema:
    """The document, for version 3.0 of OpenAPI."""
    return {
        "openapi": "3.0.3",
        "info": {
            "title": "alertd",
            "version": __version__,
            "description": "What Alertmanager's API v2 (/api/v2) and Prometheus' (/api/v1) cannot say. Errors are JSON "
            "strings. Once logins are configured, changes need one, and so does reading from beyond the machine.",
            "license": {"name": "Apache-2.0"},
        },
        "paths": _paths(),
        "components": {
            "schemas": {
                "Alert": _alert(),
                "Ack": _ack(),
                "Notification": _notification(),
                "Account": _account(),
                "Room": _room(),
                "Backtest": _posted_backtest(),
            },
            "securitySchemes": {
                "user": {"type": "http", "scheme": "basic"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}, {"user": []}, {"token": []}],
    }


def _paths() -> Schema:
    alert = {"name": "fingerprint", "in": "path", "required": True, "schema": FINGERPRINT}
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100}, "At most so many.")
    failed = _query("failed", {"type": "string", "enum": ["true", "false"]}, "Only what was given up.")
    return {
        "/api/alertd/alerts": {
            "get": _operation("alerts", "What is pending or fires: why, and who was told, or not.", _many("Alert"))
        },
        "/api/alertd/alerts/{fingerprint}/ack": {
            "parameters": [alert],
            "put": {
                **_operation("acknowledge", "Somebody looks after an alert: it is not repeated.", _ref("Ack")),
                "requestBody": {"required": True, "content": _content(_posted_ack())},
            },
            "delete": _operation("leave", "Nobody looks after it any more.", None),
        },
        "/api/alertd/notifications": {
            "get": {
                **_operation("notifications", "The newest, sent, waiting, failed or withheld.", _many("Notification")),
                "parameters": [limit, failed],
            }
        },
        "/api/alertd/coverage": {
            "get": _operation("coverage", "Which starts of rooms were listed, and when, by account.", _many("Account"))
        },
        "/api/alertd/rooms/waiting": {
            "get": {
                **_operation("waiting", "Rooms that are known and not settled yet.", _many("Room")),
                "parameters": [limit],
            }
        },
        "/api/alertd/backtest": {"post": _backtest()},
    }


def _backtest() -> Schema:
    asked = _operation("backtest", "What rules would have fired and sent over the own history.", None)
    lines = (
        "Findings, one JSON object a line, in the order of time, as `alertd backtest --json` prints them. On the way "
        "come lines with the event `progress`, then `note`, if anything is odd. The last line is `summary`, or `error` "
        "if it broke off."
    )
    asked["responses"]["200"] = {"description": lines, "content": {"application/x-ndjson": {"schema": TEXT}}}
    asked["responses"]["429"] = {"description": "Another one is under way.", "content": _content({})}
    return asked | {"requestBody": {"required": True, "content": _content(_ref("Backtest"))}}


def _operation(name: str, summary: str, answer: Schema | None) -> Schema:
    """One thing to ask for; whatever it is may be refused, and the database may fail."""
    fine: Schema = {"description": "Done."} | ({} if answer is None else {"content": _content(answer)})
    why = {
        400: "It cannot be read, or cannot be.",
        401: "It needs a login.",
        403: "It is not taken from there.",
        404: "It is not there.",
        415: "The body is not JSON.",
        422: "Something is missing.",
        500: "The database fails.",
    }
    answers = {str(code): {"description": why[code], "content": _content({})} for code in why}
    return {"operationId": name, "summary": summary, "responses": {"200": fine} | answers}


def _content(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _many(name: str) -> Schema:
    return {"type": "array", "items": _ref(name)}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _object(optional: Schema | None = None, **required: Schema) -> Schema:
    return {"type": "object", "required": list(required), "properties": required | (optional or {})}


def _maybe(schema: Schema) -> Schema:
    return schema | {"nullable": True}


def _ack() -> Schema:
    return _object(by=TEXT, comment=TEXT, at=INSTANT, until=INSTANT)


def _posted_ack() -> Schema:
    duration = {"type": "string", "default": "4h", "description": "At most 7d.", "example": "2h"}
    return _object({"by": TEXT, "comment": TEXT, "duration": duration})


def _posted_backtest() -> Schema:
    file = {"type": "string", "maxLength": 262144, "description": "A rule file; default: the configuration's rules."}
    other = file | {"description": "A rule file to compare with."}
    instant = _maybe(INSTANT | {"description": "Not both since and from; default: a week, up to now."})
    return _object(
        {
            "since": _maybe({"type": "string", "description": "A duration.", "example": "7d"}),
            "from": instant,
            "to": instant,
            "zone": {"type": "string", "default": "UTC", "description": "Of nights.", "example": "Europe/Berlin"},
            "rules": _maybe(file),
            "against": _maybe(other),
            "format": {"type": "string", "enum": ["yaml", "toml"], "default": "yaml", "description": "Of the rules."},
        }
    ) | {"additionalProperties": False}


def _alert() -> Schema:
    told = _object(integration=TEXT, told=_maybe(INSTANT), why=TEXT)
    number = {"type": "integer", "minimum": 1}
    stand = _object(integration=TEXT, member=number, members=number, taken=_maybe(INSTANT), error=TEXT)
    return _object(
        fingerprint=FINGERPRINT,
        state={"type": "string", "enum": ["pending", "firing"]},
        labels=LABELS,
        annotations=LABELS,
        activeAt=_maybe(INSTANT),
        startsAt=_maybe(INSTANT),
        reason=TEXT,
        flaps={"type": "integer", "description": "How often it began to fire within 6h, if too often; else 0."},
        quiet=TEXT | {"description": "What silences or inhibits it; empty if nothing does."},
        acknowledged={"nullable": True, "allOf": [_ref("Ack")]},
        notifications={"type": "array", "items": told},
        forwarded={"type": "array", "items": stand, "description": "When other Alertmanagers took it last."},
        alertd={"type": "object", "description": "Sample, evidence and explanation, as in webhooks."},
    )


def _notification() -> Schema:
    return _object(
        {"sent_at": _maybe(INSTANT), "last_answer": _maybe(TEXT)},
        id=TEXT,
        created_at=INSTANT,
        send_at=INSTANT,
        receiver=TEXT,
        integration=TEXT,
        reason=TEXT,
        status={"type": "string", "enum": ["firing", "resolved"]},
        state={"type": "string", "enum": ["queued", "sent", "failed", "withheld"]},
        attempts={"type": "integer"},
        group_key=TEXT,
        alerts={"type": "array", "items": TEXT},
        withheld=TEXT,
    )


def _account() -> Schema:
    part = _object(started_from=INSTANT, started_until=INSTANT, seen_at=_maybe(INSTANT), rooms={"type": "integer"})
    sight = {"type": "object", "required": ["from", "until"], "properties": {"from": INSTANT, "until": INSTANT}}
    return _object(account=TEXT, listed={"type": "array", "items": part}, sights={"type": "array", "items": sight})


def _room() -> Schema:
    return _object(
        account=TEXT, room_sid=TEXT, listed_at=INSTANT, ended=_maybe(INSTANT), look_again_at=INSTANT, why=TEXT
    )
