from typing import Any

import pytest

from bridge.oneview.models import (
    AgentInfo,
    AgentStatusInfo,
    AgentStatusList,
    Customer,
    ErrorObject,
    Metadata,
    Ticket,
    TicketStatus,
    read,
    read_errors,
    read_info,
    read_tickets,
)

# As the page has it.
INFO: dict[str, Any] = {
    "id": "f4b8f8e5-365a-4ed1-a122-0f4ba1afef44",
    "name": "somename",
    "status": "online",
    "statusAlias": "online",
    "lastLoginTime": "2012-12-11 08:52:31 +0000 UTC",
    "updatedAt": "2012-12-11 08:52:31 +0000 UTC",
    "agentTimeInStatus": 1572499999,
}
TICKET: dict[str, Any] = {
    "id": "f4b8f8e5-365a-4ed1-a122-0f4ba1afef44",
    "content": {"anything": [1]},
    "metadata": {
        "ccr": "delivery - wrong address",
        "roomId": "token",
        "orderId": "sdw-srr",
        "pickedTimestamp": 1572499999,
        "assignedTimestamp": 1572499999,
        "autoCloseWarningTimestamp": 1572499999,
        "autoCloseTimestamp": 1572499999,
        "currentTimestamp": 1572499999,
        "entityId": "FP_SG",
        "isChatRoomClosed": True,
        "language": "eng",
    },
    "customer": {"id": "c", "firstName": "hugo", "lastName": "dan", "name": "hugo dan"},
}


def test_an_agents_info_is_read_alone_or_in_the_array_that_the_page_says() -> None:
    expected = AgentInfo(
        id=INFO["id"],
        name="somename",
        status="online",
        status_alias="online",
        last_login_time="2012-12-11 08:52:31 +0000 UTC",
        updated_at="2012-12-11 08:52:31 +0000 UTC",
        agent_time_in_status=1572499999,
    )
    assert read_info(INFO) == read_info([INFO]) == expected


@pytest.mark.parametrize("document", [None, [], {}, "online", [TICKET], {"status": ""}, [None]])
def test_what_has_no_status_is_no_info(document: object) -> None:
    assert read_info(document) is None


def test_a_ticket_is_read_whole() -> None:
    assert read_tickets([TICKET]) == (
        Ticket(
            id=TICKET["id"],
            content={"anything": [1]},
            metadata=Metadata(
                ccr="delivery - wrong address",
                room_id="token",
                order_id="sdw-srr",
                picked_timestamp=1572499999,
                assigned_timestamp=1572499999,
                auto_close_warning_timestamp=1572499999,
                auto_close_timestamp=1572499999,
                current_timestamp=1572499999,
                entity_id="FP_SG",
                is_chat_room_closed=True,
                language="eng",
            ),
            customer=Customer(id="c", first_name="hugo", last_name="dan", name="hugo dan"),
        ),
    )


def test_what_is_new_missing_or_of_another_type_takes_nothing_else_along() -> None:
    odd = {
        "id": "t",
        "content": "text",
        "metadata": {"roomId": 7, "pickedTimestamp": "1572499999", "new": {}, "ccr": None},
        "customer": [],
        "status": "SOMETHING_NEW",
        "unheard": 1,
    }
    assert read(Ticket, odd) == Ticket(id="t", metadata=Metadata(picked_timestamp=1572499999))


def test_tickets_without_an_id_are_none_and_no_list_is_no_list() -> None:
    assert read_tickets([{}, None, {"id": "a"}]) == (Ticket(id="a"),)
    assert read_tickets({"id": "a"}) is None


def test_the_statuses_of_tickets_are_those_of_the_page() -> None:
    assert read(Ticket, {"id": "a", "status": "CHAT_CLOSED"}) == Ticket(
        id="a", status=TicketStatus.CHAT_CLOSED
    )
    assert len(TicketStatus) == 11


def test_small_structures_are_read() -> None:
    assert read(AgentStatusInfo, {"id": "a", "status": "offline"}) == AgentStatusInfo(
        id="a", status="offline"
    )
    assert read(AgentStatusList, {"data": ["online", "offline"]}) == AgentStatusList(
        data=("online", "offline")
    )


def test_errors_are_read_as_far_as_they_are_some() -> None:
    document = {"errors": [{"status": "401", "title": "not authorize"}, None, {"status": 5}]}
    first, second = read_errors(document)
    assert first == ErrorObject(status="401", title="not authorize")
    assert second.title == ""
    assert read_errors({"errors": "no"}) == read_errors([]) == ()
