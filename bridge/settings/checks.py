"""What only shows when keys are looked at together: each check a small function of all settings."""

from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Final

from pydantic import SecretStr

from bridge.domain.msisdn import NumberStatus
from bridge.domain.routes import DEFAULT_ROUTE
from bridge.settings.errors import SettingsError
from bridge.settings.findings import READING, Findings, Mistake, no_number
from bridge.settings.keys import KeyPath, dotted, shape_of, variable
from bridge.settings.mappings import RESERVED
from bridge.settings.root import Settings
from bridge.settings.rule_checks import check_rules
from bridge.settings.sections import CREDENTIALS, RouteSettings, Section
from bridge.wire.tls import TlsProblem, server_context

# What the extra `otel` brings.
_TRACING_NEEDS: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
# Those of [cention] that a start wants.
UPSTREAM_KEYS: Final = ("base_url", "workspace", "token")


def find_mistakes(
    settings: Settings, broken: set[KeyPath], *, require_upstream: bool
) -> list[Mistake]:
    """Return all that is wrong with settings of which each is right by itself.

    `broken` names the keys that were wrong by themselves; they have a stand-in here. Without
    `require_upstream`, secrets may be where only the daemon is given them: what hangs on one that
    is not here is not said.
    """
    findings = Findings(broken if require_upstream else {*broken, *_secrets_elsewhere(settings)})
    if require_upstream:
        _check_upstream(settings, findings)
        _check_tracing(settings, findings)
        _check_tls(settings, findings)
    _check_addresses(settings, findings)
    for number, route in enumerate(settings.routes):
        _check_route(settings, number, route, findings)
    _check_route_names(settings, findings)
    _check_hooks(settings, findings)
    check_rules(settings, findings)
    _check_agents(settings, findings)
    _check_presence(settings, findings)
    for number, shared in enumerate(settings.contacts.shared_numbers):
        if settings.read_own_number(shared).status is not NumberStatus.VALID:
            findings.add(
                ("contacts", "shared_numbers", number),
                no_number(settings.msisdn.default_region),
                *READING,
            )
    _check_pair(settings.cention, ("cention",), ("device_id", "extension_id"), findings)
    _check_pair(settings.callbacks, ("callbacks",), ("forward_url", "forward_secret"), findings)
    _check_pair(
        settings.provision, ("provision",), ("access_key_id", "access_key_secret"), findings
    )
    return findings.mistakes


def _secrets_elsewhere(settings: Settings) -> Iterator[KeyPath]:
    """Yield every secret that is not set."""
    for section in Settings.model_fields:
        held = getattr(settings, section)
        tables: Iterable[tuple[KeyPath, Section]] = (
            (((section, number), table) for number, table in enumerate(held))
            if isinstance(held, tuple)
            else [((section,), held)]
        )
        for path, table in tables:
            for key, field in type(table).model_fields.items():
                if shape_of(field).base is SecretStr and not getattr(table, key):
                    yield (*path, key)


def _check_upstream(settings: Settings, findings: Findings) -> None:
    for key in UPSTREAM_KEYS:
        if not getattr(settings.cention, key):
            path = ("cention", key)
            where = f"set it in the file or as {variable(path)}"
            if key == "token":
                where += f", or put it into a secret file named {dotted(path)}"
            findings.add(path, f"is missing; {where}")


def _check_tracing(settings: Settings, findings: Findings) -> None:
    """See that what traces is there, without loading it."""
    if settings.tracing.endpoint is not None and not all(map(_is_installed, _TRACING_NEEDS)):
        findings.add(
            ("tracing", "endpoint"),
            "needs what is not installed; pip install 'aventa-bridge[otel]', or leave it out",
        )


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ImportError:  # nor is what it is a part of
        return False


def _check_addresses(settings: Settings, findings: Findings) -> None:
    http, listen = settings.http, settings.http.listen
    if http.is_open and not listen.path and not listen.is_loopback:
        findings.add(
            ("http", "listen"),
            "can be reached from other machines without authentication; "
            "set http.auth_tokens or http.signing_secrets, or listen on 127.0.0.1",
            *(("http", key) for key in (*CREDENTIALS, "allowed_addresses", "tls_client_ca")),
        )
    if listen == settings.admin.listen and (listen.port or listen.path):
        findings.add(
            ("admin", "listen"),
            "is the same as http.listen; use another port",
            ("http", "listen"),
        )


