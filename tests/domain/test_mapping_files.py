"""What is wrong with a mapping is found before it is used, and named by its key."""

from typing import Any

import pytest

from bridge.domain.mapping_files import InvalidMapping, read_mapping

FIELDS: dict[str, Any] = {"eventType": {"value": "call.answered"}, "referenceId": "call"}


def problems(description: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidMapping) as caught:
        read_mapping(description)
    return caught.value.problems


def with_field(name: str, source: Any, **more: Any) -> dict[str, Any]:
    return {"events": [{"fields": {**FIELDS, name: source}}], **more}


@pytest.mark.parametrize(
    ("description", "line"),
    [
        ({}, "events: is missing; say in [[events]] what a body becomes"),
        ({"event": []}, "event: is not known here, did you mean events?; use"),
        ({"events": {}}, "events: must be a list of tables; write [[events]]"),
        ({"events": [{"fields": {"referenceId": "c"}}]}, "events.0.fields: gives no eventType"),
        ({"events": [{"fields": {"eventType": "t"}}]}, "events.0.fields: gives no referenceId"),
        (with_field("callerNo", "x"), "events.0.fields.callerNo: is no field of an event, did you"),
        (with_field("cuid", "a ="), "events.0.fields.cuid.expression: "),
        (with_field("cuid", "nope(a)"), "there is no function nope()"),
        (with_field("cuid", "plus(a, b)"), "Expected 1 arguments for function plus()"),
        (with_field("cuid", "!a.b"), "write !(a.b)"),
        (with_field("cuid", "lookup('x', a)"), "there is no table 'x' in [tables]"),
        (with_field("cuid", {"expression": "a", "value": 1}), "needs either an expression or a"),
        (with_field("cuid", {"expression": "a", "table": "t"}), "cuid.table: is not in [tables]"),
        (with_field("cuid", {"value": "a", "keep": True}), "there is nothing to look up"),
        (with_field("outcome", {"value": "bussy"}), "outcome.value: must be one of"),
        (with_field("cuid", 7), "events.0.fields.cuid: must be an expression in quotes"),
        (with_field("cuid", "a", tables={"t": 1}), "tables.t: must be a table of values"),
        (
            with_field("cuid", "a", tables={"t": {"x": {"device": 1}}}),
            "tables.t.x.device: is not known here, did you mean deviceId?",
        ),
        (with_field("cuid", "a", ignore=[{}]), "ignore.0.when: is missing"),
        (with_field("cuid", "a", replies=[{"content_type": "xml"}]), "is no media type"),
        (with_field("cuid", "a", fields=[]), "fields: must be a table of fields"),
    ],
)
def test_a_mistake_is_named_by_its_key(description: dict[str, Any], line: str) -> None:
    assert any(line in problem for problem in problems(description)), problems(description)


def test_every_mistake_is_found_at_once() -> None:
    wrong = {"events": [{"when": "(", "fields": {"eventTyp": "x"}}], "tables": 7}
    assert len(problems(wrong)) >= 4


def test_agents_need_no_call() -> None:
    fields = {"eventType": {"value": "agent.available"}, "agentId": "who"}
    assert read_mapping({"events": [{"fields": fields}]}).entries
