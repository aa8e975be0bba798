"""What must hold while a simulation runs: checked at each request, answer, commit and crash."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from sim_loop import VirtualLoop
from sim_rows import Rows
from sim_scenario import Scenario
from sim_upstream import WINDOW_S, Ask

from bridge.domain.deliveries import Kind, State
from bridge.domain.outcomes import Reply, is_in_order

RATE_PAUSE_S: Final = 5.0
RATE_PAUSE_MAX_S: Final = 300.0
# A request that was claimed a moment before may still leave.
GRACE_S: Final = 0.2
PAUSE_GRACE_S: Final = 2.5
PROBE_EVERY_S: Final = 50.0
# What turns from live to old is found within the dispatcher's second.
WAITS_S: Final = 1.2
# The contract's back-off, and which part of the ceiling is waited for more often than not.
BACKOFF_S: Final = 0.5
BACKOFF_MAX_S: Final = 3600.0
HASTY: Final = 0.05
HASTY_MAX: Final = 0.4
WAITS_MIN: Final = 15
# The contract's `calls.settle_seconds`.
MESSAGE_WAITS_S: Final = 10.0
_OVER: Final = ("call.abandoned", "call.ended")
_BACK_OFF: Final = frozenset({408, 425, 500, 502, 503, 504})
_UNCLEAR: Final = frozenset({408, 500, 502, 504})


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that was broken, when, and how."""

    invariant: str
    detail: str
    at_s: float


@dataclass(slots=True)
class Refusal:
    """A token that the bridge knows to be refused: since when, and who was let through to see."""

    since_s: float
    probes: dict[str, float] = field(default_factory=dict)


