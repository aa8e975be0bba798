"""What an answer of Cention's administration API means for what was asked. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from msgspec import Struct

from bridge.domain.centre_plan import Action
from bridge.domain.centre_values import is_id
from bridge.domain.outcomes import Failure

_NOT_TAKEN: Final = frozenset({425, 429})
_NO_CONTENT: Final = 204
_ID_DIGITS_MAX: Final = 18


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
    With a 5xx it is none: what failed half-way may say so in the same words. Nor is a 503 proof
    that nothing was done, since proxies say it of a connection that broke too; where it tells when
    to come back (Retry-After), it was not taken on (assumed). What is to be deleted and isn't there
    any more (404) counts as deleted, if it is Cention that says so, in JSON.
    """
    if told.failure is not None:
        return Fate.UNTOUCHED if told.failure is Failure.NOT_CONNECTED else Fate.UNCLEAR
    status = told.status
    if status in {401, 403}:
        return Fate.BARRED
    if status in _NOT_TAKEN or (status == 503 and told.retry_after_s is not None):
        return Fate.UNTOUCHED
    if status == 408 or status >= 500:
        return Fate.UNCLEAR
    if 200 <= status < 300:
        return _judge_good(action, told)
    is_gone = status == 404 and action is Action.DELETE and bool(told.error or told.document)
    return Fate.DONE if is_gone else Fate.REFUSED


def _judge_good(action: Action, told: Told) -> Fate:
    """Say what a 2xx means. The page answers each request with an object: what has none isn't its.

    What has both an error and an id was made after all.
    """
    if action is Action.CREATE:
        if new_id(told) is None:
            return Fate.REFUSED if told.error else Fate.UNCLEAR
        return Fate.UNCLEAR if told.error else Fate.DONE
    if told.error or told.document.get("deleted") is False:
        return Fate.REFUSED
    return Fate.DONE if told.document or told.status == _NO_CONTENT else Fate.UNCLEAR


def new_id(told: Told) -> int | None:
    """Return the id of what was made. A tag has a `tag_id` too; its `id` is meant (assumed)."""
    value = told.document.get("id")
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value) if len(value) <= _ID_DIGITS_MAX else None
    return value if is_id(value) else None
