"""What `provision` prints: plans, and what became of them, for people and for scripts."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from bridge.domain.centre import EMAILS, ID_FIELDS, written
from bridge.domain.centre_plan import Action, Change, Plan, Record, Standing, Step
from bridge.domain.centre_values import Ref
from bridge.domain.outcomes import Failure
from bridge.services.provisioning import Ending, Outcome, Result

_MARKS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.DELETE: "-"}
_DONE: Final = {Action.CREATE: "created", Action.UPDATE: "changed", Action.DELETE: "deleted"}

Names = Mapping[tuple[str, int], str]


def names_of(records: Iterable[Record]) -> Names:
    """Return the file's name for each id, by kind."""
    return {
        (one.ref.kind, one.remote_id): one.ref.name for one in records if one.remote_id is not None
    }


def plan_lines(plan: Plan, names: Names) -> list[str]:
    """Return a plan as a person reads it; nothing where there is nothing to do."""
    lines: list[str] = []
    for step in plan.steps:
        number = "" if step.remote_id is None else f" (id {step.remote_id})"
        lines.append(f"{_MARKS[step.action]} {step.ref}{number}")
        lines.extend(f"    {_change(one, names, step.action)}" for one in step.changes)
    lines.extend(f"? {one.ref}: its creation was never answered" for one in plan.unsure)
    return lines


def counts(plan: Plan) -> str:
    """Return how much there is to do, in one line."""
    in_doubt = f" In doubt: {len(plan.unsure)}; `apply` says what to do." if plan.unsure else ""
    if not plan.steps:
        return in_doubt.strip() or "Nothing to do."
    numbers = {action: plan.count(action) for action in Action}
    return (
        f"To create: {numbers[Action.CREATE]}, to change: {numbers[Action.UPDATE]},"
        f" to delete: {numbers[Action.DELETE]}.{in_doubt}"
    )


def _change(change: Change, names: Names, action: Action) -> str:
    head, dot, rest = change.field.partition(".")
    new = _value(head, change.new, names)
    if action is Action.CREATE:
        return f"{written(head)}{dot}{rest}: {new}"
    return f"{written(head)}{dot}{rest}: {_value(head, change.old, names)} → {new}"


def _value(field: str, value: Any, names: Names) -> str:
    if value is None:
        return "(none)"
    return msgspec.json.encode(_plain(field, value, names)).decode()


def _plain(field: str, value: Any, names: Names) -> Any:
    """Return a value as the file has it: other things by their names, where they have any."""
    if field == EMAILS and isinstance(value, list):
        return [
            {key: item for key, item in one.items() if key != "id" or item > 0} for one in value
        ]
    if isinstance(value, list):
        return [_plain(field, item, names) for item in value]
    if isinstance(value, Ref):
        return value.name
    if field in ID_FIELDS and isinstance(value, int):
        return names.get((ID_FIELDS[field], value), value)
    return value


def plan_json(plan: Plan, names: Names, place: str, warnings: Iterable[str]) -> dict[str, Any]:
    """Return a plan for scripts."""
    return {
        "workspace": place,
        "steps": [{**_step(step), "changes": _changes(step, names)} for step in plan.steps],
        "unsure": [_ref(record.ref) for record in plan.unsure],
        "warnings": list(warnings),
    }


def _ref(ref: Ref) -> dict[str, Any]:
    return {"kind": str(ref.kind), "name": ref.name}


def _step(step: Step) -> dict[str, Any]:
    return {
        "action": str(step.action),
        **_ref(step.ref),
        "id": step.remote_id,
        "line": step.line or None,
    }


def _changes(step: Step, names: Names) -> list[dict[str, Any]]:
    changes = []
    for one in step.changes:
        head, dot, rest = one.field.partition(".")
        changes.append(
            {
                "field": f"{written(head)}{dot}{rest}",
                "old": _plain(head, one.old, names),
                "new": _plain(head, one.new, names),
            }
        )
    return changes


