"""The world: one site from a seed, run to its end and judged."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sim_invariants import Invariants, Violation
from sim_loop import Stalled, Trace, VirtualLoop, dice, run_virtual
from sim_pbx import Call, Pbx, Posting
from sim_process import Process
from sim_rows import Rows
from sim_scenario import OWN_QUEUES, Scenario, scenario
from sim_upstream import Upstream
from sim_verdict import Verdict
from sim_weather import Weather

from bridge.domain.deliveries import PENDING_STATES, State

SETTLE_MAX_S: Final = 3 * 3600.0
HANG_UP_S: Final = 3.0
BATCH_WITHIN_S: Final = 0.3
PROMPT_S: Final = 2.0
STRANGER: Final = "Somebody else"
_STREAMS: Final = ("pbx", "posts", "weather", "upstream", "disk", "crash", "entropy", "others")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a seed."""

    seed: int
    kind: str
    violation: Violation | None
    counts: Counter[str]
    struck: Counter[str]
    digest: str
    steps: int
    virtual_s: float


class SimWorld:
    """Everything that outlives a process of the bridge: store, upstream, phone system, time."""

    def __init__(
        self, site: Scenario, loop: VirtualLoop, show: Callable[[str], None] | None = None
    ) -> None:
        self.scenario = site
        self.loop = loop
        self.trace = Trace(loop, show)
        self.chances = {name: dice(site.seed, name) for name in _STREAMS}
        self.rows = Rows()
        self.weather = Weather(
            chance=self.chances["weather"],
            rates=site.rates,
            windows=site.windows,
            late_max_s=site.settle_s * 0.9,
        )
        self.watch = Invariants(site, loop, self.rows)
        self.upstream = Upstream(
            loop, self.weather, self.chances["upstream"], self.trace, self.watch
        )
        self.upstream.is_exclusive = site.is_exclusive
        self.tokens = dict(site.tokens)
        self.set_us = 0
        self.counts: Counter[str] = Counter()
        self.calls: list[Call] = []
        self.process: Process | None = None
        self._posts: set[asyncio.Task[None]] = set()
        self._is_over = False

    async def run(self) -> None:
        """Live through the scenario, then see that all comes to rest."""
        site = self.scenario
        self._begin()
        queues = OWN_QUEUES[: len(site.routes.routes) + 1]
        pbx = Pbx(self.chances["pbx"], queues, site.gap_s)
        self.calls = pbx.calls(site.calls, site.span_s)
        self.calls += [
            pbx.probe(number, site.end_s + 8.0 + 2.5 * number) for number in range(site.probes)
        ]
        self.counts["calls"] += len(self.calls)
        self.watch.telling = {
            posting.event_id: (call.reference, posting.document["eventType"])
            for call in self.calls
            for posting in call.postings
        }
        troubles = [asyncio.ensure_future(one) for one in self._troubles()]
        posts = [asyncio.ensure_future(self._post(one)) for one in self._batches()]
        await asyncio.sleep(max(0.0, site.end_s - self.loop.time()))
        if site.gap_s:
            await self._wait_for_next_day()
        while not all(one.done() for one in posts):
            await asyncio.sleep(1.0)
            if self.loop.time() > site.end_s + site.gap_s + 200.0:
                self.weather.is_over = True
        for trouble in troubles:
            trouble.cancel()
        self.weather.is_over = True
        self.trace("calm")
        await self._settle()
        self.counts["archived"] += len(self.rows.delivered)
        self._check_probes()
        self._check_prompt()
        Verdict(site, self.upstream, self.rows, self.watch).give(self.calls)

    def _begin(self) -> None:
        self.counts["starts"] += 1
        self.process = Process(self, self.counts["starts"])
        self.process.start()

    def died(self, process: Process, why: str) -> None:
        """Start another process a while after this one."""
        self.watch.died(why)
        wait_s = 0.05 + self.chances["crash"].random() ** 2 * 5.0
        if process is self.process:
            self.process = None
            self.loop.call_later(wait_s, self._begin)

    # What goes wrong beside the requests.

    def _troubles(self) -> list[Any]:
        site = self.scenario
        for at_s, by_s in site.jumps:
            self.loop.call_later(at_s, self._set_clock, by_s)
        troubles = [
            self._renew(one.where, one.end_s) for one in site.windows if one.what == "revoked"
        ]
        if site.crash_every_s:
            troubles.append(self._crash())
        if site.others_every_s:
            troubles.append(self._others())
        return troubles

    async def _crash(self) -> None:
        chance = self.chances["crash"]
        while True:
            await asyncio.sleep(chance.expovariate(1 / self.scenario.crash_every_s))
            process = self.process
            if process is None or self.weather.is_over or process.clock.drift_us():
                continue
            if chance.random() < 0.2:
                await asyncio.wait([process.spawn(process.stop())])
            else:
                process.die("crash at any time")

    async def _others(self) -> None:
        chance = self.chances["others"]
        while True:
            await asyncio.sleep(chance.expovariate(1 / self.scenario.others_every_s))
            workspace = self.upstream.workspace(chance.choice(sorted(self.scenario.scopes)))
            if not self.scenario.is_exclusive and chance.random() < 0.5:
                self.upstream.read_by_others(workspace)
            else:
                self.upstream.others(workspace)

    def _set_clock(self, by_s: float) -> None:
        if self.process is None or not self.process.is_ready:
            # A clock that is set while nothing runs can't be told from one that was always right.
            self.loop.call_later(1.0, self._set_clock, by_s)
            return
        self.counts["clock set"] += 1
        self.trace("the clock is set by", by_s)
        self.set_us += round(by_s * 1e6)

    async def _renew(self, token: str, at_s: float) -> None:
        """Give the routes of a revoked token a new one, as somebody would who was told."""
        await asyncio.sleep(at_s - 0.5)
        for route, one in list(self.tokens.items()):
            if one == token:
                self.tokens[route] = f"{token}'"
        self.counts["tokens renewed"] += 1
        if self.process is not None and self.process.is_ready:
            await asyncio.wait([self.process.spawn(self.process.reload())])

    # The phone system's side.

    def _batches(self) -> list[list[Posting]]:
        """Put some of what is posted at about the same time into one request."""
        chance = self.chances["posts"]
        batches: list[list[Posting]] = []
        for one in sorted(
            (posting for call in self.calls for posting in call.postings),
            key=lambda posting: (posting.at_s, posting.event_id),
        ):
            is_near = batches and one.at_s - batches[-1][0].at_s < BATCH_WITHIN_S
            if is_near and not one.event_id.startswith("probe") and chance.random() < 0.4:
                batches[-1].append(one)
            else:
                batches.append([one])
        return batches

    async def _post(self, batch: list[Posting]) -> None:
        """Post until it is answered, then again where the phone system does so."""
        await asyncio.sleep(batch[0].at_s)
        self.counts["events"] += len(batch)
        await self._until_kept(batch)
        for one in batch:
            for after_s in one.repeats:
                await asyncio.sleep(after_s)
                self.counts["events repeated"] += 1
                await self._until_kept([one])

    async def _until_kept(self, batch: list[Posting]) -> None:
        chance = self.chances["posts"]
        wait_s = 0.2
        while True:
            answers = await self._ask([one.document for one in batch])
            if answers is not None and "away" not in answers:
                break
            self.counts["posts tried again"] += 1
            await asyncio.sleep(wait_s * (0.5 + chance.random()))
            wait_s = min(5.0, wait_s * 2)
        for one, answer in zip(batch, answers, strict=False):
            self.watch.acknowledge(one.event_id, answer)

    async def _ask(self, documents: Sequence[dict[str, Any]]) -> list[str] | None:
        """Post once; None: no answer came."""
        process = self.process
        if process is None:
            return None
        chance = self.chances["posts"]
        count = len(documents)
        if self.scenario.probes == 0:
            documents = [*documents, *self._beside(documents[0])]
        taking = process.spawn(process.take(documents))
        await asyncio.wait([taking], timeout=HANG_UP_S)
        if not taking.done():
            self.trace("the phone system hangs up")
            self.counts["posts hung up"] += 1
            taking.cancel()
            return None
        if taking.cancelled():
            return None
        answers: list[str] = taking.result()
        for one, answer in zip(documents[count:], answers[count:], strict=True):
            if one["eventId"] == documents[0]["eventId"]:
                self._check_beside(one, answers[0], answer)
        self.trace("post", *(one["eventId"] for one in documents), *answers)
        if chance.random() < 0.02 and self.scenario.probes == 0:
            self.counts["answers to posts lost"] += 1
            return None
        return answers

    def _check_beside(self, document: dict[str, Any], first: str, second: str) -> None:
        """See that the same event is a duplicate, and another one under its id a conflict."""
        expected = "conflict" if document["callerName"] == STRANGER else "duplicate"
        if first in {"accepted", "duplicate"} and second != expected:
            self.watch.violated("an event id stands for one event", f"{first}, then {second}")

    def _beside(self, document: dict[str, Any]) -> list[dict[str, Any]]:
        """Return what is posted along with an event now and then.

        That is one that can't be handled, the event itself once more, or another under its id.
        """
        roll = self.chances["posts"].random()
        if roll < 0.05:
            self.counts["events that fail"] += 1
            name = f"bad-{self.counts['events that fail']}"
            return [{**document, "eventId": name, "extraData": {"poison": True}}]
        if roll < 0.08:
            return [document]
        if roll < 0.1:
            self.counts["events under another's id"] += 1
            return [{**document, "callerName": STRANGER}]
        return []

    # The end.

    async def _settle(self) -> None:
        """Wait until nothing is left to do; a machine without work is suspended meanwhile."""
        began_s = self.loop.time()
        while not self._is_settled():
            await asyncio.sleep(1.0)
            if self.loop.time() - began_s > SETTLE_MAX_S:
                self._blame()
                return
            self._skip()
        await asyncio.sleep(2.0)
        if self.process is not None and self.chances["crash"].random() < 0.5:
            self.process.die("crash at the end")
            await asyncio.sleep(8.0)
        if self.process is None or not self._is_settled():
            self._blame()

    async def _wait_for_next_day(self) -> None:
        """Have nothing happen for a while, the machine suspended for most of it."""
        wake_s = self.scenario.gap_s - 200.0
        for after_s in (200.0, 400.0):
            # So that what was delivered before the first half is archived by the second.
            await asyncio.sleep(max(0.0, self.scenario.end_s + after_s - self.loop.time()))
            self.loop.skip(max(0.0, wake_s * after_s / 400.0 - self.loop.time()))
            self.trace("suspended")
            await asyncio.sleep(61.0)

    def _is_settled(self) -> bool:
        if self.process is None or not self.process.is_ready:
            return False
        if any(self.rows.by_state.get(state) for state in PENDING_STATES):
            return False
        if any(one.late for one in self.upstream.workspaces.values()):
            return False
        threads = (row.thread for row in self.rows.calls.values())
        if any(span.awaits_settling for thread in threads for span in thread.spans):
            return False
        return all(one.state == "closed" for one in self.rows.sightings.values())

    def _skip(self) -> None:
        """Let time pass where all that is left waits for its time, and that is far away."""
        rows, process = self.rows, self.process
        if process is None or not process.is_ready or process.dispatcher.in_flight:
            return
        others = (State.BLOCKED, State.SENDING, State.DOUBTFUL)
        if rows.by_state.get(others[1]) or rows.by_state.get(others[2]) or rows.pauses:
            return
        waiting = rows.in_states([State.READY])
        if not waiting or any(row.tier == 0 for row in waiting):
            return
        wait_s = (min(row.due_us for row in waiting) - process.clock.now_us()) / 1e6
        if 4.0 < wait_s < SETTLE_MAX_S:
            self.trace("suspended for", round(wait_s - 2.0, 3))
            self.loop.skip(wait_s - 2.0)

    def _blame(self) -> None:
        left = [f"{row.key} {row.state}" for row in self.rows.in_states(PENDING_STATES)]
        self.watch.violated("everything settles once faults stop", ", ".join(left[:5]))

    def _check_probes(self) -> None:
        """See that new calls went before the backlog."""
        for call in self.calls:
            if not call.reference.startswith("probe"):
                continue
            left_s = self.watch.left.get(call.reference)
            late_s = float("inf") if left_s is None else left_s - call.postings[0].at_s
            self.counts["new calls beside a backlog"] += 1
            if late_s > 1.0:
                self.watch.violated(
                    "a new call's errand leaves within a second beside a backlog",
                    f"{call.reference} after {late_s:.2f} s",
                )

    def _check_prompt(self) -> None:
        """See that nothing waits that has no reason to, whatever the machine's clock says."""
        if not self.scenario.is_prompt:
            return
        for call in self.calls:
            accepted = [
                self.watch.accepted[one] for one in call.due.makers if one in self.watch.accepted
            ]
            left_s = self.watch.left.get(call.reference)
            if not accepted or left_s is None:
                continue
            self.counts["calls beside a clock that is set"] += 1
            if left_s - min(accepted) > PROMPT_S:
                self.watch.violated(
                    "setting the clock holds nothing up",
                    f"{call.reference} after {left_s - min(accepted):.1f} s",
                )


def simulate(seed: int, show: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed to its end."""
    loop = VirtualLoop()
    site = scenario(seed)
    world = SimWorld(site, loop, show)
    loop.set_exception_handler(lambda _loop, context: _unexpected(world, context))
    try:
        run_virtual(loop, world.run())
    except Stalled as stalled:
        world.watch.violated("something goes on, and time with it", str(stalled))
    except RuntimeError:
        # The loop was stopped by a violation.
        if world.watch.violation is None:
            raise
    counts = world.counts + world.watch.counts + world.upstream.counts
    return Outcome(
        seed=seed,
        kind=site.kind,
        violation=world.watch.violation,
        counts=counts,
        struck=world.weather.struck,
        digest=world.trace.digest,
        steps=world.trace.steps,
        virtual_s=loop.time(),
    )


def _unexpected(world: SimWorld, context: dict[str, Any]) -> None:
    fault = context.get("exception")
    world.watch.violated("no part of the bridge fails", f"{context.get('message')}: {fault!r}")
