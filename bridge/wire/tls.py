"""TLS of the address that events come in by: the daemon's certificate, and callers' if wanted."""

import os
import ssl
from pathlib import Path
from typing import Final

_FILE_BYTES_MAX: Final = 1024 * 1024
CERTIFICATE: Final = "tls_certificate"
KEY: Final = "tls_key"
CLIENT_CA: Final = "tls_client_ca"


class TlsProblem(Exception):  # noqa: N818 - says what it found
    """A file can't be used. `key` is the setting that names it; the text is one line."""

    def __init__(self, key: str, text: str) -> None:
        """Say what is wrong with what a setting names."""
        super().__init__(text)
        self.key = key


def server_context(certificate: str, key: str = "", client_ca: str = "") -> ssl.SSLContext:
    """Return what TLS is served with: 1.2 or newer, as Python's own defaults have it.

    Args:
        certificate: the file with the certificate, and those between it and the root.
        key: the file with its key; none: the certificate's file has it.
        client_ca: the file with the authorities of callers' certificates, which they then need.

    Raises:
        TlsProblem: a file can't be read or used.
    """
    _check(CERTIFICATE, certificate, "CERTIFICATE-----")
    _check(KEY if key else CERTIFICATE, key or certificate, "PRIVATE KEY-----")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    is_locked = False

    def no_password() -> str:
        nonlocal is_locked
        is_locked = True
        return "none"

    try:
        context.load_cert_chain(certificate, key or None, password=no_password)
    except (ssl.SSLError, OSError, ValueError) as error:
        if is_locked:
            text = "is encrypted; use a key without a passphrase, that only this user can read"
            raise TlsProblem(KEY, text) from None
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            raise TlsProblem(KEY, f"is not the key of http.{CERTIFICATE}; use its own") from None
        text = "can't be used with its key (broken, or of a kind that is too weak); use PEM"
        raise TlsProblem(CERTIFICATE, text) from None
    if client_ca:
        _check(CLIENT_CA, client_ca, "CERTIFICATE-----")
        try:
            context.load_verify_locations(client_ca)
        except (ssl.SSLError, OSError):
            raise TlsProblem(CLIENT_CA, "holds no certificate that can be used; use PEM") from None
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def _check(setting: str, path: str, holds: str) -> None:
    """See that a file can be read and looks like what it is to be."""
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(_FILE_BYTES_MAX)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        why = os.strerror(number) if number else type(error).__name__
        text = f"can't be read ({why}); name a file that this user can read"
        raise TlsProblem(setting, text) from None
    if holds.encode() not in content:
        what = "key" if "KEY" in holds else "certificate"
        raise TlsProblem(setting, f"holds no {what} in PEM; name a file that does")
