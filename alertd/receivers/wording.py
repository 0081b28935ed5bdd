"""What a message says about a notification and in which words, before a receiver dresses them up.

Labels, annotations and evidence hold what strangers typed. Everything taken from them passes `text` or `line`, which
make control characters harmless and cut with an ellipsis; escaping for a medium is the receiver's business.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from alertd.engine import drills
from alertd.templating import duration, number, percent, time

if TYPE_CHECKING:
    from alertd.engine.explain import Verdict
    from alertd.engine.groups import Notification, NotifiedAlert
    from alertd.engine.samples import Sample
    from alertd.engine.windows import Evidence

State = Literal["FIRING", "RESOLVED", "LATE", "TEST"]
TOLD = 10
"""Alerts that a message for people tells; the rest is counted."""
CLUES, CLUES_EACH = 5, 2
"""Participants shown as evidence: of the only alert that is not over, and of each in any other message."""
DRILL = "This is a drill: nothing is wrong."
"""The label (always `true`) that tells programs of a drill; people are told in words, so no title shows it."""
_HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")
"""Controls (a terminal obeys them), marks that turn the direction of text, and halves of characters."""
_VERDICTS: dict[Verdict, str] = {
    "localised": "",
    "fleet-wide": "no slice alone, it is fleet-wide",
    "spread over the whole group": "no slice alone, it is spread over the whole group",
    "too few to tell": "too few to tell",
}
_SHORT = frozenset({"Since", "Lasted", "Late", "Seen", "Rooms"})
_TITLE_LABELS = frozenset({"alertname", "severity", drills.DRILL_LABEL})
_OWN_ANNOTATIONS = frozenset({"summary", "description", "runbook_url"})


class Fact(NamedTuple):
    """One thing to know about an alert; the value holds numbers and dates only, nothing that a stranger typed."""

    name: str
    value: str


class Clue(NamedTuple):
    """One participant as evidence; `error_url` is an http(s) address or None."""

    at: str
    room: str
    participant: str
    error: str
    error_url: str | None
    details: tuple[str, ...]


class Story(NamedTuple):
    """One alert as people are told it."""

    state: State
    name: str
    place: tuple[str, ...]
    summary: str
    description: str
    facts: tuple[Fact, ...]
    carried_by: str
    clues: tuple[Clue, ...]
    labels: tuple[str, ...]
    why: str
    runbook: str | None
    link: str

    @property
    def title(self) -> str:
        """What and where: `MediaConnectionFailing · production / au1`."""
        return " · ".join(filter(None, [self.name, " / ".join(self.place)]))


def text(value: str, limit: int = 1500) -> str:
    """The value with harmful characters made visible as `�`, cut to `limit` characters; line ends stay."""
    clean = _HARMFUL.sub("�", value.replace("\r\n", "\n").replace("\t", " ")).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def line(value: str, limit: int = 200) -> str:
    """The same in one line."""
    return text(" ".join(value.split()), limit)


def web_address(value: str | None) -> str | None:
    """The address, percent-encoded where needed, if a browser may be sent there (http or https); else None."""
    if value is None or len(value) > 2000:
        return None
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        return None
    return quote(value, safe="/:?#[]@!$&'()*+,;=%~", errors="replace") if fits else None


def alert_link(external_url: str, fingerprint: str) -> str:
    """The alert's place on alertd's own page."""
    return f"{external_url.rstrip('/')}/alerts?{urlencode({'fingerprint': fingerprint})}"


def is_drill(notification: Notification) -> bool:
    """Whether nothing it tells is real."""
    known = [drills.is_drill(alert.labels) for alert in notification.alerts]
    return notification.reason == "test" or (bool(known) and all(known))


def marked_title(words: str, notification: Notification) -> str:
    """The title that a person's template gave (or none), which knows nothing of drills, with the mark if it is one."""
    return f"TEST · {words}" if words and is_drill(notification) else words


