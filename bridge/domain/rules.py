"""Rules: which event does what, and the words that go on an errand.

The default rules are the contract's section 5, written in the same language as a site's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from bridge.domain.conditions import ALWAYS, When
from bridge.domain.deliveries import ClosingAnswer
from bridge.domain.errors import InvalidTemplate
from bridge.domain.events import EventType
from bridge.domain.facts import Facts
from bridge.domain.hours import Hours
from bridge.domain.texts import Texts
from bridge.domain.units import HOUR_US

# The longest that somebody may be kept from getting a message again.
NOT_WITHIN_DAYS_MAX: Final = 30


class Action(StrEnum):
    """What a rule can do with an event."""

    UPSERT_CONTACT = "upsert_contact"
    CREATE_ERRAND = "create_errand"
    END_ERRAND = "end_errand"
    SEND_WATEMPLATE = "send_watemplate"
    ANSWER = "answer"
    PICK_TICKET = "pick_ticket"
    CLOSE_ROOM = "close_room"
    IGNORE = "ignore"


# About a chat at One View.
TICKET_ACTIONS: Final = frozenset({Action.PICK_TICKET, Action.CLOSE_ROOM})

DEFAULT_SUBJECT: Final = "{{ what }}: {{ caller }}{% if queue %} · {{ queue }}{% endif %}"
DEFAULT_BODY: Final = """\
{{ what }}
Caller: {{ caller }}
{%- if number and number != caller %}
Number: {{ number }}
{%- endif %}
{%- if queue %}
Queue: {{ queue }}{% if queue_number %} ({{ queue_number }}){% endif %}
{%- endif %}
{%- if called %}
Called: {{ called }}
{%- endif %}
Time: {{ time }}
{%- if reason %}
Reason: {{ reason }}
{%- endif %}
{%- if comment %}
Comment: {{ comment }}
{%- endif %}
{%- if link %}
Recording: {{ link }}
{%- endif %}
"""


class Message(Struct, frozen=True, kw_only=True):
    """A WhatsApp template that a rule sends.

    `params` are the vendor's list of objects, their values templates. `outlet` names the route
    that holds the token of the WhatsApp channel. After `valid_for_us` from the event it is of no
    use any more; a person gets it once in `not_within_us`; in `quiet` hours it waits.
    """

    elementname: str
    namespace: str
    params: tuple[Mapping[str, str], ...] = ()
    user_type: str
    user_id: str
    outlet: str
    valid_for_us: int = 2 * HOUR_US
    not_within_us: int = 24 * HOUR_US
    quiet: Hours | None = None


class Rule(Struct, frozen=True, kw_only=True):
    """On these events, when that holds, do this. Texts, the answer's too, are Jinja2 templates."""

    name: str = ""
    on: frozenset[EventType]
    do: frozenset[Action]
    when: When = ALWAYS
    subject: str = DEFAULT_SUBJECT
    body: str = DEFAULT_BODY
    html_body: str = ""
    answer: ClosingAnswer | None = None
    message: Message | None = None

    @property
    def makes_errand(self) -> bool:
        """Whether the call gets its errand by it, answered already or not."""
        return not self.do.isdisjoint({Action.CREATE_ERRAND, Action.ANSWER})

    @property
    def closes_errand(self) -> bool:
        """Whether that errand is answered from the start."""
        return Action.ANSWER in self.do

    @property
    def is_of_ticket(self) -> bool:
        """Whether it does anything about a chat at One View."""
        return not self.do.isdisjoint(TICKET_ACTIONS)

    def templates(self) -> Iterator[tuple[tuple[str | int, ...], str, bool]]:
        """Yield the place of each text in the settings, the text, and whether it is HTML."""
        yield ("subject",), self.subject, False
        yield ("body",), self.body, False
        yield ("html_body",), self.html_body, True
        if self.answer is not None:
            yield ("answer", "subject"), self.answer.subject, False
            yield ("answer", "body"), self.answer.body, False
            yield ("answer", "html_body"), self.answer.html_body, True
        if self.message is not None:
            for number, param in enumerate(self.message.params):
                for key, text in param.items():
                    yield ("watemplate", "params", number, key), text, False


