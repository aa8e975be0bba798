from pathlib import Path
from typing import Any

import pytest
from bench import bench, document

from bridge.domain.errors import InvalidEvent
from bridge.services.ingest import Receipt, Taken
from bridge.storage import queries, stories


async def test_an_event_is_kept_with_all_that_it_will_cause(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        (receipt,) = await on.take(document("call.answered"))
        assert isinstance(receipt, Receipt)
        assert receipt.taken is Taken.ACCEPTED
        with on.engine.connect() as connection:
            figures = queries.figures(connection)
            story = stories.story(connection, "r1")
        assert figures.pending == {"new_errand": 1, "contact_card": 1}
        assert figures.calls_active == 1
        assert [one["event_id"] for one in story["events"]] == ["call.answered-r1"]


async def test_the_same_event_again_is_a_duplicate_however_it_is_spelled(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        first = document("call.answered")
        again = dict(reversed(first.items())) | {"cuid": None, "link": "", "contact": None}
        receipts = [*await on.take(first), *await on.take(again)]
        assert [one.taken for one in receipts if isinstance(one, Receipt)] == [
            Taken.ACCEPTED,
            Taken.DUPLICATE,
        ]


async def test_the_same_id_with_other_content_is_a_conflict(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.answered"))
        (receipt,) = await on.take(document("call.answered", callerName="Eve"))
        assert isinstance(receipt, Receipt)
        assert receipt.taken is Taken.CONFLICT


async def test_duplicates_within_one_commit_are_known_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        receipts = await on.take(document("call.answered"), document("call.answered"))
        assert [one.taken for one in receipts if isinstance(one, Receipt)] == [
            Taken.ACCEPTED,
            Taken.DUPLICATE,
        ]


async def test_a_whole_call_in_one_commit_makes_one_errand_its_end_and_one_card(
    tmp_path: Path,
) -> None:
    async with bench(tmp_path) as on:
        await on.take(document("call.ended"), document("call.answered"), document("call.queued"))
        with on.engine.connect() as connection:
            figures = queries.figures(connection)
        assert figures.pending == {"new_errand": 1, "end_errand": 1, "contact_card": 1}
        assert figures.calls_active == 0


async def test_what_is_counted_of_an_event_is_counted_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        for _ in range(2):
            await on.take(document("call.queued", surprise=1, callerNumber="1001"))
        assert sorted(on.meter.counted) == [
            ("event", "call.queued", "accepted"),
            ("event", "call.queued", "duplicate"),
            ("number", "callerNumber", "invalid"),
            ("number", "destNumber", "valid"),
            ("unknown_keys", 1),
        ]


async def test_an_event_of_an_agent_is_kept_and_causes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        presence = document("agent.available", referenceId=None, callerNumber=None)
        (receipt,) = await on.take(presence)
        assert receipt == Receipt(Taken.ACCEPTED)


@pytest.mark.parametrize(
    ("given", "pointer"),
    [
        ({"occurredAt": "2026-08-21T14:13:20Z"}, "/occurredAt"),
        ({"occurredAt": "2026-09-23T14:13:20Z"}, "/occurredAt"),
        ({"destNumber": "1001"}, "/destNumber"),
        ({"destNumber": None}, "/destNumber"),
        ({"queueName": None}, "/queueName"),
        ({"queueNumber": ""}, "/queueNumber"),
        ({"extensionId": None}, "/extensionId"),
        ({"deviceId": True}, "/deviceId"),
        ({"deviceId": 2**31}, "/deviceId"),
        ({"referenceId": None}, "/referenceId"),
        ({"eventType": "call.lost"}, "/eventType"),
        ({"link": "ftp://pbx.example/1"}, "/link"),
        ({"occurredAt": "9999-12-31T23:59:59-01:00"}, "/occurredAt"),
        ({"occurredAt": "2026-09-21T14:13:20"}, "/occurredAt"),
        ({"extraData": {"comment": 1}}, "/extraData/comment"),
        ({"extraData": {"appointmentTimestamp": "soon"}}, "/extraData/appointmentTimestamp"),
        ({"contact": {"phone": ["1"]}}, "/contact/phone"),
        ({"contact": {"email": "a@b"}}, "/contact/email"),
        ({"attachments": [{"content_type": "a/b", "name": "n", "content": "%"}]},
         "/attachments/0/content"),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named_by_its_place(
    tmp_path: Path, given: dict[str, Any], pointer: str
) -> None:
    async with bench(tmp_path) as on:
        with pytest.raises(InvalidEvent) as caught:
            on.ingest.admit(document("call.answered", **given), source="aventa")
        assert [issue.pointer for issue in caught.value.issues] == [pointer]


async def test_a_large_batch_is_kept_in_several_commits(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        sizes: list[int] = []
        submit_all = on.writer.submit_all

        async def counted(handler: Any, items: Any) -> Any:
            sizes.append(len(items))
            return await submit_all(handler, items)

        on.writer.submit_all = counted  # type: ignore[method-assign]  # to see what is asked of it
        receipts = await on.take(*(document("call.queued", f"r{number}") for number in range(600)))
        assert sizes == [250, 250, 100]
        assert len(receipts) == 600
