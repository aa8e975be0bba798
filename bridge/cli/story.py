"""The story of a call put together: its moments in the order of time, and what stands so now.

Pure data, made of what `storage.stories` found and `trace` has veiled.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from bridge.cli.common import HIDDEN, clock_time
from bridge.cli.reports import duration, sla_word
from bridge.cli.standing import Gates, Mark, Row, Story, agent, span, stopped, waiting
from bridge.domain.deliveries import PENDING_STATES, STOPPED_STATES, State
from bridge.domain.units import SECOND_US

_WHO: Final = {
    "caller": "callerNumber",
    "name": "callerName",
    "cuid": "cuid",
    "queue": "queueName",
    "called": "destNumber",
    "dialled": "dialedNumber",
    "outcome": "outcome",
}
_WHY: Final = {"reason": "callReason", "comment": "comment", "link": "link"}
# Of a text so much is shown that others on its line can be seen; `--json` has all of it.
_TEXT_MAX: Final = 80
# Clocks differ; what is told later than this was on its way, or was posted late.
_LATE_US: Final = 2 * SECOND_US
_TRIES: Final = {
    "delivered": "delivered",
    "retried": "failed, to be tried again",
    "in_doubt": "may have arrived or not",
    "dead": "refused for good",
    "paused": "refused, the token or workspace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something that happened; `at_us` None: it stands so now. `more` is what was said about it."""

    at_us: int | None
    mark: Mark
    what: str
    more: tuple[str, ...] = ()


def moments(story: Story, gates: Gates) -> list[Moment]:
    """Return what happened in the order in which the bridge saw it, then what stands so now."""
    found = [_event(one) for one in story["events"]]
    found += [_refusal(one) for one in story["refused"]]
    for row in story["deliveries"]:
        found += _tries(row, f"{row['kind']} {row['id']}")
    for person in story["people"]:
        for row in person["deliveries"]:
            found += _tries(row, f"contact_card {row['id']}", person)
    found += [_answer(one) for one in story["answers"]]
    for one in story["reports"]:
        found += _report(one)
    return [
        *sorted(found, key=lambda moment: moment.at_us or 0),
        *_now(story, gates),
    ]


def _event(event: Row) -> Moment:
    said = event["payload"]
    late_us = event["received_us"] - event["occurred_us"]
    first = [_rule(event["rule"])]
    if late_us > _LATE_US:
        first.append(f"had happened {span(late_us)} before")
    elif late_us < -_LATE_US:
        first.append(f"is dated {span(-late_us)} ahead")
    return Moment(
        at_us=event["received_us"],
        mark=Mark.EVENT,
        what=event["event_type"],
        more=(
            "; ".join(first),
            *(["its content is gone"] if said is None else filter(None, _content(said))),
        ),
    )


def _rule(rule: str | None) -> str:
    if rule is None:
        return "rule not kept by that release"
    return f"rule {rule}" if rule else "no rule"


