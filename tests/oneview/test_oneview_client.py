"""The client against the sandbox over a socket: every request, and what it is told when not."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from bridge.domain.deliveries import EndErrand, Kind, TicketWork
from bridge.domain.events import Agent
from bridge.domain.outcomes import Failure, Verdict, judge
from bridge.domain.routes import oneview_route
from bridge.oneview.client import Credentials, OneViewClient, OneViewOptions
from bridge.oneview.sender import OneViewSender
from bridge.ops.clock import SystemClock
from bridge.ports import Parcel
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.chats import ChatDesk, ChatTicket
from bridge.sandbox.keys import STATE
from bridge.sandbox.presets import read_faults
from bridge.sandbox.serve import listen, serving
from bridge.wire.exchange import Exchange, open_session

ROUTE = oneview_route("ann")


class Bench:
    def __init__(self, client: OneViewClient, app: Any) -> None:
        self.client = client
        self.sender = OneViewSender(client)
        self.state = app[STATE]

    @property
    def chats(self) -> ChatDesk:
        desk: ChatDesk = self.state.chats
        return desk

    def fault(self, **rule: object) -> None:
        self.state.faults.set(read_faults([rule]), 0.0)

    async def send(self, kind: Kind, ticket: str = "t1", attempts: int = 1) -> tuple[Any, Verdict]:
        reply = await self.sender.send(parcel(kind, TicketWork(ticket_id=ticket), attempts))
        return reply, judge(kind, reply).verdict


def parcel(kind: Kind, payload: Any, attempts: int = 1, route: str = ROUTE) -> Parcel:
    return Parcel(
        id=1,
        key=f"ticket:{kind}",
        lane="ticket",
        kind=kind,
        route=route,
        source="aventa",
        reference_id="r",
        accepted_us=0,
        first_us=0,
        attempts=attempts,
        payload=payload,
    )


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    app = create_app(SandboxOptions())
    async with serving(app, listen(0)) as url, open_session() as session:
        options = OneViewOptions(
            base_url=f"{url}/cs-chat-ticket",
            agents={
                "ann": Credentials("ann@example.com", "token-a"),
                "bob": Credentials("bob@example.com", "unknown"),
            },
        )
        made = Bench(OneViewClient(Exchange(session, SystemClock()), options), app)
        made.chats.add("ann@example.com", "token-a", "online", 0.0)
        yield made


@pytest.mark.parametrize("wraps", [False, True])
async def test_info_is_read_whether_it_is_an_object_or_an_array(*, wraps: bool) -> None:
    async with bench() as on:
        on.chats.wraps_info = wraps
        reading = await on.client.info("ann")
        assert reading.there is not None
        assert (reading.reply.status, reading.there.status) == (200, "online")
        assert reading.there.updated_at == "1970-01-01 00:00:00 +0000 UTC"
        assert len(reading.remote_id) == 36


async def test_a_status_is_set_by_the_address_that_is_for_it() -> None:
    async with bench() as on:
        for status in ("offline", "break", "online"):
            assert (await on.client.put("ann", status)).status == 200
        (agent,) = on.chats.agents()
        assert [status for _, status, by in agent.changes if by == "api"] == [
            "offline",
            "break",
            "online",
        ]
        assert (await on.client.put("ann", "no such")).status == 400
        with pytest.raises(ValueError, match="has a name"):
            await on.client.set_status("ann", "")


async def test_a_token_that_is_nobodys_is_refused_with_an_error_object() -> None:
    async with bench() as on:
        reply = (await on.client.info("bob")).reply
        assert (reply.status, reply.detail) == (401, "not authorize")
        assert (await on.client.tickets("bob")).tickets is None


async def test_an_error_object_says_more_than_the_status_that_it_came_with() -> None:
    said = {"errors": [{"status": "401", "title": "not authorize"}]}
    async with bench() as on:
        for status in (200, 400):
            on.fault(status=status, body=said)
            assert (await on.client.info("ann")).reply.status == 401
        on.fault(status=500, body=said)
        assert (await on.client.info("ann")).reply.status == 500


async def test_an_answer_without_a_status_is_a_lost_one() -> None:
    async with bench() as on:
        on.fault(status=200, body={"id": "x"})
        reading = await on.client.info("ann")
        assert (reading.there, reading.reply.failure) == (None, Failure.LOST)
        assert (await on.client.tickets("ann")).reply.failure is Failure.LOST


async def test_a_picked_time_is_set_with_the_agents_e_mail() -> None:
    async with bench() as on:
        on.state.chats.tickets["t1"] = ticket("t1")
        _, verdict = await on.send(Kind.PICK_TICKET)
        assert verdict is Verdict.DELIVERED
        assert on.chats.tickets["t1"].picked_at > 0


async def test_a_ticket_that_is_not_there_is_no_fault_of_the_token() -> None:
    async with bench() as on:
        for kind in (Kind.PICK_TICKET, Kind.CLOSE_ROOM):
            assert (await on.send(kind, "t9"))[1] is Verdict.REJECTED


async def test_a_room_is_closed_once_however_often_it_is_asked_for() -> None:
    async with bench() as on:
        on.state.chats.tickets["t1"] = ticket("t1")
        for attempts in (1, 2, 1):
            assert (await on.send(Kind.CLOSE_ROOM, attempts=attempts))[1] is Verdict.DELIVERED
        del on.state.chats.tickets["t1"]
        assert (await on.send(Kind.CLOSE_ROOM, attempts=2))[1] is Verdict.DELIVERED


async def test_a_ticket_without_a_room_and_an_id_that_is_none_are_rejected() -> None:
    async with bench() as on:
        on.state.chats.tickets["t1"] = ticket("t1", room="")
        assert (await on.send(Kind.CLOSE_ROOM))[1] is Verdict.REJECTED
        assert (await on.send(Kind.PICK_TICKET, ".."))[1] is Verdict.REJECTED


async def test_what_is_not_about_a_ticket_or_of_a_known_agent_does_not_leave() -> None:
    async with bench() as on:
        end = EndErrand(reference_id="r", agent=Agent(1, 1))
        for one in (
            parcel(Kind.END_ERRAND, end),
            parcel(Kind.PICK_TICKET, TicketWork(ticket_id="t"), route=oneview_route("cyd")),
        ):
            assert (await on.sender.send(one)).failure is Failure.NOT_CONNECTED


def test_a_refusal_is_about_one_agent_and_a_new_token_has_another_mark() -> None:
    options = OneViewOptions(base_url="https://x", agents={"ann": Credentials("a@b", "one")})
    client = OneViewClient(None, options)  # type: ignore[arg-type]  # nothing is sent
    sender = OneViewSender(client)
    before = sender.token_mark(ROUTE)
    client.options = OneViewOptions(base_url="https://x", agents={"ann": Credentials("a@b", "two")})
    assert sender.sharing(ROUTE, 401) == [ROUTE]
    assert sender.token_mark(ROUTE) != before
    assert "one" not in repr(options)


def ticket(name: str, room: str = "room-1") -> Any:
    return ChatTicket(name, "ann@example.com", room)