def marked_text(words: str, notification: Notification) -> str:
    """The same for a text: the sentence that nothing is wrong stands above it."""
    return f"TEST · {DRILL}\n\n{words}" if words and is_drill(notification) else words


def state(notification: Notification) -> State:
    """How the whole notification stands."""
    if is_drill(notification):
        return "TEST"
    if notification.alerts and all(alert.late for alert in notification.alerts):
        return "LATE"
    return "FIRING" if notification.status == "firing" else "RESOLVED"


def headline(notification: Notification) -> str:
    """State, what, where and how bad in one line: `FIRING · Failing · production / au1 · 12 of 118 (10.2 %)`."""
    if len(notification.alerts) == 1 and not notification.truncated:
        alert = notification.alerts[0]
        parts = [state(notification), _name(alert.labels), " / ".join(_place(alert.labels)), _extent(alert)]
    else:
        shared = notification.common_labels
        name = _name(shared) if "alertname" in shared else f"{_alerts(notification)} alerts"
        parts = [state(notification), name, " / ".join(_place(shared)), _tally(notification)]
    return " · ".join(filter(None, parts))


def stories(notification: Notification, external_url: str) -> list[Story]:
    """The first TOLD alerts, in the notification's order (firing first)."""
    return [_story(alert, notification, external_url) for alert in notification.alerts[:TOLD]]


def left_out(notification: Notification) -> int:
    """How many alerts `stories` leaves out."""
    return max(0, len(notification.alerts) - TOLD) + notification.truncated


def reason(notification: Notification) -> str:
    """Why this message is sent, and to whom."""
    return f"Sent because: {notification.reason}. Receiver {line(notification.receiver)}, {time(notification.at)}."


def plain(notification: Notification, external_url: str) -> str:
    """The whole message as plain text: the terminal's, and the text part of an email."""
    parts = [headline(notification)]
    if is_drill(notification):
        parts.append(DRILL)
    told = stories(notification, external_url)
    parts += [_plain_story(story, alone=len(told) == 1) for story in told]
    if left_out(notification):
        parts.append(f"and {left_out(notification)} more: {external_url.rstrip('/')}/alerts")
    return "\n\n".join([*parts, reason(notification)]) + "\n"


def _plain_story(story: Story, *, alone: bool) -> str:
    if not alone:  # one of several: what it is and how bad, the rest is behind the link
        known = [fact for fact in story.facts if fact.name in _SHORT] + [Fact("Carried by", story.carried_by)]
        known += [Fact("Example", _plain_clue(clue)) for clue in story.clues[: story.state == "FIRING"]]
        return "\n".join([f"[{story.state}] {story.title}", story.summary, *_rows([*known, Fact("Open", story.link)])])
    rows = [row for row in (story.summary, story.description) if row]
    addresses = sorted({f"{clue.error}: {clue.error_url}" for clue in story.clues if clue.error_url})
    known = [*story.facts, Fact("Carried by", story.carried_by), Fact("Why", story.why)]
    known += [Fact("" if place else "Evidence", _plain_clue(clue)) for place, clue in enumerate(story.clues)]
    known += [Fact("", address) for address in addresses]
    known += [Fact("Labels", ", ".join(story.labels)), Fact("Runbook", story.runbook or ""), Fact("Open", story.link)]
    return "\n".join([*rows, *_rows(known)])


def _rows(facts: list[Fact]) -> list[str]:
    return [f"  {fact.name + ':' if fact.name else '':<13}{fact.value}" for fact in facts if fact.value]


def _plain_clue(clue: Clue) -> str:
    return " · ".join(filter(None, [clue.at, f"{clue.room} / {clue.participant}", clue.error, *clue.details]))


