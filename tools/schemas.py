"""Writes docs/schemas/: JSON Schema of an event and of a batch, from the models that check them."""

import json
from pathlib import Path
from typing import Any, Final

from bridge.inbound.event_schema import (
    BATCH_FILE,
    EVENT_FILE,
    batch_document,
    event_document,
)

FOLDER: Final = Path(__file__).parents[1] / "docs" / "schemas"


def pages() -> dict[str, str]:
    """Return what belongs into which file."""
    documents: dict[str, Any] = {EVENT_FILE: event_document(), BATCH_FILE: batch_document()}
    return {name: json.dumps(one, indent=2) + "\n" for name, one in documents.items()}


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
