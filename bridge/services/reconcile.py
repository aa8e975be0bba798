"""Reconciling: what is in doubt is looked up at Cention before it is sent again.

One reader a workspace does it, and polls reports as well where a site wants that; what is in doubt
goes before.

Creating an errand is not idempotent, so one whose answer was lost may be there already. *Found*: it
is delivered. *Absent* from two complete looks, the second at least `settle_s` after the bridge
began to wait for it: it is sent again. *Not to be known*: it is held for a person.

Time is counted from when this process first saw the doubt, on the monotonic clock: a restart, or
somebody who sets the machine's clock, can only make the wait longer.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bridge.domain.errors import StoreUnavailable
from bridge.ports import Clock, Log, Parcel, Reader, Transaction, Writer
from bridge.services.channels import UpstreamGone
from bridge.services.looking import Look, Looker
from bridge.services.reading import BrokenOff, Turns, WorkspaceReader
from bridge.services.verdicts import Case, Docket, Settled, Verdicts

LOOKS_MIN: Final = 2
LOOK_EVERY_MIN_S: Final = 1.0
LOOK_EVERY_MAX_S: Final = 15.0
_LOOKS_A_SETTLING: Final = 6
FAILURE_WAIT_MAX_S: Final = 60.0
# So many looks in vain at an upstream that is well otherwise, and a person has to look.
VAIN_LOOKS_MAX: Final = 20
IDLE_S: Final = 60.0
# A poll that goes on failing says so the first time, and then once in so many.
TOLD_EVERY: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupPolicy:
    """What a site has decided about look-ups.

    `settle_s` is after how many seconds an errand's absence is believed; `is_exclusive` says that
    nobody else reads, and so clears, the same lists; `routes` are those of each workspace's scope.
    `poll_s` is how many seconds lie between two polls for reports; None: there are none.
    """

    settle_s: float = 90.0
    is_exclusive: bool = True
    routes: Mapping[str, frozenset[str]] = field(default_factory=dict)
    poll_s: float | None = None

    @property
    def every_s(self) -> float:
        """How long from one look to the next."""
        return min(LOOK_EVERY_MAX_S, max(LOOK_EVERY_MIN_S, self.settle_s / _LOOKS_A_SETTLING))


class Dispatch(Turns, Protocol):
    """The dispatcher, as look-ups see it."""

    def is_well(self, scope: str) -> bool:
        """Say whether an upstream answers, as far as is known."""
        ...

    def settled(self, settled: Sequence[Settled]) -> None:
        """Say what became of deliveries in doubt, so that they move on."""
        ...


class Poller(Protocol):
    """Who reads the reports of one workspace; see `services.reports`."""

    async def poll(
        self, *, every_s: float, is_exclusive: bool, is_in_the_way: Callable[[], bool]
    ) -> bool:
        """Read what has changed; False: something else was waiting, and more is to be read."""
        ...


Pollers = Callable[[WorkspaceReader, Looker], Poller]


@dataclass(slots=True)
class _Doubt:
    """Since when a delivery is known here to be in doubt, and what looking for it has brought."""

    since_s: float
    looks: int = 0
    in_vain: int = 0


@dataclass(slots=True)
class _Desk:
    """One workspace's look-ups and polls."""

    scope: str
    at: WorkspaceReader
    looker: Looker
    poller: Poller | None = None
    doubts: dict[int, _Doubt] = field(default_factory=dict)
    next_s: float = 0.0
    looked_s: float = float("-inf")
    failures: int = 0
    polled_s: float = float("-inf")
    next_poll_s: float = float("-inf")
    poll_failures: int = 0
    task: asyncio.Task[None] | None = None

    @property
    def look_due_s(self) -> float:
        """When there is something to look for, or to put back; infinite: there is nothing."""
        return self.next_s if self.doubts or not self.at.is_tidy else float("inf")

    def poll_due_s(self, policy: LookupPolicy) -> float:
        """When reports are to be read; infinite: not at all."""
        if self.poller is None or policy.poll_s is None or self.scope not in policy.routes:
            return float("inf")
        # The settings may say another interval than when the last one ended.
        return self.next_poll_s if self.poll_failures else self.polled_s + policy.poll_s

    def keep(self, parcels: Sequence[Parcel], now_s: float) -> None:
        """Note what is in doubt now. For what was not before a look is due soon."""
        before = self.doubts
        self.doubts = {one.id: before.get(one.id) or _Doubt(since_s=now_s) for one in parcels}
        if not self.failures and self.doubts.keys() - before.keys():
            self.next_s = min(self.next_s, self.looked_s + LOOK_EVERY_MIN_S)


