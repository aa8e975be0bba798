"""Rules: which event does what, and the words that go on an errand.

The default rules are the contract's section 5, written in the same language as a site's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from jinja2 import StrictUndefined, Template
from jinja2.sandbox import SandboxedEnvironment

from bridge.domain.errors import InvalidTemplate
from bridge.domain.events import EventType


class Action(StrEnum):
    """What a rule can do with an event."""

    UPSERT_CONTACT = "upsert_contact"
    CREATE_ERRAND = "create_errand"
    END_ERRAND = "end_errand"
    IGNORE = "ignore"


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

WHAT: Final[Mapping[EventType, str]] = {
    EventType.CALL_QUEUED: "Call waiting",
    EventType.CALL_ANSWERED: "Call",
    EventType.CALL_TRANSFERRED: "Call transferred",
    EventType.CALL_ENDED: "Call ended",
    EventType.CALL_ABANDONED: "Call abandoned",
    EventType.CALLBACK_REQUESTED: "Callback requested",
    EventType.VOICEMAIL_LEFT: "Voicemail",
    EventType.OUTBOUND_ANSWERED: "Outbound call",
    EventType.OUTBOUND_ENDED: "Outbound call ended",
    EventType.AGENT_AVAILABLE: "Agent available",
    EventType.AGENT_UNAVAILABLE: "Agent unavailable",
}

# Names that a template may use, with values as an event might have them: every template is
# rendered with them once at the start, so that a broken one stops the start and not a call.
TEMPLATE_EXAMPLE: Final[Mapping[str, Any]] = {
    "what": "Call",
    "caller": "Ada",
    "number": "+60123456789",
    "queue": "EHS",
    "queue_number": "123",
    "called": "60374571234",
    "time": "2026-03-01 09:30:00 UTC",
    "reason": "reschedule appointment",
    "comment": "internal comment",
    "link": "https://pbx.example/rec/1",
    "reference": "1",
    "cuid": "5462-13-6485",
    "type": "call.answered",
    "extra": {},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """On these events, do this; the texts are Jinja2 templates."""

    on: frozenset[EventType]
    do: frozenset[Action]
    subject: str = DEFAULT_SUBJECT
    body: str = DEFAULT_BODY
    html_body: str = ""


def _default(do: tuple[Action, ...], *on: EventType) -> Rule:
    return Rule(on=frozenset(on), do=frozenset(do))


DEFAULT_RULES: Final = (
    _default((Action.UPSERT_CONTACT,), EventType.CALL_QUEUED, EventType.CALL_ABANDONED),
    _default(
        (Action.UPSERT_CONTACT, Action.CREATE_ERRAND),
        EventType.CALL_ANSWERED,
        EventType.CALLBACK_REQUESTED,
        EventType.VOICEMAIL_LEFT,
    ),
    _default((Action.END_ERRAND,), EventType.CALL_ENDED, EventType.OUTBOUND_ENDED),
)


@dataclass(frozen=True, slots=True)
class Texts:
    """What an errand says."""

    subject: str
    body: str
    html_body: str


@dataclass(slots=True)
class RuleBook:
    """The rules in force, with their templates compiled.

    The first rule of which `on` has an event's type says what the event does; none: nothing.
    """

    rules: tuple[Rule, ...] = DEFAULT_RULES
    _templates: dict[tuple[str, bool], Template] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Compile every template and try it.

        Raises:
            InvalidTemplate: one can't be compiled, or names what no event has.
        """
        plain = SandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=False)
        html = SandboxedEnvironment(undefined=StrictUndefined, autoescape=True)
        for number, rule in enumerate(self.rules):
            for name, text in (
                ("subject", rule.subject),
                ("body", rule.body),
                ("html_body", rule.html_body),
            ):
                is_html = name == "html_body"
                try:
                    template = (html if is_html else plain).from_string(text)
                    template.render(TEMPLATE_EXAMPLE)
                except Exception as error:  # noqa: BLE001 - a site's template may raise anything
                    raise InvalidTemplate(f"rules.{number}.{name}: {error}") from None
                self._templates[text, is_html] = template

    def find(self, event_type: EventType) -> Rule | None:
        """Return the rule for events of this type."""
        for rule in self.rules:
            if event_type in rule.on:
                return rule
        return None

    def write(self, rule: Rule, values: Mapping[str, Any]) -> Texts:
        """Fill in a rule's texts. A template that fails on an odd value gives its default text.

        An errand with plain words is better than none, so nothing is raised here.
        """
        return Texts(
            subject=" ".join(self._render(rule.subject, DEFAULT_SUBJECT, values).split()),
            body=self._render(rule.body, DEFAULT_BODY, values),
            html_body=self._render(rule.html_body, "", values, is_html=True),
        )

    def _render(
        self, text: str, fallback: str, values: Mapping[str, Any], *, is_html: bool = False
    ) -> str:
        if not text:
            return ""
        try:
            return self._templates[text, is_html].render(values)
        except Exception:  # noqa: BLE001 - a site's own template may raise anything
            if text == fallback or not fallback:
                return ""
            return SandboxedEnvironment().from_string(fallback).render(values)
