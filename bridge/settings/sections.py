"""The tables of the settings: every key with its default, bounds, unit and meaning."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bridge.domain.contacts import ConflictPolicy
from bridge.domain.events import Agent
from bridge.domain.msisdn import BareDigits
from bridge.settings.address import Address
from bridge.settings.values import (
    BaseUrl,
    DeviceId,
    Email,
    File,
    HeaderToken,
    Label,
    Listen,
    Network,
    Region,
    RouteName,
    RsaKey,
    Secret,
    SigningSecret,
    SocketMode,
    StoreUrl,
    TelnyxKey,
    Text,
    TimeZone,
    VerifyingKey,
    WebUrl,
    Workspace,
)

InDoubtPolicy = Literal["reconcile", "resend", "hold"]
# What a caller can show; any one of them is enough.
CREDENTIALS: Final = (
    "auth_tokens",
    "signing_secrets",
    "verifying_keys",
    "twilio_auth_tokens",
    "telnyx_public_keys",
    "sipgate_public_keys",
)
STORE_FILE: Final = "bridge.db"
STORE_URL: Final = f"sqlite:///var/lib/aventa-bridge/{STORE_FILE}"


class Section(BaseModel):
    """A table: frozen, strict about types, closed to unknown keys.

    What is required has an example: it is shown where the key is missing.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class DoorSettings(Section):
    """Who may post to an address."""

    auth_tokens: tuple[HeaderToken, ...] = Field(
        (), strict=False, description="bearer tokens that may post events; several, for rotation"
    )
    signing_secrets: tuple[SigningSecret, ...] = Field(
        (), strict=False, description="whsec_… secrets (Standard Webhooks) that events may have"
    )
    verifying_keys: tuple[VerifyingKey, ...] = Field(
        (), strict=False, description="whpk_… public keys (Standard Webhooks, v1a)"
    )
    twilio_auth_tokens: tuple[HeaderToken, ...] = Field(
        (), strict=False, description="Twilio's auth tokens, which it signs with"
    )
    telnyx_public_keys: tuple[TelnyxKey, ...] = Field(
        (), strict=False, description="Telnyx's public keys"
    )
    sipgate_public_keys: tuple[RsaKey, ...] = Field(
        (), strict=False, description="sipgate's public keys (RSA)"
    )
    allowed_addresses: tuple[Network, ...] = Field(
        (),
        strict=False,
        description="addresses or networks that may post at all, with credentials if there are any",
    )
    events_per_minute: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="events that may come in a minute; more are asked to come back; none: any",
    )

    @property
    def credentials(self) -> dict[str, int]:
        """How many secrets and keys there are of each kind that there are any of, by its key."""
        counts = {key: len(getattr(self, key)) for key in CREDENTIALS}
        return {key: count for key, count in counts.items() if count}


class HttpSettings(DoorSettings):
    """`[http]`: where events and callbacks come in."""

    listen: Listen = Field(
        Address("127.0.0.1", 8080),
        description="host:port or unix:/path; a socket passed by systemd wins",
    )
    trusted_proxies: tuple[Network, ...] = Field(
        (), strict=False, description="addresses or networks whose X-Forwarded-For is believed"
    )
    tls_certificate: File | None = Field(
        None, description="PEM file of the certificate and its chain; none: plain HTTP"
    )
    tls_key: File | None = Field(
        None, description="PEM file of its key; none: the certificate's file has it"
    )
    tls_client_ca: File | None = Field(
        None, description="PEM file of who signs callers' certificates, which they then need"
    )
    socket_mode: SocketMode = Field(
        "0600", description="rights of the socket at unix:/path; who may write to it may connect"
    )
    connections_max: int = Field(
        1000, ge=10, le=60_000, description="connections at a time; who waits makes room for others"
    )

    @property
    def is_open(self) -> bool:
        """Whether anybody who reaches it may post: nothing at all is asked for."""
        return not (self.credentials or self.allowed_addresses or self.tls_client_ca)


class HookSettings(DoorSettings):
    """One of `[[hooks]]`: another phone system, whose posts a mapping turns into events."""

    name: RouteName = Field(
        examples=["front-desk"], description="its address is /v1/hooks/<name>; the events' source"
    )
    mapping: RouteName | None = Field(None, description="the mapping's name; none: the hook's own")
    public_url: WebUrl | None = Field(
        None,
        description="its address as the phone system sees it; none: what the request says",
    )


