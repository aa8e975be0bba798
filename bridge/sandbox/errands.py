"""The sandbox's errands: made, ended, answered, and marked as dirty when they change.

Everything is bounded: the newest `KEPT_MAX` errands are kept, and no more of them than have
`BODY_BYTES_KEPT_MAX` of bodies and answers.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import orjson

KEPT_MAX: Final = 200_000
BODY_BYTES_KEPT_MAX: Final = 256 * 1024 * 1024
STEPS_PER_REFERENCE_MAX: Final = 100
ACTIONS_PER_ERRAND_MAX: Final = 100
TAGS_PER_ERRAND_MAX: Final = 100
FIRST_ERRAND_ID: Final = 511_055
FIRST_ACTION_ID: Final = 83

CREATE: Final = "create"
END: Final = "end"
END_REFUSED: Final = "end_refused"

VOICE: Final = "Voice"
API: Final = "API"
EMAIL: Final = "Email"


class Action(NamedTuple):
    """What was done with an errand: by whom, and when in Unix seconds."""

    id: int
    deed: str
    origin: str
    at: float


class Reply(NamedTuple):
    """What an agent answered, and when in Unix seconds."""

    subject: str
    body: str
    agent: str
    at: float


@dataclass(slots=True)
class Errand:
    """One errand; `body` is the request that made it, as received. Times are Unix seconds.

    Attributes:
        closed: whether it was made with its answer.
        service: how it came in, in Cention's words.
        is_others: whether it was made for somebody else than the bridge.
        actions: the newest of them, the oldest first.
        done_at: when it was closed, by an end or an answer, whichever was first; None: it is open.
        ended_at: when the first request to end it came, None where none has.
        reply: the last answer that an agent gave, None where none has.
        tags: what it is about, in the order in which they were put on.
    """

    id: int
    workspace: str
    area: str
    created_at: float
    reference: str
    closed: bool
    body: bytes
    service: str = API
    is_others: bool = False
    actions: list[Action] = field(default_factory=list)
    done_at: float | None = None
    ended_at: float | None = None
    end_count: int = 0
    end_body: bytes = b""
    reply: Reply | None = None
    answer_count: int = 0
    tags: list[str] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether an end would close it."""
        return self.done_at is None

    @property
    def awaits_end(self) -> bool:
        """Whether an end would be its first; an answer is none, since no request asked for it."""
        return self.ended_at is None and not self.closed

    @property
    def answered_at(self) -> float | None:
        """When an agent answered it last, None where none has."""
        return None if self.reply is None else self.reply.at

    @property
    def changed_at(self) -> float:
        """When it was made, ended or answered, whichever was last."""
        times = (self.created_at, self.ended_at, self.answered_at)
        return max(time for time in times if time is not None)

    @property
    def agent(self) -> str:
        """Who did something with it last; empty where nobody has."""
        return self.actions[-1].origin if self.actions else ""

    @property
    def size(self) -> int:
        """How much of it counts against what is kept."""
        reply = () if self.reply is None else self.reply[:3]
        return len(self.body) + sum(len(text) for text in (*reply, *self.tags))

    def attributes(self) -> dict[str, Any]:
        """Return the attributes of the request that made it."""
        return _attributes(self.body)

    def read_back(self) -> dict[str, Any]:
        """Return the errand as the sandbox's own pages show it; attributes as received."""
        return {
            "id": str(self.id),
            "workspace": self.workspace,
            "area": self.area,
            "created_at": self.created_at,
            "ended_at": self.ended_at,
            "end_count": self.end_count,
            "answered_at": self.answered_at,
            "answer_count": self.answer_count,
            "closed": self.closed,
            "others": self.is_others,
            "tags": self.tags,
            "attributes": self.attributes(),
            "end_attributes": _attributes(self.end_body) if self.end_body else None,
        }


