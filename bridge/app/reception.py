"""The addresses that events come in by, and who may post to each."""

from collections.abc import Mapping
from functools import partial

from bridge.app import wiring
from bridge.domain.events import EVENTS_SOURCE
from bridge.inbound.auth import Doorkeeper
from bridge.inbound.events import DoorPorts, EventsEndpoint
from bridge.inbound.hooks import HookEndpoint, Hooks
from bridge.ops.auth_metrics import AuthMetrics
from bridge.settings import Settings


class Reception:
    """`/v1/events` and a hook a phone system; a reload may change all but the ports."""

    def __init__(self, settings: Settings, ports: DoorPorts, refusals: AuthMetrics) -> None:
        """Open what the settings name.

        Raises:
            SettingsError: the site's mappings can't be looked into.
        """
        self._ports = ports
        self._refusals = refusals
        keepers = wiring.doorkeepers(settings)
        self.events = EventsEndpoint(ports, doorkeeper=keepers[EVENTS_SOURCE])
        self.hooks = Hooks()
        self.reconfigure(settings, keepers)

    def reconfigure(self, settings: Settings, keepers: Mapping[str, Doorkeeper]) -> None:
        """Take new hooks and credentials; `keepers` are `wiring.doorkeepers` of the settings."""
        self._refusals.know(keepers)
        self.events.doorkeeper = keepers[EVENTS_SOURCE]
        self.hooks.replace(
            {
                name: HookEndpoint(
                    self._ports,
                    doorkeeper=keepers[name],
                    source=name,
                    find=partial(settings.mappings.mapping, hook.mapping or name),
                    public_url=hook.public_url,
                )
                for name, hook in settings.hook_table().items()
            }
        )
