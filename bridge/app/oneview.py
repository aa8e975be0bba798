"""One View, wired; loaded only where the settings name it."""

from dataclasses import replace
from typing import Final

from bridge.domain.events import Agent, CallEvent
from bridge.domain.presence import Roster, Unknown
from bridge.domain.routes import oneview_route
from bridge.domain.units import DAY_US, SECOND_US
from bridge.oneview.client import Credentials, OneViewClient, OneViewOptions
from bridge.oneview.sender import OneViewSender
from bridge.ops.clock import SystemEntropy
from bridge.ops.presence_metrics import PresenceMetrics
from bridge.ports import Clock, Log, Writer
from bridge.services.channels import Upstream
from bridge.services.folding import mark
from bridge.services.presence import Presences
from bridge.services.presence_folding import PresencePolicy
from bridge.settings import Settings
from bridge.settings.sections import secret_text
from bridge.wire.exchange import Exchange

UPSTREAM: Final = "oneview"


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
        per_minute=oneview.requests_per_minute,
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


class OneView:
    """All that One View takes: presence, and who sends what is about tickets."""

    def __init__(
        self,
        settings: Settings,
        *,
        writer: Writer,
        digest_key: bytes,
        exchange: Exchange,
        clock: Clock,
        log: Log,
        metrics: PresenceMetrics,
    ) -> None:
        """Make every part; nothing runs yet."""
        self._key = digest_key
        self._base_url = settings.oneview.base_url or ""
        self._metrics = metrics
        self.client = OneViewClient(exchange, oneview_options(settings, digest_key))
        self.sender = OneViewSender(self.client)
        self.presences = Presences(
            writer=writer,
            desk=self.client,
            clock=clock,
            entropy=SystemEntropy(),
            meter=metrics,
            log=log,
            policy=presence_policy(settings, digest_key),
        )

    def reconfigure(self, settings: Settings) -> None:
        """Take new settings; where One View is changes with a restart only."""
        options = oneview_options(settings, self._key)
        self.client.options = replace(options, base_url=self._base_url)
        self.presences.reconfigure(presence_policy(settings, self._key))

    def upstream(self, settings: Settings) -> Upstream:
        """Return where requests about tickets go: each agent is a route of their own."""
        routes = frozenset(map(oneview_route, self.client.options.agents))
        return Upstream(self._base_url, routes, settings.oneview.requests_per_minute, UPSTREAM)

    def route_of(self, event: CallEvent, desk: Agent | None) -> str:
        """Return by which route a ticket of an event's agent goes; empty: nobody knows them.

        `desk` is where the call was last, for an event that names nobody.
        """
        roster = self.presences.roster
        found = roster.find(event)
        if found is Unknown.NO_AGENT and desk is not None:
            found = roster.desks.get(desk, Unknown.UNKNOWN_DESK)
        return "" if isinstance(found, Unknown) else oneview_route(found)
