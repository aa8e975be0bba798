"""The mapping that the page shows whole works as it says."""

import re
import tomllib
from pathlib import Path
from typing import Final

import orjson

from bridge.domain.events import parse_event
from bridge.domain.mapping_files import TARGETS, read_mapping
from bridge.domain.mapping_functions import Functions
from bridge.domain.mappings import apply
from bridge.settings.mappings import Shelf

PAGE: Final = (Path(__file__).parents[2] / "docs" / "mappings.md").read_text(encoding="utf-8")
WHOLE: Final = PAGE[PAGE.index("## A mapping, whole") :]


def test_the_mapping_that_is_shown_whole_makes_the_event_that_it_is_for() -> None:
    (toml,) = re.findall(r"```toml\n(.*?)```", WHOLE, re.DOTALL)
    (body,) = re.findall(r"^`(\{.*\})`:$", WHOLE, re.MULTILINE)
    mapping = read_mapping(tomllib.loads(toml))
    (made,) = apply(mapping, orjson.loads(body), {}, "2026-03-01T09:30:00Z").events
    assert made.is_timed
    event = parse_event(made.document)
    assert (event.reference_id, event.caller_number) == ("7", "+46701234567")
    assert (event.queue_name, event.queue_number) == ("Reception", "reception")
    assert event.agent_id == "alice@example.com"
    assert apply(mapping, {"calls": [{"state": "TEST"}]}, {}, "").ignored == "a test"


def test_the_page_names_every_field_function_and_shipped_mapping() -> None:
    for target in TARGETS:
        assert f"`{target}`" in PAGE or target.startswith("contact."), target
    own = set(Functions.FUNCTION_TABLE) - set(Functions.__base__.FUNCTION_TABLE)  # type: ignore[union-attr]
    for name in own:
        assert f"| `{name}(" in PAGE, name
    for name in Shelf().names():
        assert f"`{name}`" in PAGE, name
