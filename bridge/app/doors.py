"""What guards each source of events, in numbers: for `check` and `doctor`, which show no secret."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bridge.app.measured import Finding, Verdict
from bridge.domain.events import EVENTS_SOURCE
from bridge.domain.units import DAY_US, SECOND_US
from bridge.settings import Settings
from bridge.settings.sections import HookSettings


@dataclass(frozen=True, slots=True)
class Guard:
    """What is asked of whoever posts: any one of the credentials, and all of the conditions."""

    source: str
    mapping: str
    credentials: Mapping[str, int]
    addresses: int
    has_client_certificates: bool

    @property
    def words(self) -> str:
        """What is asked, in a few words."""
        any_of = [f"{count} {key}" for key, count in self.credentials.items()]
        all_of = [" or ".join(any_of)] if any_of else []
        if self.addresses:
            all_of.append(f"{self.addresses} allowed_addresses")
        if self.has_client_certificates:
            all_of.append("a client certificate")
        return ", and ".join(all_of) or "nothing: only this machine can reach it"

    @property
    def document(self) -> dict[str, object]:
        """The same for programs."""
        return {
            "source": self.source,
            "mapping": self.mapping or None,
            "credentials": dict(self.credentials),
            "allowed_addresses": self.addresses,
            "client_certificates": self.has_client_certificates,
        }


def guards(settings: Settings) -> list[Guard]:
    """Return what guards each source that the settings or the site's own mappings name.

    `/v1/events` is the first. Hooks of shipped mappings are there all the same, guarded as it is.
    """
    named = {hook.name for hook in settings.hooks}
    return [
        _guard(settings, None),
        *(
            _guard(settings, hook)
            for name, hook in settings.hook_table().items()
            if name in named or not settings.mappings.is_shipped(name)
        ),
    ]


def _guard(settings: Settings, hook: HookSettings | None) -> Guard:
    http = settings.http
    own = hook.credentials if hook is not None else {}
    addresses = hook.allowed_addresses if hook is not None else ()
    return Guard(
        source=EVENTS_SOURCE if hook is None else hook.name,
        mapping="" if hook is None else hook.mapping or hook.name,
        credentials=own or http.credentials,
        addresses=len(addresses or http.allowed_addresses),
        has_client_certificates=http.tls_client_ca is not None,
    )


def certificate_ends_s(path: str) -> float:
    """Return until when a certificate is good, in Unix seconds.

    Raises:
        OSError: it can't be read.
        ValueError: it is none.
    """
    # Here, because the daemon does without.
    from cryptography.x509 import load_pem_x509_certificate  # noqa: PLC0415 - see above

    certificate = load_pem_x509_certificate(Path(path).read_bytes())
    return certificate.not_valid_after_utc.timestamp()


def judge_certificate(ends_s: float, now_s: float, soon_s: float) -> Finding:
    """Judge how long the daemon's own certificate is still good."""
    days = (ends_s - now_s) / (DAY_US / SECOND_US)
    if days <= 0:
        verdict, detail = Verdict.FAIL, "has expired: no caller comes in"
    elif ends_s - now_s < soon_s:
        verdict, detail = Verdict.WARN, f"expires in {days:.0f} days"
    else:
        return Finding("http.tls_certificate", Verdict.OK, f"good for {days:.0f} days")
    advice = "renew it, and systemctl reload aventa-bridge"
    return Finding("http.tls_certificate", verdict, detail, advice)
