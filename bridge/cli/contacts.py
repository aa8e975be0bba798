"""`aventa-bridge contacts`: what is known of one person, and how it is forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

import typer
from sqlalchemy import Engine

from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    YesOption,
    clock_time,
    confirm,
    counted,
    fail,
    open_store,
    plain,
    print_json,
    print_table,
    read_settings,
    reading,
    shown,
    working,
)
from bridge.domain.contacts import CHANNELS
from bridge.domain.errors import StoreUnusable
from bridge.domain.msisdn import NumberStatus
from bridge.settings import Settings
from bridge.storage import queries
from bridge.storage.engine import DaemonLock
from bridge.storage.forgetting import Erased, Found, compact, erase, remains, search
from bridge.storage.whom import Whom, find

# A person who calls just now is written down again while the rest is being erased.
_ROUNDS_MAX: Final = 3

app = typer.Typer(
    help="People as the bridge knows them: what is wanted on their cards, and what Cention has.",
    epilog="Example: aventa-bridge contacts show +60123456789",
    no_args_is_help=True,
)

Named = Annotated[
    str,
    typer.Argument(
        metavar="NUMBER_OR_CUID",
        help="A number as it is dialled or with plus, a cuid, or another channel's value.",
    ),
]


@app.command()
def show(
    named: Named,
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Show what is known of one person, and how much of it Cention has confirmed.

    Example: aventa-bridge contacts show 012-3456789
    """
    settings = read_settings(config, secrets_dir)
    text, number = _read(settings, named)
    with reading(settings) as connection:
        people = queries.people(connection, text, number)
        ids = [person["id"] for person in people]
        quarrels = queries.quarrels(connection, ids, *filter(None, (text, number)))
    if not people and not quarrels:
        fail(f"{text}: nobody is known by this")
    if json:
        # Held for a person, what is said may be nobody's yet.
        shown_people = people or [{"id": None}]
        print_json([plain(one) | {"conflicts": _of(quarrels, one["id"])} for one in shown_people])
        return
    for person in people:
        _print(person)
    if quarrels:
        _print_quarrels(quarrels, ids)


def _read(settings: Settings, named: str) -> tuple[str, str]:
    """Return what was typed, and with plus the number that it is; nothing where it is none."""
    text = named.strip()
    if not text:
        raise typer.BadParameter("is empty", param_hint="NUMBER_OR_CUID")
    read = settings.read_own_number(text)
    return text, read.plus if read.status is NumberStatus.VALID else ""


def _print(person: dict[str, Any]) -> None:
    confirmed = clock_time(person["confirmed_us"]) or "never"
    card = f"card {person['card_id']}" if person["card_id"] else "no card yet"
    typer.echo(
        shown(f"{person['scope']}, route {person['route']}: {card}, confirmed (UTC): {confirmed}")
    )
    print_table(
        ("", "wanted", "Cention has"),
        [
            (name, _values(person["wanted"], name), _values(person["confirmed"], name))
            for name in ("name", "cuid", *CHANNELS, "custom")
            if person["wanted"].get(name) or person["confirmed"].get(name)
        ],
    )


def _of(quarrels: Sequence[dict[str, Any]], person: str | None) -> list[dict[str, Any]]:
    """Return the quarrels that somebody is in; all of them for nobody in particular."""
    return [
        plain(one)
        for one in quarrels
        if person is None or person in {one["owner"], one["claimant"]}
    ]


def _print_quarrels(quarrels: Sequence[dict[str, Any]], ids: Sequence[str]) -> None:
    """Show what two people are said to have. Nobody is merged for it: a person has to decide."""

    def who(one: dict[str, Any], role: str) -> str:
        if not one[role]:
            return "nobody yet"
        card = one[f"{role}_card"]
        name = f"card {card}" if card else "somebody without a card"
        return f"{name} (this one)" if one[role] in ids and len(ids) == 1 else name

    print_table(
        (
            "conflict over",
            "value",
            "belongs to",
            "was said of",
            "decided by",
            "times",
            "last (UTC)",
        ),
        [
            (
                one["kind"],
                one["value"],
                who(one, "owner"),
                who(one, "claimant"),
                one["decided"],
                str(one["times"]),
                clock_time(one["last_us"]),
            )
            for one in quarrels
        ],
    )


