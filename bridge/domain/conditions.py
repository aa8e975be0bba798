"""Conditions: when a rule holds. All that are given must; of a list, one is enough."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jmespath.functions import Functions
from jmespath.parser import ParsedResult
from msgspec import Struct

from bridge.domain.errors import InvalidExpression
from bridge.domain.expressions import compiled
from bridge.domain.facts import DOCUMENT_FIELDS, Facts
from bridge.domain.hours import Hours
from bridge.domain.number_facts import LineType
from bridge.domain.spelling import hint

# What in a JMESPath tree looks at the same value as the whole does; elsewhere, names are those of
# something within it, of which nobody knows beforehand what it holds.
_ALL_HERE: Final = frozenset(
    {
        "comparator",
        "and_expression",
        "or_expression",
        "not_expression",
        "function_expression",
        "multi_select_list",
        "multi_select_dict",
        "key_val_pair",
    }
)
_ELSEWHERE: Final = frozenset({"literal", "current", "expref", "identity", "index", "slice"})


@dataclass(frozen=True, slots=True)
class Expression:
    """A JMESPath expression over an event (`facts.Facts.document`)."""

    text: str
    _compiled: ParsedResult = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Compile it, and try it.

        Raises:
            InvalidExpression: it is no JMESPath, or asks for a field that no event has.
        """
        made = compiled(self.text, Functions.FUNCTION_TABLE)
        if strange := sorted(set(_fields(made.parsed)) - DOCUMENT_FIELDS):
            meant = hint(strange[0], DOCUMENT_FIELDS)
            raise InvalidExpression(f"no event has a field {strange[0]!r}{meant}")
        object.__setattr__(self, "_compiled", made)

    def holds(self, document: Mapping[str, Any]) -> bool:
        """Say whether its result is true as JMESPath has it; what can't be compared is not."""
        try:
            result = self._compiled.search(document)
        except Exception:  # noqa: BLE001 - a site's expression may stumble over any value
            return False
        return result is not None and result is not False and result not in ("", [], {})


def _fields(node: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names that an expression asks of the event itself.

    Raises:
        InvalidExpression: it says something else than whoever wrote it will have meant.
    """
    kind, children = node["type"], node["children"]
    if kind == "subexpression" and children[0]["type"] == "not_expression":
        raise InvalidExpression("!a.b is read as (!a).b, which is never true; write !(a.b)")
    if kind == "field":
        yield node["value"]
    elif kind not in _ELSEWHERE:
        for child in children if kind in _ALL_HERE else children[:1]:
            yield from _fields(child)


class When(Struct, frozen=True, kw_only=True):
    """The conditions of a rule; one that is empty or None asks for nothing.

    `dest_numbers` are MSISDNs; `countries` are ISO 3166. `waited_s` is how many seconds the call
    must have waited for more than.
    """

    queue_names: frozenset[str] = frozenset()
    dest_numbers: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    line_types: frozenset[LineType] = frozenset()
    is_withheld: bool | None = None
    within: Hours | None = None
    outside: Hours | None = None
    waited_s: float | None = None
    expression: Expression | None = None

    def holds(self, facts: Facts) -> bool:
        """Say whether a rule with these conditions is for this event."""
        at_us, zone = facts.event.occurred_us, facts.zone
        return (
            (not self.queue_names or facts.said("queue_name") in self.queue_names)
            and (not self.dest_numbers or facts.said("dest_msisdn") in self.dest_numbers)
            and (self.is_withheld is None or facts.is_withheld is self.is_withheld)
            and (not self.countries or facts.country in self.countries)
            and (not self.line_types or facts.line_type in self.line_types)
            and (self.waited_s is None or facts.waited_s > self.waited_s)
            and (self.within is None or self.within.hold(at_us, zone))
            and (self.outside is None or not self.outside.hold(at_us, zone))
            and (self.expression is None or self.expression.holds(facts.document))
        )


ALWAYS: Final = When()
