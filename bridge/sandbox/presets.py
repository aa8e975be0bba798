"""Faults by name: sets of rules that together strike a share of the requests.

| preset | strikes with |
| --- | --- |
| `mixed` | all that goes wrong at a site: 503, 500 and 502 with and without effect, dropped |
| | answers, late effects, resets, delays, and 429 with Retry-After |
| `no_doubt` | only what leaves no doubt about what was done: 503, 429 and delays; and for what |
| | may safely be repeated (ends and cards) also 500, 502 and resets, all without effect |
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from bridge.sandbox.faults import Rule, read_rules
from bridge.sandbox.jsonapi import ApiError, Issue
from bridge.sandbox.kinds import CARDS, CLAIMS, END_ERRANDS, KINDS
from bridge.sandbox.schema import between, list_of, one_of, optional, record, required

MIXED: Final = "mixed"
NO_DOUBT: Final = "no_doubt"
PRESETS: Final = (MIXED, NO_DOUBT)
# How long after the hang-up `mixed` still does what was asked for, at most.
LATE_EFFECT_SECONDS: Final = 2.0

_REPEATABLE: Final = frozenset({END_ERRANDS, CARDS})
_Faults = Sequence[Mapping[str, Any]]

_CLEAR: Final[_Faults] = (
    {"status": 503},
    {"status": 503, "retry_after": 1},
    {"status": 429, "retry_after": 1},
    {"delay_seconds": 0.5},
)
_WITHOUT_EFFECT: Final[_Faults] = ({"status": 500}, {"status": 502}, {"reset": True})
_WITH_EFFECT: Final[_Faults] = (
    {"status": 500, "with_effect": True},
    {"status": 502, "with_effect": True},
    {"drop_answer": True},
    {"late_effect_seconds": LATE_EFFECT_SECONDS},
)

_PRESET: Final = record(
    {
        "preset": required(one_of(PRESETS)),
        "rate": required(between(0.0, 1.0)),
        "kinds": optional(list_of(one_of(KINDS))),
    }
)


def read_faults(document: Any) -> list[Rule]:
    """Return the rules of an array of them, or of an object `{"preset", "rate", "kinds"}`.

    Raises:
        ApiError: 422, it is neither; every issue is named.
    """
    if not isinstance(document, dict):
        return read_rules(document)
    issues: list[Issue] = []
    _PRESET(document, "", issues)
    if issues:
        raise ApiError(422, *issues)
    kinds = frozenset(document.get("kinds", CLAIMS))
    return read_rules(_expand(document["preset"], document["rate"], kinds))


def _expand(preset: str, rate: float, kinds: Collection[str]) -> list[dict[str, Any]]:
    if preset == MIXED:
        return _chain((*_CLEAR, *_WITHOUT_EFFECT, *_WITH_EFFECT), rate, kinds)
    repeatable = [kind for kind in kinds if kind in _REPEATABLE]
    others = [kind for kind in kinds if kind not in _REPEATABLE]
    return [
        *_chain(_CLEAR, rate, others),
        *_chain((*_CLEAR, *_WITHOUT_EFFECT), rate, repeatable),
    ]


def _chain(faults: _Faults, rate: float, kinds: Collection[str]) -> list[dict[str, Any]]:
    """Return rules that strike equally often, and together with this rate.

    A rule sees only what the rules before it have left alone, so that its probability has to be the
    larger the further down it stands.
    """
    if not kinds:
        return []
    share = rate / len(faults)
    return [
        {
            "kinds": sorted(kinds),
            "probability": min(1.0, share / (1 - index * share)),
            **fault,
        }
        for index, fault in enumerate(faults)
    ]
