"""Faults on demand: which request is struck by which. Pure; `bridge.sandbox.strikes` does the harm.

A rule is a JSON object with any of

| field | means |
| --- | --- |
| `kinds` | strikes requests of these types only, as `c3_new_errands` or `area`; absent: all |
| `probability` | 0 to 1, the share of these requests that it strikes; absent: 1 |
| `times` | strikes so often at most; absent: for ever |

and exactly one of

| field | means |
| --- | --- |
| `status` | is answered with it; `retry_after` (seconds, or an HTTP date) goes with it, |
| | `body` (text is sent as HTML, an object as JSON) replaces the error document, and |
| | `with_effect` (true) does what was asked for all the same |
| `delay_seconds` | waits so long before it is handled |
| `drop_answer` | true: is done, then hung up on without an answer |
| `late_effect_seconds` | is hung up on at once, and done so much later |
| `reset` | true: the connection is reset, nothing is done |
| `outage_seconds` | as reset, for so long from when the rule was set |

A request is struck by one rule at most: the first, in their order, that takes it.
"""

import email.utils
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import Any, Final

from bridge.sandbox.jsonapi import ApiError, Issue
from bridge.sandbox.kinds import KINDS
from bridge.sandbox.schema import between, list_of, one_of, optional, record

RULES_MAX: Final = 100
SECONDS_MAX: Final = 24 * 3600.0


class Deed(StrEnum):
    """What a fault does; its value is the field of a rule that asks for it."""

    STATUS = "status"
    DELAY = "delay_seconds"
    DROP_ANSWER = "drop_answer"
    LATE_EFFECT = "late_effect_seconds"
    RESET = "reset"
    OUTAGE = "outage_seconds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule; `document` is the JSON that it was read from, `seconds` whatever it measures.

    `kinds` is None where it strikes any type of request.
    """

    document: Mapping[str, Any]
    deed: Deed
    kinds: frozenset[str] | None = None
    probability: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    status: int = 0
    retry_after: str | None = None
    body: str | Mapping[str, Any] | None = None
    with_effect: bool = False

    @property
    def comes_late(self) -> bool:
        """Whether it strikes only what has passed the checks, since it has an effect."""
        return self.with_effect or self.deed in {Deed.DROP_ANSWER, Deed.LATE_EFFECT}

    @property
    def name(self) -> str:
        """What it is counted as."""
        if self.deed is not Deed.STATUS:
            return self.deed.value.removesuffix("_seconds")
        return f"{self.status} with effect" if self.with_effect else str(self.status)


@dataclass(slots=True)
class StandingRule:
    """A rule in force since `set_at` (monotonic seconds), and how often it struck."""

    rule: Rule
    set_at: float
    struck: int = 0

    def takes(self, kind: str, now: float) -> bool:
        """Whether it may strike a request of this type, chance aside."""
        rule = self.rule
        is_spent = rule.times is not None and self.struck >= rule.times
        is_over = rule.deed is Deed.OUTAGE and now - self.set_at >= rule.seconds
        return (rule.kinds is None or kind in rule.kinds) and not (is_spent or is_over)


class FaultBook:
    """The rules in force, in their order."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._standing: list[StandingRule] = []
        self.struck: Counter[str] = Counter()

    def set(self, rules: Sequence[Rule], now: float) -> None:
        """Put rules in the place of those in force; now is monotonic seconds."""
        self._standing = [StandingRule(rule, now) for rule in rules]

    def clear(self) -> None:
        """Do no more harm; what struck stays counted."""
        self._standing = []

    def reset(self) -> None:
        """Do no more harm, and forget what struck."""
        self.clear()
        self.struck.clear()

    def choose(self, kind: str, now: float) -> StandingRule | None:
        """Return the rule that is to strike a request of a type, None to leave it alone."""
        for standing in self._standing:
            probability = standing.rule.probability
            if standing.takes(kind, now) and (
                probability >= 1 or self._random.random() < probability
            ):
                return standing
        return None

    def count(self, standing: StandingRule) -> None:
        """Count that a rule has struck."""
        standing.struck += 1
        self.struck[standing.rule.name] += 1

    def read_back(self) -> dict[str, Any]:
        """Return the rules in force as the sandbox's own pages show them, each with its count."""
        rules = [{**item.rule.document, "struck": item.struck} for item in self._standing]
        return {"rules": rules, **self.summary()}

    def summary(self) -> dict[str, Any]:
        """Return how often faults struck, those of rules no longer in force as well."""
        return {"struck": self.struck.total(), "by_fault": dict(sorted(self.struck.items()))}