def _story(alert: NotifiedAlert, notification: Notification, external_url: str) -> Story:
    annotations = alert.annotations
    clues = CLUES if len(notification.alerts) == 1 and alert.status == "firing" else CLUES_EACH
    notes = [
        f"{line(name, 60)}: {text(annotations[name], 500)}" for name in annotations if name not in _OWN_ANNOTATIONS
    ]
    return Story(
        state=_alert_state(alert, notification),
        name=_name(alert.labels),
        place=_place(alert.labels),
        summary=text(annotations.get("summary", ""), 700),
        description=text("\n".join(filter(None, [annotations.get("description", ""), *notes[:5]]))),
        facts=tuple(_facts(alert, notification.at)),
        carried_by=_carried_by(alert, notification.at),
        clues=tuple(_clue(item, notification.at) for item in _latest(alert.evidence)[:clues]),
        labels=tuple(f"{line(name, 60)}={line(value, 100)}" for name, value in sorted(alert.labels.items())[:20]),
        why=line(alert.reason, 300),
        runbook=web_address(annotations.get("runbook_url")),
        link=alert_link(external_url, alert.fingerprint),
    )


def _alert_state(alert: NotifiedAlert, notification: Notification) -> State:
    if is_drill(notification) or drills.is_drill(alert.labels):
        return "TEST"
    if alert.late:
        return "LATE"
    return "FIRING" if alert.status == "firing" else "RESOLVED"


def _name(labels: dict[str, str]) -> str:
    return line(labels.get("alertname", "alert"), 80)


def _place(labels: dict[str, str]) -> tuple[str, ...]:
    """The values that tell this alert from its sisters, the account first."""
    names = sorted(labels.keys() - _TITLE_LABELS, key=lambda name: (name != "account", name))
    return tuple(line(labels[name], 40) for name in names[:4])


def _alerts(notification: Notification) -> int:
    return len(notification.alerts) + notification.truncated


def _tally(notification: Notification) -> str:
    firing, over = len(notification.firing()), len(notification.resolved())
    counts = [(firing, "firing"), (over, "resolved"), (notification.truncated, "not shown")]
    return ", ".join(f"{count} {word}" for count, word in counts if count)


def _extent(alert: NotifiedAlert) -> str:
    """How bad it is, or was: how long, once it is over."""
    if alert.ends_at is not None:
        return f"{'for' if alert.late else 'after'} {duration(alert.ends_at - alert.starts_at)}"
    return "" if alert.sample is None else _counted(alert.sample)


def _is_share(sample: Sample) -> bool:
    """Whether the rule judges the share of matches itself: a limit below 1 cannot be one for a count."""
    return sample.limit < 1 and not sample.times and not sample.new


def _counted(sample: Sample) -> str:
    if sample.below and sample.of == "rooms":
        return f"{_rooms(sample.matched)} started"
    counts = f"{number(sample.matched)} of {number(sample.total)} {sample.of}"
    return f"{counts} ({percent(sample.rate)})" if _is_share(sample) else counts


def _rooms(count: int) -> str:
    return "no room" if count == 0 else f"{number(count)} room{'s' if count > 1 else ''}"


def _facts(alert: NotifiedAlert, at: int) -> list[Fact]:
    told = [] if alert.sample is None else _sample_facts(alert.sample)
    if told and alert.ends_at is not None:
        told[0] = Fact(told[0].name, f"{told[0].value} (when it last held)")
    return [_when(alert, at), *told, *_seen(alert)]


def _when(alert: NotifiedAlert, at: int) -> Fact:
    if alert.ends_at is None:
        return Fact("Since", f"{time(alert.starts_at)} ({duration(at - alert.starts_at)})")
    stretch = _stretch(alert.starts_at, alert.ends_at)
    length = duration(alert.ends_at - alert.starts_at)
    if alert.late:
        return Fact("Late", f"over before it was noticed: {stretch} ({length})")
    return Fact("Lasted", f"{length}, {stretch}")


def _stretch(start: int, end: int) -> str:
    """`2026-03-02 11:38 to 12:03 UTC`, the day told again only where it is another."""
    return f"{time(start).removesuffix(' UTC')} to {_moment(end, start)}"