class AdminSettings(Section):
    """`[admin]`: where operators look."""

    listen: Listen = Field(
        Address("127.0.0.1", 9108),
        description="host:port or unix:/path of /metrics, /livez, /readyz and /openapi.json",
    )


class StoreSettings(Section):
    """`[store]`: where everything is kept."""

    url: StoreUrl = Field(
        STORE_URL,
        description="SQLAlchemy's URL: three slashes are relative to the working folder, four "
        "absolute; the state folder that systemd gives, where it gives one",
    )


class CentionSettings(Section):
    """`[cention]`: where errands go that no route takes elsewhere."""

    base_url: BaseUrl = Field("", description="Cention's API, up to but without /s/<workspace>")
    workspace: Workspace = Field("", description="the workspace's name in Cention")
    token: HeaderToken | None = Field(
        None, description="JWT with the claims for creating errands and contact cards"
    )
    requests_per_minute: int = Field(
        950, ge=1, le=1_000_000, description="requests in any 60 s to one base URL and workspace"
    )
    device_id: DeviceId | None = Field(None, description="device of the default agent")
    extension_id: DeviceId | None = Field(None, description="extension of the default agent")
    timezone: TimeZone | None = Field(
        None, description="of the times in errands and of the hours in rules; none: UTC"
    )

    @property
    def agent(self) -> Agent | None:
        """The default agent, who is named where an event names none."""
        return agent_of(self.device_id, self.extension_id)


class MsisdnSettings(Section):
    """`[msisdn]`: how numbers are read."""

    default_region: Region | None = Field(
        None, description="ISO 3166 region of national numbers; none: only international forms"
    )
    bare_digits: BareDigits = Field("national", description="which reading digits alone get first")


class RouteSettings(Section):
    """One of `[[routes]]`: which calls it serves, and where their errands go."""

    name: RouteName = Field(examples=["sales"], description="unique; metrics and logs show it")
    queue_names: tuple[Text, ...] = Field((), strict=False, description="queues that it serves")
    dest_numbers: tuple[Text, ...] = Field(
        (), strict=False, description="called numbers that it serves"
    )
    queue_numbers: tuple[Text, ...] = Field(
        (), strict=False, description="numbers of queues that it serves, where they are stable"
    )
    token: HeaderToken | None = Field(None, description="JWT of its area; none: cention.token")
    workspace: Workspace | None = Field(None, description="none: cention.workspace")
    default_region: Region | None = Field(None, description="none: msisdn.default_region")
    bare_digits: BareDigits | None = Field(None, description="none: msisdn.bare_digits")
    device_id: DeviceId | None = Field(None, description="device of the default agent")
    extension_id: DeviceId | None = Field(None, description="extension of the default agent")
    dest_number: Text | None = Field(
        None, description="called number, where an event has none that is an MSISDN"
    )
    queue_name: Label | None = Field(None, description="queue, where an event names none")
    queue_number: Label | None = Field(None, description="number of it, where an event has none")
    timezone: TimeZone | None = Field(
        None, description="of the times in errands and of the hours in rules; none: UTC"
    )

    @property
    def agent(self) -> Agent | None:
        """The default agent, who is named where an event names none."""
        return agent_of(self.device_id, self.extension_id)


class CallSettings(Section):
    """`[calls]`: when a reference is a new call, and when a call is over."""

    reuse_after_hours: float = Field(
        24, gt=0, le=8760, description="hours without an event until a reference is a new call"
    )
    settle_seconds: float = Field(
        10, gt=0, le=3600, description="seconds until an end without an answer is an abandoned call"
    )
    max_hours: float = Field(
        12, gt=0, le=8760, description="hours without an event until a call is closed"
    )


class ContactSettings(Section):
    """`[contacts]`: who is who."""

    cuid_label: Label = Field("cuid", description="label of a card's custom field for the cuid")
    conflict: ConflictPolicy = Field(
        "prefer_cuid", description="whom to believe where cuid and number are two people's"
    )
    shared_numbers: tuple[Text, ...] = Field(
        (), strict=False, description="numbers that many share, such as a switchboard's"
    )
    refresh_days: int = Field(
        30, ge=1, le=3650, description="days that Cention is believed to have a card as sent"
    )


