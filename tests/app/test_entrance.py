"""A reload never opens the sockets that are there wider than the settings of a start would."""

from pathlib import Path
from typing import Any

import pytest

from bridge.app.entrance import Entrance
from bridge.settings import Settings, SettingsError, load_settings

TLS = Path(__file__).parents[1] / "data" / "tls"
WITH_TLS = {
    "HTTP__TLS_CERTIFICATE": str(TLS / "localhost.crt"),
    "HTTP__TLS_KEY": str(TLS / "localhost.key"),
}
WITH_CLIENTS = {**WITH_TLS, "HTTP__TLS_CLIENT_CA": str(TLS / "localhost.crt")}
BEYOND = {"HTTP__LISTEN": "0.0.0.0:8080"}
TOKEN = {"HTTP__AUTH_TOKENS": '["t"]'}


def settings(**given: str) -> Settings:
    environ = {
        "BRIDGE_CENTION__BASE_URL": "https://api.cention.example",
        "BRIDGE_CENTION__WORKSPACE": "demo",
        "BRIDGE_CENTION__TOKEN": "t",
    } | {f"BRIDGE_{name}": value for name, value in given.items()}
    return load_settings(config=None, secrets_dir=None, environ=environ)


class Renewals:
    """A listener that counts, and may have no descriptors left."""

    def __init__(self, *, is_full: bool = False) -> None:
        self.count = 0
        self._is_full = is_full

    async def renew(self, _tls: object) -> None:
        if self._is_full:
            raise OSError(24, "Too many open files")
        self.count += 1


def entrance(listener: Any, **given: str) -> Entrance:
    return Entrance(listener, settings(**given), ())


@pytest.mark.parametrize(
    ("at_start", "later", "wrong"),
    [
        # The token goes, and the certificates that stand in for it come with a restart only.
        (BEYOND | TOKEN, BEYOND | WITH_CLIENTS, "http.tls_certificate"),
        (BEYOND | WITH_CLIENTS, BEYOND | TOKEN, "http.tls_certificate"),
        (TOKEN, TOKEN | WITH_TLS, "http.tls_certificate"),
        # The new address is near enough to do without, but the old one is still listened on.
        (BEYOND | TOKEN, {}, "http.listen"),
        (BEYOND | WITH_CLIENTS, WITH_TLS, "http.listen"),
    ],
)
async def test_what_does_not_go_with_the_open_sockets_is_refused(
    at_start: dict[str, str], later: dict[str, str], wrong: str
) -> None:
    listener = Renewals()
    with pytest.raises(SettingsError) as refused:
        await entrance(listener, **at_start).renew(settings(**later))
    (line,) = refused.value.problems
    assert line.startswith(f"{wrong}: ")
    assert "restart instead" in line
    assert listener.count == 0


@pytest.mark.parametrize(
    ("at_start", "later", "renewals"),
    [
        ({}, {}, 0),
        ({}, TOKEN, 0),
        (TOKEN, {}, 0),
        (BEYOND | TOKEN, TOKEN, 0),
        (BEYOND | WITH_CLIENTS, BEYOND | WITH_TLS | TOKEN, 1),
        (WITH_TLS, WITH_CLIENTS, 1),
    ],
)
async def test_what_goes_with_them_is_taken(
    at_start: dict[str, str], later: dict[str, str], renewals: int
) -> None:
    listener = Renewals()
    await entrance(listener, **at_start).renew(settings(**later))
    assert listener.count == renewals


async def test_a_certificate_that_cannot_be_taken_up_refuses_the_reload_as_a_whole() -> None:
    with pytest.raises(SettingsError) as refused:
        await entrance(Renewals(is_full=True), **WITH_TLS).renew(settings(**WITH_TLS))
    assert refused.value.problems == [
        "http.tls_certificate: can't be renewed (Too many open files)"
    ]
