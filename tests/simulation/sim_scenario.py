"""From a seed to a scenario: what is simulated, how large, and what goes wrong in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, Literal

from msgspec import structs
from sim_loop import dice
from sim_weather import FAULTS, Window

from bridge.domain.events import Agent
from bridge.domain.routes import Route, RouteTable, outlet_name

BASE: Final = "https://cention.example"
OTHER_BASE: Final = "https://other.example"
# The rule that writes to who gave up, and the route that its messages leave by.
MISSED: Final = "missed"
OUTLET: Final = outlet_name(MISSED)
OWN_QUEUES: Final = ("queue0", "queue1", "queue2")
InDoubt = Literal["reconcile", "resend", "hold"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One simulated site, and what happens to it.

    Times are seconds of virtual time. `crash_every_s` is how long a process lives on average, 0 for
    ever; `crash_step` the chance that it dies at a given step. `jumps` are (when, by how much) the
    machine's clock is set. `tokens` is by route. `probes` are calls made beside a backlog. `gap_s`
    is a long quiet time in the middle, after which some callers are rung back, and some references
    used again. `is_prompt`: nothing goes wrong that would excuse a create for leaving late.
    """

    seed: int
    kind: str
    calls: int
    span_s: float
    routes: RouteTable
    tokens: Mapping[str, str]
    in_doubt: InDoubt = "reconcile"
    is_exclusive: bool = True
    settle_s: float = 90.0
    per_minute: int = 950
    in_flight_max: int = 32
    windows: tuple[Window, ...] = ()
    rates: Mapping[str, float] = field(default_factory=dict)
    refused: float = 0.0
    crash_every_s: float = 0.0
    crash_step: float = 0.0
    jumps: tuple[tuple[float, float], ...] = ()
    others_every_s: float = 40.0
    probes: int = 0
    gap_s: float = 0.0
    is_prompt: bool = False

    @property
    def end_s(self) -> float:
        """When the last trouble is over."""
        return max([self.span_s, *(one.end_s for one in self.windows)]) + 1.0

    @property
    def scopes(self) -> dict[str, frozenset[str]]:
        """Which routes lead to which workspace."""
        found: dict[str, set[str]] = {}
        for route in self.routes.all():
            found.setdefault(route.scope, set()).add(route.name)
        return {scope: frozenset(names) for scope, names in sorted(found.items())}


def scenario(seed: int) -> Scenario:
    """Return what this seed stands for."""
    chance = dice(seed, "scenario")
    kind, make = KINDS[seed % len(KINDS)]
    routes, tokens = _routes(chance, many=kind in {"routes", "tokens", "storm"})
    plain = Scenario(
        seed=seed,
        kind=kind,
        calls=chance.randrange(10, 36),
        span_s=chance.choice([20.0, 60.0, 150.0]),
        routes=routes,
        tokens=tokens,
        settle_s=chance.choice([20.0, 45.0, 90.0]),
        per_minute=chance.choice([120, 300, 950]),
        in_flight_max=chance.choice([2, 8, 32]),
    )
    return make(plain, chance)


def _routes(chance: Random, *, many: bool) -> tuple[RouteTable, dict[str, str]]:
    default = Route(
        name="default",
        base_url=BASE,
        workspace="demo",
        agent=Agent(9, 9),
        dest_msisdn="46812345678",
    )
    outlet = structs.replace(default, name=OUTLET)
    tokens = {"default": "token-a", OUTLET: chance.choice(["token-a", "token-w"])}
    if not many:
        return RouteTable((), default, (outlet,)), tokens
    routes = []
    for number in range(1, chance.randrange(2, 4)):
        name = f"route{number}"
        workspace = chance.choice(["demo", "demo", "second"])
        base = chance.choice([BASE, BASE, OTHER_BASE])
        queues = frozenset({f"queue{number}"})
        route = Route(name=name, base_url=base, workspace=workspace, queue_names=queues)
        routes.append(route)
        tokens[name] = chance.choice(["token-a", "token-b", f"token-{number}"])
    return RouteTable(tuple(routes), default, (outlet,)), tokens


def _rates(chance: Random, total: float) -> dict[str, float]:
    """Share a chance of trouble among a few faults, so that each seed has a character."""
    chosen = chance.sample(FAULTS, chance.randrange(3, len(FAULTS)))
    weights = [chance.random() for _ in chosen]
    return {name: total * one / sum(weights) for name, one in zip(chosen, weights, strict=True)}


def _crashes(plain: Scenario, chance: Random) -> Scenario:
    return replace(
        plain,
        crash_every_s=chance.choice([5.0, 15.0, 40.0]),
        crash_step=chance.choice([0.0, 0.001, 0.004]),
        rates=_rates(chance, 0.05),
    )


def _pace(plain: Scenario, chance: Random) -> Scenario:
    """More work than the limit allows, retries too, over many restarts or on a slow disk."""
    slow = Window(what="disk_slow", start_s=chance.random() * 30.0, end_s=100.0)
    return replace(
        plain,
        calls=chance.randrange(60, 100),
        span_s=chance.choice([30.0, 60.0]),
        per_minute=chance.choice([60, 120, 160]),
        in_flight_max=32,
        rates=_rates(chance, chance.choice([0.05, 0.4])),
        crash_every_s=chance.choice([4.0, 8.0, 30.0]),
        windows=(slow,) if chance.random() < 0.5 else (),
        others_every_s=30.0,
    )


def _faults(plain: Scenario, chance: Random) -> Scenario:
    return replace(
        plain,
        rates=_rates(chance, chance.choice([0.2, 0.4, 0.6])),
        refused=chance.choice([0.0, 0.05, 0.2]),
        crash_every_s=chance.choice([0.0, 60.0]),
        others_every_s=8.0,
    )


