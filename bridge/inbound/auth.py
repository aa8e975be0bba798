"""Who may post: whoever shows one of the credentials, from where it is allowed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from bridge.inbound.peers import Origins, is_within, networks
from bridge.inbound.signatures import (
    BearerTokens,
    Knock,
    Scheme,
    SipgateSignature,
    StandardWebhooks,
    TelnyxSignature,
    TwilioSignature,
)


class Reason(StrEnum):
    """Why somebody was not let in. Operators see it; whoever was refused does not."""

    ADDRESS = "address"
    MISSING = "missing"
    STALE = "stale"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorKeys:
    """Who may post to an address: any one credential is enough; the addresses are a condition.

    `public_url` is the address as the caller sees it, which Twilio signs.
    """

    tokens: Sequence[str] = field(default=(), repr=False)
    secrets: Sequence[str] = field(default=(), repr=False)
    verifying_keys: Sequence[str] = ()
    twilio_tokens: Sequence[str] = field(default=(), repr=False)
    telnyx_keys: Sequence[str] = ()
    sipgate_keys: Sequence[str] = ()
    public_url: str = ""
    allowed: Sequence[str] = ()
    proxies: Sequence[str] = ()


NO_KEYS: Final = DoorKeys()


class Doorkeeper:
    """Lets in whoever shows one of the credentials, and comes from an address that is allowed.

    Without credentials everybody is let in whose address is; the settings see that this is
    nobody beyond this machine whom the site doesn't mean.
    """

    def __init__(self, keys: DoorKeys = NO_KEYS) -> None:
        """Keep the door by these keys.

        Raises:
            ValueError: one of them can't be read; the settings have found it before.
        """
        self._schemes = tuple(_schemes(keys))
        self._allowed = networks(keys.allowed)
        self.origins = Origins(keys.proxies)

    @property
    def schemes(self) -> tuple[str, ...]:
        """The names of the ways to show who one is."""
        return tuple(type(one).__name__ for one in self._schemes)

    def may_admit(self, knock: Knock) -> bool:
        """Say, before the body is read, whether a request could be let in at all."""
        if self._allowed and not self._is_allowed(knock):
            return False
        offered = [one.is_offered(knock) for one in self._schemes]
        return not offered or any(offered)

    def admits(self, knock: Knock, body: bytes, now_s: float) -> bool:
        """Say whether a request may come in; `now_s` is in Unix seconds.

        Every scheme is tried, whatever the first says.
        """
        if self._allowed and not self._is_allowed(knock):
            return False
        if not self._schemes:
            return True
        proofs = [one.proves(knock, body, now_s) for one in self._schemes]
        return any(proofs)

    def reason(self, knock: Knock, now_s: float) -> Reason:
        """Return why a request that was refused was refused."""
        if self._allowed and not self._is_allowed(knock):
            return Reason.ADDRESS
        offered = [one for one in self._schemes if one.is_offered(knock)]
        if not offered:
            is_given = "Authorization" in knock.headers
            return Reason.WRONG if is_given else Reason.MISSING
        is_stale = all(one.is_stale(knock, now_s) for one in offered)
        return Reason.STALE if is_stale else Reason.WRONG

    def _is_allowed(self, knock: Knock) -> bool:
        address = self.origins.address_of(knock)
        return address is not None and is_within(address, self._allowed)


def _schemes(keys: DoorKeys) -> Iterator[Scheme]:
    if keys.tokens:
        yield BearerTokens(keys.tokens)
    if keys.secrets or keys.verifying_keys:
        yield StandardWebhooks(keys.secrets, keys.verifying_keys)
    if keys.twilio_tokens:
        yield TwilioSignature(keys.twilio_tokens, keys.public_url)
    if keys.telnyx_keys:
        yield TelnyxSignature(keys.telnyx_keys)
    if keys.sipgate_keys:
        yield SipgateSignature(keys.sipgate_keys)
