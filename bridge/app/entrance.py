"""The address that events come in by: what only a start decides, and what a reload renews."""

import asyncio
import socket
from collections.abc import Sequence
from ssl import SSLContext
from typing import Final

from bridge.app import wiring
from bridge.inbound.server import Listener
from bridge.settings import Settings, SettingsError
from bridge.wire.tls import TlsProblem, server_context

_TLS: Final = "http.tls_certificate: TLS is turned on and off by a restart only; restart instead"
_OPEN: Final = (
    "http.listen: is still where other machines reach it, and these ask nobody who is there;"
    " restart instead"
)


class Entrance:
    """A listener where the settings of the start say, with the certificate that is in force."""

    def __init__(
        self, listener: Listener, settings: Settings, passed: Sequence[socket.socket]
    ) -> None:
        """Listen on the sockets passed by systemd, else at `http.listen`."""
        self.listener = listener
        self._settings = settings
        self._passed = passed

    async def open(self) -> list[str]:
        """Listen, and return the addresses.

        Raises:
            OSError: it can't be listened there.
            SettingsError: a file of TLS has gone since the settings were checked.
        """
        place = wiring.place(self._settings.http.listen)
        return await self.listener.open(place, self._passed, tls_context(self._settings))

    async def renew(self, settings: Settings) -> None:
        """Take up a renewed certificate, and see that the door stays as shut as it has to be.

        Raises:
            SettingsError: these don't go with the sockets that are open; nothing has changed.
        """
        started = self._settings.http
        if (settings.http.tls_certificate is None) is not (started.tls_certificate is None):
            raise SettingsError([_TLS])
        listen = started.listen
        is_near = bool(self._passed) or listen.path or listen.is_loopback
        if settings.http.is_open and not is_near:
            raise SettingsError([_OPEN])
        tls = await asyncio.to_thread(tls_context, settings)
        if tls is None:
            return
        try:
            await self.listener.renew(tls)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise SettingsError([f"http.tls_certificate: can't be renewed ({reason})"]) from None


def tls_context(settings: Settings) -> SSLContext | None:
    """Return what TLS is served with; None where it is not.

    Raises:
        SettingsError: a file has become unreadable since the settings were checked.
    """
    http = settings.http
    if http.tls_certificate is None:
        return None
    try:
        return server_context(http.tls_certificate, http.tls_key or "", http.tls_client_ca or "")
    except TlsProblem as problem:
        raise SettingsError([f"http.{problem.key}: {problem}"]) from None