class Invariants:
    """Watches a run. The first violation ends it."""

    def __init__(self, scenario: Scenario, loop: VirtualLoop, rows: Rows) -> None:
        self._scenario = scenario
        self._loop = loop
        self._rows = rows
        self.violation: Violation | None = None
        self.counts: Counter[str] = Counter()
        self.acknowledged: set[str] = set()
        # When an event was accepted.
        self.accepted: dict[str, float] = {}
        # What events tell of their calls, and when the first of a type was accepted in a call.
        self.telling: dict[str, tuple[str, str]] = {}
        self.told_at: dict[tuple[str, str], float] = {}
        # Deliveries of which the bridge could not know whether they arrived.
        self.unclear: set[str] = set()
        # Workspaces that could not be read for a while, as far as the bridge could know for good.
        self.unreadable: set[str] = set()
        # Creates by key: when the bridge took them, and when they left first.
        self.left: dict[str, float] = {}
        # Through which gates a probe went well, and since when each gate is shut.
        self._proofs: dict[tuple[str, Kind], float] = {}
        self._shut: dict[tuple[str, Kind | None, str], float] = {}
        self._rate_pauses: dict[tuple[int, str], tuple[float, float]] = {}
        self._last: dict[str, tuple[int, int, int]] = {}
        self._refusals: dict[tuple[str, str], Refusal] = {}
        self._firsts = self._again = 0
        # First attempts that wait, errands and ends, and since when.
        self._waiting: dict[int, float] = {}
        self._backed_off: dict[str, tuple[int, int, float]] = {}
        self._waits = self._hasty = 0

    def violated(self, invariant: str, detail: str) -> None:
        """Note the first promise that was broken, and end the run."""
        if self.violation is None:
            self.violation = Violation(invariant, detail, self._loop.time())
            self._loop.stop()

    def arrived(self, ask: Ask, now_s: float) -> None:
        """See a request that reached the upstream."""
        self._check_pace(ask, now_s)
        self._check_rate_pause(ask, now_s)
        parcel = ask.parcel
        if parcel is None:
            return
        if parcel.kind is Kind.NEW_ERRAND:
            self.left.setdefault(parcel.reference_id, now_s)
        if parcel.kind is Kind.WATEMPLATE:
            self._check_message(ask, now_s)
        self._check_attempts(ask, now_s)
        self._check_refusals(ask, now_s)
        if self._scenario.kind == "backlog":
            self._check_share(ask)

    def _check_message(self, ask: Ask, now_s: float) -> None:
        """See that a message leaves in its time, and not once its call is known to be answered."""
        parcel = ask.parcel
        assert parcel is not None
        if any(one.what.startswith("disk") for one in self._scenario.windows):
            return  # what was claimed on a slow disk may leave late
        row = self._rows.outbox[self._rows.by_key[parcel.key]]
        late_us = round(GRACE_S * 1e6)
        until_us = (row.expires_us or 0) + late_us
        if not row.due_us - late_us <= ask.host.now_us() < until_us:
            self.violated("a message leaves in its time", ask.name)
        if parcel.attempts > 1 or self._scenario.gap_s:
            return
        call = parcel.reference_id
        if self.told_at.get((call, "call.answered"), now_s) < now_s - GRACE_S:
            self.violated("a message is called off by an answer", ask.name)
        # An event may be kept long before its answer gets through.
        kept = (self._rows.events.get(("aventa", one)) for one in self._over(call))
        over_us = min((one.received_us for one in kept if one is not None), default=0)
        waited_us = ask.host.now_us() - over_us + late_us
        if waited_us < MESSAGE_WAITS_S * 1e6 and not self._scenario.jumps:
            self.violated("a message waits until its call has settled", ask.name)

    def _over(self, call: str) -> list[str]:
        """Return the events that say that the caller of a call has gone."""
        return [one for one, (of, kind) in self.telling.items() if of == call and kind in _OVER]

    def _check_pace(self, ask: Ask, now_s: float) -> None:
        arrivals = ask.workspace.arrivals
        arrivals.append(now_s)
        while arrivals[0] <= now_s - WINDOW_S + 1e-9:
            arrivals.popleft()
        if len(arrivals) > self._scenario.per_minute:
            self.violated("no 60 seconds see more requests than the limit", str(len(arrivals)))

    def _check_rate_pause(self, ask: Ask, now_s: float) -> None:
        if any(one.what.startswith("disk") for one in self._scenario.windows):
            return  # what was claimed on a slow disk may leave late
        pause = self._rate_pauses.get((ask.host.number, ask.workspace.scope))
        if pause is not None and pause[0] + GRACE_S < now_s < pause[1] - 1e-6:
            self.violated(
                "after a 429 nothing leaves for as long as was asked",
                f"{ask.name}, {pause[1] - now_s:.3f} s too early",
            )

    def _check_attempts(self, ask: Ask, now_s: float) -> None:
        parcel = ask.parcel
        assert parcel is not None
        self._check_distance(ask, now_s)
        host, attempts, status = self._last.get(parcel.key, (0, 0, 0))
        self.counts["retries"] += parcel.attempts > 1
        is_free = status in {401, 403, 429}
        if host == ask.host.number and is_free and parcel.attempts > attempts:
            self.violated("a 429, 401 or 403 costs no attempt", ask.name)

    def _check_distance(self, ask: Ask, now_s: float) -> None:
        """See that retries wait, each a part of its ceiling that is rarely next to nothing."""
        assert ask.parcel is not None
        host, attempts, since_s = self._backed_off.pop(ask.parcel.key, (0, 0, 0.0))
        if host != ask.host.number or attempts < 2:
            return
        ceiling_s = min(BACKOFF_MAX_S, BACKOFF_S * 2.0 ** (attempts - 1))
        self._waits += 1
        self._hasty += now_s - since_s < HASTY * ceiling_s
        if self._waits >= WAITS_MIN and self._hasty > self._waits * HASTY_MAX:
            self.violated("retries keep their distance", f"{self._hasty} of {self._waits} don't")

    def _check_refusals(self, ask: Ask, now_s: float) -> None:
        """See that through a gate that is shut only slow probes go."""
        parcel = ask.parcel
        assert parcel is not None
        for kind in ("", parcel.kind.value):
            refusal = self._refusals.get((ask.token, kind))
            if refusal is None or now_s < refusal.since_s + PAUSE_GRACE_S:
                continue
            last_s = refusal.probes.get(parcel.route, refusal.since_s)
            refusal.probes[parcel.route] = now_s
            self.counts["probes of a refused token"] += 1
            if now_s - last_s < PROBE_EVERY_S:
                self.violated(
                    "of a refused token only slow probes leave",
                    f"{ask.name} on {parcel.route}, {now_s - last_s:.1f} s after the last",
                )

    def _check_share(self, ask: Ask) -> None:
        """See that retries take a tenth at most, while first attempts wait."""
        assert ask.parcel is not None
        if all(self._loop.time() - one < WAITS_S for one in self._waiting.values()):
            self._firsts = self._again = 0
            return
        if ask.parcel.attempts > 1:
            self._again += 1
        else:
            self._firsts += 1
        if self._again > (self._firsts + self._again) / 10 + 2:
            self.violated(
                "while first attempts wait, retries take a tenth at most",
                f"{self._again} of {self._firsts + self._again}",
            )

    def answered(self, ask: Ask, reply: Reply, now_s: float) -> None:
        """See an answer that reached the bridge."""
        if reply.status == 429:
            asked_s = RATE_PAUSE_S if reply.retry_after_s is None else reply.retry_after_s
            until_s = now_s + min(asked_s, RATE_PAUSE_MAX_S)
            name = ask.host.number, ask.workspace.scope
            before = self._rate_pauses.get(name, (now_s, 0.0))
            start_s = before[0] if before[1] > now_s else now_s
            self._rate_pauses[name] = start_s, max(until_s, before[1])
        if ask.parcel is None:
            if reply.status in {403, 404}:
                self.unreadable.add(ask.workspace.scope)
            return
        if ask.parcel.is_probe and is_in_order(reply):
            self._proofs[ask.parcel.route, ask.parcel.kind] = now_s
        self._last[ask.parcel.key] = ask.host.number, ask.parcel.attempts, reply.status
        if (reply.failure or reply.status in _BACK_OFF) and reply.retry_after_s is None:
            self._backed_off[ask.parcel.key] = ask.host.number, ask.parcel.attempts, now_s
        is_lost = reply.failure is not None and reply.failure.value == "lost"
        if is_lost or reply.status in _UNCLEAR:
            self.unclear.add(ask.parcel.key)

    def committed(self, now_s: float) -> None:
        """See the store after a commit."""
        self.counts["commits"] += 1
        if self._scenario.kind == "backlog":
            self._waiting = {
                row_id: self._waiting.get(row_id, now_s)
                for gate, ids in self._rows.by_gate.items()
                if gate.kind is not Kind.CONTACT_CARD
                for row_id in ids
                if self._rows.outbox[row_id].tier == 0
            }
        pauses = self._rows.pauses
        if pauses or self._shut:
            self._shut = {name: self._shut.get(name, now_s) for name in pauses}
        names = {
            (pause.token_mark.rpartition("|")[2], pause.kind.value if pause.kind else "")
            for pause in pauses.values()
            if pause.reason in {"401", "403"}
        }
        for name in names - self._refusals.keys():
            self._refusals[name] = Refusal(now_s)
            self.counts["gates shut"] += 1
        for name in self._refusals.keys() - names:
            del self._refusals[name]

    def looked_up(self, outcome: str) -> None:
        """Count a verdict on what was in doubt."""
        self.counts[f"looked up: {outcome}"] += 1

    def died(self, why: str) -> None:
        """See what a process leaves behind."""
        self.counts[why] += 1
        for row in self._rows.in_states([State.SENDING]):
            self.unclear.add(row.key)
        # What was answered a moment ago may not have been recorded.
        now_s = self._loop.time()
        self._proofs = {name: at_s for name, at_s in self._proofs.items() if at_s < now_s - 5.0}
        self._check_kept()

    def check_gates(self) -> None:
        """See that no gate is left shut after a probe went through it well.

        One through which nothing wants to go stays shut: there is nothing to try it with.
        """
        for (route, kind, reason), since_s in self._shut.items():
            for (proven, tried), at_s in self._proofs.items():
                if proven == route and kind in {None, tried} and at_s > since_s:
                    self.violated("a gate opens once its cause is gone", f"{route} {reason}")
        self.counts["gates left shut for want of a probe"] += len(self._shut)

    def _check_kept(self) -> None:
        lost = [one for one in self.acknowledged if ("aventa", one) not in self._rows.events]
        if lost:
            self.violated("what was acknowledged is on disk", ", ".join(sorted(lost)))

    def acknowledge(self, event_id: str, answer: str) -> None:
        """See an answer that reached the phone system."""
        self.counts[f"events {answer}"] += 1
        if answer not in {"accepted", "duplicate"}:
            self.violated("a valid event is kept", f"{event_id} is {answer}")
            return
        if answer == "accepted" and event_id in self.acknowledged:
            self.violated("what was acknowledged is known as a duplicate", event_id)
        self.acknowledged.add(event_id)
        self.accepted.setdefault(event_id, self._loop.time())
        self.told_at.setdefault(self.telling[event_id], self._loop.time())
        if ("aventa", event_id) not in self._rows.events:
            self.violated("what was acknowledged is on disk", event_id)
