"""Settings in the words of the parts that they are for."""

from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from bridge.cention.callbacks import read_callback
from bridge.cention.client import CentionOptions
from bridge.cention.reading import ReadingOptions
from bridge.domain.answers import Answer
from bridge.domain.events import EVENTS_SOURCE
from bridge.domain.jwt import read_claims
from bridge.domain.routes import DEFAULT_ROUTE, ONWARD_ROUTE, is_outlet
from bridge.domain.units import DAY_US
from bridge.inbound.auth import Doorkeeper, DoorKeys
from bridge.inbound.callbacks import Caller
from bridge.inbound.server import Place
from bridge.onward.sender import OnwardOptions
from bridge.ops.delivery_metrics import ONWARD
from bridge.services.answers import AnswerPolicy
from bridge.services.channels import Upstream, upstreams_of
from bridge.services.folding import IngestPolicy
from bridge.services.reconcile import LookupPolicy
from bridge.services.recording import DispatchPolicy
from bridge.services.upkeep import Retention
from bridge.settings import Address, Settings
from bridge.settings.sections import DoorSettings, HookSettings, secret_text

# Answers are sent on as fast as they come, but what was held back doesn't come all at once.
ONWARD_PER_MINUTE: Final = 6000


def ingest_policy(settings: Settings) -> IngestPolicy:
    """Return what the settings say of intake."""
    return IngestPolicy(
        calls=settings.call_policy(),
        guide=settings.guide(),
        conflict=settings.contacts.conflict,
        refresh_us=settings.contacts.refresh_days * DAY_US,
        journal_days=settings.retention.journal_days,
    )


def dispatch_policy(settings: Settings) -> DispatchPolicy:
    """Return what the settings say of delivery."""
    return DispatchPolicy(
        in_doubt=settings.in_doubt_policy,
        in_flight_max=settings.delivery.in_flight_max,
        refresh_us=settings.contacts.refresh_days * DAY_US,
        shared_numbers=settings.shared_numbers(),
        manners=settings.manners(),
    )


def cention_options(settings: Settings) -> CentionOptions:
    """Return what the settings say of Cention."""
    return CentionOptions(
        routes=settings.route_table(),
        tokens=settings.tokens(),
        cuid_label=settings.contacts.cuid_label,
        timeout_s=settings.delivery.timeout_seconds,
    )


def lookup_policy(settings: Settings) -> LookupPolicy:
    """Return what the settings say of looking up what is in doubt."""
    return LookupPolicy(
        settle_s=settings.delivery.settle_seconds,
        is_exclusive=settings.reports.exclusive,
        routes={scope: frozenset(routes) for scope, routes in scopes(settings).items()},
        poll_s=settings.reports.poll_seconds if settings.reports.enabled else None,
    )


def reading_options(settings: Settings) -> ReadingOptions:
    """Return with which token each workspace is read, and files are fetched there.

    `reports.token` is for `cention.workspace`; another workspace is read with a token of its own.
    Files need a claim of their own, which the token that creates errands is to have *(assumed)*.
    """
    own = settings.route_table().default.scope
    tokens = settings.tokens()
    # The token of a channel that messages leave by may not read what came in elsewhere.
    by_scope = {
        scope: next(
            (
                tokens[one]
                for one in sorted(routes, key=lambda one: (is_outlet(one), one))
                if one in tokens
            ),
            "",
        )
        for scope, routes in scopes(settings).items()
    }
    by_scope[own] = tokens.get(DEFAULT_ROUTE, "")
    reading = secret_text(settings.reports.token)
    return ReadingOptions(
        tokens={**by_scope, own: reading} if reading else by_scope,
        file_tokens=by_scope,
        timeout_s=settings.delivery.timeout_seconds,
    )