def _backlog(plain: Scenario, chance: Random) -> Scenario:
    """A long outage, then a crowd that waits: new calls must go first."""
    outage_s = chance.choice([90.0, 150.0, 240.0])
    return replace(
        plain,
        calls=chance.randrange(80, 130),
        span_s=outage_s,
        per_minute=600,
        in_flight_max=32,
        windows=(Window(what=chance.choice(["refusing", "busy"]), start_s=1.0, end_s=outage_s),),
        probes=5,
        others_every_s=0.0,
    )


def _outages(plain: Scenario, chance: Random) -> Scenario:
    windows = []
    at_s = 5.0
    for _ in range(chance.randrange(1, 4)):
        long_s = chance.choice([3.0, 30.0, 120.0])
        what = chance.choice(["refusing", "hanging", "failing", "busy"])
        windows.append(Window(what=what, start_s=at_s, end_s=at_s + long_s))
        at_s += long_s + chance.random() * 60.0
    return replace(
        plain,
        windows=tuple(windows),
        rates=_rates(chance, 0.1),
        crash_every_s=chance.choice([0.0, 30.0]),
    )


def _tokens(plain: Scenario, chance: Random) -> Scenario:
    windows = []
    at_s = 5.0
    for _ in range(chance.randrange(1, 3)):
        long_s = chance.choice([20.0, 150.0, 300.0])
        token = chance.choice(sorted(set(plain.tokens.values())))
        roll = chance.random()
        if roll < 0.6:
            what = chance.choice(["revoked", "suspended"])
            windows.append(Window(what=what, start_s=at_s, end_s=at_s + long_s, where=token))
        elif roll < 0.85:
            kind = chance.choice(["new_errand", "end_errand", "contact_card", "read"])
            windows.append(
                Window(what="forbidden", start_s=at_s, end_s=at_s + long_s, where=token, kind=kind)
            )
        else:
            scope = chance.choice(sorted(plain.scopes))
            windows.append(
                Window(what="wrong_workspace", start_s=at_s, end_s=at_s + long_s, where=scope)
            )
        at_s += long_s + 10.0
    return replace(
        plain,
        windows=tuple(windows),
        span_s=150.0,
        rates=_rates(chance, chance.choice([0.0, 0.05])),
        crash_every_s=chance.choice([0.0, 40.0]),
    )


def _clock(plain: Scenario, chance: Random) -> Scenario:
    # Not both ways in all, or what happens now would seem to be more than a day ahead.
    sign = chance.choice([-1.0, 1.0])
    jumps = tuple(
        (10.0 + 30.0 * number + chance.random() * 20.0, (-1) ** number * sign * hours * 3600.0)
        for number, hours in enumerate(chance.sample([0.01, 0.5, 3.0, 12.0, 23.5], 2))
    )
    if chance.random() < 0.4:
        return replace(
            plain, jumps=jumps, span_s=80.0, is_prompt=True, in_flight_max=32, per_minute=950
        )
    return replace(
        plain,
        jumps=jumps,
        span_s=80.0,
        rates=_rates(chance, 0.2),
        crash_every_s=chance.choice([0.0, 15.0]),
    )


def _gap(plain: Scenario, chance: Random) -> Scenario:
    """A day later: what was delivered is archived, and references are used again."""
    return replace(
        plain,
        gap_s=chance.choice([1.0, 20.0, 30.0, 80.0]) * 3600.0,
        span_s=60.0,
        rates=_rates(chance, 0.1),
        crash_every_s=chance.choice([0.0, 20.0]),
    )


def _disk(plain: Scenario, chance: Random) -> Scenario:
    windows = []
    at_s = 2.0
    for _ in range(chance.randrange(1, 4)):
        long_s = chance.choice([0.5, 5.0, 30.0])
        what = chance.choice(["disk_full", "disk_slow"])
        windows.append(Window(what=what, start_s=at_s, end_s=at_s + long_s))
        at_s += long_s + chance.random() * 30.0
    return replace(
        plain,
        windows=tuple(windows),
        rates=_rates(chance, 0.1),
        crash_every_s=chance.choice([0.0, 20.0]),
    )


def _many_routes(plain: Scenario, chance: Random) -> Scenario:
    return replace(plain, rates=_rates(chance, 0.15), crash_every_s=chance.choice([0.0, 30.0]))


def _hold(plain: Scenario, chance: Random) -> Scenario:
    return replace(_faults(plain, chance), in_doubt="hold", crash_every_s=40.0)


def _resend(plain: Scenario, chance: Random) -> Scenario:
    return replace(_faults(plain, chance), in_doubt="resend", crash_every_s=40.0)


def _shared_lists(plain: Scenario, chance: Random) -> Scenario:
    return replace(_faults(plain, chance), is_exclusive=False, others_every_s=6.0)


def _storm(plain: Scenario, chance: Random) -> Scenario:
    """All troubles at once."""
    troubled = _disk(plain, chance)
    with_tokens = _tokens(plain, chance)
    return replace(
        troubled,
        windows=(*troubled.windows, *with_tokens.windows),
        rates=_rates(chance, 0.3),
        refused=0.05,
        crash_every_s=25.0,
        crash_step=0.002,
        others_every_s=10.0,
    )


KINDS: Final = (
    ("crashes", _crashes),
    ("faults", _faults),
    ("pace", _pace),
    ("backlog", _backlog),
    ("outages", _outages),
    ("tokens", _tokens),
    ("clock", _clock),
    ("gap", _gap),
    ("disk", _disk),
    ("routes", _many_routes),
    ("hold", _hold),
    ("resend", _resend),
    ("shared_lists", _shared_lists),
    ("storm", _storm),
)
