"""Who may post, and TLS: keys in all their spellings, and one line for what is wrong."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from settings_site import Site

from bridge.app import wiring
from bridge.app.entrance import tls_context

PUBLIC = base64.b64encode(bytes(range(32))).decode()
TLS = Path(__file__).parents[1] / "data" / "tls"
HOOK = '[[hooks]]\nname = "desk"\n'


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


RSA_PEM = pem(rsa.generate_private_key(public_exponent=65537, key_size=2048))
WEAK_PEM = pem(
    rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
)
CURVE_PEM = pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_keys_in_pem_come_from_a_file_one_after_the_other(site: Site) -> None:
    site.secrets({"http.sipgate_public_keys": f"# of 2026\n{RSA_PEM}\n{RSA_PEM}"})
    assert site.load().http.sipgate_public_keys == (RSA_PEM.strip(),) * 2


def test_keys_in_pem_come_from_the_file_and_the_environment_too(site: Site) -> None:
    toml = f"[http]\nsipgate_public_keys = ['''\n{RSA_PEM}''']\n"
    assert len(site.load(toml).http.sipgate_public_keys) == 1
    given = site.load(HTTP__SIPGATE_PUBLIC_KEYS=json.dumps([RSA_PEM, RSA_PEM]))
    assert len(given.http.sipgate_public_keys) == 2


def test_a_hook_has_its_keys_from_a_file_of_its_own(site: Site) -> None:
    site.secrets({"hooks.desk.telnyx_public_keys": f"{PUBLIC}\n", "hooks.desk.auth_tokens": "a\nb"})
    (hook,) = site.load(HOOK).hooks
    assert hook.credentials == {"auth_tokens": 2, "telnyx_public_keys": 1}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("verifying_keys", PUBLIC),
        ("verifying_keys", "whpk_"),
        ("verifying_keys", "whpk_" + PUBLIC[:-4]),
        ("verifying_keys", "whsec_" + PUBLIC),
        ("verifying_keys", "whpk_å"),
        ("telnyx_public_keys", "whpk_" + PUBLIC),
        ("telnyx_public_keys", PUBLIC[:-1]),
        ("telnyx_public_keys", ""),
        ("sipgate_public_keys", ""),
        ("sipgate_public_keys", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"),
        ("sipgate_public_keys", RSA_PEM.replace("PUBLIC", "PRIVATE")),
        ("sipgate_public_keys", WEAK_PEM),
        ("sipgate_public_keys", CURVE_PEM),
        ("twilio_auth_tokens", "kanarie kanarie"),
        ("allowed_addresses", "192.0.2.1/24"),
        ("trusted_proxies", "localhost"),
    ],
)
def test_a_key_that_is_none_is_one_line_that_repeats_nothing(
    site: Site, key: str, value: str
) -> None:
    site.environ[f"BRIDGE_HTTP__{key.upper()}"] = json.dumps([value])
    (line,) = site.problems()
    assert line.startswith(f"http.{key}.0: ")
    assert "\n" not in line
    for part in value.splitlines():
        assert len(part) < 12 or part.startswith("-----BEGIN PUBLIC") or part not in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auth_tokens", "t"),
        ("signing_secrets", "whsec_YQ=="),
        ("verifying_keys", "whpk_" + PUBLIC),
        ("twilio_auth_tokens", "12345"),
        ("telnyx_public_keys", PUBLIC),
        ("sipgate_public_keys", RSA_PEM),
        ("allowed_addresses", "192.0.2.7"),
    ],
)
def test_each_way_to_ask_who_is_there_lets_other_machines_in(
    site: Site, key: str, value: str
) -> None:
    site.environ["BRIDGE_HTTP__LISTEN"] = "0.0.0.0:8080"
    assert [line.partition(":")[0] for line in site.problems()] == ["http.listen"]
    site.environ[f"BRIDGE_HTTP__{key.upper()}"] = json.dumps([value])
    assert not site.load().http.is_open


def test_proxies_and_a_certificate_alone_ask_nobody_who_is_there(site: Site) -> None:
    site.environ["BRIDGE_HTTP__LISTEN"] = "0.0.0.0:8080"
    site.environ["BRIDGE_HTTP__TRUSTED_PROXIES"] = '["10.0.0.0/8"]'
    site.environ["BRIDGE_HTTP__TLS_CERTIFICATE"] = str(TLS / "localhost.crt")
    site.environ["BRIDGE_HTTP__TLS_KEY"] = str(TLS / "localhost.key")
    assert [line.partition(":")[0] for line in site.problems()] == ["http.listen"]
    site.environ["BRIDGE_HTTP__TLS_CLIENT_CA"] = str(TLS / "localhost.crt")
    assert not site.load().http.is_open


def test_the_files_of_tls_are_found_by_their_names_among_the_secrets(site: Site) -> None:
    folder = site.secrets(
        {
            "bridge-tls.pem": (TLS / "localhost.crt").read_text(),
            "http.tls_key": (TLS / "localhost.key").read_text(),
        }
    )
    http = site.load('[http]\ntls_certificate = "bridge-tls.pem"\n').http
    assert http.tls_certificate == str(folder / "bridge-tls.pem")
    assert http.tls_key == str(folder / "http.tls_key")
    assert tls_context(site.load()) is not None


def test_without_a_certificate_there_is_no_tls(site: Site) -> None:
    assert tls_context(site.load()) is None


def test_the_files_of_tls_are_tried_and_what_is_wrong_is_one_line(site: Site) -> None:
    locked = ec.generate_private_key(ec.SECP256R1())
    for name, password in (("other.key", b""), ("locked.key", b"secret")):
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if password:
            encryption = serialization.BestAvailableEncryption(password)
        (site.folder / name).write_bytes(
            locked.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
    (site.folder / "broken.crt").write_text(
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
    )
    crt, key = str(TLS / "localhost.crt"), str(TLS / "localhost.key")
    here = str(site.folder)
    for certificate, its_key, client_ca, wrong, words in (
        (crt, key, key, "tls_client_ca", "holds no certificate"),
        (crt, key, f"{here}/none", "tls_client_ca", "No such file"),
        (crt, key, f"{here}/broken.crt", "tls_client_ca", "holds no certificate"),
        (crt, crt, "", "tls_key", "holds no key"),
        (crt, "", "", "tls_certificate", "holds no key"),
        (crt, f"{here}/other.key", "", "tls_key", "is not the key"),
        (crt, f"{here}/locked.key", "", "tls_key", "is encrypted"),
        (crt, here, "", "tls_key", "Is a directory"),
        (key, key, "", "tls_certificate", "holds no certificate"),
        (f"{here}/broken.crt", key, "", "tls_certificate", "can't be used"),
        ("", key, "", "tls_certificate", "is missing beside tls_key"),
        ("", "", crt, "tls_certificate", "is missing beside tls_client_ca"),
    ):
        for name, value in (
            ("CERTIFICATE", certificate),
            ("KEY", its_key),
            ("CLIENT_CA", client_ca),
        ):
            site.environ[f"BRIDGE_HTTP__TLS_{name}"] = value
        (line,) = site.problems()
        assert line.startswith(f"http.{wrong}: "), line
        assert words in line
        site.load(require_upstream=False)


def test_hooks_have_the_credentials_of_http_unless_they_have_their_own(site: Site) -> None:
    toml = """\