def _check_tls(settings: Settings, findings: Findings) -> None:
    """See that the files are there and fit each other."""
    http = settings.http
    if http.tls_certificate is None:
        for key in ("tls_key", "tls_client_ca"):
            if getattr(http, key) is not None:
                text = "is missing beside " + key + "; name the certificate's file too"
                findings.add(("http", "tls_certificate"), text, ("http", key))
                return
        return
    try:
        server_context(http.tls_certificate, http.tls_key or "", http.tls_client_ca or "")
    except TlsProblem as problem:
        findings.add(("http", problem.key), str(problem))


def _check_route(settings: Settings, number: int, route: RouteSettings, findings: Findings) -> None:
    path: KeyPath = ("routes", number)
    selectors = ("queue_names", "dest_numbers", "queue_numbers")
    if not any(getattr(route, key) for key in selectors):
        findings.add(
            path,
            "serves no call; give queue_names, dest_numbers or queue_numbers",
            *((*path, key) for key in selectors),
        )
    if route.token is None and route.workspace is None:
        findings.add(
            path,
            "leads nowhere else than cention.*; give token, workspace or both",
            (*path, "token"),
            (*path, "workspace"),
        )
    _check_pair(route, path, ("device_id", "extension_id"), findings)
    if route.dest_number is not None:
        region = route.default_region or settings.msisdn.default_region
        read = settings.read_route_number(route, route.dest_number)
        if read.status is not NumberStatus.VALID:
            findings.add(
                (*path, "dest_number"),
                no_number(region),
                (*path, "default_region"),
                (*path, "bare_digits"),
                *READING,
            )


def _check_route_names(settings: Settings, findings: Findings) -> None:
    first: dict[str, int] = {}
    for number, route in enumerate(settings.routes):
        path: KeyPath = ("routes", number, "name")
        if route.name == DEFAULT_ROUTE:
            findings.add(path, "is kept for what no route serves; use another name")
        elif route.name in first:
            before: KeyPath = ("routes", first[route.name], "name")
            findings.add(path, f"is that of {dotted(before[:2])} too; use another name", before)
        else:
            first[route.name] = number


def _check_hooks(settings: Settings, findings: Findings) -> None:
    """See that each hook is another source, and has a mapping."""
    try:
        known = settings.mappings.names()
    except SettingsError:  # which is said where the mappings are looked at
        return
    first: dict[str, int] = {}
    for number, hook in enumerate(settings.hooks):
        path: KeyPath = ("hooks", number)
        before = first.setdefault(hook.name, number)
        if hook.name in RESERVED:
            findings.add((*path, "name"), "is kept for another source; use another name")
        elif before != number:
            other: KeyPath = ("hooks", before, "name")
            text = f"is that of {dotted(other[:2])} too; use another name"
            findings.add((*path, "name"), text, other)
        mapping = hook.mapping or hook.name
        if mapping not in known:
            key = "mapping" if hook.mapping else "name"
            text = f"is no mapping that is there{settings.mappings.hint(mapping)}"
            findings.add((*path, key), text, (*path, "name"))


def _check_agents(settings: Settings, findings: Findings) -> None:
    desks = [(agent.device_id, agent.extension_id) for agent in settings.agents]
    for number, desk in enumerate(desks):
        if desk in desks[:number]:
            before: KeyPath = ("agents", desks.index(desk))
            path: KeyPath = ("agents", number)
            findings.add(path, f"has the desk of {dotted(before)}; name each desk once", before)


def _check_presence(settings: Settings, findings: Findings) -> None:
    if settings.oneview.status.lower() == "online":
        findings.add(
            ("oneview", "status"), "lets an agent on a call get chats; use one such as offline"
        )


def _check_pair(table: Section, path: KeyPath, keys: tuple[str, str], findings: Findings) -> None:
    for missing, other in (keys, keys[::-1]):
        if getattr(table, missing) is None and getattr(table, other) is not None:
            text = f"is missing beside {other}; give both or neither"
            findings.add((*path, missing), text, (*path, other))