def _moment(instant: int, day: int) -> str:
    """The time, with its date unless it is that of the instant `day`."""
    date, _, clock = time(instant).partition(" ")
    return clock if time(day).startswith(date) else time(instant)


def _sample_facts(sample: Sample) -> list[Fact]:
    facts = [Fact("Seen", f"{_counted(sample)}{_bounds(sample)}")]
    if sample.baseline is not None:
        facts.append(Fact("Usual", percent(sample.baseline)))
    if not sample.below:
        facts.append(Fact("Rooms", f"{number(sample.rooms_affected)} of {number(sample.rooms)} affected"))
    if sample.identities:
        facts.append(Fact("Identities", f"{number(sample.identities)} affected"))
    ended = f", ended {duration(sample.position)} before it was judged" if sample.position else ""
    facts.append(Fact("Window", f"{duration(sample.window)}{ended}"))
    if sample.settled_share is not None:
        facts.append(Fact("Settled", f"{percent(sample.settled_share)} of the rooms known in the window"))
    return facts


def _bounds(sample: Sample) -> str:
    if sample.below and sample.of == "rooms":
        return f"; fires below {number(sample.limit)}"
    if not _is_share(sample):
        return _bounds_of_number(sample)
    lower = f", surely at least {percent(sample.lower)}" if sample.lower is not None else ""
    return f"{lower}; limit {percent(sample.limit)}"


def _bounds_of_number(sample: Sample) -> str:
    """The limit of a count; of any other number the number beside it, for it is not of what was counted."""
    if sample.times:
        return f", {number(sample.value)} times the error budget; fires above {number(sample.limit)} times"
    if sample.new:
        return ""
    if sample.value == sample.matched and not sample.below:
        return f"; fires from {number(sample.limit)}"
    side = "below" if sample.below else "above"
    return f"; the value is {number(sample.value)}, fires {side} {number(sample.limit)}"


def _seen(alert: NotifiedAlert) -> list[Fact]:
    if alert.first_seen is None or alert.last_seen is None:
        return []
    return [Fact("Rooms ended", _stretch(alert.first_seen, alert.last_seen))]


def _carried_by(alert: NotifiedAlert, at: int) -> str:
    """Which slices carry the matches, in one line: `media_region ie1: 31 of 40 (62 % of its 50, 14 times the rest)`.

    It says as of when, if other figures beside it are of another time.
    """
    explanation, sample = alert.explain, alert.sample
    if explanation is None or not explanation.tells:
        return ""
    of_now = sample is not None and (sample.matched, sample.total) == (explanation.matched, explanation.total)
    as_of = "" if of_now or alert.explained_at is None else f"; as of {_moment(alert.explained_at, at)}"
    told = [f"{one.field} {line(one.value, 60)}: {explanation.extent(one)}" for one in explanation.slices]
    first, others = told[:1], [f"also {slice_}" for slice_ in told[1:]]
    if not explanation.localised:
        first = [f"most by {slice_}" for slice_ in first]
    return "; ".join(filter(None, [_VERDICTS[explanation.verdict], *first, *others])) + explanation.caveat + as_of


def _latest(evidence: tuple[Evidence, ...]) -> list[Evidence]:
    return sorted(evidence, key=lambda item: (-item.ended, item.participant_sid))


def _clue(item: Evidence, day: int) -> Clue:
    region = " via ".join(filter(None, [item.media_region, item.edge_location]))
    details = [item.end_reason, item.sdk, region, item.account, item.room_name, item.identity]
    return Clue(
        at=_moment(item.ended, day),
        room=line(item.room_sid, 60),
        participant=line(item.participant_sid, 60),
        error="" if item.error_code is None else f"error {item.error_code}",
        error_url=web_address(item.error_url) if item.error_code is not None else None,
        details=tuple(line(detail, 80) for detail in details if detail),
    )
