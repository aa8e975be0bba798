"""One View, wired; loaded only where the settings name it."""

import dataclasses
from collections.abc import Sequence

from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from bridge.app.way_back import Kept
from bridge.domain.deliveries import Kind, TicketWish
from bridge.domain.events import Agent, CallEvent
from bridge.domain.presence import Roster, Unknown
from bridge.domain.routes import oneview_route
from bridge.domain.units import DAY_US, SECOND_US
from bridge.oneview.client import Credentials, OneViewClient, OneViewOptions
from bridge.oneview.sender import OneViewSender
from bridge.ops.clock import SystemEntropy
from bridge.ops.delivery_metrics import ONEVIEW
from bridge.ops.presence_metrics import PresenceMetrics
from bridge.ports import Clock, Log, Transaction
from bridge.services.channels import Upstream
from bridge.services.folding import Happening, mark
from bridge.services.presence import Presences
from bridge.services.presence_folding import PresenceFolder, PresencePolicy
from bridge.settings import Settings
from bridge.settings.sections import secret_text
from bridge.wire.exchange import Exchange


def agent_mark(key: bytes, email: str) -> str:
    """Return what stands for an agent in the store, in logs and in routes; `key` is the store's."""
    return mark(key, "agent", email.strip().lower())


def roster_of(settings: Settings, key: bytes) -> Roster:
    """Return who is who by the settings; an agent may have several desks."""
    marks = [agent_mark(key, one.email) for one in settings.agents]
    desks = [Agent(one.device_id, one.extension_id) for one in settings.agents]
    return Roster(
        desks=dict(zip(desks, marks, strict=True)),
        emails={
            one.email.strip().lower(): mark
            for one, mark in zip(settings.agents, marks, strict=True)
        },
    )


def presence_policy(settings: Settings, key: bytes) -> PresencePolicy:
    """Return what the settings say of presence."""
    oneview = settings.oneview
    return PresencePolicy(
        roster=roster_of(settings, key),
        status=oneview.status,
        wrap_up_us=round(oneview.wrap_up_seconds * SECOND_US),
        stale_after_us=settings.call_policy().stale_after_us,
        forget_after_us=settings.retention.journal_days * DAY_US,
        per_minute=oneview.rate_per_minute,
        in_flight_max=settings.delivery.in_flight_max,
    )


def oneview_options(settings: Settings, key: bytes) -> OneViewOptions:
    """Return where One View is, and its agents; of one who is named twice, the first token."""
    agents: dict[str, Credentials] = {}
    for one in settings.agents:
        known = Credentials(one.email, secret_text(one.token))
        agents.setdefault(agent_mark(key, one.email), known)
    return OneViewOptions(
        base_url=settings.oneview.base_url or "",
        agents=agents,
        timeout_s=settings.delivery.timeout_seconds,
    )


def ticket_route(roster: Roster, event: CallEvent, wish: TicketWish) -> tuple[str, str]:
    """Return by which route a ticket of an event's agent goes; else why by none.

    An event that names nobody is about who the call was with last.
    """
    if not wish.ticket_id:
        return "", "no_ticket"
    found = roster.find(event)
    if found is Unknown.NO_AGENT and wish.desk is not None:
        found = roster.desks.get(wish.desk, Unknown.UNKNOWN_DESK)
    return ("", found.value) if isinstance(found, Unknown) else (oneview_route(found), "")


class Follower:
    """A `services.ingest.Watcher` beside the daemon, which does within a second what is due."""

    def __init__(self, settings: Settings, key: bytes) -> None:
        """Go by these settings; the key is the store's."""
        self._policy = presence_policy(settings, key)

    def note(self, tx: Transaction, happenings: Sequence[Happening], now_us: int) -> None:
        """Note what a commit's events mean; ids are those that the daemon has learnt."""
        presence = tx.presence()
        known = presence.presences(self._policy.agents).values()
        ids = {one.remote_id.lower(): one.agent for one in known if one.remote_id}
        roster = replace(self._policy.roster, ids=ids)
        folder = PresenceFolder(replace(self._policy, roster=roster))
        folder.fold(presence, [one.event for one in happenings], now_us)

    def noted(self) -> None:
        """Leave the rest to the daemon."""

    def route_of(self, event: CallEvent, wish: TicketWish) -> str:
        """Return by which route a ticket of an event's agent goes; empty: nobody knows them."""
        return ticket_route(self._policy.roster, event, wish)[0]


class OneView:
    """All that One View takes: presence, and who sends what is about tickets."""

    def __init__(
        self,
        settings: Settings,
        store: Kept,
        exchange: Exchange,
        clock: Clock,
        log: Log,
        registry: CollectorRegistry,
    ) -> None:
        """Make every part; nothing runs yet."""
        self._key = digest_key = store.digest_key
        self._base_url = settings.oneview.base_url or ""
        self._metrics = PresenceMetrics(registry)
        self.client = OneViewClient(exchange, oneview_options(settings, digest_key))
        self.sender = OneViewSender(self.client)
        self.presences = Presences(
            writer=store.writer,
            desk=self.client,
            clock=clock,
            entropy=SystemEntropy(),
            meter=self._metrics,
            log=log,
            policy=presence_policy(settings, digest_key),
        )

    def reconfigure(self, settings: Settings) -> None:
        """Take new settings; where One View is changes with a restart only."""
        options, before = oneview_options(settings, self._key), self.client.options
        # Whoever leaves while set away is put back with the token that they had.
        told = {**before.former, **before.agents}
        former = {mark: one for mark, one in told.items() if mark not in options.agents}
        self.client.options = dataclasses.replace(options, base_url=self._base_url, former=former)
        self.presences.reconfigure(presence_policy(settings, self._key))

    def upstream(self, settings: Settings) -> Upstream:
        """Return where requests about tickets go: each agent is a route of their own."""
        routes = frozenset(map(oneview_route, self.client.options.agents))
        kinds = frozenset(kind for kind in Kind if kind.is_of_ticket)
        per_minute = settings.oneview.rate_per_minute
        return Upstream(self._base_url, routes, per_minute, ONEVIEW, kinds)

    def route_of(self, event: CallEvent, wish: TicketWish) -> str:
        """Return by which route a ticket of an event's agent goes; empty: nobody knows them."""
        route, why = ticket_route(self.presences.roster, event, wish)
        if why:
            self._metrics.ticket_skipped(why)
        return route