def upstreams(settings: Settings) -> list[Upstream]:
    """Return where requests go, with the names that metrics give it: the default's is `cention`."""
    routes = settings.route_table()
    labels = {route.scope: f"cention/{route.workspace}" for route in routes.all()}
    labels[routes.default.scope] = "cention"
    found = upstreams_of(scopes(settings), settings.cention.requests_per_minute, labels)
    url = settings.callbacks.forward_url
    if url:
        found.append(Upstream(url, frozenset({ONWARD_ROUTE}), ONWARD_PER_MINUTE, ONWARD))
    return found


def onward_options(settings: Settings) -> OnwardOptions:
    """Return where answers are sent on to."""
    return OnwardOptions(
        url=settings.callbacks.forward_url or "",
        secret=secret_text(settings.callbacks.forward_secret),
        timeout_s=settings.delivery.timeout_seconds,
    )


def answer_policy(settings: Settings) -> AnswerPolicy:
    """Return what the settings say of answers."""
    return AnswerPolicy(
        default_scope=settings.route_table().default.scope,
        scopes={one.workspace: one.scope for one in settings.route_table().all()},
        is_sent_on=settings.callbacks.forward_url is not None,
        is_polled=settings.reports.enabled,
    )


def callback_reader(settings: Settings) -> Callable[[Any], Answer]:
    """Return who reads callbacks, and knows which hosts are Cention's own."""
    base = urlsplit(settings.cention.base_url).netloc.lower()
    return partial(read_callback, own_hosts=frozenset({base} - {""}))


def caller(settings: Settings) -> Caller:
    """Return what the settings say of who may call back."""
    return Caller(
        secret=secret_text(settings.callbacks.secret),
        networks=settings.callbacks.addresses,
        proxies=settings.http.trusted_proxies,
    )


def doorkeepers(settings: Settings) -> dict[str, Doorkeeper]:
    """Return who may post, by source: `aventa` for `/v1/events`, else the hook's name.

    A hook without credentials of its own has those of `[http]`, and so with allowed addresses.
    """
    of_hooks = settings.hook_table().items()
    found = {name: Doorkeeper(door_keys(settings, hook)) for name, hook in of_hooks}
    return {EVENTS_SOURCE: Doorkeeper(door_keys(settings))} | found


def door_keys(settings: Settings, hook: HookSettings | None = None) -> DoorKeys:
    """Return by what a hook knows who may post; without one, `/v1/events`."""
    http = settings.http
    own: DoorSettings = hook if hook is not None and hook.credentials else http
    return DoorKeys(
        tokens=[token.get_secret_value() for token in own.auth_tokens],
        secrets=[secret.get_secret_value() for secret in own.signing_secrets],
        verifying_keys=own.verifying_keys,
        twilio_tokens=[token.get_secret_value() for token in own.twilio_auth_tokens],
        telnyx_keys=own.telnyx_public_keys,
        sipgate_keys=own.sipgate_public_keys,
        public_url=(hook.public_url if hook is not None else None) or "",
        allowed=(hook.allowed_addresses if hook is not None else ()) or http.allowed_addresses,
        proxies=http.trusted_proxies,
    )


def retention(settings: Settings) -> Retention:
    """Return what the settings say of how long data stays."""
    return Retention(
        payload_hours=settings.retention.payload_hours,
        journal_days=settings.retention.journal_days,
        quarantine_days=settings.retention.quarantine_days,
        refresh_days=settings.contacts.refresh_days,
        calls=settings.call_policy(),
    )


def scopes(settings: Settings) -> dict[str, set[str]]:
    """Return which routes lead to which upstream."""
    found: dict[str, set[str]] = {}
    for route in settings.route_table().all():
        found.setdefault(route.scope, set()).add(route.name)
    return found


def token_expiries(settings: Settings) -> dict[str, int]:
    """Return when each route's token expires, in Unix seconds, as far as it says so."""
    expiries: dict[str, int] = {}
    for route, token in settings.tokens().items():
        claims = read_claims(token)
        if claims is not None and claims.expires_at is not None:
            expiries[route] = claims.expires_at
    return expiries


def place(address: Address) -> Place:
    """Return where to listen."""
    return Place(host=address.host or "", port=address.port or 0, path=str(address.path or ""))
