"""The rules of a simulated site: the built-in ones, and a message to who gives up."""

from typing import Final

from sim_scenario import MISSED, OUTLET

from bridge.domain.events import EventType
from bridge.domain.rules import DEFAULT_RULES, Action, Message, Rule, RuleBook

RULES: Final = RuleBook(
    (
        Rule(
            name=MISSED,
            on=frozenset({EventType.CALL_ABANDONED}),
            do=frozenset({Action.UPSERT_CONTACT, Action.SEND_WATEMPLATE}),
            message=Message(
                elementname="missed",
                namespace="ns",
                params=({"name": "{{ caller }}"},),
                user_type="cention",
                user_id="1",
                outlet=OUTLET,
                not_within_us=0,
            ),
        ),
        *DEFAULT_RULES,
    )
)
