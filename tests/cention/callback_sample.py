"""The vendor's sample of a callback, and its parts."""

import json
from pathlib import Path
from typing import Any

from bridge.cention.callbacks import ERRAND_TYPE, read_callback
from bridge.domain.answers import Answer, FileType

SAMPLE = Path(__file__).parents[1] / "data/samples/callback_answer_errand.json"
OWN = frozenset({"cention.example:8443"})
PATH = f"/capi/json/{FileType.ATTACHMENT}/788"


def sample() -> Any:
    return json.loads(SAMPLE.read_text())


def read(document: Any) -> Answer:
    return read_callback(document, OWN)


def errand_of(document: Any) -> Any:
    [found] = [one for one in document["included"] if one["type"] == ERRAND_TYPE]
    return found


def response_of(document: Any) -> Any:
    return errand_of(document)["attributes"]["answer"]["response"]


def file_of(document: Any, file_id: str) -> Any:
    [found] = [one for one in document["included"] if one["id"] == file_id]
    return found


def with_link(link: object) -> Any:
    """Return the sample with this link to one of its files."""
    document = sample()
    file_of(document, "788")["links"] = {"self": link}
    return document
