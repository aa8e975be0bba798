"""`aventa-bridge doctor`: what would be checked by hand where something doesn't work."""

import os
from typing import Final

import typer
from msgspec import to_builtins

from bridge.app.checkup import Sources, examine
from bridge.app.judging import worst
from bridge.app.measured import Finding, Verdict
from bridge.cli.common import (
    ConfigOption,
    JsonOption,
    SecretsOption,
    print_json,
    shown,
    terminal,
    working,
)
from bridge.settings import SettingsError, load_settings

_COLOURS: Final = {
    Verdict.OK: "green",
    Verdict.NOTE: "cyan",
    Verdict.WARN: "yellow",
    Verdict.FAIL: "bold red",
}


def doctor(
    json: JsonOption = False,
    config: ConfigOption = None,
    secrets_dir: SecretsOption = None,
) -> None:
    """Look at all that the bridge stands on, and say what to do about it.

    Settings and who may read secrets; the store, its disk and the daemon; limits and the unit; the
    way to Cention by steps (DNS, TCP, TLS, tokens, an answer, the clock) and to whom answers are
    sent on. Beside a running daemon or without one, as root or as its user. It changes nothing here
    or there: Cention is asked for its list of changed errands, once a token, beside the daemon's
    own pace of requests.

    Each line has a verdict: ok; note, which asks for nothing; warn; fail. Nothing of it is secret.

    Exit codes: 0 nothing worse than a warning, 1 something failed, 2 wrong usage or settings.

    Example: aventa-bridge doctor --config /etc/aventa-bridge/bridge.toml --secrets-dir
    /etc/aventa-bridge/secrets
    """
    environ = dict(os.environ)
    try:
        settings = load_settings(config=config, secrets_dir=secrets_dir, environ=environ)
    except SettingsError as error:
        findings = [Finding("settings", Verdict.FAIL, one) for one in error.problems]
        _print(findings, json=json)
        raise typer.Exit(2) from None
    with working("Looking …"):
        findings = examine(settings, Sources(config, secrets_dir, environ))
    _print(findings, json=json)
    if worst(findings) is Verdict.FAIL:
        raise typer.Exit(1)


def _print(findings: list[Finding], *, json: bool) -> None:
    if json:
        print_json(to_builtins(findings))
        return
    # Here, because the daemon does without rich.
    from rich.table import Table  # noqa: PLC0415 - see above
    from rich.text import Text  # noqa: PLC0415 - see above

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column()
    for one in findings:
        said = f"{one.detail}\n→ {one.advice}" if one.advice else one.detail
        # As Text, because what a site writes may look like rich's markup.
        lines = "\n".join(map(shown, said.split("\n")))
        table.add_row(Text(one.verdict, _COLOURS[one.verdict]), Text(one.check), Text(lines))
    terminal().print(table)
