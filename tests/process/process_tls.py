"""An authority of a test's own, the certificates that it signs, and requests by TLS."""

import datetime as dt
import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from process_client import JSON, REQUEST_S_MAX

_DAY: Final = dt.timedelta(days=1)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


class Authority:
    """Signs certificates; everything is kept in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(self._name, self._key, is_authority=True)
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, name: str, file: str) -> tuple[Path, Path, int]:
        """Write a certificate and its key over those of before; return both, and the number."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name(name), key)
        crt, pem = self._folder / f"{file}.crt", self._folder / f"{file}.key"
        crt.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        pem.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return crt, pem, certificate.serial_number

    def _sign(
        self, name: x509.Name, key: ec.EllipticCurvePrivateKey, *, is_authority: bool = False
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        return builder.sign(self._key, hashes.SHA256())


class TlsCaller:
    """Posts by TLS, with a certificate of its own if it has one."""

    def __init__(self, url: str, authority: Path, own: tuple[Path, Path] | None = None) -> None:
        parts = urlsplit(url)
        assert parts.scheme == "https", url
        self._port = parts.port
        self.context = ssl.create_default_context(cafile=authority)
        if own is not None:
            self.context.load_cert_chain(*own)

    def connect(self) -> http.client.HTTPSConnection:
        made = http.client.HTTPSConnection(
            "127.0.0.1", self._port, timeout=REQUEST_S_MAX, context=self.context
        )
        # Its certificate is for localhost; the address is that of a socket, not of a name.
        self.context.check_hostname = False
        made.connect()
        return made

    def post(self, document: Any, by: http.client.HTTPSConnection | None = None) -> tuple[int, int]:
        """Post an event; return the status, and the number of the certificate that was shown."""
        connection = by or self.connect()
        try:
            shown = connection.sock.getpeercert(binary_form=True)
            assert shown is not None
            connection.request("POST", "/v1/events", json.dumps(document), {"Content-Type": JSON})
            reply = connection.getresponse()
            reply.read()
        except BaseException:
            connection.close()
            raise
        if by is None:
            connection.close()
        return reply.status, x509.load_der_x509_certificate(shown).serial_number
