"""What rules want of tickets, as it leaves: a picked time is set, a room is closed.

Each agent is a route, whose token is theirs. Sending twice does no more than sending once.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from bridge.domain.deliveries import Kind, TicketWork
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import agent_of_route, is_oneview
from bridge.oneview.client import OneViewClient
from bridge.ports import Parcel

# What was to be closed is closed: the answer to a request that was lost, or somebody else's deed.
_DONE: Final = Reply(status=200)


class OneViewSender:
    """A `ports.Sender` for what is about tickets."""

    def __init__(self, client: OneViewClient) -> None:
        """Send by this client."""
        self._client = client

    async def send(self, parcel: Parcel) -> Reply:
        """Do what a parcel says about its ticket. Raises nothing."""
        work = parcel.payload
        agent = agent_of_route(parcel.route)
        if not isinstance(work, TicketWork) or not self._client.knows(agent):
            return Reply(failure=Failure.NOT_CONNECTED, detail="no such agent")
        try:
            if parcel.kind is Kind.PICK_TICKET:
                return await self._client.pick(agent, work.ticket_id, parcel.trace)
            return await self._close(agent, work.ticket_id, parcel)
        except ValueError:
            return Reply(status=400, detail="there is no such id")

    async def _close(self, agent: str, ticket_id: str, parcel: Parcel) -> Reply:
        """Close the room of a ticket, which only the list of the agent's tickets tells."""
        reading = await self._client.tickets(agent)
        if reading.tickets is None:
            return reading.reply
        was_tried = parcel.attempts > 1
        ticket = next((one for one in reading.tickets if one.id == ticket_id), None)
        if ticket is None:
            # What was closed a moment ago may be off the list.
            return _DONE if was_tried else Reply(status=404, detail="not among the agent's tickets")
        if ticket.metadata.is_chat_room_closed:
            return _DONE
        if not ticket.metadata.room_id:
            return Reply(status=404, detail="the ticket has no room")
        reply = await self._client.close_room(agent, ticket.metadata.room_id, parcel.trace)
        return _DONE if was_tried and reply.status == 404 else reply

    def sharing(self, route: str, _status: int) -> Sequence[str]:
        """Return the routes that a refusal of this one is about too: itself alone."""
        return [route]

    def token_mark(self, route: str) -> str:
        """Return what tells the agent's token and One View from any other, not giving it away."""
        options = self._client.options
        known = options.agents.get(agent_of_route(route)) if is_oneview(route) else None
        told = f"{options.base_url}\0{known.token if known else ''}"
        return hashlib.sha256(told.encode()).hexdigest()[:16]
