"""`aventa-bridge trace`: the whole story of one call on one screen."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Final

import typer

from bridge.cli.common import (
    HIDDEN,
    ConfigOption,
    JsonOption,
    SecretsOption,
    Veil,
    clock_time,
    counted,
    fail,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
    shown,
)
from bridge.cli.reports import as_json as report_as_json
from bridge.cli.reports import duration, sla_word, veil_report
from bridge.domain.deliveries import PENDING_STATES
from bridge.storage import gates, queries

Story = dict[str, list[dict[str, Any]]]
_TOLD: Final = {
    "caller": "callerNumber",
    "name": "callerName",
    "cuid": "cuid",
    "called": "destNumber",
    "dialled": "dialedNumber",
    "queue": "queueName",
    "outcome": "outcome",
    "link": "link",
}
_TOLD_BESIDE: Final = {"reason": "callReason", "comment": "comment"}


def trace(
    reference_id: Annotated[
        str, typer.Argument(metavar="REFERENCE_ID", help="The call's id at the phone system.")
    ],
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show numbers, names and texts as they are.")
    ] = False,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Tell the story of one call: events as they came, deliveries, attempts, Cention's words.

    Numbers are masked to their last two digits and names and texts are hidden, unless --reveal.

    Example: aventa-bridge trace 6a1f09 --reveal
    """
    with reading(read_settings(config, secrets_dir)) as connection:
        call = reference_id
        story = queries.story(connection, call)
        if not any(story.values()):
            call = queries.belongs_to(connection, reference_id) or reference_id
            story = queries.story(connection, call)
        pauses = queries.pauses(connection)
    if not any(story.values()):
        fail(f"{reference_id}: nothing is known of this call")
    _veil(story, Veil(is_off=reveal))
    shut = _shut(pauses)
    if json:
        print_json(_as_json(call, story, shut))
        return
    if call != reference_id:
        typer.echo(shown(f"{reference_id} is an outbound call that belongs to {call}."))
    _print(call, story, shut)


def _veil(story: Story, veil: Veil) -> None:
    """Hide what is not to be seen: contents first, since they tell what others may quote."""
    for row in (*story["events"], *story["deliveries"]):
        row["payload"] = veil.document(row["payload"])
    for answer in story["answers"]:
        _veil_answer(answer, veil)
    for report in story["reports"]:
        veil_report(report, veil)
    for row in story["deliveries"]:
        row["error"] = veil.words(row["error"])
        for one in row["tries"]:
            one["detail"] = veil.words(one["detail"])


def _veil_answer(answer: dict[str, Any], veil: Veil) -> None:
    for name in ("subject", "body"):
        answer[name] = veil.text(answer[name]) if answer[name] else answer[name]
    answer["to"] = [{name: veil.text(value) for name, value in one.items()} for one in answer["to"]]
    for file in answer["files"]:
        file["name"] = veil.text(file["name"])


def _shut(pauses: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], str]:
    """Return why each gate is shut, by route and kind."""
    return {(pause["route"], pause["kind"]): pause["reason"] for pause in pauses}


def _paused(row: Mapping[str, Any], shut: Mapping[tuple[str, str], str]) -> str | None:
    """Return why a delivery that is to leave can't; None: it can, or it is over."""
    if row["state"] not in PENDING_STATES:
        return None
    whole, kind = (row["route"], gates.ALL_KINDS), (row["route"], row["kind"])
    return shut.get(whole) or shut.get(kind)


