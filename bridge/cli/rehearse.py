"""`aventa-bridge check --event`: which route and rule events take, and what would leave."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson
import typer

from bridge.app.rehearsal import Request, Scene, rehearse
from bridge.cli.common import fail, rfc3339, shown
from bridge.domain.errors import InvalidEvent
from bridge.inbound.shapes import BATCH_MAX, BODY_BYTES_MAX, Candidate, Shape, read
from bridge.inbound.strict_json import StrictJsonError
from bridge.settings import Settings

_LATER: Final = "later"


def play(settings: Settings, file: Path) -> list[Scene]:
    """Play the events in a file; one that can't be read ends the command with 2."""
    candidates = _candidates(file)
    return asyncio.run(rehearse(settings, candidates, time.time_ns() // 1000))


def _candidates(file: Path) -> list[Candidate]:
    try:
        raw = file.read_bytes()
    except OSError as error:
        fail(f"{file}: can't be read ({error.strerror}); name a file with an event", code=2)
    if len(raw) > BODY_BYTES_MAX:
        fail(f"{file}: is too large; a request holds at most {BODY_BYTES_MAX // 2**20} MiB", code=2)
    try:
        candidates = read(_shape(raw), raw, {}).candidates
    except StrictJsonError as error:
        fail(f"{file}: {error.pointer or 'the file'}: {error.detail}", code=2)
    except InvalidEvent as error:
        fail(f"{file}: {error}", code=2)
    if not candidates or len(candidates) > BATCH_MAX:
        fail(f"{file}: holds {len(candidates):,} events; use 1 to {BATCH_MAX:,}", code=2)
    return candidates


def _shape(raw: bytes) -> Shape:
    """Return the shape that a file's content has: nobody says it beside a file."""
    try:
        document = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return Shape.NDJSON if len(raw.strip().splitlines()) > 1 else Shape.JSON
    first = document[0] if isinstance(document, list) and document else document
    if isinstance(first, dict) and "specversion" in first:
        return Shape.CLOUDEVENTS if isinstance(document, list) else Shape.CLOUDEVENT
    return Shape.JSON


def as_json(scene: Scene) -> dict[str, Any]:
    """Return what came of an event, for scripts."""
    effect = scene.effect
    return {
        "eventId": scene.event_id or None,
        "eventType": scene.event_type or None,
        "status": scene.status,
        "errors": [{"pointer": one.pointer, "detail": one.detail} for one in scene.issues],
        "route": scene.route or None,
        "rule": (effect.rule or None) if effect else None,
        "contact": (effect.contact or None) if effect else None,
        "ends_skipped": effect.ends_skipped if effect else 0,
        "unsent": [reason.value for reason in effect.unsent] if effect else [],
        "requests": [_request(one) for one in scene.requests],
    }


def _request(one: Request) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "route": one.route,
        "method": "POST",
        "url": one.url,
        "due_at": rfc3339(one.due_us),
        "expires_at": rfc3339(one.expires_us),
        "document": one.document,
    }


def print_scenes(scenes: Sequence[Scene]) -> None:
    """Show what came of events to a person."""
    for scene in scenes:
        typer.echo(shown(_headline(scene)))
        for issue in scene.issues:
            typer.echo(shown(f"  {issue.pointer or 'the event'}: {issue.detail}"))
        effect = scene.effect
        if effect is not None:
            for reason in effect.unsent:
                typer.echo(f"  the rule's WhatsApp template is not sent: {reason.value}")
            if effect.ends_skipped:
                typer.echo("  the errand can't be ended: Cention needs an agent for that")
            if not scene.requests:
                typer.echo("  nothing leaves")
        for one in scene.requests:
            typer.echo(shown(f"  POST {one.url} (token of route {one.route}{_when(one, scene)})"))
            text = orjson.dumps(one.document, option=orjson.OPT_INDENT_2).decode()
            typer.echo("\n".join(f"    {line}" for line in text.splitlines()))


def _headline(scene: Scene) -> str:
    if scene.status == _LATER:
        return "When time has passed:"
    what = f"{scene.event_type or 'event'} {scene.event_id}".strip()
    if scene.effect is None:
        return f"{what}: is refused"
    if scene.status != "accepted":
        return f"{what}: {scene.status}"
    return f"{what}: route {scene.route}, {_rule(scene.effect.rule)}"


def _rule(name: str) -> str:
    return f"rule {name}" if name else "no rule"


def _when(request: Request, scene: Scene) -> str:
    if scene.status != _LATER:
        return ""
    until = f", given up at {rfc3339(request.expires_us, 'seconds')}" if request.expires_us else ""
    return f", at {rfc3339(request.due_us, 'seconds')}{until}"
