"""The settings as a whole, and what the rest of the bridge makes of them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import Field, PrivateAttr
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bridge.domain.calls import CallPolicy
from bridge.domain.errands import Guide
from bridge.domain.hours import read_hours
from bridge.domain.msisdn import NumberStatus, PhoneNumber, read_number
from bridge.domain.routes import DEFAULT_ROUTE, Route, RouteTable, outlet_name
from bridge.domain.rules import DEFAULT_RULES, RuleBook
from bridge.domain.units import HOUR_US, SECOND_US
from bridge.domain.watemplates import Manners
from bridge.settings.mappings import Shelf
from bridge.settings.rules import RuleSettings
from bridge.settings.sections import (
    AdminSettings,
    AgentSettings,
    CallbackSettings,
    CallSettings,
    CentionSettings,
    ContactSettings,
    DeliverySettings,
    HookSettings,
    HttpSettings,
    InDoubtPolicy,
    LogSettings,
    MsisdnSettings,
    OneViewSettings,
    ProvisionSettings,
    ReportSettings,
    RetentionSettings,
    RouteSettings,
    StoreSettings,
    TracingSettings,
    secret_text,
)

# What a daemon takes in hand at its start: a reload says that these want a restart.
AT_START: Final = (
    "http.listen",
    "http.socket_mode",
    "admin.listen",
    "store",
    "log",
    "tracing",
    "oneview.base_url",
)
# Sections that are checked and kept, but that no code acts on yet, and why: none now.
TO_COME: Final[Mapping[str, str]] = {}


class Settings(BaseSettings):
    """Every setting of the contract's section 2. Made by `load_settings`, which checks more."""

    model_config = SettingsConfigDict(
        frozen=True, strict=True, extra="forbid", hide_input_in_errors=True
    )

    http: HttpSettings = HttpSettings()
    hooks: tuple[HookSettings, ...] = Field(
        (), strict=False, description="other phone systems, each with an address of its own"
    )
    admin: AdminSettings = AdminSettings()
    store: StoreSettings = StoreSettings()
    cention: CentionSettings = CentionSettings()
    msisdn: MsisdnSettings = MsisdnSettings()
    routes: tuple[RouteSettings, ...] = Field((), strict=False, description="the first match wins")
    rules: tuple[RuleSettings, ...] = Field(
        (), strict=False, description="tried before the default rules; the first match wins"
    )
    calls: CallSettings = CallSettings()
    contacts: ContactSettings = ContactSettings()
    delivery: DeliverySettings = DeliverySettings()
    reports: ReportSettings = ReportSettings()
    callbacks: CallbackSettings = CallbackSettings()
    oneview: OneViewSettings = OneViewSettings()
    agents: tuple[AgentSettings, ...] = Field((), strict=False, description="One View's agents")
    provision: ProvisionSettings = ProvisionSettings()
    retention: RetentionSettings = RetentionSettings()
    log: LogSettings = LogSettings()
    tracing: TracingSettings = TracingSettings()
    _mappings: Shelf = PrivateAttr(default_factory=Shelf)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take only what `load_settings` has put together.

        Sources that read by themselves stop at the first mistake and quote what they read.
        """
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    @classmethod
    def _settings_log_debug(cls, states: dict[str, dict[str, Any]]) -> None:
        """Keep pydantic-settings from logging every value (PYDANTIC_SETTINGS_DEBUG): secrets."""

    @property
    def mappings(self) -> Shelf:
        """The mappings that hooks may have."""
        return self._mappings

    def with_mappings(self, shelf: Shelf) -> "Settings":
        """Return the settings with these mappings."""
        changed = self.model_copy()
        changed._mappings = shelf  # noqa: SLF001 - its own
        return changed

    def hook_table(self) -> dict[str, HookSettings]:
        """Return every hook by its name: each mapping has one of its own name, as [http] has it.

        Raises:
            SettingsError: the site's mappings can't be looked into.
        """
        served = {name: HookSettings(name=name) for name in self.mappings.names()}
        return served | {hook.name: hook for hook in self.hooks}

    @property
    def in_doubt_policy(self) -> InDoubtPolicy:
        """What becomes of an errand that may or may not have been created."""
        if self.delivery.in_doubt is not None:
            return self.delivery.in_doubt
        return "reconcile" if self.reports.enabled else "resend"

    def guide(self) -> Guide:
        """Return what the site has decided about errands, in the domain's words."""
        own_rules = [
            rule.rule(self.read_own_number, f"rules.{number}")
            for number, rule in enumerate(self.rules)
        ]
        return Guide(
            rules=RuleBook((*own_rules, *DEFAULT_RULES)),
            routes=self.route_table(),
            zones=self._zones(),
            shared_numbers=self.shared_numbers(),
            settle_us=self._settle_us,
            has_tickets=any(rule.is_of_ticket for rule in own_rules),
        )

    def route_table(self) -> RouteTable:
        """Return all routes; the outlets are those by which rules' messages leave."""
        return RouteTable(
            routes=tuple(self._route(route) for route in self.routes),
            default=Route(
                name=DEFAULT_ROUTE,
                base_url=self.cention.base_url,
                workspace=self.cention.workspace,
                region=self.msisdn.default_region,
                bare_digits=self.msisdn.bare_digits,
                agent=self.cention.agent,
                timezone=self.cention.timezone or "UTC",
            ),
            outlets=tuple(
                Route(
                    name=outlet_name(rule.name or ""),
                    base_url=self.cention.base_url,
                    workspace=rule.workspace or self.cention.workspace,
                )
                for rule in self.rules
                if rule.sends
            ),
        )

    def manners(self) -> Manners:
        """Return what is looked at again when a message leaves."""
        return Manners(
            quiet={
                outlet_name(rule.name or ""): read_hours(rule.quiet_hours)
                for rule in self.rules
                if rule.sends and rule.quiet_hours
            },
            zones=self._zones(),
            shared_numbers=self.shared_numbers(),
        )

    def _zones(self) -> dict[str, ZoneInfo]:
        timezones = {route.name: route.timezone for route in self.routes}
        timezones[DEFAULT_ROUTE] = self.cention.timezone
        return {name: ZoneInfo(zone) for name, zone in timezones.items() if zone is not None}

    def shared_numbers(self) -> frozenset[str]:
        """Return the numbers that identify nobody, with the plus."""
        return frozenset(self._shared_numbers())

    @property
    def _settle_us(self) -> int:
        return round(self.calls.settle_seconds * SECOND_US)

    def call_policy(self) -> CallPolicy:
        """Return when calls begin and end, in the domain's units."""
        return CallPolicy(
            reuse_after_us=round(self.calls.reuse_after_hours * HOUR_US),
            settle_us=self._settle_us,
            stale_after_us=round(self.calls.max_hours * HOUR_US),
            journal_us=self.retention.journal_days * 24 * HOUR_US,
        )

    def tokens(self) -> dict[str, str]:
        """Return each route's token in the clear, the default's too; none where there is none."""
        default = secret_text(self.cention.token)
        tokens = {route.name: secret_text(route.token) or default for route in self.routes}
        tokens[DEFAULT_ROUTE] = default
        for rule in self.rules:
            if rule.sends:
                tokens[outlet_name(rule.name or "")] = secret_text(rule.token)
        return {name: token for name, token in tokens.items() if token}

    def notices(self) -> list[str]:
        """Return one line for each thing that was set and that this release doesn't act on yet."""
        lines = [
            f"{name}: set and checked, but {why}"
            for name, why in TO_COME.items()
            if self._is_set(name)
        ]
        if self.agents and not self.oneview.is_on:
            lines.append("agents: set, but oneview.base_url is not, so nothing is sent to One View")
        if self.oneview.is_on and not self.agents:
            lines.append("oneview: set, but there are no [[agents]], so nothing is sent there")
        return lines

    def read_route_number(self, route: RouteSettings, number: str) -> PhoneNumber:
        """Read a number as somebody at the route's place would dial it."""
        return read_number(
            number,
            region=route.default_region or self.msisdn.default_region,
            bare_digits=route.bare_digits or self.msisdn.bare_digits,
        )

    def read_own_number(self, number: str) -> PhoneNumber:
        """Read a number as it is read where no route says otherwise."""
        return read_number(
            number, region=self.msisdn.default_region, bare_digits=self.msisdn.bare_digits
        )

    def _route(self, route: RouteSettings) -> Route:
        dest = self.read_route_number(route, route.dest_number) if route.dest_number else None
        return Route(
            name=route.name,
            base_url=self.cention.base_url,
            workspace=route.workspace or self.cention.workspace,
            queue_names=frozenset(route.queue_names),
            dest_numbers=frozenset(route.dest_numbers),
            queue_numbers=frozenset(route.queue_numbers),
            region=route.default_region or self.msisdn.default_region,
            bare_digits=route.bare_digits or self.msisdn.bare_digits,
            agent=route.agent,
            dest_msisdn=dest.msisdn if dest else "",
            queue_name=route.queue_name or "",
            queue_number=route.queue_number or "",
            timezone=route.timezone or "UTC",
        )

    def _shared_numbers(self) -> Iterator[str]:
        for number in self.contacts.shared_numbers:
            read = self.read_own_number(number)
            if read.status is NumberStatus.VALID:
                yield read.plus

    def _is_set(self, name: str) -> bool:
        section = getattr(self, name)
        return bool(section) if isinstance(section, tuple) else bool(section.model_fields_set)