def _as_json(call: str, story: Story, shut: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    return {
        "reference_id": call,
        "events": [
            plain({key: value for key, value in event.items() if key != "digest"})
            for event in story["events"]
        ],
        "deliveries": [
            {
                **plain(row),
                "paused": _paused(row, shut),
                "tries": [plain(one) for one in row["tries"]],
            }
            for row in story["deliveries"]
        ],
        "answers": [plain(one) for one in story["answers"]],
        "reports": [report_as_json(one) for one in story["reports"]],
    }


def _print(call: str, story: Story, shut: Mapping[tuple[str, str], str]) -> None:
    events, deliveries = story["events"], story["deliveries"]
    sources = sorted({row["source"] for row in (*events, *deliveries, *story["reports"])})
    typer.echo(
        shown(
            f"Call {call} ({', '.join(sources)}): {counted(len(events), 'event')},"
            f" {counted(len(deliveries), 'delivery', 'deliveries')}"
        )
    )
    print_table(("time (UTC)", "what", "came of it", "more"), list(_timeline(story)))
    if deliveries:
        print_table(
            ("delivery", "state", "tries", "route", "done (UTC)", "errand", "subject", "last said"),
            [
                (
                    f"{row['id']} {row['kind']}",
                    _state(row, shut),
                    str(row["attempts"]),
                    row["route"],
                    clock_time(row["done_us"]),
                    row["remote_id"],
                    (row["payload"] or {}).get("subject", ""),
                    row["error"],
                )
                for row in deliveries
            ],
        )
    for report in story["reports"]:
        typer.echo(shown(_report(report)))


def _report(report: Mapping[str, Any]) -> str:
    """Say on one line what became of an errand."""
    told = {
        "answered after": duration(report["answer_seconds"]),
        "handling": duration(report["handling_seconds"]),
        "response": duration(report["response_seconds"]),
        "SLA": sla_word(report),
        "expiry": report["expiry"] or "",
        "tags": ", ".join(report["tags"]),
    }
    state = "done" if report["is_done"] else "open"
    parts = [f"{label} {value}" for label, value in told.items() if value]
    return f"Errand {report['errand_id']} is {state}: {'; '.join(parts) or 'nothing more is known'}"


def _state(row: Mapping[str, Any], shut: Mapping[tuple[str, str], str]) -> str:
    why = _paused(row, shut)
    return f"{row['state']}, paused ({why})" if why else str(row["state"])


def _timeline(story: Story) -> Iterator[tuple[str, str, str, str]]:
    """Yield what happened in the order in which the bridge saw it."""
    moments: list[tuple[int, tuple[str, str, str]]] = [
        (event["received_us"], (event["event_type"], "taken", _event(event)))
        for event in story["events"]
    ]
    for row in story["deliveries"]:
        what = f"{row['kind']} {row['id']}"
        for one in row["tries"]:
            came = f"{one['outcome']} {one['status'] or ''}".strip()
            more = one["detail"]
            if one["outcome"] == "delivered" and row["remote_id"]:
                more = f"errand {row['remote_id']}"
            moments.append((one["at_us"], (what, came, more)))
    moments.extend(
        (answer["received_us"], ("answer", answer["state"], _answer(answer)))
        for answer in story["answers"]
    )
    for at_us, cells in sorted(moments, key=lambda moment: moment[0]):
        yield (clock_time(at_us), *cells)


def _answer(answer: Mapping[str, Any]) -> str:
    """Say on one line what an answer was, and what became of its files."""
    parts = [f"errand {answer['errand_id']}"]
    parts += [f"subject {answer['subject']}"] if answer["subject"] else []
    for file in answer["files"]:
        what = f"{file['name']} ({file['size']:,} bytes)" if file["sha256"] else file["error"]
        parts.append(f"file {file['id']}: {what}")
    return "; ".join(parts)


def _event(event: Mapping[str, Any]) -> str:
    """Say on one line what an event told."""
    happened = f"happened {clock_time(event['occurred_us'])}"
    said = event["payload"]
    if said is None:
        return f"{happened}; its content is gone"
    beside = said.get("extraData") or {}
    told = {label: said.get(key) for label, key in _TOLD.items()}
    told |= {label: beside.get(key) for label, key in _TOLD_BESIDE.items()}
    if said.get("deviceId") is not None:
        told["agent"] = f"{said['deviceId']}/{said.get('extensionId')}"
    parts = [f"{label} {value}" for label, value in told.items() if value and value != HIDDEN]
    hidden = [label for label, value in told.items() if value == HIDDEN]
    if hidden:
        parts.append(f"hidden: {', '.join(hidden)}")
    return "; ".join((happened, *parts))