def _default(name: str, do: tuple[Action, ...], *on: EventType) -> Rule:
    return Rule(name=name, on=frozenset(on), do=frozenset(do))


DEFAULT_RULES: Final = (
    _default(
        "default-waiting",
        (Action.UPSERT_CONTACT,),
        EventType.CALL_QUEUED,
        EventType.CALL_ABANDONED,
    ),
    _default(
        "default-errand",
        (Action.UPSERT_CONTACT, Action.CREATE_ERRAND),
        EventType.CALL_ANSWERED,
        EventType.CALLBACK_REQUESTED,
        EventType.VOICEMAIL_LEFT,
    ),
    _default("default-end", (Action.END_ERRAND,), EventType.CALL_ENDED, EventType.OUTBOUND_ENDED),
)


class Words(Struct, frozen=True):
    """What an errand says."""

    subject: str
    body: str
    html_body: str


@dataclass(slots=True)
class RuleBook:
    """The rules in force, with their templates compiled.

    The first rule of which `on` has an event's type, and of which the conditions hold, says what
    the event does; none: nothing.
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES
    _texts: Texts = field(default_factory=Texts, init=False)
    _by_type: dict[EventType, tuple[Rule, ...]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Compile every template and try it.

        Raises:
            InvalidTemplate: one can't be compiled, or names what no event has.
        """
        self._texts.add(DEFAULT_SUBJECT)
        self._texts.add(DEFAULT_BODY)
        for number, rule in enumerate(self.rules):
            for place, text, is_html in rule.templates():
                try:
                    self._texts.add(text, is_html=is_html)
                except InvalidTemplate as error:
                    name = ".".join(map(str, ("rules", number, *place)))
                    raise InvalidTemplate(f"{name}: {error}") from None
        self._by_type = {
            kind: tuple(rule for rule in self.rules if kind in rule.on) for kind in EventType
        }

    def find(self, facts: Facts) -> Rule | None:
        """Return the rule for an event."""
        for rule in self._by_type[facts.event.type]:
            if rule.when.holds(facts):
                return rule
        return None

    def write(self, rule: Rule, values: Mapping[str, Any]) -> Words:
        """Fill in a rule's texts. A template that fails on an odd value gives its default text.

        An errand with plain words is better than none, so nothing is raised here.
        """
        subject = self._filled(rule.subject, DEFAULT_SUBJECT, values)
        return Words(
            subject=_on_one_line(subject),
            body=self._filled(rule.body, DEFAULT_BODY, values),
            html_body=self._texts.fill(rule.html_body, values, is_html=True) or "",
        )

    def write_answer(self, answer: ClosingAnswer, values: Mapping[str, Any]) -> ClosingAnswer:
        """Fill in the texts of an answer; one that fails on an odd value is left out."""
        return replace(
            answer,
            subject=_on_one_line(self._texts.fill(answer.subject, values) or ""),
            body=self._texts.fill(answer.body, values) or "",
            html_body=self._texts.fill(answer.html_body, values, is_html=True) or "",
        )

    def write_params(
        self, message: Message, values: Mapping[str, Any]
    ) -> tuple[dict[str, str], ...] | None:
        """Fill in what goes into a WhatsApp template's gaps; None: one fails on an odd value.

        A message with a hole in it is worse than none.
        """
        filled: list[dict[str, str]] = []
        for param in message.params:
            texts = {key: self._texts.fill(text, values) for key, text in param.items()}
            if any(text is None for text in texts.values()):
                return None
            filled.append({key: text or "" for key, text in texts.items()})
        return tuple(filled)

    def _filled(self, text: str, fallback: str, values: Mapping[str, Any]) -> str:
        filled = self._texts.fill(text, values)
        return filled if filled is not None else self._texts.fill(fallback, values) or ""


def _on_one_line(text: str) -> str:
    return " ".join(text.split())
