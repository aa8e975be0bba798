"""`aventa-bridge mapping`: what the requests of other phone systems become, before they come."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import orjson
import typer

from bridge.app import wiring
from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    fail,
    print_json,
    print_table,
    read_settings,
    shown,
)
from bridge.domain.admission import admit
from bridge.domain.errors import InvalidEvent, Issue
from bridge.domain.events import parse_event
from bridge.domain.mappings import Made, Mapped, MappingOf, Told, reply
from bridge.inbound.forms import JSON, URLENCODED, kind_of
from bridge.inbound.hooks import HOOKS_PREFIX, read_mapped
from bridge.inbound.shapes import BODY_BYTES_MAX
from bridge.inbound.strict_json import StrictJsonError
from bridge.settings import Settings, SettingsError

_TYPE: Final = "content-type"
_WIDE: Final = 48

app = typer.Typer(
    help="Mappings: how the requests of other phone systems become events.",
    epilog="Example: aventa-bridge mapping test sipgate-io body.txt",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="As `list` shows it.")]


@app.command("list")
def list_(json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the mappings that are there, and the hooks that go by them.

    A site's own are in the folder mappings/ beside the settings' file, and stand before shipped
    ones of the same name.

    Example: aventa-bridge mapping list --config /etc/aventa-bridge/bridge.toml
    """
    settings = read_settings(config, None)
    rows = [_row(settings, name, path) for name, path in _names(settings).items()]
    if json:
        print_json(rows)
        return
    print_table(
        ("mapping", "from", "hooks", "what it is for"),
        [
            (row["name"], row["path"] or "shipped", ", ".join(row["hooks"]), row["description"])
            for row in rows
        ],
    )


def _row(settings: Settings, name: str, path: Path) -> dict[str, Any]:
    hooks = [
        hook for hook, table in settings.hook_table().items() if (table.mapping or hook) == name
    ]
    return {
        "name": name,
        "path": None if settings.mappings.is_shipped(name) else str(path),
        "description": _mapping(settings, name).description,
        "hooks": [HOOKS_PREFIX + hook for hook in sorted(hooks)],
    }


@app.command()
def show(name: Name, config: ConfigOption = None) -> None:
    """Print a mapping's file, to copy and change it.

    Example: aventa-bridge mapping show sipgate-io > /etc/aventa-bridge/mappings/sipgate-io.toml
    """
    settings = read_settings(config, None)
    path = _names(settings).get(name)
    if path is None:
        fail(f"there is no mapping {name}{settings.mappings.hint(name)}", code=2)
    typer.echo(path.read_text(encoding="utf-8"), nl=False)


