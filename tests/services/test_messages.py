"""WhatsApp templates on their way: when they leave, and when they had better not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from bench import GUIDE, ROUTE, Bench, bench, document
from msgspec.structs import replace
from sqlalchemy import text

from bridge.domain.deliveries import Kind, NewErrand
from bridge.domain.events import EventType
from bridge.domain.facts import Facts
from bridge.domain.hours import read_hours
from bridge.domain.outcomes import Failure, Reply
from bridge.domain.routes import Route, RouteTable
from bridge.domain.rules import DEFAULT_RULES, Action, Message, Rule, RuleBook
from bridge.domain.units import HOUR_US
from bridge.domain.watemplates import Manners
from bridge.services.channels import Upstream
from bridge.services.recording import DispatchPolicy

OUTLET = Route(name="watemplate:missed", base_url=ROUTE.base_url, workspace=ROUTE.workspace)
MESSAGE = Message(
    elementname="missed",
    namespace="ns",
    user_type="cention",
    user_id="17",
    outlet=OUTLET.name,
)
MISSED = Rule(
    name="missed",
    on=frozenset({EventType.CALL_ABANDONED}),
    do=frozenset({Action.SEND_WATEMPLATE, Action.UPSERT_CONTACT}),
    message=MESSAGE,
)


@asynccontextmanager
async def site(
    folder: Path, rule: Rule = MISSED, policy: DispatchPolicy | None = None
) -> AsyncIterator[Bench]:
    """Open a bench on which a rule sends a message to who gives up."""
    async with bench(folder, policy=policy) as on:
        _obey(on, rule)
        routes = frozenset({"default", OUTLET.name})
        on.dispatcher.reconfigure(
            policy or DispatchPolicy(), [Upstream(ROUTE.scope, routes, 1_000_000)]
        )
        on.start()
        yield on


def _obey(on: Bench, rule: Rule) -> None:
    guide = replace(
        GUIDE,
        rules=RuleBook((rule, *DEFAULT_RULES)),
        routes=RouteTable((), ROUTE, (OUTLET,)),
    )
    on.ingest.policy = replace(on.ingest.policy, guide=guide)


def sent(on: Bench) -> list[NewErrand]:
    """Return the messages that left."""
    payloads = (one.payload for one in on.sender.sent if one.kind is Kind.WATEMPLATE)
    return [one for one in payloads if isinstance(one, NewErrand)]


def states(on: Bench) -> list[str]:
    query = text("SELECT state FROM outbox WHERE kind = 'watemplate' ORDER BY id")
    with on.engine.connect() as connection:
        return list(connection.execute(query).scalars())


def unsent(on: Bench) -> list[str]:
    return [one[1] for one in on.meter.counted if one[0] == "unsent"]


async def test_a_message_leaves_by_its_rules_own_route_once_the_call_has_settled(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"))
        await on.turn(9)
        assert sent(on) == []
        await on.turn(3)
        (errand,) = sent(on)
        assert errand.sender == "+60123456789"
        assert {one.route for one in on.sender.sent if one.kind is Kind.WATEMPLATE} == {OUTLET.name}
        await on.turn(30)
        assert (len(sent(on)), states(on)) == (1, ["delivered"])


async def test_an_answer_that_comes_while_it_waits_calls_it_off(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"))
        await on.turn(3)
        await on.take(document("call.answered"))
        await on.turn(30)
        assert (sent(on), states(on), unsent(on)) == ([], ["given_up"], ["answered"])


async def test_an_answer_within_the_same_commit_calls_it_off_too(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"), document("call.answered"))
        await on.turn(30)
        assert (sent(on), states(on), unsent(on)) == ([], ["given_up"], ["answered"])


async def test_one_that_was_called_off_has_told_nobody(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"), document("call.answered"))
        await on.take(document("call.abandoned", "r2"))
        await on.turn(30)
        assert len(sent(on)) == 1


async def test_a_person_is_told_once_in_a_day_by_whichever_number_they_call(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned", cuid="c1"))
        other = {"cuid": "c1", "callerNumber": "+60123456788"}
        await on.take(document("call.abandoned", "r2", **other))
        await on.take(document("call.abandoned", "r3"))
        await on.turn(30)
        assert (len(sent(on)), unsent(on)) == (1, ["repeated", "repeated"])
        await on.turn(24 * 3600, step_s=3600)
        later = "2026-09-22T14:14:00Z"
        await on.take(document("call.abandoned", "r4", occurredAt=later))
        await on.turn(30)
        assert len(sent(on)) == 2


async def test_somebody_else_and_another_template_are_told_all_the_same(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"))
        await on.take(document("call.abandoned", "r2", callerNumber="+60123456788"))
        _obey(on, replace(MISSED, message=replace(MESSAGE, elementname="other")))
        await on.take(document("call.abandoned", "r3"))
        await on.turn(30)
        assert len(sent(on)) == 3


async def test_without_a_card_a_person_is_known_by_the_number(tmp_path: Path) -> None:
    only = replace(MISSED, do=frozenset({Action.SEND_WATEMPLATE}))
    async with site(tmp_path, only) as on:
        await on.take(document("call.abandoned"), document("call.abandoned", "r2"))
        await on.turn(30)
        assert (len(sent(on)), unsent(on)) == (1, ["repeated"])
        assert on.sender.kinds() == ["watemplate"]


async def test_a_message_that_cannot_leave_in_time_is_given_up(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        on.sender.answer = lambda _parcel: Reply(failure=Failure.NOT_CONNECTED)
        on.dice.chance = 1.0
        keeping = on.upkeep.expire
        await on.take(document("call.abandoned"))
        await on.turn(7150, step_s=50)
        await keeping()
        assert states(on) == ["ready"]
        await on.turn(100, step_s=10)
        before = len(sent(on))
        await keeping()
        on.sender.answer = None
        await on.turn(7200, step_s=60)
        assert (states(on), len(sent(on)), unsent(on)) == (["given_up"], before, ["expired"])
        assert before > 1


async def test_quiet_hours_hold_it_back_until_they_are_over(tmp_path: Path) -> None:
    # The bench begins at 14:13:20.
    message = replace(MESSAGE, quiet=read_hours(["14:00-15:00"]), valid_for_us=2 * HOUR_US)
    async with site(tmp_path, replace(MISSED, message=message)) as on:
        await on.take(document("call.abandoned"))
        await on.turn(46 * 60, step_s=30)
        assert sent(on) == []
        await on.turn(60)
        assert len(sent(on)) == 1


async def test_a_call_that_ended_unanswered_does_what_an_abandoned_one_does(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.queued", callerName="Ada"), document("call.ended"))
        await on.turn(11)
        await on.upkeep.close_calls()
        await on.turn(12)
        (errand,) = sent(on)
        assert (errand.name, errand.sender) == ("Ada", "+60123456789")
        assert ("call", "abandoned") in on.meter.counted
        await on.take(document("call.abandoned"))
        await on.turn(30)
        assert len(sent(on)) == 1


async def test_a_call_that_an_event_called_abandoned_is_not_abandoned_twice(
    tmp_path: Path,
) -> None:
    making = replace(MISSED, do=frozenset({Action.CREATE_ERRAND}), message=None)
    async with site(tmp_path, making) as on:
        await on.take(document("call.abandoned"), document("call.ended"))
        await on.turn(11)
        await on.upkeep.close_calls()
        await on.turn(12)
        assert on.sender.kinds() == ["new_errand"]


async def test_an_abandoned_call_that_nobody_told_of_takes_its_own_route(tmp_path: Path) -> None:
    sales = replace(ROUTE, name="sales", queue_names=frozenset({"Sales"}))
    making = replace(MISSED, do=frozenset({Action.CREATE_ERRAND}), message=None)
    async with site(tmp_path, making) as on:
        guide = replace(on.ingest.policy.guide, routes=RouteTable((sales,), ROUTE))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        on.dispatcher.reconfigure(
            DispatchPolicy(), [Upstream(ROUTE.scope, frozenset({"default", "sales"}), 1_000_000)]
        )
        hidden: dict[str, Any] = {"queueName": "Sales", "callerNumber": "anonymous"}
        await on.take(document("call.ended", **hidden))
        await on.turn(11)
        await on.upkeep.close_calls()
        await on.turn(3)
        (parcel,) = on.sender.sent
        assert isinstance(parcel.payload, NewErrand)
        assert (parcel.route, parcel.payload.name) == ("sales", "Ada")
        assert parcel.payload.sender.startswith("anonymous-")


async def test_a_retry_keeps_quiet_hours_too(tmp_path: Path) -> None:
    # The bench begins at 14:13:20; quiet hours begin a minute later.
    quiet = read_hours(["14:14-15:00"])
    message = replace(MESSAGE, quiet=quiet)
    policy = DispatchPolicy(manners=Manners(quiet={OUTLET.name: quiet}))
    async with site(tmp_path, replace(MISSED, message=message), policy) as on:
        on.dice.chance = 1.0
        on.sender.answer = lambda _parcel: Reply(status=503)
        await on.take(document("call.abandoned"))
        await on.turn(39)
        tried = len(sent(on))
        assert tried > 0
        on.sender.answer = None
        await on.turn(45 * 60, step_s=30)
        assert len(sent(on)) == tried
        await on.turn(120, step_s=10)
        assert (len(sent(on)), states(on)) == (tried + 1, ["delivered"])


async def test_a_number_that_is_declared_shared_meanwhile_is_not_written_to(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"))
        shared = frozenset({"+60123456789"})
        on.dispatcher.reconfigure(
            DispatchPolicy(manners=Manners(shared_numbers=shared)),
            [Upstream(ROUTE.scope, frozenset({"default", OUTLET.name}), 1_000_000)],
        )
        await on.turn(30)
        assert (sent(on), states(on)) == ([], ["given_up"])


async def test_an_answer_stops_what_was_tried_in_vain(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        on.dice.chance = 1.0
        on.sender.answer = lambda _parcel: Reply(status=503)
        await on.take(document("call.abandoned"))
        await on.turn(12)
        tried = len(sent(on))
        on.sender.answer = None
        await on.take(document("call.answered"))
        await on.turn(300, step_s=5)
        assert tried > 0
        assert (len(sent(on)), states(on)) == (tried, ["given_up"])


async def test_without_look_ups_a_message_in_doubt_is_not_sent_again_nor_another_like_it(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        on.sender.script = [Reply(status=201), Reply(status=504)]
        await on.take(document("call.abandoned"))
        await on.turn(60)
        assert (len(sent(on)), states(on)) == (1, ["given_up"])
        await on.take(document("call.abandoned", "r2"))
        await on.turn(60)
        assert (len(sent(on)), unsent(on)) == (1, ["repeated"])


async def test_a_message_on_its_way_at_a_crash_is_not_sent_again_without_look_ups(
    tmp_path: Path,
) -> None:
    async with site(tmp_path) as on:
        on.sender.gate = asyncio.Event()
        await on.take(document("call.abandoned"))
        await on.turn(12)
        await on.dispatcher.recover()
        on.sender.gate.set()
        assert states(on) == ["given_up"]


async def test_a_number_is_told_once_whichever_workspace_it_called(tmp_path: Path) -> None:
    north = replace(ROUTE, name="north", workspace="north", queue_names=frozenset({"North"}))
    async with site(tmp_path) as on:
        guide = replace(on.ingest.policy.guide, routes=RouteTable((north,), ROUTE, (OUTLET,)))
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        await on.take(
            document("call.abandoned"), document("call.abandoned", "r2", queueName="North")
        )
        await on.turn(30)
        assert (len(sent(on)), unsent(on)) == (1, ["repeated"])


async def test_a_call_that_cannot_be_closed_keeps_no_other_from_it(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(
            document("call.ended", "bad", callerName="Bad"),
            document("call.ended", "good", callerNumber="+60123456788"),
        )
        await on.turn(11)
        rules: Any = Stumbling(on.ingest.policy.guide.rules)
        guide = replace(on.ingest.policy.guide, rules=rules)
        on.ingest.policy = replace(on.ingest.policy, guide=guide)
        await on.upkeep.close_calls()
        await on.turn(15)
        assert [one.sender for one in sent(on)] == ["+60123456788"]
        assert [event for event, _ in on.log.said].count("a call can't be closed") == 1
        await on.upkeep.close_calls()
        assert [event for event, _ in on.log.said].count("a call can't be closed") == 1


class Stumbling:
    """Rules that fail for one caller, as only a fault of the bridge's own would make them."""

    def __init__(self, rules: RuleBook) -> None:
        self._rules = rules

    def find(self, facts: Facts) -> Rule | None:
        if facts.name == "Bad":
            raise ZeroDivisionError
        return self._rules.find(facts)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._rules, name)


async def test_a_lost_message_is_looked_up_before_it_is_sent_again(tmp_path: Path) -> None:
    async with site(tmp_path, policy=DispatchPolicy(in_doubt="reconcile")) as on:
        on.sender.script = [Reply(status=201), Reply(failure=Failure.LOST)]
        await on.take(document("call.abandoned"))
        await on.turn(15)
        assert states(on) == ["doubtful"]
        await on.turn(7300, step_s=60)
        await on.upkeep.expire()
        assert states(on) == ["doubtful"]


async def test_a_message_whose_rule_is_gone_is_nobody_elses_to_send(tmp_path: Path) -> None:
    async with site(tmp_path) as on:
        await on.take(document("call.abandoned"))
        on.dispatcher.reconfigure(
            DispatchPolicy(), [Upstream(ROUTE.scope, frozenset({"default"}), 1_000_000)]
        )
        await on.turn(7300, step_s=60)
        await on.upkeep.expire()
        assert (sent(on), states(on)) == ([], ["given_up"])