def _times(value: Any, pointer: str, issues: list[Issue]) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        issues.append(Issue(pointer, "must be an integer, 1 or more"))


def _status(value: Any, pointer: str, issues: list[Issue]) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        issues.append(Issue(pointer, "must be an HTTP status from 200 to 599"))


def _true(value: Any, pointer: str, issues: list[Issue]) -> None:
    if value is not True:
        issues.append(Issue(pointer, "must be true, or left out"))


def _body(value: Any, pointer: str, issues: list[Issue]) -> None:
    if not isinstance(value, str | dict):
        issues.append(Issue(pointer, "must be a string or an object"))


def _retry_after(value: Any, pointer: str, issues: list[Issue]) -> None:
    is_seconds = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    if not is_seconds and not (isinstance(value, str) and _is_date(value)):
        detail = "must be seconds, not negative, or an HTTP date (RFC 9110 §5.6.7)"
        issues.append(Issue(pointer, detail))


def _is_date(text: str) -> bool:
    try:
        email.utils.parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return False
    return text.isascii() and text.isprintable()


_RULE: Final = record(
    {
        "kinds": optional(list_of(one_of(KINDS))),
        "probability": optional(between(0.0, 1.0)),
        "times": optional(_times),
        "status": optional(_status),
        "retry_after": optional(_retry_after),
        "body": optional(_body),
        "with_effect": optional(_true),
        "delay_seconds": optional(between(0.0, SECONDS_MAX)),
        "drop_answer": optional(_true),
        "late_effect_seconds": optional(between(0.0, SECONDS_MAX)),
        "reset": optional(_true),
        "outage_seconds": optional(between(0.0, SECONDS_MAX)),
    }
)


def _check_rule(value: Any, pointer: str, issues: list[Issue]) -> None:
    _RULE(value, pointer, issues)
    if not isinstance(value, dict):
        return
    if sum(deed in value for deed in Deed) != 1:
        named = ", ".join(deed.value for deed in Deed)
        issues.append(Issue(pointer, f"must have exactly one of {named}"))
    issues.extend(
        Issue(f"{pointer}/{name}", "goes with status only")
        for name in ("retry_after", "body", "with_effect")
        if name in value and Deed.STATUS not in value
    )


def read_rules(document: Any) -> list[Rule]:
    """Return the rules of a JSON array.

    Raises:
        ApiError: 422, it is none; every issue is named.
    """
    issues: list[Issue] = []
    if not isinstance(document, list):
        issues.append(Issue("", "must be an array of rules, or an object with a preset"))
    elif len(document) > RULES_MAX:
        issues.append(Issue("", f"must not have more than {RULES_MAX} rules"))
    else:
        for index, item in enumerate(document):
            _check_rule(item, f"/{index}", issues)
    if issues:
        raise ApiError(422, *issues)
    return [_rule(item) for item in document]


def _rule(document: dict[str, Any]) -> Rule:
    deed = next(deed for deed in Deed if deed in document)
    kinds, retry_after = document.get("kinds"), document.get("retry_after")
    return Rule(
        document=document,
        deed=deed,
        kinds=None if kinds is None else frozenset(kinds),
        probability=document.get("probability", 1.0),
        times=document.get("times"),
        seconds=document[deed] if deed.endswith("_seconds") else 0.0,
        status=document.get("status", 0),
        retry_after=None if retry_after is None else str(retry_after),
        body=document.get("body"),
        with_effect="with_effect" in document,
    )
