"""What must hold at the end: the script of the calls against what upstream and store have."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from sim_invariants import Invariants
from sim_pbx import Call, Caller, Due
from sim_rows import Row, Rows
from sim_scenario import OUTLET, Scenario
from sim_upstream import Errand, Upstream

from bridge.domain.deliveries import Kind, State


class Verdict:
    """Compares what happened with what had to."""

    def __init__(
        self, scenario: Scenario, upstream: Upstream, rows: Rows, watch: Invariants
    ) -> None:
        self._scenario = scenario
        self._upstream = upstream
        self._rows = rows
        self._watch = watch

    def give(self, calls: Sequence[Call]) -> None:
        """Check everything; the first thing that is wrong is noted."""
        by_reference: dict[str, list[tuple[str, Errand]]] = defaultdict(list)
        messages: dict[str, list[tuple[str, Errand]]] = defaultdict(list)
        for scope, workspace in self._upstream.workspaces.items():
            for errand in workspace.errands.values():
                if errand.marker:
                    kept = messages if errand.is_message else by_reference
                    kept[errand.reference_id].append((scope, errand))
        for call in calls:
            self._check_call(call, by_reference.pop(call.reference, []))
            self._check_messages(call, messages.pop(call.reference, []))
        if by_reference or messages:
            names = str(sorted({*by_reference, *messages}))
            self._watch.violated("nobody's errand is made up", names)
        self._check_rest()
        self._check_lists()
        self._check_cards(calls)

    def _check_call(self, call: Call, errands: list[tuple[str, Errand]]) -> None:
        scope = self._scenario.routes.pick(call.queue, "", "").scope
        if any(where != scope for where, _ in errands):
            self._watch.violated("an errand lands where its route leads", call.reference)
        left = [errand for _, errand in errands]
        for due in (call.due, call.again):
            markers = due.markers()
            own = [errand for errand in left if errand.marker in markers]
            left = [errand for errand in left if errand.marker not in markers]
            if due.makers:
                self._check_due(call, due, own)
        if left:
            self._watch.violated("a call has the errands that were asked for", call.reference)

    def _check_messages(self, call: Call, found: list[tuple[str, Errand]]) -> None:
        """See that a rule writes to a caller once at most, and to those who gave up for sure."""
        watch, scenario = self._watch, self._scenario
        rows = [
            row
            for row in (*self._rows.outbox.values(), *self._rows.delivered.values())
            if row.kind is Kind.WATEMPLATE and row.reference_id == call.reference
        ]
        if any(scope != scenario.routes.named(OUTLET).scope for scope, _ in found):
            watch.violated("a message leaves by its rule's own route", call.reference)
        # A reference that is used again is another call.
        most = 2 if scenario.gap_s else 1
        is_doubled = any(row.key in watch.unclear for row in rows) and scenario.in_doubt == "resend"
        if len(rows) > most or (len(found) > len(rows) and not is_doubled):
            watch.violated("a rule writes once in a call", f"{call.reference}: {len(found)}")
        watch.counts["messages given up"] += sum(row.state is State.GIVEN_UP for row in rows)
        thread = self._rows.calls.get(("aventa", call.reference))
        is_settling = thread is not None and thread.timer_us is not None
        is_due = call.gave_up and call.caller.numbers and not scenario.jumps and not is_settling
        if is_due and not rows:
            watch.violated("who gave up is written to", call.reference)

    def _check_due(self, call: Call, due: Due, errands: list[Errand]) -> None:
        rows = [
            row
            for row in (*self._rows.outbox.values(), *self._rows.delivered.values())
            if row.lane in due.markers()
        ]
        creates = [row for row in rows if row.kind is Kind.NEW_ERRAND]
        end = next((row for row in rows if row.kind is Kind.END_ERRAND), None)
        if len(creates) != 1:
            detail = f"{call.reference}: {len(creates)} creates"
            self._watch.violated("an errand is asked for once", detail)
            return
        self._check_count(call, creates[0], len(errands))
        if self._scenario.in_doubt == "resend" and due.is_ended:
            # One that was doubled may turn up after the end, and nobody tells it.
            errands = [one for one in errands if one.ends] or errands
        for errand in errands:
            self._check_end(call, due, errand, creates[0], end)

    def _check_count(self, call: Call, create: Row, count: int) -> None:
        watch, scenario = self._watch, self._scenario
        if self._upstream.refused.get(create.key) and create.state is State.DEAD:
            watch.counts["dead letters"] += 1
            if count:
                watch.violated("what was refused made no errand", call.reference)
            return
        may_be_held = (
            scenario.in_doubt == "hold"
            or not scenario.is_exclusive
            or scenario.routes.named(create.route).scope in watch.unreadable
        )
        if create.state is State.HELD and may_be_held and create.key in watch.unclear:
            watch.counts["held"] += 1
            if count > 1:
                watch.violated("no errand twice", call.reference)
            return
        if create.state is not State.DELIVERED:
            watch.violated(
                "nothing acknowledged is lost",
                f"{call.reference} is {create.state}: {create.error}",
            )
        elif count == 0:
            watch.violated("nothing acknowledged is lost", f"{call.reference} has no errand")
        elif count > 1 and (scenario.in_doubt != "resend" or create.key not in watch.unclear):
            watch.violated("no errand twice", f"{call.reference}: {count}")
        elif count > 1:
            watch.counts["doubled by resend"] += 1

    def _check_end(
        self, call: Call, due: Due, errand: Errand, create: Row, end: Row | None
    ) -> None:
        watch = self._watch
        if not due.is_ended:
            if errand.ends:
                watch.violated("what is open stays open", call.reference)
            return
        if end is None:
            watch.violated("nothing acknowledged is lost", f"{call.reference}: no end")
            return
        if end.state is State.PARKED and create.state in {State.DEAD, State.HELD}:
            return
        if self._upstream.refused.get(end.key) and end.state is State.DEAD:
            watch.counts["dead letters"] += 1
            return
        if end.state is not State.DELIVERED or not errand.ends:
            watch.violated(
                "nothing acknowledged is lost", f"{call.reference}: its end is {end.state}"
            )
            return
        last = errand.ends[-1]
        if last.agent.device_id not in call.agents or last.dialed_number not in {"", call.dialed}:
            watch.violated("an end names the call's agent and number", call.reference)

    def _check_rest(self) -> None:
        """See that nothing stands that should have gone on."""
        for row in self._rows.outbox.values():
            heads = [
                self._rows.outbox[one].state
                for one in self._rows.by_lane[row.lane]
                if self._rows.outbox[one].position < row.position
            ]
            is_behind = any(one in {State.DEAD, State.HELD} for one in heads)
            is_right = {
                State.DELIVERED: True,
                State.PARKED: is_behind,
                State.DEAD: bool(self._upstream.refused.get(row.key)),
                State.HELD: row.key in self._watch.unclear,
                State.GIVEN_UP: row.kind is Kind.WATEMPLATE,
            }.get(row.state, False)
            if not is_right:
                detail = f"{row.key} of {row.reference_id} is {row.state}: {row.error}"
                self._watch.violated("everything settles once faults stop", detail)
        self._watch.check_gates()

    def _check_lists(self) -> None:
        for workspace in self._upstream.workspaces.values():
            missing = sorted(workspace.owed - workspace.dirty)
            if missing:
                self._watch.violated("others' errands stay on their list", str(missing))

    def _check_cards(self, calls: Sequence[Call]) -> None:
        told: dict[tuple[str, Caller], set[str]] = defaultdict(set)
        for call in calls:
            scope = self._scenario.routes.pick(call.queue, "", "").scope
            if call.told:
                told[scope, call.caller] |= call.told
        owners = {number: caller.id for _, caller in told for number in caller.numbers}
        for (scope, caller), numbers in told.items():
            self._check_card(scope, caller, numbers, owners)

    def _check_card(
        self, scope: str, caller: Caller, numbers: set[str], owners: Mapping[str, int]
    ) -> None:
        cards = [
            card
            for card in self._upstream.workspace(scope).cards.values()
            if numbers & set(card.voice)
        ]
        if len(cards) != 1:
            self._watch.violated("nobody has two cards", f"caller {caller.id} has {len(cards)}")
            return
        card = cards[0]
        if numbers - set(card.voice) or card.cuid != caller.cuid:
            self._watch.violated("a card holds all that was told", f"caller {caller.id}")
        if {owners[one] for one in card.voice} != {caller.id}:
            self._watch.violated("two people are never merged", f"caller {caller.id}")