[http]
auth_tokens = ["t"]
allowed_addresses = ["192.0.2.7"]
trusted_proxies = ["10.0.0.1"]
[[hooks]]
name = "plain"
[[hooks]]
name = "own"
twilio_auth_tokens = ["12345"]
public_url = "https://example.com/x"
[[hooks]]
name = "near"
allowed_addresses = ["198.51.100.1"]
"""
    settings = site.load(toml)
    assert set(wiring.doorkeepers(settings)) == {"aventa", "plain", "own", "near"}
    http, plain, own, near = (wiring.door_keys(settings, hook) for hook in (None, *settings.hooks))
    assert http == plain
    assert (own.tokens, own.twilio_tokens, own.public_url) == (
        [],
        ["12345"],
        "https://example.com/x",
    )
    assert (near.tokens, near.allowed, near.proxies) == (["t"], ("198.51.100.1",), ("10.0.0.1",))


def test_no_hook_can_take_the_place_of_the_events_own_door(site: Site) -> None:
    toml = '[http]\nauth_tokens = ["t"]\n[[hooks]]\nname = "aventa"\nauth_tokens = ["u"]\n'
    settings = site.load(toml)
    keeper = wiring.doorkeepers(settings)["aventa"]
    assert keeper.schemes == ("BearerTokens",)
    assert wiring.door_keys(settings).tokens == ["t"]


def test_the_library_for_keys_is_loaded_where_there_is_such_a_key_alone() -> None:
    code = """
import json, sys
from bridge.settings import load_settings
from bridge.app import main, wiring
environ = json.loads(sys.argv[1])
wiring.doorkeepers(load_settings(config=None, secrets_dir=None, environ=environ))
sys.exit("cryptography" in sys.modules)
"""
    site = Site(Path())
    for key, value, is_loaded in (
        ("AUTH_TOKENS", "t", False),
        ("SIGNING_SECRETS", "whsec_YQ==", False),
        ("TWILIO_AUTH_TOKENS", "t", False),
        ("VERIFYING_KEYS", "whpk_" + PUBLIC, True),
    ):
        environ = {**site.environ, f"BRIDGE_HTTP__{key}": json.dumps([value])}
        ended = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", code, json.dumps(environ)], check=False
        )
        assert ended.returncode == int(is_loaded), key