def _content(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield on a line each who called whom, and what about; what is hidden is only named."""
    who = [f"agent {agent(said)}"] if said.get("deviceId") is not None else []
    if said.get("relatedReferenceId"):
        who.append(f"belongs to {said['relatedReferenceId']}")
    who += _parts({label: said.get(key) for label, key in _WHO.items()})
    yield "; ".join(who)
    beside = {**said, **(said.get("extraData") or {})}
    told = {label: beside.get(key) for label, key in _WHY.items()}
    why = _parts(told)
    hidden = [
        label
        for label, value in ({label: said.get(key) for label, key in _WHO.items()} | told).items()
        if value == HIDDEN
    ]
    yield "; ".join([*why, f"hidden: {', '.join(hidden)}"] if hidden else why)


def _parts(told: Mapping[str, Any]) -> list[str]:
    return [f"{label} {_cut(value)}" for label, value in told.items() if value and value != HIDDEN]


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= _TEXT_MAX else f"{text[: _TEXT_MAX - 1]}…"


def _refusal(one: Row) -> Moment:
    conflict = "another of the same id is kept" if one["status"] == 409 else "refused"
    issues = "; ".join(f"{issue['pointer']} {issue['detail']}" for issue in one["issues"])
    return Moment(
        at_us=one["received_us"],
        mark=Mark.FAILED,
        what=f"{one['event_type'] or 'something'} in quarantine: {conflict} ({one['status']})",
        more=(f"quarantine show {one['id'][:8]}", issues),
    )


def _tries(row: Row, name: str, person: Row | None = None) -> Iterator[Moment]:
    for one in row["tries"]:
        outcome, more = one["outcome"], [one["detail"]]
        mark = {"delivered": Mark.DONE, "dead": Mark.FAILED}.get(outcome, Mark.AGAIN)
        if outcome == "delivered" and person is not None:
            more.append(_card(person))
        elif outcome == "delivered" and row["remote_id"]:
            more.append(f"errand {row['remote_id']}")
        code = f" {one['status']}" if one["status"] else ""
        words = _TRIES.get(outcome, outcome)
        yield Moment(
            # Attempts are dated by when they left; their outcome was known later.
            at_us=one["at_us"],
            mark=mark,
            what=f"{name} {words}{code} after {one['millis']:,} ms",
            more=tuple(filter(None, more)),
        )
    if row["state"] == State.GIVEN_UP and row["done_us"]:
        yield Moment(
            at_us=row["done_us"],
            mark=Mark.FAILED,
            what=f"{name} given up",
            more=tuple(filter(None, [row["error"]])),
        )


def _card(person: Row) -> str:
    """Say which card somebody has, and what stands on it."""
    known = person["confirmed"] or person["wanted"]
    parts = []
    for name, value in known.items():
        if value == HIDDEN or name == "custom":
            parts.append(name)
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list) else value
            parts.append(name if HIDDEN in str(shown) else f"{name} {shown}")
    card = f"card {person['card_id']}" if person["card_id"] else "card without an id"
    return f"{card}: {'; '.join(parts)}"


def _answer(answer: Row) -> Moment:
    parts = [f"subject {answer['subject']}"] if answer["subject"] else []
    for file in answer["files"]:
        what = f"{file['name']} ({file['size']:,} bytes)" if file["sha256"] else file["error"]
        parts.append(f"file {file['id']}: {what or 'is being fetched'}")
    return Moment(
        at_us=answer["received_us"],
        mark=Mark.BACK,
        what=f"answer to errand {answer['errand_id']} came back, {answer['state']}",
        more=("; ".join(parts),) if parts else (),
    )


def _report(report: Row) -> Iterator[Moment]:
    """Yield when an errand was answered, and what its report tells, as of when it was read."""
    name = f"errand {report['errand_id']}"
    if report["answered_us"]:
        by = f" by {report['agent']}" if report["agent"] and report["agent"] != HIDDEN else ""
        yield Moment(
            at_us=report["answered_us"], mark=Mark.BACK, what=f"{name} answered by an agent{by}"
        )
    told = {
        "answered after": duration(report["answer_seconds"]),
        "handling": duration(report["handling_seconds"]),
        "response": duration(report["response_seconds"]),
        "SLA": sla_word(report),
        "expiry": report["expiry"] or "",
        "tags": ", ".join(report["tags"]),
    }
    parts = [f"{label} {value}" for label, value in told.items() if value]
    if report["read_us"]:
        yield Moment(
            at_us=report["read_us"],
            mark=Mark.BACK,
            what=f"{name} is {'done' if report['is_done'] else 'open'}, says its report",
            more=("; ".join(parts) or "nothing more is known",),
        )


def _now(story: Story, gates: Gates) -> Iterator[Moment]:
    """Yield what waits, or has stopped, and what is to be said of the contact card."""
    cards = [row for person in story["people"] for row in person["deliveries"]]
    for row in (*story["deliveries"], *cards):
        name = f"{row['kind']} {row['id']}"
        if row["state"] in PENDING_STATES:
            yield Moment(at_us=None, mark=Mark.WAITS, what=name, more=(waiting(row, gates),))
        elif row["state"] in STOPPED_STATES:
            more = (stopped(row), row["error"], f"dead-letters show {row['id']}")
            yield Moment(at_us=None, mark=Mark.FAILED, what=name, more=tuple(filter(None, more)))
    for report in story["reports"]:
        if not report["read_us"]:
            name = f"errand {report['errand_id']}"
            yield Moment(
                at_us=None, mark=Mark.WAITS, what=name, more=("its report is yet to come",)
            )
    for person in story["people"]:
        if not person["deliveries"]:
            yield Moment(
                at_us=None,
                mark=Mark.DONE,
                what="contact_card: nothing new to say, it was confirmed before",
                more=(f"{_card(person)}; confirmed {clock_time(person['confirmed_us'])}",),
            )
    if story["events"] and not story["people"]:
        yield Moment(at_us=None, mark=Mark.EVENT, what=f"no contact card: {_why_no_card(story)}")


def _why_no_card(story: Story) -> str:
    said = [one["payload"] for one in story["events"] if isinstance(one["payload"], dict)]
    if not said:
        return "who called is not kept any more"
    if any(one.get(name) for one in said for name in ("cuid", "contact")):
        return "nobody is known by what the events say of the caller; see contacts show"
    if any(one.get("callerNumber") for one in said):
        return "the number is withheld, shared or none, and no cuid or contact was told"
    return "the events tell nothing of who called"


def relative(at_us: int, first_us: int) -> str:
    """Return a moment as seen from the first, such as `+0.3 s`; nothing for the first itself."""
    if at_us == first_us:
        return ""
    seconds = (at_us - first_us) / SECOND_US
    if seconds < 99.95:
        return f"+{seconds:.1f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"+{minutes:.0f} min" if minutes < 100 else f"+{hours:.0f} h"
