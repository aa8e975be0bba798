"""Talking to systemd: readiness, watchdog, and sockets that it hands over (sd_notify(3))."""

import ipaddress
import os
import socket
from collections.abc import Mapping
from typing import Final

_FIRST_FD: Final = 3


def notify(state: str, environ: Mapping[str, str] | None = None) -> bool:
    """Send a state such as `READY=1` to the service manager; False where there is none."""
    address = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
        try:
            sender.connect(address)
            sender.sendall(state.encode())
        except OSError:
            return False
    return True


def watchdog_seconds(environ: Mapping[str, str] | None = None) -> float | None:
    """Return how often the watchdog wants to hear of us (half its limit); None: not at all."""
    environ = os.environ if environ is None else environ
    limit = environ.get("WATCHDOG_USEC", "")
    if not limit.isdigit() or int(limit) == 0:
        return None
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(limit) / 2_000_000


def passed_sockets(environ: Mapping[str, str] | None = None) -> list[socket.socket]:
    """Return the listening sockets that systemd handed over (sd_listen_fds(3))."""
    environ = os.environ if environ is None else environ
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not count.isdigit():
        return []
    return [socket.socket(fileno=fd) for fd in range(_FIRST_FD, _FIRST_FD + int(count))]


def is_reachable(listener: socket.socket) -> bool:
    """Say whether other machines can reach a listening socket, as far as its address tells."""
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return False
    host: str = listener.getsockname()[0]
    return not ipaddress.ip_address(host).is_loopback