class DeliverySettings(Section):
    """`[delivery]`: how requests leave."""

    in_doubt: InDoubtPolicy | None = Field(
        None, description="errands of unknown fate; none: reconcile with reports, else resend"
    )
    settle_seconds: float = Field(
        90, gt=0, le=3600, description="seconds until absence from Cention's lists is believed"
    )
    in_flight_max: int = Field(32, ge=1, le=1000, description="requests under way at a time")
    timeout_seconds: float = Field(30, gt=0, le=600, description="seconds for one request")
    shutdown_seconds: float = Field(
        20, gt=0, le=600, description="seconds that a stop waits for requests under way"
    )


class ReportSettings(Section):
    """`[reports]`: the pollers of errand reports and ratings."""

    enabled: bool = Field(default=False, description="whether reports are read")
    poll_seconds: float = Field(60, ge=1, le=86_400, description="seconds between two looks")
    exclusive: bool = Field(
        default=True, description="whether nothing else reads (and so clears) the same lists"
    )
    token: HeaderToken | None = Field(
        None, description="JWT with the claim for errand data; none: cention.token"
    )


class CallbackSettings(Section):
    """`[callbacks]`: what Cention posts back."""

    secret: Secret | None = Field(None, description="what Cention sends as meta.api_secret")
    addresses: tuple[Network, ...] = Field(
        (),
        strict=False,
        description="addresses or networks that may call back without a secret, beside loopback",
    )
    forward_url: WebUrl | None = Field(None, description="where answers are sent on to")
    forward_secret: SigningSecret | None = Field(
        None, description="whsec_… secret that what is sent on is signed with"
    )


class OneViewSettings(Section):
    """`[oneview]`: agents' presence."""

    base_url: BaseUrl | None = Field(None, description="One View's API; none: off")
    status: Text = Field("offline", description="One View's status of an agent who is on a call")
    wrap_up_seconds: float = Field(
        0, ge=0, le=86_400, description="seconds after a call until the agent is free again"
    )
    rate_per_minute: int = Field(
        6000, ge=1, le=1_000_000, description="requests to One View in any 60 seconds"
    )

    @property
    def is_on(self) -> bool:
        """Whether there is a One View."""
        return self.base_url is not None


class AgentSettings(Section):
    """One of `[[agents]]`: who sits at a device, as One View knows them."""

    device_id: DeviceId = Field(examples=[1000], description="the agent's device")
    extension_id: DeviceId = Field(examples=[1000], description="the agent's extension")
    email: Email = Field(examples=["agent@example.com"], description="One View's X-Agent-ID")
    token: HeaderToken = Field(examples=["eyJhbGci"], description="bearer token for One View")


class ProvisionSettings(Section):
    """`[provision]`: Cention's signed administration API."""

    base_url: BaseUrl | None = Field(None, description="none: cention.base_url")
    workspace: Workspace | None = Field(None, description="none: cention.workspace")
    access_key_id: Secret | None = Field(None, description="id of the access key")
    access_key_secret: Secret | None = Field(None, description="secret of the access key")
    struct_signing: Literal["values", "json"] = Field(
        "values", description="how structs are signed: by their values, or as JSON"
    )
    requests_per_minute: int = Field(
        50,
        ge=1,
        le=1_000_000,
        description="requests in any 60 seconds, beside those of cention.requests_per_minute",
    )


class RetentionSettings(Section):
    """`[retention]`: how long personal data stays."""

    payload_hours: int = Field(
        72, ge=1, le=8760, description="hours until the content of what was delivered is dropped"
    )
    journal_days: int = Field(
        30, ge=1, le=3650, description="days that events are known, and may come late"
    )
    quarantine_days: int = Field(30, ge=1, le=3650, description="days that refused events are kept")


class LogSettings(Section):
    """`[log]`: what is told while it runs."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least important level that is written"
    )
    format: Literal["auto", "json", "text"] = Field(
        "auto", description="auto: text on a terminal, else JSON"
    )


class TracingSettings(Section):
    """`[tracing]`: where the way of each event is shown."""

    endpoint: BaseUrl | None = Field(
        None, description="base URL of a collector that takes OTLP over HTTP; none: off"
    )
    sample_ratio: float = Field(
        1, ge=0, le=1, description="share that is traced of what no caller traces already"
    )
    service_name: Label = Field("aventa-bridge", description="what the bridge is called there")


def agent_of(device_id: int | None, extension_id: int | None) -> Agent | None:
    """Return the agent at a desk; None where one of the two ids is missing."""
    if device_id is None or extension_id is None:
        return None
    return Agent(device_id, extension_id)


def secret_text(secret: SecretStr | None) -> str:
    """Return what a secret holds; nothing for none."""
    return "" if secret is None else secret.get_secret_value()
