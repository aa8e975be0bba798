"""The client of One View's chat-ticket API: one request, one reply, nothing raised.

Source: "pd-oneview-cs-chat-ticket", version 1.0.0. Each agent has a bearer token of their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import orjson
from msgspec import Struct, to_builtins
from msgspec.structs import replace

from bridge.domain.outcomes import Failure, Reply
from bridge.domain.presence import There
from bridge.oneview.models import (
    AgentInfo,
    Ticket,
    UpdateAgentStatusParam,
    read_errors,
    read_info,
    read_tickets,
)
from bridge.ports.presence import InfoReading
from bridge.wire.exchange import Answer, Exchange

# A list of tickets may be long; nobody has more chats than this holds.
TICKETS_BYTES_MAX: Final = 4 * 1024 * 1024
ONLINE: Final = "online"
OFFLINE: Final = "offline"
# What an error object may say more exactly than the status that it came with.
_EXACT: Final = frozenset({401, 403, 404})


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who an agent is to One View."""

    email: str = field(repr=False)
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneViewOptions:
    """Where One View's API is, and its agents by their marks.

    `former` are those who have left the settings since the start: what they had is given back with
    the token that they had.
    """

    base_url: str = ""
    agents: Mapping[str, Credentials] = field(default_factory=dict)
    former: Mapping[str, Credentials] = field(default_factory=dict)
    timeout_s: float = 30.0

    def find(self, agent: str) -> Credentials | None:
        """Return who an agent is to One View; None: it was never told to this process."""
        return self.agents.get(agent) or self.former.get(agent)


class TicketsReading(Struct, frozen=True, kw_only=True):
    """What came of asking for an agent's tickets; None: they can't be read."""

    reply: Reply
    tickets: tuple[Ticket, ...] | None = None


class OneViewClient:
    """A `ports.presence.AgentDesk`, and what there is for tickets. `options` can be replaced."""

    def __init__(self, exchange: Exchange, options: OneViewOptions) -> None:
        """Send over this exchange."""
        self._exchange = exchange
        self.options = options

    def knows(self, agent: str) -> bool:
        """Say whether an agent's token is known."""
        return self.options.find(agent) is not None

    async def info(self, agent: str) -> InfoReading:
        """Ask how an agent is (`GET /v1/info`)."""
        reply, info = await self.agent_info(agent)
        if info is None:
            return InfoReading(reply=reply)
        there = There(info.status, info.updated_at)
        return InfoReading(reply=reply, there=there, remote_id=info.id)

    async def agent_info(self, agent: str) -> tuple[Reply, AgentInfo | None]:
        """Ask for all that One View tells of an agent; an answer without a status is lost."""
        answer = await self._request("GET", "/v1/info", agent)
        if not answer.is_good:
            return answer.reply, None
        info = read_info(answer.document)
        if info is None:
            return Reply(failure=Failure.LOST, detail="no AgentInfo in the answer"), None
        return answer.reply, info

    async def tickets(self, agent: str) -> TicketsReading:
        """Ask for the tickets that an agent has (`GET /v1/tickets`)."""
        answer = await self._request("GET", "/v1/tickets", agent, bytes_max=TICKETS_BYTES_MAX)
        if not answer.is_good:
            return TicketsReading(reply=answer.reply)
        tickets = read_tickets(answer.document)
        if tickets is None:
            lost = Reply(failure=Failure.LOST, detail="no list of tickets in the answer")
            return TicketsReading(reply=lost)
        return TicketsReading(reply=answer.reply, tickets=tickets)

    async def put(self, agent: str, status: str) -> Reply:
        """Set an agent's status, by the address that is for it where there is one."""
        if status == ONLINE:
            return await self.online(agent)
        if status == OFFLINE:
            return await self.offline(agent)
        return await self.set_status(agent, status)

    async def online(self, agent: str) -> Reply:
        """Let an agent receive tickets (`PUT /v1/online`)."""
        return (await self._request("PUT", "/v1/online", agent)).reply

    async def offline(self, agent: str) -> Reply:
        """Let an agent receive no tickets (`PUT /v1/offline`)."""
        return (await self._request("PUT", "/v1/offline", agent)).reply

    async def set_status(self, agent: str, status: str) -> Reply:
        """Set any status (`PUT /v1/status`).

        Raises:
            ValueError: it is none.
        """
        if not status:
            raise ValueError("a status has a name")
        body = orjson.dumps(to_builtins(UpdateAgentStatusParam(status=status)))
        return (await self._request("PUT", "/v1/status", agent, body=body)).reply

    async def close_room(self, agent: str, room_id: str, trace: str | None = None) -> Reply:
        """Close a chat's room (`DELETE /v1/rooms/{roomID}`).

        Raises:
            ValueError: there is no id.
        """
        path = f"/v1/rooms/{_segment(room_id)}"
        return (await self._request("DELETE", path, agent, trace=trace)).reply

    async def pick(self, agent: str, ticket_id: str, trace: str | None = None) -> Reply:
        """Set the time at which a ticket was picked to now (`PUT /v1/tickets/…/pickedTime`).

        Raises:
            ValueError: there is no id.
        """
        path = f"/v1/tickets/{_segment(ticket_id)}/pickedTime"
        known = self.options.find(agent)
        headers = {"X-Agent-ID": known.email if known else ""}
        return (await self._request("PUT", path, agent, more=headers, trace=trace)).reply

    async def _request(
        self,
        method: str,
        path: str,
        agent: str,
        *,
        body: bytes | None = None,
        more: Mapping[str, str] | None = None,
        bytes_max: int | None = None,
        trace: str | None = None,
    ) -> Answer:
        options = self.options
        known = options.find(agent)
        if known is None or not options.base_url:
            return Answer(Reply(failure=Failure.NOT_CONNECTED, detail="no such agent"))
        headers = {"Authorization": f"Bearer {known.token}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        limit: dict[str, Any] = {} if bytes_max is None else {"bytes_max": bytes_max}
        answer = await self._exchange.request(
            method,
            f"{options.base_url}{path}",
            headers={**headers, **(more or {})},
            timeout_s=options.timeout_s,
            body=body,
            trace=trace,
            **limit,
        )
        return _exact(answer)


def _exact(answer: Answer) -> Answer:
    """Take an error object's word where it says more than the status that it came with.

    The page has an error 401, and no answer with that status; so it may come with another, a good
    one even *(assumed)*.
    """
    errors, reply = read_errors(answer.document), answer.reply
    if not errors or not errors[0].status.isascii() or not errors[0].status.isdigit():
        return answer
    said = int(errors[0].status)
    is_more = (answer.is_good and 400 <= said < 600) or (reply.status == 400 and said in _EXACT)
    if not is_more:
        return answer
    return replace(answer, reply=replace(reply, status=said, detail=errors[0].title))


def _segment(text: str) -> str:
    if not text or text in {".", ".."}:
        raise ValueError("an id is no path")
    return quote(text, safe="")
