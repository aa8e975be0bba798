"""What One View holds in the sandbox: agents, their tickets, and the rooms of these.

Pure; `bridge.sandbox.oneview` speaks of it over HTTP. An agent is known by their token.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

STATUSES: Final = ("online", "offline", "busy", "break", "meeting")
_TITLES: Final = {
    HTTPStatus.BAD_REQUEST: "bad request",
    HTTPStatus.UNAUTHORIZED: "not authorize",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not found",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal server error",
}
# Ids that are the same in every run, so that a run can be done again.
_SPACE: Final = uuid.UUID("f4b8f8e5-365a-4ed1-a122-0f4ba1afef44")


class ChatError(Exception):
    """A request is answered with an error of One View's kind."""

    def __init__(self, status: int, title: str = "") -> None:
        self.status = status
        self.title = title or _TITLES.get(HTTPStatus(status), HTTPStatus(status).phrase.lower())
        super().__init__(f"{status}: {self.title}")

    def document(self) -> dict[str, Any]:
        """Return the error objects of the page."""
        return {"errors": [{"status": str(self.status), "title": self.title}]}


def told_time(unix_s: float) -> str:
    """Return a time as the page shows it, to the second."""
    return datetime.fromtimestamp(int(unix_s), tz=UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")


@dataclass(slots=True)
class ChatAgent:
    """An agent; `changes` are the statuses that were set, with who and when (Unix seconds)."""

    email: str
    token: str = field(repr=False)
    status: str = "online"
    updated_at: float = 0.0
    is_refused: bool = False
    changes: list[tuple[float, str, str]] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Their id at One View."""
        return str(uuid.uuid5(_SPACE, self.email.lower()))

    def set(self, status: str, now: float, by: str) -> None:
        """Set their status; one that is set again is set anew."""
        self.status, self.updated_at = status, now
        self.changes.append((now, status, by))

    def info(self, now: float) -> dict[str, Any]:
        """Return their AgentInfo."""
        return {
            "id": self.id,
            "name": self.email.partition("@")[0],
            "status": self.status,
            "statusAlias": self.status,
            "lastLoginTime": told_time(0),
            "updatedAt": told_time(self.updated_at),
            "agentTimeInStatus": int(now - self.updated_at),
        }

    def read_back(self) -> dict[str, Any]:
        """Return them as the sandbox's own pages show them; never the token."""
        return {
            "id": self.id,
            "email": self.email,
            "status": self.status,
            "updatedAt": told_time(self.updated_at),
            "isRefused": self.is_refused,
            "changes": [{"at": at, "status": status, "by": by} for at, status, by in self.changes],
        }


@dataclass(slots=True)
class ChatTicket:
    """A ticket that is an agent's, and its room."""

    id: str
    email: str
    room_id: str
    picked_at: int = 0
    is_closed: bool = False

    def shown(self, now: float) -> dict[str, Any]:
        """Return it as the page has a Ticket."""
        return {
            "id": self.id,
            "content": {},
            "metadata": {
                "roomId": self.room_id,
                "ccr": "delivery - wrong address",
                "orderId": "sdw-srr",
                "pickedTimestamp": self.picked_at,
                "assignedTimestamp": 1572499999,
                "currentTimestamp": int(now),
                "entityId": "FP_SG",
                "isChatRoomClosed": self.is_closed,
                "language": "eng",
            },
            "customer": {"id": "customer-1", "firstName": "hugo", "lastName": "dan"},
        }


class ChatDesk:
    """All of it. `wraps_info`: `/v1/info` answers an array, as the page says."""

    def __init__(self) -> None:
        self._agents: dict[str, ChatAgent] = {}
        self.tickets: dict[str, ChatTicket] = {}
        self.wraps_info = False

    def clear(self) -> None:
        """Forget everybody."""
        self._agents.clear()
        self.tickets.clear()
        self.wraps_info = False

    def add(self, email: str, token: str, status: str, now: float) -> ChatAgent:
        """Let somebody be an agent, or give them another token."""
        agent = self.named(email)
        if agent is None:
            agent = ChatAgent(email, token)
            agent.set(status, now, "agent")
        else:
            del self._agents[agent.token]
            agent.token = token
        self._agents[token] = agent
        return agent

    def agents(self) -> Iterator[ChatAgent]:
        """Yield everybody."""
        yield from self._agents.values()

    def named(self, email: str) -> ChatAgent | None:
        """Return the agent of an e-mail."""
        return next(
            (one for one in self._agents.values() if one.email.lower() == email.lower()), None
        )

    def of_token(self, token: str) -> ChatAgent:
        """Return whose token it is.

        Raises:
            ChatError: 401, nobody's.
        """
        agent = self._agents.get(token)
        if agent is None or agent.is_refused:
            raise ChatError(401)
        return agent

    def put_status(self, agent: ChatAgent, status: object, now: float) -> dict[str, Any]:
        """Set an agent's status, and return their AgentStatusInfo.

        Raises:
            ChatError: 400, there is no such status.
        """
        if not isinstance(status, str) or status not in STATUSES:
            raise ChatError(400)
        agent.set(status, now, "api")
        return {"id": agent.id, "status": status}

    def tickets_of(self, agent: ChatAgent, now: float) -> list[dict[str, Any]]:
        """Return the tickets that an agent has; of closed ones too, as long as they are theirs."""
        return [one.shown(now) for one in self.tickets.values() if one.email == agent.email]

    def pick(self, agent: ChatAgent, ticket_id: str, email: str, now: float) -> None:
        """Set a ticket's picked time.

        Raises:
            ChatError: 400 without an e-mail, 403 for another's, 404 without such a ticket.
        """
        if not email:
            raise ChatError(400)
        if email.lower() != agent.email.lower():
            raise ChatError(403)
        ticket = self.tickets.get(ticket_id)
        if ticket is None or ticket.email != agent.email:
            raise ChatError(404)
        ticket.picked_at = int(now)

    def close(self, room_id: str) -> None:
        """Close a room; one that is closed is not there any more.

        Raises:
            ChatError: 404, there is no such room.
        """
        ticket = next(
            (one for one in self.tickets.values() if one.room_id == room_id and not one.is_closed),
            None,
        )
        if ticket is None:
            raise ChatError(404)
        ticket.is_closed = True
