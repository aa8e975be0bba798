"""Bodies that get further than the door, of what was made up from the document."""

import json
import random
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[2]
SECRET: Final = "contract-secret"
# What a made-up event lacks to be let in: a number that is one, a time not ahead, and a queue.
LIKELY: Final = {"destNumber": "+60374571234", "occurredAt": "2026-11-20T10:00:00+01:00"}
QUEUE: Final = {"queueName": "Sales", "queueNumber": "100"}
CALLBACK: Final = json.loads(
    (ROOT / "tests" / "data" / "samples" / "callback_answer_errand.json").read_text()
)
# What phone systems document that they post, by the hooks that take it.
POSTED: Final = tuple(
    (path.parent.name, json.loads(path.read_text()))
    for path in sorted((ROOT / "tests" / "data" / "mappings").glob("*/*.json"))
)


def mended(path: str, body: Any, *, is_right: bool, chance: random.Random) -> Any:
    """Return a body with what it needs to be taken, as far as it is right by the document.

    What was made wrong stays wrong.
    """
    if path == "/v1/events":
        for one in body if isinstance(body, list) else [body]:
            if isinstance(one, dict):
                inner = one.get("data") if "specversion" in one else one
                if isinstance(inner, dict):
                    _mend_event(inner, is_right=is_right)
    elif isinstance(body, dict):
        if is_right and chance.random() < 0.5:
            return _callback(chance)
        if isinstance(body.get("meta"), dict):
            body["meta"]["api_secret"] = SECRET
    return body


def _mend_event(event: dict[str, Any], *, is_right: bool) -> None:
    for key, value in LIKELY.items():
        if is_right or (isinstance(event.get(key), str) and event[key]):
            event[key] = value
    if is_right:
        event.update({key: value for key, value in QUEUE.items() if not event.get(key)})
        # Files are base64 of a few bytes; what is made up is cut short more often than not.
        event.pop("attachments", None)


def _callback(chance: random.Random) -> dict[str, Any]:
    number = str(chance.randrange(100))
    return {
        **CALLBACK,
        "data": {**CALLBACK["data"], "id": number},
        "meta": {"api_secret": SECRET},
    }


def posted(chance: random.Random) -> tuple[str, Any]:
    """Return a hook, and what a phone system documents for it."""
    return chance.choice(POSTED)