def _attributes(body: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = orjson.loads(body)["data"]["attributes"]
    return attributes


def agent_name(attributes: Mapping[str, Any]) -> str:
    """Return the agent that a request names, whom Cention knows by two ids; empty where none is."""
    data = attributes.get("integrationData")
    return "" if data is None else f"Agent {data['deviceId']}/{data['extensionId']}"


@dataclass(slots=True)
class ErrandBook:
    """The errands of all workspaces, and what was done for each reference in which order."""

    _errands: OrderedDict[int, Errand] = field(default_factory=OrderedDict)
    _by_reference: dict[tuple[str, str], list[Errand]] = field(default_factory=dict)
    _dirty: dict[str, set[int]] = field(default_factory=dict)
    _next_id: int = FIRST_ERRAND_ID
    _next_action_id: int = FIRST_ACTION_ID
    _body_bytes: int = 0
    steps: OrderedDict[str, list[str]] = field(default_factory=OrderedDict)
    created: int = 0
    ended: int = 0

    def __iter__(self) -> Iterator[Errand]:
        """Iterate over what is kept, the oldest first."""
        return iter(self._errands.values())

    def __reversed__(self) -> Iterator[Errand]:
        """Iterate over what is kept, the newest first."""
        return reversed(self._errands.values())

    def create(
        self, attributes: dict[str, Any], *, workspace: str, area: str, body: bytes, now: float
    ) -> Errand:
        """Make an errand of a valid request; the same request makes another one.

        Args:
            attributes: the request's, valid.
            workspace: where it was sent.
            area: the token's.
            body: the request, as received.
            now: Unix seconds.
        """
        reference = attributes.get("integrationData", {}).get("referenceId", "")
        errand = Errand(
            id=self._next_id,
            workspace=workspace,
            area=area,
            created_at=now,
            reference=reference,
            closed="answer" in attributes,
            body=body,
            service=VOICE if "integrationData" in attributes else API,
        )
        agent = agent_name(attributes)
        if agent:
            self._act(errand, "opened", agent, now)
        if errand.closed:
            errand.done_at = now
            self._act(errand, "answered and closed", agent or API, now)
        self.created += 1
        self._keep(errand)
        if reference:
            self._note(reference, CREATE)
        return errand

    def create_others(
        self, msg: dict[str, Any], *, workspace: str, area: str, now: float
    ) -> Errand:
        """Make an errand that came in by e-mail: dirty like any, but in no count of the bridge's.

        Args:
            msg: sender, subject and body, as in a request to make an errand.
            workspace: where it lands.
            area: in which area there.
            now: Unix seconds.
        """
        errand = Errand(
            id=self._next_id,
            workspace=workspace,
            area=area,
            created_at=now,
            reference="",
            closed=False,
            body=orjson.dumps({"data": {"attributes": {"msg": msg}}}),
            service=EMAIL,
            is_others=True,
        )
        self._keep(errand)
        return errand

    def end(
        self, *, workspace: str, reference: str, body: bytes, now: float, agent: str = ""
    ) -> Errand | None:
        """End the newest open errand of a reference.

        Where none is open it is the newest that was only answered so far. Where all were ended the
        newest answers for it, since to repeat an end is harmless; where there is none at all the
        end is refused with None.
        """
        errands = self._by_reference.get((workspace, reference))
        if not errands:
            self._note(reference, END_REFUSED)
            return None
        awaiting = [item for item in errands if item.awaits_end] or errands[-1:]
        errand = next((item for item in reversed(awaiting) if item.is_open), awaiting[-1])
        if errand.awaits_end:
            errand.ended_at = now
            errand.end_body = body
            if errand.is_open:
                errand.done_at = now
            self._act(errand, "answered and closed", agent, now)
            self.mark_dirty(workspace, [errand.id])
            self.ended += 1
        errand.end_count += 1
        self._note(reference, END)
        return errand

    def find(self, errand_id: int) -> Errand | None:
        """Return an errand of any workspace, its dirty mark left alone; None: there is none."""
        return self._errands.get(errand_id)

    def answer(self, errand: Errand, reply: Reply) -> None:
        """Answer an errand as an agent does, which closes it where it is open, and marks it."""
        size = errand.size
        errand.reply = reply
        errand.answer_count += 1
        if errand.is_open:
            errand.done_at = reply.at
        self._act(errand, "answered and closed", reply.agent, reply.at)
        self._change(errand, size)

    def tag(self, errand: Errand, tags: Iterable[str]) -> None:
        """Put tags on an errand, each once, and mark it; the newest are kept."""
        size = errand.size
        merged = list(dict.fromkeys((*errand.tags, *tags)))
        errand.tags = merged[-TAGS_PER_ERRAND_MAX:]
        self._change(errand, size)

    def dirty(self, workspace: str) -> list[int]:
        """Return the ids of a workspace's errands that have changed, sorted."""
        return sorted(self._dirty.get(workspace, ()))

    def mark_dirty(self, workspace: str, ids: Iterable[int]) -> None:
        """Mark errands as changed; ids that are none of the workspace's are ignored."""
        known = {
            errand.id
            for errand in (self._errands.get(number) for number in ids)
            if errand is not None and errand.workspace == workspace
        }
        self._dirty.setdefault(workspace, set()).update(known)

    def fetch(self, workspace: str, errand_id: int) -> tuple[Errand, bool] | None:
        """Return an errand and whether it was dirty, which it no longer is; None: there is none."""
        errand = self._errands.get(errand_id)
        if errand is None or errand.workspace != workspace:
            return None
        dirty = self._dirty[workspace]
        was_dirty = errand_id in dirty
        dirty.discard(errand_id)
        return errand, was_dirty

    def clear(self) -> None:
        """Forget every errand; ids go on growing."""
        self._errands.clear()
        self._by_reference.clear()
        self._dirty.clear()
        self.steps.clear()
        self.created = self.ended = self._body_bytes = 0

    def _keep(self, errand: Errand) -> None:
        self._next_id += 1
        self._errands[errand.id] = errand
        if errand.reference:
            key = (errand.workspace, errand.reference)
            self._by_reference.setdefault(key, []).append(errand)
        self._change(errand, 0)

    def _change(self, errand: Errand, size_before: int) -> None:
        self._body_bytes += errand.size - size_before
        self.mark_dirty(errand.workspace, [errand.id])
        while len(self._errands) > KEPT_MAX or self._body_bytes > BODY_BYTES_KEPT_MAX:
            self._evict()

    def _act(self, errand: Errand, deed: str, origin: str, now: float) -> None:
        errand.actions.append(Action(self._next_action_id, deed, origin, now))
        del errand.actions[:-ACTIONS_PER_ERRAND_MAX]
        self._next_action_id += 1

    def _note(self, reference: str, step: str) -> None:
        steps = self.steps.setdefault(reference, [])
        if len(steps) < STEPS_PER_REFERENCE_MAX:
            steps.append(step)
        if len(self.steps) > KEPT_MAX:
            self.steps.popitem(last=False)

    def _evict(self) -> None:
        _, errand = self._errands.popitem(last=False)
        self._body_bytes -= errand.size
        self._dirty[errand.workspace].discard(errand.id)
        if errand.reference:
            # Errands of one reference are in order of age, so the oldest of all is its first.
            errands = self._by_reference[errand.workspace, errand.reference]
            errands.pop(0)
            if not errands:
                del self._by_reference[errand.workspace, errand.reference]
