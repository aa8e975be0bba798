import pytest
from call_world import GUIDE, World, event
from msgspec.structs import replace

from bridge.domain.conditions import When
from bridge.domain.deliveries import ClosingAnswer
from bridge.domain.errands import Guide
from bridge.domain.errors import InvalidTemplate
from bridge.domain.events import EventType
from bridge.domain.facts import Facts
from bridge.domain.rules import DEFAULT_RULES, Action, Rule, RuleBook
from bridge.domain.spans import merged
from bridge.domain.texts import FULL_EXAMPLE

ANSWERED = frozenset({EventType.CALL_ANSWERED})
CREATE = frozenset({Action.CREATE_ERRAND})
VIP = Rule(name="vip", on=ANSWERED, do=CREATE, when=When(queue_names=frozenset({"VIP"})))


def guide(*rules: Rule) -> Guide:
    return replace(GUIDE, rules=RuleBook((*rules, *DEFAULT_RULES)))


def taken(book: RuleBook, kind: str, **given: object) -> str | None:
    found = book.find(Facts(event(kind, 0, **given), merged([], 0)))
    return found.name if found else None


def test_the_first_rule_of_which_type_and_conditions_fit_is_taken() -> None:
    second = replace(VIP, name="second", when=When(queue_names=frozenset({"VIP", "EHS"})))
    book = RuleBook((VIP, second, *DEFAULT_RULES))
    assert taken(book, "call.answered", queue_name="VIP") == "vip"
    assert taken(book, "call.answered", queue_name="EHS") == "second"
    assert taken(book, "call.answered", queue_name="Sales") == "default-errand"
    assert taken(book, "call.queued", queue_name="VIP") == "default-waiting"


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("call.queued", "default-waiting"),
        ("call.answered", "default-errand"),
        ("call.transferred", None),
        ("call.ended", "default-end"),
        ("call.abandoned", "default-waiting"),
        ("callback.requested", "default-errand"),
        ("voicemail.left", "default-errand"),
        ("outbound.answered", None),
        ("outbound.ended", "default-end"),
        ("agent.available", None),
        ("agent.unavailable", None),
    ],
)
def test_the_default_rules_are_the_contracts(kind: str, rule: str | None) -> None:
    assert taken(RuleBook(), kind) == rule


def test_a_broken_text_of_any_kind_names_its_place() -> None:
    answering = replace(
        VIP,
        do=frozenset({Action.ANSWER}),
        answer=ClosingAnswer(user_type="cention", user_id="1", html_body="{{ x }}"),
    )
    with pytest.raises(InvalidTemplate, match=r"^rules\.1\.answer\.html_body: 'x' is undefined"):
        RuleBook((VIP, answering))


CLOSING = Rule(
    name="closing",
    on=frozenset({EventType.CALL_ANSWERED, EventType.VOICEMAIL_LEFT}),
    do=frozenset({Action.ANSWER}),
    answer=ClosingAnswer(
        user_type="cention",
        user_id="17",
        subject="Re:\n{{ what }}",
        body="Told {{ caller }}",
        html_body="<b>{{ caller }}</b>",
    ),
)


def test_a_rule_with_an_answer_makes_an_errand_that_is_answered_already() -> None:
    world = World(guide(CLOSING)).take(event("call.answered", 0, caller_name="<Ada>"))
    (errand,) = world.created
    assert errand.answer == ClosingAnswer(
        user_type="cention",
        user_id="17",
        subject="Re: Call",
        body="Told <Ada>",
        html_body="<b>&lt;Ada&gt;</b>",
    )
    assert errand.integration is not None


def test_an_errand_that_is_answered_already_is_not_ended_again() -> None:
    world = World(guide(CLOSING)).take(event("call.answered", 0), event("call.ended", 1))
    assert (world.shape(), world.skipped) == ((1, []), 0)


def test_a_voicemail_that_is_answered_already_waits_for_nobody() -> None:
    world = World(guide(CLOSING)).take(event("voicemail.left", 0))
    assert not world.thread.is_open
    world.take(event("call.answered", 3 * 24 * 60))
    assert len(world.created) == 2
    open_one = World().take(event("voicemail.left", 0), event("call.answered", 3 * 24 * 60))
    assert (open_one.thread.is_open, len(open_one.created)) == (True, 1)


def test_one_call_has_one_errand_answered_already_or_not() -> None:
    world = World(guide(CLOSING)).take(event("voicemail.left", 0), event("call.answered", 1))
    assert len(world.created) == 1


def test_an_answer_whose_texts_stumble_goes_without_them() -> None:
    stumbling = ClosingAnswer(
        user_type="cention", user_id="1", body="{{ extra.x | dictsort if extra else '' }}"
    )
    book = RuleBook((replace(CLOSING, answer=stumbling),))
    words = book.write_answer(stumbling, {**FULL_EXAMPLE, "extra": {"x": "text"}})
    assert words.body == ""
