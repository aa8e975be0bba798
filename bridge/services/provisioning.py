"""A plan carried out, one request after another, such that it can be cut off anywhere.

What is about to be sent is on disk before it leaves, and what came of it before the next one does.
So after a crash at most one thing is in doubt. A create in doubt is never sent again by itself:
Cention can't be asked whether it was done. A change or a deletion is, since twice is as once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from bridge.domain.centre import EMAILS, NEW_EMAIL, refs_in
from bridge.domain.centre_outcomes import Fate, Told, judge, new_id
from bridge.domain.centre_plan import (
    Action,
    Plan,
    Record,
    Standing,
    Step,
    ids_of,
    resolved,
    stands_on,
)
from bridge.domain.centre_values import Ref
from bridge.domain.errors import StoreError
from bridge.ports.provisioning import Administration, CentreState
from bridge.ports.system import Clock
from bridge.services.limiter import Pace

TRIES_MAX: Final = 4
_WAIT_S: Final = 1.0
# So that no wait comes to nothing by rounding, and none keeps a person who wants to stop.
_WAIT_MIN_S: Final = 0.001
_GLANCE_S: Final = 0.5
_RETRY_AFTER_MAX_S: Final = 60.0
_STANDINGS: Final = {
    Action.CREATE: Standing.CREATING,
    Action.UPDATE: Standing.UPDATING,
    Action.DELETE: Standing.DELETING,
}


class Ending(StrEnum):
    """What became of a step.

    `UNSURE`: a create of which nobody knows; a person has to say. `REPEAT`: a change or deletion of
    which nobody knows; it is sent again the next time. `AWAY`: nothing was done, Cention can't be
    reached. `SKIPPED`: what it needs was refused.
    """

    DONE = "done"
    REFUSED = "refused"
    BARRED = "barred"
    UNSURE = "unsure"
    REPEAT = "repeat"
    AWAY = "away"
    SKIPPED = "skipped"

    @property
    def ends_all(self) -> bool:
        """Whether nothing else is sent after it."""
        return self in {Ending.BARRED, Ending.UNSURE, Ending.REPEAT, Ending.AWAY}


class Result(Struct, frozen=True, kw_only=True):
    """What became of one step. `remote_id` is the id of what is or was there."""

    step: Step
    ending: Ending
    told: Told
    remote_id: int | None = None


class Outcome(Struct, frozen=True, kw_only=True):
    """What became of a plan; `left` was not begun."""

    results: tuple[Result, ...]
    left: tuple[Step, ...]

    @property
    def is_done(self) -> bool:
        """Whether all of it was done."""
        return not self.left and all(one.ending is Ending.DONE for one in self.results)


@dataclass(kw_only=True)
class Provisioner:
    """Carries plans out.

    Attributes:
        tell: told of each result as it comes.
        is_to_stop: asked before each step; then nothing more is begun.
    """

    state: CentreState
    administration: Administration
    clock: Clock
    pace: Pace
    tell: Callable[[Result], None] = lambda _: None
    is_to_stop: Callable[[], bool] = lambda: False
    _failed: set[Ref] = field(default_factory=set, init=False)
    _records: dict[Ref, Record] = field(default_factory=dict, init=False)

    async def apply(self, plan: Plan) -> Outcome:
        """Do what a plan says; what is refused keeps back only what needs it.

        Raises:
            StoreError: something can't be noted. What was done last has been told all the same.
        """
        self._records = {one.ref: one for one in self.state.records()}
        results: list[Result] = []
        for number, step in enumerate(plan.steps):
            if self.is_to_stop():
                return Outcome(results=tuple(results), left=plan.steps[number:])
            result = await self._do(step)
            if result is None:
                return Outcome(results=tuple(results), left=plan.steps[number:])
            results.append(result)
            self.tell(result)
            if result.ending.ends_all:
                return Outcome(results=tuple(results), left=plan.steps[number + 1 :])
        return Outcome(results=tuple(results), left=())

    async def _do(self, step: Step) -> Result | None:
        """Do one step; None: asked to stop before anything of it was sent."""
        ids = ids_of(self._records.values())
        remote_id = step.remote_id or ids.get(step.ref)
        if self._is_kept_back(step, ids):
            self._failed.add(step.ref)
            return Result(step=step, ending=Ending.SKIPPED, told=Told())
        body = {key: resolved(value, ids) for key, value in step.body.items()}
        sent = await self._send(step, remote_id, body)
        if sent is None:
            return None
        told, fate = sent
        ending = _ending(step.action, fate)
        if ending is Ending.DONE:
            remote_id = new_id(told) if step.action is Action.CREATE else remote_id
            try:
                self._keep(step, remote_id, body, told)
            except StoreError:
                # A person is asked for the id the next time, so this is the time to tell it.
                self.tell(Result(step=step, ending=ending, told=told, remote_id=remote_id))
                raise
        else:
            self._failed.add(step.ref)
        return Result(step=step, ending=ending, told=told, remote_id=remote_id)

    def _is_kept_back(self, step: Step, ids: Mapping[Ref, int]) -> bool:
        """Say whether what was not done before keeps this from being done.

        Nothing is sent that names what is not there, whether by id or by a tag's text; and nothing
        is deleted that something was to leave first, and did not: it might go with it.
        """
        if step.ref in self._failed or step.tags & self._failed:
            return True
        if any(ref not in ids for ref in _refs(step.body)):
            return True
        record = self._records.get(step.ref)
        return (
            step.action is Action.DELETE
            and record is not None
            and any(
                stands_on(self._records[ref], record) for ref in self._failed & set(self._records)
            )
        )

    def _take_back(self, step: Step, fate: Fate, *, is_in_doubt: bool) -> None:
        """Undo the note of what was not done; what was in doubt before it still is.

        Only what Cention refuses to delete is known to be there.
        """
        is_there = step.action is Action.DELETE and fate is Fate.REFUSED
        if is_in_doubt and not is_there:
            return
        before = self._records.get(step.ref)
        settled = {Standing.DONE, Standing.DELETING} if is_there else {Standing.DONE}
        if before is None or before.standing in settled:
            self.state.withdraw(step.ref)
        else:
            self.state.note(step.ref, before.standing, before.pending)

    def _keep(self, step: Step, remote_id: int | None, body: Mapping[str, Any], told: Told) -> None:
        if step.action is Action.DELETE or remote_id is None:
            self.state.forget(step.ref)
            self._records.pop(step.ref, None)
            return
        before = self._records.get(step.ref)
        is_new = step.action is Action.CREATE or before is None
        known = {} if is_new or before is None else before.fields
        # Of what was in doubt and is not said now, nobody knows what it is.
        in_doubt = () if before is None else before.pending
        fields = {**{key: known[key] for key in known if key not in in_doubt}, **body}
        if EMAILS in fields:
            fields[EMAILS] = _with_given_ids(fields[EMAILS], told)
        self.state.settle(step.ref, remote_id, fields)
        self._records[step.ref] = Record(
            ref=step.ref,
            standing=Standing.DONE,
            remote_id=remote_id,
            place=0,
            fields=fields,
            pending={},
            changed_us=0,
        )

    async def _send(
        self, step: Step, remote_id: int | None, body: Mapping[str, Any]
    ) -> tuple[Told, Fate] | None:
        """Send it, and again while that is safe and may help; None: asked to stop before that.

        It is noted for as long as it may be on its way, and not while it waits: who is killed then
        leaves nothing in doubt. What one answer has left in doubt, no later one takes out of it.
        """
        before = self._records.get(step.ref)
        pending = {**before.pending, **body} if before is not None else body
        sent: tuple[Told, Fate] | None = None
        is_in_doubt = False
        for attempt in range(1, TRIES_MAX + 1):
            if not await self._wait_for_pace():
                return sent
            self.state.note(step.ref, _STANDINGS[step.action], pending)
            told = await self._send_once(step, remote_id, body)
            fate = judge(step.action, told)
            if fate in {Fate.REFUSED, Fate.BARRED, Fate.UNTOUCHED}:
                self._take_back(step, fate, is_in_doubt=is_in_doubt)
            if fate is Fate.UNTOUCHED and is_in_doubt:
                fate = Fate.UNCLEAR
            is_in_doubt = is_in_doubt or fate is Fate.UNCLEAR
            sent = told, fate
            may_repeat = fate is Fate.UNTOUCHED or (
                fate is Fate.UNCLEAR and step.action is not Action.CREATE
            )
            if not may_repeat or attempt == TRIES_MAX:
                return sent
            wait_s = told.retry_after_s or _WAIT_S * 2 ** (attempt - 1)
            if not await self._wait(min(wait_s, _RETRY_AFTER_MAX_S)):
                return sent
        return sent

    async def _send_once(self, step: Step, remote_id: int | None, body: Mapping[str, Any]) -> Told:
        kind = step.ref.kind
        if step.action is Action.CREATE:
            return await self.administration.create(kind, body)
        if remote_id is None:
            raise AssertionError(f"{step.ref} has no id")
        if step.action is Action.UPDATE:
            return await self.administration.update(kind, remote_id, body)
        return await self.administration.delete(kind, remote_id)

    async def _wait_for_pace(self) -> bool:
        """Wait until something may be sent; False: asked to stop meanwhile."""
        while not self.pace.available(self.clock.monotonic()):
            wait_s = self.pace.wait_s(self.clock.monotonic())
            if not await self._wait(max(wait_s, _WAIT_MIN_S)):
                return False
        self.pace.take(1, self.clock.monotonic())
        return True

    async def _wait(self, seconds: float) -> bool:
        """Wait so long; False: asked to stop meanwhile."""
        end_s = self.clock.monotonic() + seconds
        while not self.is_to_stop():
            left_s = end_s - self.clock.monotonic()
            if left_s <= 0:
                return True
            await self.clock.sleep(max(min(left_s, _GLANCE_S), _WAIT_MIN_S))
        return False


def _refs(body: Mapping[str, Any]) -> set[Ref]:
    return {ref for value in body.values() for ref in refs_in(value)}


def _ending(action: Action, fate: Fate) -> Ending:
    if fate is Fate.UNCLEAR:
        return Ending.UNSURE if action is Action.CREATE else Ending.REPEAT
    return {
        Fate.DONE: Ending.DONE,
        Fate.REFUSED: Ending.REFUSED,
        Fate.BARRED: Ending.BARRED,
        Fate.UNTOUCHED: Ending.AWAY,
    }[fate]


def _with_given_ids(sent: Sequence[Mapping[str, Any]], told: Told) -> list[Mapping[str, Any]]:
    """Return server emails with the ids that the answer gives to those that were new.

    The page's answer repeats the -1; where it gives ids, they are wanted for the next change.
    """
    answered = told.document.get(EMAILS)
    given: dict[str, int] = {}
    for item in answered if isinstance(answered, list) else ():
        if isinstance(item, dict) and isinstance(item.get("id"), int) and item["id"] > 0:
            given[str(item.get("name"))] = item["id"]
    return [
        {**item, "id": given.get(item["name"], NEW_EMAIL)} if item["id"] == NEW_EMAIL else item
        for item in sent
    ]