def _values(card: dict[str, Any], name: str) -> str:
    value = card.get(name) or []
    if name == "custom":
        return ", ".join(": ".join(pair) for pair in value)
    return value if isinstance(value, str) else ", ".join(value)


@app.command()
def forget(
    named: Named,
    yes: YesOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Erase one person everywhere in the store, for good.

    Goes: the card, what their events said, refused events that mention them, errands that are not
    known to be in Cention; of these, those that may be there are counted. Stays: that there were
    calls, with their ids and times. Cention and backups are not touched. The store's file is
    written anew, which needs as much room again; should that take more than ten seconds, events
    are answered 503 meanwhile, and phone systems send them again.

    Example: aventa-bridge contacts forget +60123456789
    """
    settings = read_settings(config, secrets_dir)
    text, number = _read(settings, named)
    with working("Looking through the store"), reading(settings) as connection:
        regions = {route.region for route in settings.route_table().all()}
        whom = find(connection, text, number, regions)
        found = search(connection, whom)
    if not found and not whom.ids:
        fail(f"{text}: nothing is kept of them")
    what = (
        f"{counted(len(whom.ids), 'card')}, {counted(len(found.calls), 'call')} and"
        f" {counted(len(found.refusals), 'refused event')}"
    )
    confirm(f"Erase {what} of {text} for good?", yes=yes)
    with working("Erasing"), open_store(settings) as engine:
        outcome = _forget(engine, settings, whom, found)
    _report(outcome)


@dataclass(slots=True)
class _Outcome:
    """What went; `problems` holds a line for each thing that could not."""

    erased: Erased
    problems: list[str] = field(default_factory=list)


def _forget(engine: Engine, settings: Settings, whom: Whom, found: Found) -> _Outcome:
    total = Erased()
    for _ in range(_ROUNDS_MAX):
        went = _erase(engine, settings, whom, found)
        total.people += went.people
        total.calls = max(total.calls, went.calls)
        total.errands += went.errands
        total.unclear += went.unclear
        total.refusals += went.refusals
        total.on_their_way = went.on_their_way
        with reading(settings) as connection:
            found = search(connection, whom)
        if not found:
            break
    outcome = _Outcome(total)
    if total.on_their_way:
        what = counted(total.on_their_way, "delivery is", "deliveries are")
        outcome.problems.append(
            f"{what} on the way to Cention or being looked up there: run it again in a few minutes"
        )
    elif found:
        outcome.problems.append("More came in meanwhile: run it again when they have hung up")
    if not compact(engine):
        outcome.problems.append("The store's log is still being read: run it again in a minute")
    with reading(settings) as connection:
        outcome.problems.extend(f"Not erased: {line}" for line in remains(connection, whom))
    return outcome


def _erase(engine: Engine, settings: Settings, whom: Whom, found: Found) -> Erased:
    """Erase in one commit; what is being sent too, where there is no daemon to send it."""
    with engine.begin() as connection:
        erased = erase(connection, whom, found, is_alone=False)
    if not erased.on_their_way:
        return erased
    try:
        lock = DaemonLock(settings.store.url)
    except StoreUnusable:
        # A daemon holds it, or somebody else's it is.
        return erased
    try:
        with engine.begin() as connection:
            more = erase(connection, whom, found, is_alone=True)
    finally:
        lock.release()
    return Erased(
        people=erased.people + more.people,
        calls=erased.calls,
        errands=erased.errands + more.errands,
        unclear=erased.unclear + more.unclear,
        refusals=erased.refusals,
    )


def _report(outcome: _Outcome) -> None:
    erased = outcome.erased
    typer.echo(
        f"Erased: {counted(erased.people, 'card')}, what was said in"
        f" {counted(erased.calls, 'call')}, {counted(erased.refusals, 'refused event')}."
    )
    if unsent := erased.errands - erased.unclear:
        what = counted(unsent, "errand")
        typer.echo(f"{what} had not been sent and won't be: call back, if that was wanted.")
    if erased.unclear:
        what = counted(erased.unclear, "errand")
        typer.echo(f"{what} may be in Cention already, and won't be sent or ended: look there.")
    for line in outcome.problems:
        typer.echo(line, err=True)
    if outcome.problems:
        raise typer.Exit(1)
