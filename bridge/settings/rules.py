"""`[[rules]]`: what events do, under which conditions, and with which words."""

from collections.abc import Callable
from typing import Annotated

from pydantic import Field

from bridge.domain.conditions import ALWAYS, Expression, When
from bridge.domain.deliveries import ClosingAnswer
from bridge.domain.events import EventType
from bridge.domain.hours import Hours, read_hours
from bridge.domain.msisdn import PhoneNumber
from bridge.domain.number_facts import LineType
from bridge.domain.routes import outlet_name
from bridge.domain.rules import (
    DEFAULT_BODY,
    DEFAULT_SUBJECT,
    Action,
    Message,
    Rule,
)
from bridge.domain.units import SECOND_US
from bridge.settings.sections import Section
from bridge.settings.values import (
    Duration,
    HeaderToken,
    HoursEntry,
    JmesPath,
    Region,
    RouteName,
    Text,
    Workspace,
    seconds,
)

# Strict reading would want the enumeration's member, which no file can hold.
TypeName = Annotated[EventType, Field(strict=False)]
ActionName = Annotated[Action, Field(strict=False)]
LineTypeName = Annotated[LineType, Field(strict=False)]


class WhenSettings(Section):
    """`[rules.when]`: the conditions. All that are given must hold; of a list, one is enough."""

    queue_names: tuple[Text, ...] = Field((), strict=False, description="queues by name")
    dest_numbers: tuple[Text, ...] = Field((), strict=False, description="called numbers")
    caller_countries: tuple[Region, ...] = Field(
        (), strict=False, description="ISO 3166 regions of the caller's number"
    )
    caller_types: tuple[LineTypeName, ...] = Field(
        (), strict=False, description="kinds of line that the caller's number can be"
    )
    withheld: bool | None = Field(None, description="whether the caller shows no number")
    within_hours: tuple[HoursEntry, ...] = Field(
        (), strict=False, description="hours of the route's time zone that it happened within"
    )
    outside_hours: tuple[HoursEntry, ...] = Field(
        (), strict=False, description="hours of the route's time zone that it happened outside of"
    )
    waited_longer_than: Duration | None = Field(
        None, description="how long the call has waited for an answer at least"
    )
    expression: JmesPath | None = Field(
        None, description="JMESPath over the event's fields, and call.answered and the like"
    )

    def condition(self, read: Callable[[str], PhoneNumber]) -> When:
        """Return them as the domain knows them; `read` reads a number of the site's own."""
        if not self.model_fields_set:
            return ALWAYS
        waited = self.waited_longer_than
        return When(
            queue_names=frozenset(self.queue_names),
            dest_numbers=frozenset(read(number).msisdn for number in self.dest_numbers),
            countries=frozenset(self.caller_countries),
            line_types=frozenset(self.caller_types),
            is_withheld=self.withheld,
            within=_hours(self.within_hours),
            outside=_hours(self.outside_hours),
            waited_s=seconds(waited) if waited is not None else None,
            expression=Expression(self.expression) if self.expression is not None else None,
        )


def _hours(entries: tuple[str, ...]) -> Hours | None:
    return read_hours(entries) if entries else None


class AnswerSettings(Section):
    """`[rules.answer]`: the answer that a closed errand is made with."""

    subject: str = Field("", description="Jinja2 template of the answer's subject")
    body: str = Field("", description="Jinja2 template of the answer's text")
    html_body: str = Field("", description="Jinja2 template of the answer's HTML")


class WatemplateSettings(Section):
    """`[rules.watemplate]`: the WhatsApp template that is sent."""

    elementname: Text = Field(examples=["missed_call"], description="its name at WhatsApp")
    namespace: Text = Field(examples=["0a1b2c3d"], description="its namespace, given by WhatsApp")
    params: tuple[dict[str, str], ...] = Field(
        (), strict=False, description="the vendor's list of objects; the values are templates"
    )


class RuleSettings(Section):
    """One of `[[rules]]`: what events of these types do. They come before the default rules."""

    name: RouteName | None = Field(None, description="unique; for messages, and for `check`")
    on: tuple[TypeName, ...] = Field(
        strict=False, examples=[["call.abandoned"]], description="types of event"
    )
    when: WhenSettings = Field(WhenSettings(), description="conditions; none: always")
    do: tuple[ActionName, ...] = Field(
        strict=False, examples=[["upsert_contact"]], description="what is done with them"
    )
    subject: str = Field(DEFAULT_SUBJECT, description="Jinja2 template of the errand's subject")
    body: str = Field(DEFAULT_BODY, description="Jinja2 template of the errand's text")
    html_body: str = Field("", description="Jinja2 template of the errand's HTML; empty: none")
    answer: AnswerSettings | None = Field(None, description="texts of the action answer")
    watemplate: WatemplateSettings | None = Field(
        None, description="what the action send_watemplate sends"
    )
    token: HeaderToken | None = Field(
        None, description="JWT of the WhatsApp channel and account, for send_watemplate"
    )
    workspace: Workspace | None = Field(
        None, description="the workspace of that token; none: cention.workspace"
    )
    user_type: Text = Field("cention", description="type of the user in Cention who answers")
    user_id: Text | None = Field(None, description="database id of the user in Cention who answers")
    valid_for: Duration = Field(
        "2h", description="how long after the event a message is of use; later it is given up"
    )
    not_within: Duration = Field(
        "24h", description="how long a person isn't sent the same message again, 30 days at most"
    )
    quiet_hours: tuple[HoursEntry, ...] = Field(
        (), strict=False, description="hours of the route's time zone in which messages wait"
    )

    def rule(self, read: Callable[[str], PhoneNumber], place: str = "") -> Rule:
        """Return it as the domain knows it.

        `read` reads a number of the site's own; without a name, it is known by its place.
        """
        return Rule(
            name=self.name or place,
            on=frozenset(self.on),
            do=frozenset(self.do),
            when=self.when.condition(read),
            subject=self.subject,
            body=self.body,
            html_body=self.html_body,
            answer=self._answer() if Action.ANSWER in self.do else None,
            message=self._message(),
        )

    @property
    def sends(self) -> bool:
        """Whether it sends messages."""
        return Action.SEND_WATEMPLATE in self.do

    def _answer(self) -> ClosingAnswer:
        texts = self.answer or AnswerSettings()
        return ClosingAnswer(
            user_type=self.user_type,
            user_id=self.user_id or "",
            subject=texts.subject,
            body=texts.body,
            html_body=texts.html_body,
        )

    def _message(self) -> Message | None:
        if self.watemplate is None or not self.sends:
            return None
        return Message(
            elementname=self.watemplate.elementname,
            namespace=self.watemplate.namespace,
            params=self.watemplate.params,
            user_type=self.user_type,
            user_id=self.user_id or "",
            outlet=outlet_name(self.name or ""),
            valid_for_us=round(seconds(self.valid_for) * SECOND_US),
            not_within_us=round(seconds(self.not_within) * SECOND_US),
            quiet=_hours(self.quiet_hours),
        )
