"""What a body becomes by a mapping, for any body."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.domain.mapping_files import read_mapping
from bridge.domain.mappings import NO_ENTRY, Mapped, apply, reply

RECEIVED: Final = "2026-03-01T09:30:00Z"
FIELDS: Final = {"eventType": {"value": "call.answered"}, "referenceId": "call"}


def mapped(body: Any, fields: dict[str, Any] | None = None, **more: Any) -> Mapped:
    headers = more.pop("headers", {})
    entry = {"fields": {**FIELDS, **(fields or {})}}
    return apply(read_mapping({"events": [entry], **more}), body, headers, RECEIVED)


def document(body: Any, fields: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    (made,) = mapped(body, fields, **more).events
    return made.document


class TestFields:
    def test_an_expression_gives_what_the_body_has(self) -> None:
        assert document({"call": "c-1", "who": {"no": "x"}}, {"cuid": "who.no"})["cuid"] == "x"

    def test_a_constant_is_always_there(self) -> None:
        assert document({"call": "c-1"})["eventType"] == "call.answered"

    @pytest.mark.parametrize("body", [{}, {"q": None}, {"q": ""}, {"q": []}])
    def test_a_default_stands_for_what_is_absent(self, body: dict[str, Any]) -> None:
        said = document(body, {"queueName": {"expression": "q", "default": "Front desk"}})
        assert said["queueName"] == "Front desk"

    @pytest.mark.parametrize(
        ("more", "value"), [({}, None), ({"default": "busy"}, "busy"), ({"keep": True}, "LATE")]
    )
    def test_what_a_table_lacks_is_absent_or_stays(
        self, more: dict[str, Any], value: str | None
    ) -> None:
        fields = {"outcome": {"expression": "cause", "table": "causes", **more}}
        tables = {"causes": {"BUSY": "busy"}}
        assert document({"cause": "LATE"}, fields, tables=tables).get("outcome") == value
        assert document({"cause": "BUSY"}, fields, tables=tables)["outcome"] == "busy"

    def test_of_several_keys_the_first_that_a_table_knows_counts(self) -> None:
        fields = {"agent": {"expression": "[id, user][]", "table": "agents"}}
        tables = {"agents": {"Alice": {"deviceId": 7, "extensionId": 8, "agentId": "a@x.example"}}}
        said = document({"id": "w0", "user": ["Bob", "Alice"]}, fields, tables=tables)
        assert (said["deviceId"], said["extensionId"]) == (7, 8)
        assert said["agentId"] == "a@x.example"
        assert "agent" not in said

    def test_whole_numbers_and_texts_stand_for_each_other(self) -> None:
        said = document(
            {"call": 123456, "device": "1000"}, {"deviceId": "device", "extensionId": "device"}
        )
        assert said["referenceId"] == "123456"
        assert said["deviceId"] == said["extensionId"] == 1000

    def test_parts_of_an_object_are_put_together(self) -> None:
        said = document(
            {"mail": "a@x.example", "why": "late", "shop": 7},
            {"contact.email": "mail", "extraData.callReason": "why", "extraData.shop": "shop"},
        )
        assert said["contact"] == {"email": ["a@x.example"]}
        assert said["extraData"] == {"callReason": "late", "shop": 7}

    def test_an_expression_that_stumbles_says_so_and_quotes_nothing(self) -> None:
        result = mapped({"call": "c-1", "who": "secret"}, {"cuid": "max(who)"})
        (made,) = result.events
        assert "cuid" not in made.document
        (note,) = (one.note for one in made.told if one.target == "cuid")
        assert note.startswith("can't be worked out")
        assert "secret" not in note

    def test_a_header_is_read_whatever_its_case(self) -> None:
        said = document({}, {"cuid": "header('X-Site')"}, headers={"x-site": "oslo"})
        assert said["cuid"] == "oslo"


class TestFunctions:
    @pytest.mark.parametrize(
        ("number", "read"),
        [
            ("492111234567", "+492111234567"),
            (492111234567, "+492111234567"),
            ("+492111234567", "+492111234567"),
            ("02214710334", "02214710334"),
            ("anonymous", "anonymous"),
            ("100", "100"),
            (None, None),
        ],
    )
    def test_plus_is_put_before_international_digits_alone(
        self, number: Any, read: str | None
    ) -> None:
        assert document({"n": number}, {"callerNumber": "plus(n)"}).get("callerNumber") == read

    @pytest.mark.parametrize(
        "moment",
        [
            *(1772357400, "1772357400", 1772357400000, 1772357400.0, "1772357400000000"),
            *("Sun, 01 Mar 2026 09:30:00 +0000", "Sun, 01 Mar 2026 09:30:00 -0000"),
        ],
    )
    def test_time_reads_unix_time_and_dates_of_mail(self, moment: Any) -> None:
        (made,) = mapped({"at": moment}, {"occurredAt": "time(at)"}).events
        assert made.is_timed
        assert made.document["occurredAt"].startswith("2026-03-01T09:30:00")
        assert made.document["occurredAt"].endswith(("Z", "+00:00"))

    @pytest.mark.parametrize("moment", ["soon", "Sun, 41 Foo", "9" * 20, 1e300, True, [1]])
    def test_time_leaves_what_it_can_not_read_to_be_refused(self, moment: Any) -> None:
        (made,) = mapped({"at": moment}, {"occurredAt": "time(at)"}).events
        assert made.document["occurredAt"] in (moment, str(moment))

    def test_a_table_can_be_looked_up_in_a_condition(self) -> None:
        entry = {"when": "lookup('own', from)", "fields": FIELDS}
        mapping = read_mapping({"events": [entry], "tables": {"own": {"+1": True}}})
        assert apply(mapping, {"from": "+1"}, {}, RECEIVED).events
        assert not apply(mapping, {"from": "+2"}, {}, RECEIVED).events


class TestIdsAndTimes:
    def test_an_id_is_made_of_the_body_where_none_is_given(self) -> None:
        one, again = (document({"call": "c-1", "x": 1}) for _ in range(2))
        assert one["eventId"] == again["eventId"]
        assert one["eventId"].startswith("c-1:call.answered:")

    def test_the_order_of_a_body_is_no_difference(self) -> None:
        assert document({"call": "c", "x": 1}) == document({"x": 1, "call": "c"})

    def test_another_body_has_another_id(self) -> None:
        one, other = (document({"call": "c-1", "x": x})["eventId"] for x in (1, 2))
        assert one != other

    def test_without_a_time_it_is_that_of_the_receipt_and_known_to_be(self) -> None:
        (made,) = mapped({"call": "c-1"}).events
        assert made.document["occurredAt"] == RECEIVED
        assert not made.is_timed

    def test_no_two_events_of_one_body_have_the_same_id(self) -> None:
        entry = {"each": "items", "fields": {**FIELDS, "eventId": "body.id", "referenceId": "item"}}
        mapping = read_mapping({"events": [entry]})
        made = apply(mapping, {"id": "e", "items": ["a", "b", "c"]}, {}, RECEIVED).events
        assert [one.document["eventId"] for one in made] == ["e", "e#2", "e#3"]
        assert [one.document["referenceId"] for one in made] == ["a", "b", "c"]

    def test_of_agents_the_same_words_at_another_time_are_another_event(self) -> None:
        fields = {"eventType": {"value": "agent.available"}, "agentId": "who"}
        mapping = read_mapping({"events": [{"fields": fields}]})
        one, other = (
            apply(mapping, {"who": "a"}, {}, f"2026-03-01T09:3{minute}:00Z").events[0].document
            for minute in (0, 1)
        )
        assert one["eventId"] != other["eventId"]

    def test_of_agents_a_message_that_comes_again_is_the_same_event(self) -> None:
        fields = {"eventType": {"value": "agent.available"}, "agentId": "who"}
        mapping = read_mapping({"events": [{"fields": fields}]})
        first, again, another = (
            apply(mapping, {"who": "a"}, {"webhook-id": message}, f"2026-03-01T09:3{minute}:00Z")
            .events[0]
            .document["eventId"]
            for minute, message in enumerate(["m-1", "m-1", "m-2" * 200])
        )
        assert first == again
        assert first != another
        assert len(another) <= 128

    def test_of_calls_an_id_is_the_same_without_the_headers(self) -> None:
        mapping = read_mapping({"events": [{"fields": FIELDS}]})
        one, other = (
            apply(mapping, {"call": "c-1"}, headers, RECEIVED).events[0].document["eventId"]
            for headers in ({"webhook-id": "m-1"}, {})
        )
        assert one == other

    def test_a_long_reference_makes_no_id_that_is_too_long(self) -> None:
        assert len(document({"call": "c" * 128})["eventId"]) <= 128


class TestWhatFits:
    def test_what_no_entry_fits_is_refused(self) -> None:
        entry = {"when": "event == 'x'", "fields": FIELDS}
        result = apply(read_mapping({"events": [entry]}), {"event": "y"}, {}, RECEIVED)
        assert [issue.detail for issue in result.issues] == [NO_ENTRY]
        assert result.looked == ("event == 'x': is not so",)

    def test_what_is_ignored_is_so_before_all_else(self) -> None:
        result = mapped({"call": "c-1"}, ignore=[{"when": "call", "reason": "a test"}])
        assert result.ignored == "a test"
        assert not result.events

    def test_every_entry_that_fits_makes_an_event(self) -> None:
        entries = [{"when": "a", "fields": FIELDS}, {"fields": FIELDS}]
        mapping = read_mapping({"events": entries})
        assert len(apply(mapping, {"a": 1, "call": "c"}, {}, RECEIVED).events) == 2
        assert len(apply(mapping, {"call": "c"}, {}, RECEIVED).events) == 1

    def test_more_events_than_any_body_has_are_refused_as_one(self) -> None:
        mapping = read_mapping({"events": [{"each": "@", "fields": FIELDS}]})
        result = apply(mapping, list(range(1001)), {}, RECEIVED)
        assert not result.events
        assert "more than 1,000" in result.issues[0].detail

    def test_the_first_reply_that_fits_is_given(self) -> None:
        replies = [{"when": "a", "body": "1"}, {"body": "2", "content_type": "text/xml"}]
        mapping = read_mapping({"events": [{"fields": FIELDS}], "replies": replies})
        first, second = reply(mapping, {"a": 1}, {}), reply(mapping, {}, {})
        assert first is not None
        assert first.body == "1"
        assert second is not None
        assert second.content_type == "text/xml"


SCALARS: Final = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=8)
)
KEYS: Final = st.sampled_from(["call", "event", "at", "n", "items", "who", "x"])
BODIES: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
GREEDY: Final = read_mapping(
    {
        "ignore": [{"when": "starts_with(event, 'ping')"}],
        "fields": {
            "eventType": {"expression": "lower(event)", "table": "types", "keep": True},
            "referenceId": "call",
            "occurredAt": "time(at)",
            "callerNumber": "plus(n)",
            "cuid": "hash(who)",
            "extraData": "x",
            "contact.email": "who.x",
            "agent": {"expression": "[who, x][]", "table": "types"},
            "deviceId": "to_number(n)",
            "queueName": "join('-', [event, call])",
        },
        "events": [{}, {"each": "items"}, {"each": "@"}],
        "replies": [{"when": "max(items)"}],
        "tables": {"types": {"a": "call.queued", "b": {"deviceId": 1}}},
    }
)


@given(BODIES)
def test_whatever_comes_makes_a_result_and_always_the_same(body: Any) -> None:
    one, again = (apply(GREEDY, body, {}, RECEIVED) for _ in range(2))
    assert repr(one) == repr(again)
    assert bool(one.events) + bool(one.issues) + bool(one.ignored) == 1
    ids = [made.document["eventId"] for made in one.events]
    assert len(set(map(repr, ids))) == len(ids)
    reply(GREEDY, body, {})
