"""What an alert of a rule could look like: made-up calls that fit it, in figures at which it would fire.

Labels and evidence come from counting the calls as any others are counted; the figures are invented for each kind.
Used where nothing real is at hand, to show what a message would say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from math import ceil, log
from typing import Any, NamedTuple

from alertd.engine.alerts import Alert, fingerprint
from alertd.engine.conditions import EVERYTHING
from alertd.engine.counting import Windows
from alertd.engine.errortable import by_code
from alertd.engine.explain import LEAST_MATCHES, LOCAL_RISK, Explanation, Slice, is_part
from alertd.engine.fields import Show, find_field, label_name
from alertd.engine.kinds import Absent, AnyKind, BurnRate, Count, Distinct, Metric, NewValue, Rate, Spike
from alertd.engine.kinds.anomaly import Anomaly
from alertd.engine.populations import GroupWindow
from alertd.engine.records import Participant, Room, SettledRoom
from alertd.engine.rules import Rule
from alertd.engine.samples import Sample
from alertd.engine.windows import MINUTE, Evidence
from alertd.simulator.population import CLIENTS, ENDINGS, FAILURES, REGIONS, Client, Ending, Region

CALL = 1500
"""Seconds that a made-up call lasts."""
FIRED = 600
"""Seconds for which a made-up alert fires, or fired."""
VERSION = "publisher_info.sdk_version"
SHOWN = 5
"""Participants shown as evidence, as of a real alert."""


def specimen(rule: Rule, accounts: Sequence[str], show: Show, now: int) -> Alert:
    """An alert of the rule that has fired for ten minutes at `now` (seconds since the epoch).

    `accounts` are those that are watched. Without evidence where no made-up call fits the rule. Annotations are the
    rule's own; ValueError("annotation NAME, line N: …") if one cannot be made of these labels and figures.
    """
    group = _group(rule, accounts, show, now)
    sample = figures(rule.kind)
    variables = {"labels": group.labels, "sample": sample, "rule": {"alert": rule.alert, "source": rule.source}}
    upto, after = now // MINUTE, (now - sample.window) // MINUTE
    span = group.series.span(after, upto)
    evidence = group.series.evidence(after, upto, min(SHOWN, sample.matched))
    return Alert(
        fingerprint=group.fingerprint,
        rule=rule.key,
        labels=group.labels,
        annotations={name: _text(rule, name, variables) for name in rule.annotations},
        state="firing",
        active_at=now - FIRED - rule.hold_for,
        starts_at=now - FIRED,
        elevated_at=now,
        sample=sample,
        evidence=evidence,
        explain=_explanation(rule, sample, evidence),
        first_seen=span[0] * MINUTE if span else None,
        last_seen=span[1] * MINUTE if span else None,
        reason=rule.kind.describe(sample),
        changed_at=now - FIRED,
    )


def _explanation(rule: Rule, sample: Sample, evidence: Sequence[Evidence]) -> Explanation | None:
    """That most matches are of one region, edge or SDK version, one that the evidence has; None as for a real alert."""
    if rule.match == EVERYTHING or isinstance(rule.kind, Absent) or not sample.matched:
        return None
    of_rooms = sample.of == "rooms"
    matched, total = (sample.rooms_affected, 2 * sample.rooms) if of_rooms else (sample.matched, sample.total)
    told = _slice(rule, matched, total, evidence)
    return Explanation(
        matched=matched,
        total=total,
        rooms_affected=sample.rooms_affected,
        slices=(told,) if told else (),
        localised=told is not None,
        grouped=is_part(rule),
    )


def _slice(rule: Rule, matched: int, total: int, evidence: Sequence[Evidence]) -> Slice | None:
    """Seven of ten matches in three of ten participants; None where that is hardly worse than the rest."""
    told = set(rule.by) | ({VERSION} if {"sdk", "sdk_major"} & set(rule.by) else set())
    found = Counter(pair for clue in evidence for pair in _traits(clue) if find_field(pair[0]).name not in told)
    own = ceil(0.7 * matched)
    inside = max(own, ceil(0.3 * total))
    if not found or own < LEAST_MATCHES or inside >= total:
        return None
    share, rest = own / inside, max(matched - own, 0.5) / (total - inside)
    if share < LOCAL_RISK * rest:
        return None
    (field, value), _ = found.most_common(1)[0]
    usual = own * rest / share
    surprise = own * log(own / usual) - (own - usual)
    risk = share / rest
    return Slice(
        field=field, value=value, matched=own, total=inside, share=share, relative_risk=risk, surprise=surprise
    )


def _traits(clue: Evidence) -> Iterator[tuple[str, str]]:
    """What a participant has in some of the dimensions that explanations look at."""
    version = (clue.sdk or "").rpartition(" ")[2]
    known = {"media_region": clue.media_region, "edge_location": clue.edge_location, "sdk_version": version}
    yield from ((field, value) for field, value in known.items() if value)


def _text(rule: Rule, name: str, variables: dict[str, object]) -> str:
    try:
        return rule.annotations[name](variables)
    except ValueError as error:
        raise ValueError(f"annotation {name}, {error}") from None


def _group(rule: Rule, accounts: Sequence[str], show: Show, now: int) -> GroupWindow:
    """The group with most of the made-up calls that fit; one with `example` for every label where none does."""
    windows = Windows([replace(rule, kind=Count(at_least=1, over=86400))], show)  # counting is the same for all kinds
    for settled in calls(accounts, now):
        windows.fold(settled)
    minute = now // MINUTE
    found = [(group.series.between(minute - 1440, minute).matched, group) for group in windows.groups(rule)]
    fitting = max(found, key=lambda pair: pair[0], default=None)
    if fitting is not None and fitting[0]:
        return fitting[1]
    given = {label_name(find_field(name)): "example" for name in rule.by}
    labels = {"alertname": rule.alert, **rule.labels, **given}
    if "account" in labels:
        labels["account"] = accounts[0]
    return GroupWindow(labels, fingerprint(labels))


def calls(accounts: Sequence[str], now: int) -> Iterator[SettledRoom]:
    """Rooms of two that have ended in the last minutes before `now`: every way to leave, from here and from there."""
    endings = [*FAILURES.things, *ENDINGS.things, *_documented()]
    clients = [client for client in CLIENTS.things if client.sdk]
    for number in range(len(endings) * 20):
        ending, client = endings[number % len(endings)], clients[number % len(clients)]
        region = REGIONS.things[(number // len(endings)) % len(REGIONS.things)]
        yield _call(number, accounts[number % len(accounts)], ending, client, region, now)


def _documented() -> list[Ending]:
    """Every error code of Video (53xxx) and of access tokens (201xx) that Twilio documents, with its end reason."""
    rows = [by_code(code) for code in (*range(20100, 20200), *range(53000, 54000))]
    return [Ending(row.end_reason, row.code) for row in rows if row is not None]


def _call(number: int, account: str, ending: Ending, client: Client, region: Region, now: int) -> SettledRoom:
    ended = now - MINUTE - 5 * (number % 120)
    mark = sha256(f"made up {number}".encode()).hexdigest()
    created, end = datetime.fromtimestamp(ended - CALL, UTC), datetime.fromtimestamp(ended, UTC)
    room = Room(
        room_sid=f"RM{mark[:32]}",
        room_name=f"made-up-{number}",
        create_time=created,
        end_time=end,
        room_type="group",
        room_status="completed",
        processing_state="complete",
        created_method="api",
        duration_sec=CALL,
        codecs=client.codecs,
        media_region=region.name,
        edge_location=region.edge,
    )
    people = [
        Participant(
            participant_sid=f"PA{mark[32:63]}{nth}",
            participant_identity=f"made-up-{number}-{nth}",
            join_time=created,
            leave_time=end,
            duration_sec=CALL,
            status="completed",
            codecs=client.codecs,
            publisher_info=dict[str, Any](client.publisher_info),
            end_reason=how.reason,
            error_code=how.code,
            media_region=region.name,
            edge_location=region.edge,
        )
        for nth, how in enumerate((ending, Ending()))
    ]
    return SettledRoom(account=account, room=room, participants=tuple(people), ended=ended, known_at=now)


def figures(kind: AnyKind) -> Sample:
    """A sample at which a rule of this kind fires, not by far."""
    seen = _seen(kind)
    of_rooms = kind.of == "rooms"
    affected = seen.matched if of_rooms else max(ceil(seen.matched / 2), getattr(kind, "min_rooms", 0))
    return Sample(
        value=seen.value,
        limit=seen.limit,
        matched=seen.matched,
        total=seen.total,
        rooms=seen.total if of_rooms else max(ceil(seen.total / 2), affected),
        rooms_affected=affected,
        identities=max(seen.matched - 1, min(seen.matched, 1)),
        window=seen.window,
        position=0,
        of=kind.of,
        lower=seen.lower,
        upper=seen.upper,
        baseline=seen.usual,
        settled_share=0.97,
        below=kind.holds_below,
        new=seen.new,
        times=isinstance(kind, BurnRate),
    )


class _Seen(NamedTuple):
    """What differs from kind to kind."""

    value: float
    limit: float
    matched: int
    total: int
    window: int
    lower: float | None = None
    upper: float | None = None
    usual: float | None = None
    new: tuple[str, ...] = ()


def _seen(kind: AnyKind) -> _Seen:
    match kind:
        case Rate():
            return _rate(kind)
        case Count(at_least=limit, over=window):
            matched = limit + 2 if limit > 1 else 1
            return _Seen(matched, limit, matched, 10 * matched, window)
        case Absent():
            return _absent(kind)
        case Anomaly(min_rooms=least, ratio=ratio, windows=windows):
            matched, usual = max(least, 9), 0.011
            return _Seen(matched / 52, usual * (ratio or 2.0), matched, 52, windows[0], usual=usual)
        case BurnRate():
            return _burn_rate(kind)
        case Spike():
            return _spike(kind)
        case NewValue(min_rooms=least, field=field):
            new = "9.9.9" if find_field(field).kind == "version" else "made-up-value"
            return _Seen(1, 0, least + 1, 60, 86400, new=(new,))
        case Metric() | Distinct():
            return _beyond(kind)


def _rate(kind: Rate) -> _Seen:
    total = max(3 * kind.min, 120)
    matched = min(total, ceil(total * kind.above * 1.6) + 2)
    share = matched / total
    if not kind.confidence:
        return _Seen(share, kind.above, matched, total, kind.over)
    margin = 0.6 * (share - kind.above)
    return _Seen(share, kind.above, matched, total, kind.over, lower=share - margin, upper=min(1.0, share + margin))


def _absent(kind: Absent) -> _Seen:
    if kind.below_usual is None:
        return _Seen(0, kind.fewer_than or 1, 0, 0, kind.over)
    usual = 40.0
    return _Seen(3, usual * kind.below_usual, 3, 3, kind.windows[0], usual=usual)


def _burn_rate(kind: BurnRate) -> _Seen:
    (window, _, factor), budget = kind.pairs[0], 1 - kind.objective
    matched = min(400, ceil(400 * budget * factor * 1.2))
    return _Seen(matched / 400 / budget, factor, matched, 400, window)


def _spike(kind: Spike) -> _Seen:
    usual = 3.2
    limit = max(float(kind.at_least), kind.times * usual)
    matched = ceil(limit) + 3
    return _Seen(matched, limit, matched, 10 * matched, kind.over, usual=usual)


def _beyond(kind: Metric | Distinct) -> _Seen:
    limit = (kind.below if kind.above is None else kind.above) or 0
    if isinstance(kind, Distinct):
        value: float = max(limit - 1, 0) if kind.holds_below else limit + 1
        return _Seen(value, limit, 150, 200, kind.over)
    value = limit - 0.3 * abs(limit) if kind.holds_below else limit + 0.4 * abs(limit) + (limit == 0)
    return _Seen(value, limit, 3 * kind.min, 4 * kind.min, kind.over)
