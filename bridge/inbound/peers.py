"""Where a request comes from: its own address, or what proxies that the site names say of it."""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final

from bridge.inbound.signatures import Knock

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
# Whoever comes by a Unix socket is on this machine.
LOCAL: Final = ipaddress.IPv4Address("127.0.0.1")
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[0-9]{1,5})?|([0-9.]+):[0-9]{1,5}")


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Return networks of their texts.

    Raises:
        ValueError: one of them is none.
    """
    return tuple(ipaddress.ip_network(text) for text in texts)


class Origins:
    """Tells where requests come from. `X-Forwarded-For` is believed of these proxies alone."""

    def __init__(self, proxies: Sequence[str] = ()) -> None:
        """Believe these addresses or networks."""
        self._proxies = networks(proxies)

    def address_of(self, knock: Knock) -> Address | None:
        """Return whom a request comes from; None where a proxy says what is no address.

        From right to left, the first that is no proxy: what is further left, anybody may have
        written. Several headers are one, in their order (RFC 9110, section 5.3).
        """
        address = read_address(knock.remote) if knock.remote else LOCAL
        if not self._proxies or address is None:
            return address
        said = ",".join(knock.headers.getall("X-Forwarded-For", ()))
        while said and address is not None and is_within(address, self._proxies):
            said, _, hop = said.rpartition(",")
            address = read_address(hop)
        return address


def read_address(text: str) -> Address | None:
    """Return the address that a text holds, without port, brackets and zone; None for no address.

    An IPv4 address within IPv6 is the IPv4 address that it means.
    """
    text = text.strip(" \t")
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] if match[1] is not None else match[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_within(address: Address, these: Sequence[Network]) -> bool:
    """Say whether an address is in one of the networks."""
    return any(address in network for network in these)


def kind_of(address: Address | None) -> str:
    """Return what kind of address it is, for a log line that is not to name anybody."""
    if address is None:
        return "unknown"
    if address.is_loopback:
        return "loopback"
    return "private" if address.is_private or address.is_link_local else "public"
