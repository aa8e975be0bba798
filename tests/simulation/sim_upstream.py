"""The simulated upstream: Cention's errands, cards, lists and tokens, as one server has them."""

import asyncio
import html
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol

from msgspec.structs import replace
from sim_loop import Trace, VirtualLoop
from sim_weather import Strike, Weather
from sim_writer import Host

from bridge.domain.contacts import CHANNELS, Card
from bridge.domain.deliveries import EndErrand, NewErrand
from bridge.domain.outcomes import Reply
from bridge.ports import Parcel

WINDOW_S: Final = 60.0
REFUSALS: Final = (400, 409, 413, 422, 301)


@dataclass(slots=True)
class Errand:
    """An errand as the upstream keeps it; others' have no marker and no reference."""

    id: int
    body: str
    marker: str = ""
    reference_id: str = ""
    has_integration: bool = False
    is_message: bool = False
    ends: list[EndErrand] = field(default_factory=list)


@dataclass(slots=True)
class Workspace:
    """One workspace. `owed` are the errands that must be on the dirty list at the end."""

    scope: str
    errands: dict[int, Errand] = field(default_factory=dict)
    dirty: set[int] = field(default_factory=set)
    owed: set[int] = field(default_factory=set)
    cards: dict[int, Card] = field(default_factory=dict)
    arrivals: deque[float] = field(default_factory=deque)
    last_id: int = 500_000
    late: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request. `effect` takes effect and returns what is answered; `name` tells it in traces.

    `parcel` is what is delivered; None: something is read.
    """

    host: Host
    workspace: Workspace
    token: str
    name: str
    effect: Callable[[], Any]
    parcel: Parcel | None = None
    refusal: int = 0


class Watch(Protocol):
    """Who checks that what the upstream sees is as it should be."""

    def arrived(self, ask: Ask, now_s: float) -> None:
        """See a request that reached the upstream."""
        ...

    def answered(self, ask: Ask, reply: Reply, now_s: float) -> None:
        """See an answer that reached the bridge."""
        ...

    def violated(self, invariant: str, detail: str) -> None:
        """Hear of something that must not be."""
        ...


class Upstream:
    """All workspaces, and the network between them and the bridge."""

    def __init__(
        self, loop: VirtualLoop, weather: Weather, chance: Random, trace: Trace, watch: Watch
    ) -> None:
        self.is_exclusive = True
        self._loop = loop
        self.weather = weather
        self._chance = chance
        self._trace = trace
        self._watch = watch
        self.workspaces: dict[str, Workspace] = {}
        self.refused: dict[str, int] = {}
        self.counts: Counter[str] = Counter()

    def workspace(self, scope: str) -> Workspace:
        """Return a workspace, made when it is first asked for."""
        if scope not in self.workspaces:
            self.workspaces[scope] = Workspace(scope)
        return self.workspaces[scope]

    async def request(self, ask: Ask) -> tuple[Reply, Any]:
        """Take one request; return the reply, and what it holds."""
        ask.host.step("request")
        now_s = self._loop.time()
        strike = self.weather.draw(now_s, ask.workspace.scope, is_read=ask.parcel is None)
        value: Any = None
        reply = strike.reply
        if strike.arrives:
            self._watch.arrived(ask, now_s)
            self.counts["requests"] += 1
            gate = self._gate(ask, now_s)
            if gate is not None:
                strike, reply = replace(strike, reply=gate, effect_s=None), gate
            value = self._take_effect(ask, strike)
        if reply is None:
            reply = Reply(status=200 if ask.parcel is None else 201)
            if isinstance(value, int) and strike.name != "no_id":
                reply = replace(reply, remote_id=str(value))
        else:
            value = None
        self._trace("ask", ask.name, strike.name or "-", reply.status, reply.failure or "")
        ask.host.step("asked")
        await asyncio.sleep(strike.wait_s)
        reply = replace(reply, seconds=strike.wait_s)
        self._watch.answered(ask, reply, self._loop.time())
        ask.host.step("answered")
        return reply, value

    def _gate(self, ask: Ask, now_s: float) -> Reply | None:
        """Return what is answered before anything is looked at."""
        weather, scope = self.weather, ask.workspace.scope
        kind = "read" if ask.parcel is None else ask.parcel.kind.value
        if weather.during("wrong_workspace", now_s, scope):
            return Reply(status=404)
        if any(weather.during(one, now_s, ask.token) for one in ("revoked", "suspended")):
            return Reply(status=401)
        if weather.during("forbidden", now_s, ask.token, kind):
            return Reply(status=403)
        return Reply(status=ask.refusal) if ask.refusal else None

    def _take_effect(self, ask: Ask, strike: Strike) -> Any:
        if strike.effect_s is None:
            return None
        if strike.effect_s > 0:
            self.counts["late effects"] += 1
            ask.workspace.late += 1
            self._loop.call_later(strike.effect_s, self._late, ask)
            return None
        value = ask.effect()
        if strike.twice and ask.parcel is not None and ask.parcel.kind.is_repeatable:
            ask.workspace.late += 1
            self._loop.call_later(self._chance.random() * 5.0, self._late, ask)
        return value

    def _late(self, ask: Ask) -> None:
        ask.workspace.late -= 1
        self._trace("late", ask.name)
        ask.effect()

    def refusal(self, key: str, share: float) -> int:
        """Return with which status a delivery is refused for good; 0: it isn't."""
        if key not in self.refused:
            is_refused = self._chance.random() < share and not self.weather.is_over
            self.refused[key] = self._chance.choice(REFUSALS) if is_refused else 0
            self.counts["refused for good"] += is_refused
        return self.refused[key]

    def take(self, workspace: Workspace, parcel: Parcel) -> int | None:
        """Let a delivery take effect; return the id of what came of it."""
        payload = parcel.payload
        if isinstance(payload, NewErrand):
            return self.create(workspace, payload)
        if isinstance(payload, Card):
            return self.merge(workspace, payload)
        if isinstance(payload, EndErrand):
            self.end(workspace, payload)
        return None

    def create(self, workspace: Workspace, errand: NewErrand) -> int:
        """Make an errand; return its id."""
        extra = errand.extradata or {}
        reference = errand.integration.reference_id if errand.integration else extra["referenceId"]
        made = self._add(workspace, errand.body)
        made.marker, made.reference_id = errand.message_id, reference
        made.has_integration = errand.integration is not None
        made.is_message = errand.watemplate is not None
        if not self.is_exclusive:
            workspace.owed.add(made.id)
        self.counts["messages" if made.is_message else "errands"] += 1
        self._trace("made", made.id, reference)
        return made.id

    def others(self, workspace: Workspace) -> None:
        """Have somebody else make an errand, or change one."""
        old = [one for one in workspace.errands.values() if not one.marker]
        if old and self._chance.random() < 0.4:
            changed = self._chance.choice(old)
        else:
            changed = self._add(workspace, "Hello,\n\nmy invoice is wrong. ref: 4711")
        workspace.dirty.add(changed.id)
        workspace.owed.add(changed.id)
        self.counts["others' errands"] += 1

    def read_by_others(self, workspace: Workspace) -> None:
        """Have somebody else read errands that have changed."""
        for errand_id in sorted(workspace.dirty):
            if self._chance.random() < 0.5:
                workspace.dirty.discard(errand_id)
                workspace.owed.discard(errand_id)

    def _add(self, workspace: Workspace, body: str) -> Errand:
        workspace.last_id += self._chance.randrange(1, 4)
        made = Errand(workspace.last_id, body)
        workspace.errands[made.id] = made
        workspace.dirty.add(made.id)
        return made

    def end(self, workspace: Workspace, end: EndErrand) -> None:
        """End the errands of a reference."""
        ended = [
            one
            for one in workspace.errands.values()
            if one.reference_id == end.reference_id and one.has_integration
        ]
        self._trace("ended", end.reference_id, len(ended))
        self.counts["ends"] += 1
        if not ended:
            self._watch.violated("an end arrives after its create", end.reference_id)
        for one in ended:
            one.ends.append(end)

    def merge(self, workspace: Workspace, card: Card) -> int:
        """Merge a card into those that share a channel with it, or make one; return its id."""
        kept = workspace.cards
        shared = [
            number
            for number, one in kept.items()
            if any(set(getattr(one, kind)) & set(getattr(card, kind)) for kind in CHANNELS)
        ]
        self.counts["cards"] += 1
        if len(shared) > 1:
            self._watch.violated("nobody has two cards", f"one request joins {len(shared)}")
        number = shared[0] if shared else len(kept) + 1
        kept[number] = kept[number].plus(card) if shared else card
        self._trace("card", number)
        return number

    def listed(self, workspace: Workspace) -> tuple[int, ...]:
        """Return the dirty list, in no order."""
        ids = sorted(workspace.dirty)
        self._chance.shuffle(ids)
        self.counts["lists read"] += 1
        return tuple(ids)

    def read(self, workspace: Workspace, errand_id: int) -> str | None:
        """Return an errand's body, and take it off the dirty list."""
        errand = workspace.errands.get(errand_id)
        if errand is None:
            return None
        self.counts["errands read"] += 1
        workspace.dirty.discard(errand_id)
        return "<br />".join(html.escape(line) for line in errand.body.split("\n"))

    def mark(self, workspace: Workspace, errand_ids: Sequence[int]) -> None:
        """Put errands on the dirty list again."""
        self.counts["errands put back"] += len(errand_ids)
        workspace.dirty.update(one for one in errand_ids if one in workspace.errands)
