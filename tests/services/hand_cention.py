"""A Cention by hand: errands with growing ids, a list of changed ones, faults by script."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bridge.domain.deliveries import NewErrand
from bridge.domain.outcomes import Failure, Reply
from bridge.ports import Parcel, Report

LOST = Reply(failure=Failure.LOST)
OK = Reply(status=200)


@dataclass
class HandCention:
    """A `Sender` and a `Reader`. `creates` says, one after the other, what befalls a create.

    "made": it is made and answered; "dropped": made, not answered; "lost": not made; a number: made
    so many seconds later, not answered.
    """

    now_s: Callable[[], float]
    creates: list[str | float] = field(default_factory=list)
    bodies: dict[int, str] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    late: list[tuple[float, NewErrand]] = field(default_factory=list)
    sent: list[Parcel] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    scopes: list[str] = field(default_factory=list)
    refusals: dict[str, list[Reply]] = field(default_factory=dict)
    broken: dict[int, Reply] = field(default_factory=dict)
    unmarkable: set[int] = field(default_factory=set)
    on_errand: Callable[[int], None] = lambda _errand_id: None
    next_id: int = 511056
    token: str = "t1"

    def make(self, body: str) -> int:
        """Make an errand, others' or the bridge's own; it is listed as changed."""
        errand_id, self.next_id = self.next_id, self.next_id + 1
        self.bodies[errand_id] = "<br />".join(html.escape(one) for one in body.split("\n"))
        self.dirty.add(errand_id)
        return errand_id

    def markers(self) -> list[str]:
        """Return the last line of each errand."""
        return [body.split("<br />")[-1] for body in self.bodies.values()]

    def _arrive(self) -> None:
        due = [one for one in self.late if one[0] <= self.now_s()]
        self.late = [one for one in self.late if one not in due]
        for _, errand in due:
            self.make(errand.body)

    async def send(self, parcel: Parcel) -> Reply:
        self._arrive()
        self.sent.append(parcel)
        if not isinstance(parcel.payload, NewErrand):
            return OK
        fate = self.creates.pop(0) if self.creates else "made"
        if isinstance(fate, float):
            self.late.append((self.now_s() + fate, parcel.payload))
            return LOST
        if fate == "lost":
            return LOST
        errand_id = self.make(parcel.payload.body)
        return LOST if fate == "dropped" else Reply(status=201, remote_id=str(errand_id))

    def sharing(self, route: str, _status: int) -> list[str]:
        return [route]

    def token_mark(self, route: str) -> str:
        return f"{route}-{self.token}"

    def _refused(self, what: str) -> Reply | None:
        self._arrive()
        self.asked.append(what)
        waiting = self.refusals.get(what.split("/", 1)[0])
        return waiting.pop(0) if waiting else None

    async def changed(self, scope: str) -> Report:
        self.scopes.append(scope)
        refused = self._refused("list")
        if refused is not None:
            return Report(reply=refused)
        return Report(reply=OK, ids=tuple(sorted(self.dirty)))

    async def errand(self, _scope: str, errand_id: int) -> Report:
        refused = self._refused(f"errand/{errand_id}")
        refused = refused or self.broken.get(errand_id)
        if refused is not None:
            return Report(reply=refused)
        self.dirty.discard(errand_id)
        self.on_errand(errand_id)
        return Report(reply=OK, body=self.bodies[errand_id])

    async def mark(self, _scope: str, errand_ids: Sequence[int]) -> Report:
        refused = self._refused("mark")
        if self.unmarkable & set(errand_ids):
            refused = Reply(status=404)
        if refused is not None:
            return Report(reply=refused)
        self.dirty.update(one for one in errand_ids if one in self.bodies)
        return Report(reply=OK)
