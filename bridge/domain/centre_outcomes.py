"""What an answer of Cention's administration API means for what was asked. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct

from bridge.domain.centre_plan import Action
from bridge.domain.outcomes import Failure

_BUSY = frozenset({425, 429, 503})


class Told(Struct, frozen=True, kw_only=True):
    """What came back.

    Attributes:
        status: the HTTP status; 0: none came, and `failure` says how it failed.
        error: Cention's own words, of `{"error": "…"}`.
        document: the answer's JSON object; empty where there was none.
        retry_after_s: its Retry-After, in seconds.
        detail: how the connection failed, without any address.
    """

    status: int = 0
    failure: Failure | None = None
    error: str = ""
    document: Mapping[str, Any] = {}
    retry_after_s: float | None = None
    detail: str = ""


class Fate(StrEnum):
    """What became of a request.

    `UNTOUCHED`: it was not done, and may be tried again. `UNCLEAR`: nobody knows whether it was.
    `BARRED`: refused, and so will any other be.
    """

    DONE = "done"
    REFUSED = "refused"
    BARRED = "barred"
    UNTOUCHED = "untouched"
    UNCLEAR = "unclear"


def judge(action: Action, told: Told) -> Fate:
    """Say what an answer means.

    A create that was answered with 2xx and no id was most likely done, but nobody knows as what. An
    answer that has an `error` is a refusal, also with a 2xx: the page gives it no status (assumed).
    What is to be deleted and isn't there any more (404) counts as deleted.
    """
    if told.failure is not None:
        return Fate.UNTOUCHED if told.failure is Failure.NOT_CONNECTED else Fate.UNCLEAR
    status = told.status
    if status in {401, 403}:
        return Fate.BARRED
    if status in _BUSY:
        return Fate.UNTOUCHED
    if status == 408 or status >= 500:
        return Fate.UNCLEAR
    if 200 <= status < 300:
        return _judge_good(action, told)
    return Fate.DONE if status == 404 and action is Action.DELETE else Fate.REFUSED


def _judge_good(action: Action, told: Told) -> Fate:
    if told.error:
        return Fate.REFUSED
    if action is Action.CREATE and new_id(told) is None:
        return Fate.UNCLEAR
    return Fate.DONE


def new_id(told: Told) -> int | None:
    """Return the id of what was made. A tag has a `tag_id` too; its `id` is meant (assumed)."""
    value = told.document.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:18])
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