@app.command("test")
def rehearse(
    name: Name,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A body as the phone system posts it.")
    ],
    header: Annotated[
        list[str] | None,
        typer.Option(
            "--header",
            metavar="NAME:VALUE",
            help="A header of the request, as often as needed. Without a Content-Type, the body is"
            " taken for JSON if it looks like it, else for a form.",
            show_default=False,
        ),
    ] = None,
    json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show what a body becomes by a mapping: field by field, and why not where it doesn't.

    Nothing is sent or kept. Routes and regions are those of the settings. Exits with 0 if the body
    becomes events or is ignored, with 1 if anything of it would be refused, and with 2 if the
    mapping, the settings or the file can't be used.

    Example: aventa-bridge mapping test sipgate-io newcall.txt

    Example: aventa-bridge mapping test front-desk call.json --header 'X-Site: oslo' --config b.toml
    """
    settings = read_settings(config, None)
    raw = _content(file)
    headers = _headers(header or (), raw)
    if not kind_of(headers[_TYPE]):
        fail(f"{shown(headers[_TYPE])}: is no type that hooks take; use {JSON} or a form", code=2)
    mapping = _mapping(settings, _mapping_name(settings, name))
    now_us = time.time_ns() // 1000
    try:
        body, mapped = read_mapped(mapping, raw, headers[_TYPE], headers, now_us)
    except StrictJsonError as error:
        _refused(json, Issue(error.pointer, error.detail))
    seen = [_Seen(settings, made, now_us, source=name) for made in mapped.events]
    wanted = reply(mapping, body, headers) if not mapped.issues else None
    if json:
        print_json(
            {
                "mapping": name,
                "ignored": mapped.ignored or None,
                "errors": [_issue(one) for one in mapped.issues],
                "entries": _looks(mapped),
                "events": [one.as_json() for one in seen],
                "reply": wanted.content_type if wanted else None,
            }
        )
    else:
        _print(mapping, mapped, seen)
        if wanted:
            typer.echo(f"the answer: {wanted.content_type}, as the mapping wants it")
    if mapped.issues or any(one.issues for one in seen):
        raise typer.Exit(1)


class _Seen:
    """One event that a mapping makes, and what the door would say of it."""

    def __init__(self, settings: Settings, made: Made, now_us: int, *, source: str) -> None:
        self.made = made
        self.issues: Sequence[Issue] = ()
        self.route = ""
        policy = wiring.ingest_policy(settings)
        try:
            admission = admit(
                parse_event(made.document),
                source=source,
                routes=policy.guide.routes,
                now_us=now_us,
                age_days_max=policy.journal_days,
            )
            self.route = admission.event.route
        except InvalidEvent as error:
            self.issues = error.issues

    @property
    def told(self) -> list[Told]:
        """What is to be told of its fields: of those that are told twice, the last."""
        return sorted({one.target: one for one in self.made.told}.values(), key=_order)

    def as_json(self) -> dict[str, Any]:
        return {
            "entry": self.made.entry,
            "event": self.made.document,
            "route": self.route or None,
            "errors": [_issue(one) for one in self.issues],
            "fields": [
                {
                    "field": one.target,
                    "value": one.value,
                    "from": one.origin,
                    "note": one.note or None,
                }
                for one in self.told
            ],
        }


_FIRST: Final = ("eventId", "eventType", "occurredAt", "referenceId")


def _order(told: Told) -> tuple[bool, int]:
    """Put what has a value before what has none, and what tells the event before the rest."""
    place = _FIRST.index(told.target) if told.target in _FIRST else len(_FIRST)
    return told.value is None, place


def _print(mapping: MappingOf, mapped: Mapped, seen: Sequence[_Seen]) -> None:
    if mapped.ignored:
        typer.echo(shown(f"ignored: {mapped.ignored}"))
        return
    for issue in mapped.issues:
        typer.echo(shown(f"refused: {issue.detail}"))
    if mapped.issues:
        for number, look in enumerate(mapped.looked):
            typer.echo(shown(f"  events.{number} does not fit: {look}"))
    for number, one in enumerate(seen, 1):
        when = mapping.entries[one.made.entry].when.text or "always"
        typer.echo(shown(f"event {number} of {len(seen)}, by events.{one.made.entry} ({when})"))
        width = max(len(told.target) for told in one.told)
        for told in one.told:
            value = "-" if told.value is None else _text(told.value)
            said = f"{told.origin}{f': {told.note}' if told.note else ''}"
            typer.echo(shown(f"  {told.target:<{width}}  {value:<{_WIDE}}  {said}"))
        for issue in one.issues:
            typer.echo(shown(f"  refused: {issue.pointer} {issue.detail}".rstrip()))
        if not one.issues:
            typer.echo(shown(f"  taken, by route {one.route}"))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _looks(mapped: Mapped) -> list[dict[str, Any]]:
    return [
        {"entry": number, "fits": not look, "why_not": look or None}
        for number, look in enumerate(mapped.looked)
    ]


def _issue(issue: Issue) -> dict[str, str]:
    return {"pointer": issue.pointer, "detail": issue.detail}


def _refused(is_json: bool, issue: Issue) -> NoReturn:
    if is_json:
        print_json({"events": [], "errors": [_issue(issue)]})
    else:
        typer.echo(shown(f"refused: {issue.pointer or 'the body'}: {issue.detail}"))
    raise typer.Exit(1)


def _content(file: Path) -> bytes:
    try:
        raw = file.read_bytes()
    except OSError as error:
        fail(f"{file}: can't be read ({error.strerror}); name a file with a body", code=2)
    if len(raw) > BODY_BYTES_MAX:
        fail(f"{file}: is too large; a request holds at most {BODY_BYTES_MAX // 2**20} MiB", code=2)
    return raw


def _headers(given: Sequence[str], raw: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for one in given:
        name, colon, value = one.partition(":")
        if not colon or not name.strip():
            raise typer.BadParameter("write NAME:VALUE", param_hint="--header")
        headers[name.strip().lower()] = value.strip()
    headers.setdefault(_TYPE, JSON if raw.lstrip()[:1] in {b"{", b"["} else URLENCODED)
    return headers


def _mapping_name(settings: Settings, name: str) -> str:
    """Return the mapping that is meant by the name of a hook, or by its own."""
    hook = _table(settings).get(name)
    return (hook.mapping or name) if hook is not None else name


def _table(settings: Settings) -> Mapping[str, Any]:
    try:
        return settings.hook_table()
    except SettingsError as error:
        fail("\n".join(error.problems), code=2)


def _names(settings: Settings) -> dict[str, Path]:
    try:
        return settings.mappings.names()
    except SettingsError as error:
        fail("\n".join(error.problems), code=2)


def _mapping(settings: Settings, name: str) -> MappingOf:
    try:
        return settings.mappings.mapping(name)
    except SettingsError as error:
        for problem in error.problems:
            typer.echo(shown(problem), err=True)
        raise typer.Exit(2) from None