class Reconciler:
    """Looks up what is in doubt. `policy` can be replaced while running."""

    def __init__(  # noqa: PLR0913 - the ports it stands on, each by name
        self,
        *,
        writer: Writer,
        reader: Reader,
        clock: Clock,
        log: Log,
        dispatch: Dispatch,
        verdicts: Verdicts,
        policy: LookupPolicy,
        pollers: Pollers | None = None,
    ) -> None:
        """Stand on these ports; `pollers` makes who reads the reports of a workspace."""
        self._writer = writer
        self._reader = reader
        self._clock = clock
        self._log = log
        self._dispatch = dispatch
        self._verdicts = verdicts
        self._pollers = pollers
        self._desks: dict[str, _Desk] = {}
        self._wake = asyncio.Event()
        self.policy = policy

    def wake(self) -> None:
        """Say that something is in doubt."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                self._wake.clear()
                wait_s = await self._round()
                try:
                    async with self._clock.timeout(wait_s):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            for desk in self._desks.values():
                if desk.task is not None:
                    desk.task.cancel()

    async def _round(self) -> float:
        """Begin the looks that are due; return how long until the next is."""
        try:
            found = await self._writer.submit(_doubtful, None)
        except StoreUnavailable as error:
            self._log.warning("look-ups have to wait", error=str(error))
            return LOOK_EVERY_MIN_S
        except Exception as error:  # noqa: BLE001 - it may go by the next time
            self._log.error("look-ups failed", exc_info=error)
            return FAILURE_WAIT_MAX_S
        wait_s = IDLE_S
        now_s = self._clock.monotonic()
        by_scope: dict[str, list[Parcel]] = {scope: [] for scope in self.policy.routes}
        for parcel in found:
            by_scope.setdefault(self._scope_of(parcel), []).append(parcel)
        for scope, parcels in by_scope.items():
            desk = self._desk(scope)
            desk.keep(parcels, now_s)
            if desk.task is not None:
                continue
            due_s = min(desk.look_due_s, desk.poll_due_s(self.policy))
            if now_s >= due_s:
                desk.task = asyncio.create_task(self._work(desk, parcels))
            else:
                wait_s = min(wait_s, due_s - now_s)
        return wait_s

    def _scope_of(self, parcel: Parcel) -> str:
        """Return where a parcel was sent; what an older release has sent goes by its route."""
        if parcel.scope:
            return parcel.scope
        found = (scope for scope, routes in self.policy.routes.items() if parcel.route in routes)
        return next(found, "")

    def _desk(self, scope: str) -> _Desk:
        desk = self._desks.get(scope)
        if desk is None:
            at = WorkspaceReader(
                scope=scope,
                writer=self._writer,
                reader=self._reader,
                clock=self._clock,
                log=self._log,
                turns=self._dispatch,
                settle_s=self.policy.settle_s,
            )
            looker = Looker(at=at, writer=self._writer, reader=self._reader, clock=self._clock)
            poller = None if self._pollers is None else self._pollers(at, looker)
            desk = self._desks[scope] = _Desk(scope, at, looker, poller)
        return desk

    async def _work(self, desk: _Desk, parcels: Sequence[Parcel]) -> None:
        """Do what is due, and say when there will be more."""
        try:
            if self._clock.monotonic() >= desk.look_due_s:
                await self._look_once(desk, parcels)
            if self._clock.monotonic() >= desk.poll_due_s(self.policy):
                await self._poll_once(desk)
        finally:
            desk.task = None
        self._wake.set()

    async def _look_once(self, desk: _Desk, parcels: Sequence[Parcel]) -> None:
        """Look once, decide what can be decided, and say when to look again."""
        progress = desk.at.progress
        try:
            if parcels:
                await self._look(desk, parcels)
            else:
                await desk.at.tidy()
            desk.failures = 0
            wait_s = self._until_next(desk)
        except (BrokenOff, StoreUnavailable, UpstreamGone) as error:
            desk.failures = 1 if desk.at.progress > progress else desk.failures + 1
            wait_s = min(FAILURE_WAIT_MAX_S, 2.0 ** min(desk.failures, 8) / 2)
            self._log.warning("a look-up broke off", scope=desk.scope, reason=str(error))
        except Exception as error:  # noqa: BLE001 - one workspace's trouble is not the others'
            wait_s = FAILURE_WAIT_MAX_S
            self._log.error("a look-up failed", scope=desk.scope, exc_info=error)
        desk.next_s = self._clock.monotonic() + wait_s

    async def _poll_once(self, desk: _Desk) -> None:
        """Read reports once, and say when to read the next."""
        policy = self.policy
        if desk.poller is None or policy.poll_s is None:
            return
        desk.at.settle_s = policy.settle_s
        try:
            is_finished = await desk.poller.poll(
                every_s=policy.poll_s,
                is_exclusive=policy.is_exclusive,
                is_in_the_way=lambda: bool(desk.doubts) and self._clock.monotonic() >= desk.next_s,
            )
            desk.poll_failures = 0
            wait_s = 0.0
            desk.polled_s = self._clock.monotonic() if is_finished else float("-inf")
        except (BrokenOff, StoreUnavailable, UpstreamGone) as error:
            desk.poll_failures += 1
            backed_off_s = 2.0 ** min(desk.poll_failures, 8) / 2
            wait_s = min(FAILURE_WAIT_MAX_S, max(policy.poll_s, backed_off_s))
            if desk.poll_failures == 1 or desk.poll_failures % TOLD_EVERY == 0:
                self._log.warning("reports can't be read now", scope=desk.scope, reason=str(error))
        except Exception as error:  # noqa: BLE001 - as above
            desk.poll_failures += 1
            wait_s = FAILURE_WAIT_MAX_S
            self._log.error("reading reports failed", scope=desk.scope, exc_info=error)
        desk.next_poll_s = self._clock.monotonic() + wait_s

    def _until_next(self, desk: _Desk) -> float:
        now_s = self._clock.monotonic()
        settled = [one.since_s + self.policy.settle_s - now_s for one in desk.doubts.values()]
        every_s = self.policy.every_s if desk.doubts else IDLE_S
        waits = [every_s, desk.at.tidy_in_s(), *settled]
        return min(wait_s for wait_s in waits if wait_s > 0)

    async def _look(self, desk: _Desk, parcels: Sequence[Parcel]) -> None:
        policy = self.policy
        desk.at.settle_s = policy.settle_s
        began_s = desk.looked_s = self._clock.monotonic()

        async def decide_what_was_seen() -> None:
            await self._decide(desk, [Case(parcel=one, is_over=False) for one in parcels])

        try:
            look = await desk.looker.look(
                parcels,
                # A report is read of what is listed, so what is listed stays so until then.
                keeps_own=policy.is_exclusive and policy.poll_s is None,
                on_sight=decide_what_was_seen,
            )
        except UpstreamGone:
            why = "its workspace is not in the settings any more"
            await self._decide(
                desk, [Case(parcel=one, is_over=True, hidden_by=why) for one in parcels]
            )
            return
        except BrokenOff as error:
            look = Look(missed={parcel.id: str(error) for parcel in parcels})
            await self._decide(desk, self._cases(desk, parcels, look, began_s))
            raise
        self._verdicts.saw_id(desk.scope, desk.looker.highest_id)
        await self._decide(desk, self._cases(desk, parcels, look, began_s))

    def _cases(
        self, desk: _Desk, parcels: Sequence[Parcel], look: Look, began_s: float
    ) -> list[Case]:
        cases = []
        for parcel in parcels:
            doubt = desk.doubts.get(parcel.id)
            if doubt is None:
                continue
            missed_by = look.missed.get(parcel.id, "")
            if not missed_by:
                doubt.looks += 1
            elif self._dispatch.is_well(desk.scope):
                doubt.in_vain += 1
            is_settled = began_s - doubt.since_s >= self.policy.settle_s
            is_looked_for = not missed_by and doubt.looks >= LOOKS_MIN
            is_in_vain = doubt.in_vain >= VAIN_LOOKS_MAX
            cases.append(
                Case(
                    parcel=parcel,
                    is_over=is_settled and (is_looked_for or is_in_vain),
                    hidden_by=look.hidden.get(parcel.id, missed_by),
                )
            )
        return cases

    async def _decide(self, desk: _Desk, cases: Sequence[Case]) -> None:
        is_exclusive = self.policy.is_exclusive
        docket = Docket(scope=desk.scope, cases=cases, is_exclusive=is_exclusive)
        settled = await self._writer.submit(self._verdicts.decide, docket)
        for one in settled:
            desk.doubts.pop(one.parcel.id, None)
        self._dispatch.settled(settled)


def _doubtful(tx: Transaction, items: Sequence[None]) -> list[list[Parcel]]:
    return [tx.doubtful() for _ in items]
