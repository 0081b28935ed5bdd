"""What a consumer of the webhook may rely on, as a JSON Schema (draft 2020-12) of either format."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def webhook_schema() -> Schema:
    """The schema: a body is the notification itself (format alertmanager) or a CloudEvent around it (cloudevents)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "alertd webhook",
        "oneOf": [{"$ref": "#/$defs/notification"}, {"$ref": "#/$defs/event"}],
        "$defs": {
            "event": _event(),
            "notification": _notification(),
            "alert": _alert(),
            "sample": _sample(),
            "evidence": _evidence(),
            "slice": _slice(),
        },
    }


def _object(description: str, properties: Schema) -> Schema:
    return {"type": "object", "description": description, "properties": properties, "required": list(properties)}


def _text(description: str, *, null: bool = False, **more: object) -> Schema:
    return {"type": ["string", "null"] if null else "string", "description": description, **more}


def _number(description: str, kind: str = "number") -> Schema:
    return {"type": [kind, "null"], "description": description}


def _time(description: str) -> Schema:
    return _text(description, format="date-time")


def _texts(description: str) -> Schema:
    return {"type": "object", "description": description, "additionalProperties": {"type": "string"}}


def _list(of: str, description: str) -> Schema:
    return {"type": "array", "description": description, "items": {"$ref": f"#/$defs/{of}"}}


def _event() -> Schema:
    properties = {
        "specversion": {"const": "1.0"},
        "id": _text("The notification's id, the same at every attempt."),
        "source": _text("The external URL of the alertd that sent it."),
        "type": {"const": "dev.alertd.notification.v1"},
        "subject": _text("The group's key."),
        "time": _time("When the notification was made."),
        "datacontenttype": {"const": "application/json"},
        "data": {"$ref": "#/$defs/notification"},
    }
    return _object("A CloudEvents 1.0 event in structured mode.", properties)


def _notification() -> Schema:
    properties = {
        "version": {"const": "4"},
        "groupKey": _text("Identifies the group; the same for all its notifications."),
        "truncatedAlerts": {"type": "integer", "minimum": 0, "description": "Alerts of the group left out here."},
        "status": {"enum": ["firing", "resolved"], "description": "Firing while any of the alerts fires."},
        "receiver": _text("The receiver's name."),
        "groupLabels": _texts("The labels that make the group."),
        "commonLabels": _texts("The labels on which all alerts agree."),
        "commonAnnotations": _texts("The annotations on which all alerts agree."),
        "externalURL": _text("Where people reach alertd."),
        "notification_reason": _text("Why it was sent: first notification, new alerts added, late, test, …"),
        "alerts": _list("alert", "The alerts, firing ones first."),
    }
    return _object("One notification about one group: Alertmanager's webhook payload version 4.", properties)


def _alert() -> Schema:
    properties = {
        "status": {"enum": ["firing", "resolved"]},
        "labels": _texts("What the alert is about."),
        "annotations": _texts("What people are told about it."),
        "startsAt": _time("Since when it fires."),
        "endsAt": _time("When it was over; 0001-01-01T00:00:00Z while it fires."),
        "generatorURL": _text("The alert on alertd's page."),
        "fingerprint": _text("The alert's identity, made of its labels.", pattern="^[0-9a-f]{16}$"),
        "alertd": {"$ref": "#/$defs/sample"},
    }
    return _object("One alert.", properties)


def _sample() -> Schema:
    unit = {"enum": ["participants", "rooms", "identities", None], "description": "What is counted."}
    properties = {
        "value": _number("What was compared with the limit."),
        "limit": _number("The limit."),
        "of": unit,
        "matched": _number("Matches, in that unit.", "integer"),
        "total": _number("The population they were found in.", "integer"),
        "rooms": _number("Rooms in the window.", "integer"),
        "rooms_affected": _number("Rooms with a match.", "integer"),
        "identities": _number("Distinct identities that match.", "integer"),
        "lower": _number("Lower confidence bound of the share."),
        "upper": _number("Upper confidence bound of the share."),
        "baseline": _number("The usual share, for kinds of rule that know one."),
        "window": _number("Length of the window in seconds.", "integer"),
        "position": _number("Seconds between the end of the window and the judgement.", "integer"),
        "settled_share": _number("Share of the rooms known in the window that are final."),
        "late": {"type": "boolean", "description": "Whether it was over before alertd learned of it."},
        "evidence": _list("evidence", "Participants that matched, the latest few."),
        "localised": {
            "type": ["boolean", "null"],
            "description": "Whether its first slice carries it; null: unknown.",
        },
        "explain": _list("slice", "The slices of traffic that carry it, the most surprising first; three at most."),
    }
    return _object("What the rule saw; null where the alert has no sample.", properties)


def _evidence() -> Schema:
    properties = {
        "account": _text("The account."),
        "room_sid": _text("The room."),
        "room_name": _text("Its name or pseudonym.", null=True),
        "participant_sid": _text("The participant."),
        "identity": _text("Its identity or pseudonym.", null=True),
        "end_reason": _text("How it ended, in Twilio's words.", null=True),
        "error_code": _number("Twilio's error code.", "integer"),
        "error_url": _text("That code in Twilio's dictionary.", null=True),
        "sdk": _text("SDK and version.", null=True),
        "media_region": _text("Where its media went.", null=True),
        "edge_location": _text("The edge it connected to.", null=True),
        "ended": _time("When its room ended."),
    }
    return _object("One participant that matched.", properties)


def _slice() -> Schema:
    properties = {
        "field": _text("The field, by a name that rules can use."),
        "value": _text("Its value."),
        "matched": {"type": "integer", "description": "Participants in the slice that match."},
        "total": {"type": "integer", "description": "Participants in the slice."},
        "relative_risk": {"type": "number", "description": "Its share of matches against the rest's."},
    }
    return _object("A slice of the traffic.", properties)