def outcome_json(
    outcome: Outcome, place: str, warnings: Iterable[str], unsure: Iterable[Ref] = ()
) -> dict[str, Any]:
    """Return what became of a plan, for scripts; `unsure` is what kept all of it from being sent.

    What came of each request is in `results`, also where that is that nobody knows.
    """
    return {
        "workspace": place,
        "results": [
            {
                **_step(result.step),
                "id": result.remote_id,
                "ending": str(result.ending),
                "status": result.told.status or None,
                "error": result.told.error or result.told.detail or None,
            }
            for result in outcome.results
        ],
        "left": [_step(step) for step in outcome.left],
        "unsure": [_ref(ref) for ref in unsure],
        "warnings": list(warnings),
    }


def record_json(record: Record, names: Names) -> dict[str, Any]:
    """Return what is known of one thing, for scripts; `changed_us` is left to the caller."""
    return {
        **_ref(record.ref),
        "id": record.remote_id,
        "state": str(record.standing),
        "fields": {written(key): _plain(key, value, names) for key, value in record.fields.items()},
    }


def result_line(result: Result, file: str) -> str:
    """Return what became of one step; `file` is where it was wanted, for what is to be mended."""
    step, told = result.step, result.told
    said = f": {told.error}" if told.error else ""
    match result.ending:
        case Ending.DONE:
            number = "" if result.remote_id is None else f", id {result.remote_id}"
            return f"{step.ref}: {_DONE[step.action]}{number}"
        case Ending.REFUSED:
            hint = ""
            if told.status == 404 and step.action is Action.UPDATE:
                hint = (
                    f"; if it is gone, `provision state rm {step.ref.kind} {step.ref.name}`"
                    " has it made anew"
                )
            return f"{_where(step, file, told.error)}Cention refuses it ({told.status}){said}{hint}"
        case Ending.BARRED:
            return (
                f"{step.ref}: Cention refuses access key or signature ({told.status}){said};"
                " see provision.access_key_id, access_key_secret and struct_signing"
            )
        case Ending.UNSURE:
            return f"{unsure_lines(step.ref, file, _missing(result))}"
        case Ending.REPEAT:
            return (
                f"{step.ref}: {_missing(result)}, so this may be done or not;"
                " run it again, which repeats it"
            )
        case Ending.AWAY:
            return f"{step.ref}: not done: {_missing(result)}; run it again later"
        case Ending.SKIPPED:
            if step.action is Action.DELETE:
                return f"{step.ref}: not tried, since what stands on it was to leave it first"
            return f"{step.ref}: not tried, since what it needs is not there"


def _missing(result: Result) -> str:
    told = result.told
    if told.failure is Failure.NOT_CONNECTED:
        return f"Cention can't be reached ({told.detail})"
    if told.failure is not None:
        return f"no answer came ({told.detail})"
    if 200 <= told.status < 300:
        what = "an id" if result.step.action is Action.CREATE else "JSON"
        said = f" ({told.error})" if told.error else ""
        return f"Cention answered {told.status} without {what}{said}"
    return f"Cention answered {told.status}{f' ({told.error})' if told.error else ''}"


def _where(step: Step, file: str, error: str) -> str:
    """Return the line of the field that an error names, else of the thing."""
    if not step.line:
        return f"{step.ref}: "
    lines = [line for key, line in step.lines.items() if key in error or written(key) in error]
    return f"{file}:{lines[0] if len(lines) == 1 else step.line}: {step.ref}: "


def unsure_lines(
    ref: Ref, file: str, why: str = "its creation was never answered", *, is_wanted: bool = True
) -> str:
    """Return what a person has to do about a create of which nobody knows."""
    command = "aventa-bridge provision"
    again = f"{command} apply -f {file} --retry {ref}"
    forget = f"{command} state rm {ref.kind} {ref.name}"
    return (
        f"{ref}: {why}, so it may be there or not, and is not sent again by itself."
        " Look for it in Cention.\n"
        f"    If it is there: {command} import {ref.kind} {ref.name} ID\n"
        f"    If it is not:   {again if is_wanted else forget}"
    )


STANDINGS: Final = {
    Standing.DONE: "",
    Standing.CREATING: "creation not answered",
    Standing.UPDATING: "change not answered",
    Standing.DELETING: "deletion not answered",
}
