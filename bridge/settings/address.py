"""Where the daemon listens: a host and a port, or the path of a Unix socket."""

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

# Linux keeps a socket's path in 108 bytes, the closing NUL included (unix(7)).
_SOCKET_PATH_BYTES_MAX: Final = 107
_PORT_MAX: Final = 65535
_HOST_PORT: Final = re.compile(
    r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[A-Za-z0-9](?:[A-Za-z0-9.-]{0,252})))"
    r":(?P<port>[0-9]{1,5})"
)
_DOTTED_DIGITS: Final = re.compile(r"[0-9.]+")
_SHAPES: Final = "use 127.0.0.1:8080, [::1]:8080 or unix:/run/aventa-bridge.sock"


@dataclass(frozen=True, slots=True)
class Address:
    """`path` of a Unix socket, or else `host` (without brackets) and `port`; port 0: any free."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the host is this machine's own, so that nobody outside can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def __str__(self) -> str:
        """Return it as the settings write it."""
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Read `127.0.0.1:8080`, `[::1]:8080`, `localhost:8080`, `0.0.0.0:0` or `unix:/run/x.sock`.

    Raises:
        ValueError: it is none of these; the message says what would be right.
    """
    if text.startswith("unix:"):
        return Address(path=_socket_path(text.removeprefix("unix:")))
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"is no address; {_SHAPES}")
    port = int(match["port"])
    if port > _PORT_MAX:
        raise ValueError(f"has a port that does not exist; use 0…{_PORT_MAX}")
    host = match["ipv6"] or match["host"]
    try:
        if match["ipv6"]:
            ipaddress.IPv6Address(host)
        elif _DOTTED_DIGITS.fullmatch(host):
            ipaddress.IPv4Address(host)
    except ValueError:
        raise ValueError(f"has an IP address that does not exist; {_SHAPES}") from None
    return Address(host=host if match["ipv6"] else host.lower(), port=port)


def _socket_path(path: str) -> str:
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError("names no socket; use an absolute path, such as unix:/run/bridge.sock")
    if len(path.encode()) > _SOCKET_PATH_BYTES_MAX:
        raise ValueError(f"has a path that is too long; use {_SOCKET_PATH_BYTES_MAX} bytes at most")
    return path
