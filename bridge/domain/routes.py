"""Routes: how a queue reaches its area in Cention.

In Cention the token decides the area that an errand lands in, so a route picks the token; and a
workspace has contact cards and a rate limit of its own, so a route picks these too. Tokens are no
part of a `Route`: who sends looks them up by the route's name.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from bridge.domain.events import Agent
from bridge.domain.msisdn import BareDigits, NumberStatus, PhoneNumber, read_number

DEFAULT_ROUTE: Final = "default"
# No route of the settings may have a colon in its name.
_OUTLET: Final = "watemplate:"
# By which answers are sent on: it leads to `callbacks.forward_url`, and not to Cention.
ONWARD_ROUTE: Final = "callbacks:onward"


# By which what is about an agent's tickets goes: it leads to One View, with that agent's token.
_ONEVIEW: Final = "oneview:"


def oneview_route(agent: str) -> str:
    """Return the name of the route of one of One View's agents, who is told by a mark."""
    return f"{_ONEVIEW}{agent}"


def is_oneview(name: str) -> bool:
    """Say whether a route leads to One View."""
    return name.startswith(_ONEVIEW)


def agent_of_route(name: str) -> str:
    """Return the mark of the agent whose route this is; see `oneview_route`."""
    return name.removeprefix(_ONEVIEW)


def outlet_name(rule: str) -> str:
    """Return the name of the route by which a rule's messages leave."""
    return f"{_OUTLET}{rule}"


def is_outlet(name: str) -> bool:
    """Say whether a route is one that messages leave by."""
    return name.startswith(_OUTLET)


class Route(Struct, frozen=True, kw_only=True):
    """Where the work of one queue goes, and what serves where an event says nothing.

    `queue_names`, `dest_numbers` and `queue_numbers` select it: any one of them is enough.
    `base_url` and `workspace` name the upstream that it leads to. `dest_msisdn` has no plus.
    """

    name: str
    base_url: str
    workspace: str
    queue_names: frozenset[str] = frozenset()
    dest_numbers: frozenset[str] = frozenset()
    queue_numbers: frozenset[str] = frozenset()
    region: str | None = None
    bare_digits: BareDigits = "national"
    agent: Agent | None = None
    dest_msisdn: str = ""
    queue_name: str = ""
    queue_number: str = ""
    timezone: str = "UTC"

    @property
    def scope(self) -> str:
        """The upstream that rate limit and contact cards belong to."""
        return f"{self.base_url}/s/{self.workspace}"

    def read(self, number: str | None) -> PhoneNumber:
        """Read a number as somebody at this route's place would dial it."""
        return read_number(number, region=self.region, bare_digits=self.bare_digits)

    def serves(self, queue_name: str, queue_number: str, dest_number: str) -> bool:
        """Say whether a call to this queue or number takes this route."""
        if queue_name in self.queue_names or queue_number in self.queue_numbers:
            return True
        if not self.dest_numbers or not dest_number:
            return False
        if dest_number in self.dest_numbers:
            return True
        read = self.read(dest_number)
        return read.status is NumberStatus.VALID and read.msisdn in self._dest_msisdns()

    def _dest_msisdns(self) -> set[str]:
        return {self.read(number).msisdn for number in self.dest_numbers} - {""}


class RouteTable(Struct, frozen=True):
    """All routes in the order of the settings, and the one for what none of them serves.

    `outlets` serve no call: what rules send beside its errand leaves by them.
    """

    routes: Sequence[Route]
    default: Route
    outlets: Sequence[Route] = ()

    def pick(self, queue_name: str, queue_number: str, dest_number: str) -> Route:
        """Return the first route that serves the call."""
        for route in self.routes:
            if route.serves(queue_name, queue_number, dest_number):
                return route
        return self.default

    def named(self, name: str) -> Route:
        """Return the route of that name; the default where it is gone from the settings."""
        for route in (*self.routes, *self.outlets):
            if route.name == name:
                return route
        return self.default

    def all(self) -> tuple[Route, ...]:
        """Return every route, the default last but for the outlets."""
        return (*self.routes, self.default, *self.outlets)
