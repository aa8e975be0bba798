"""Commands beside the daemon read the file without the secrets that systemd gives to the daemon."""

from pathlib import Path

import pytest
from settings_site import Site

# All of it is right once the secrets are there.
TOML = """\
[http]
listen = "0.0.0.0:8080"
[cention]
base_url = "https://api.cention.example"
workspace = "demo"
[callbacks]
forward_url = "https://crm.example.com/hook"
[provision]
access_key_id = "key"
[[routes]]
name = "sales"
queue_names = ["Sales"]
[[rules]]
name = "closed-now"
on = ["call.abandoned"]
do = ["send_watemplate"]
user_id = "17"
[rules.watemplate]
elementname = "closed_now"
namespace = "0a1b2c3d"
"""
SECRETS = {
    "cention.token": "a",
    "http.auth_tokens": "b",
    "callbacks.forward_secret": "whsec_Y2hhbmdlIG1l",
    "provision.access_key_secret": "c",
    "routes.sales.token": "d",
    "rules.closed-now.token": "e",
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path, environ={})


def test_the_daemon_wants_every_secret_that_the_rest_hangs_on(site: Site) -> None:
    assert {line.partition(": ")[0] for line in site.problems(TOML)} == {
        "cention.token",
        "http.listen",
        "callbacks.forward_secret",
        "provision.access_key_secret",
        "routes.0",
        "rules.0.token",
    }
    site.secrets(SECRETS)
    assert site.load().tokens()["sales"] == "d"


def test_commands_beside_it_do_without_them(site: Site) -> None:
    settings = site.load(TOML, require_upstream=False)
    assert [route.name for route in settings.routes] == ["sales"]


def test_they_still_say_what_else_is_wrong(site: Site) -> None:
    wrong = TOML.replace('"Sales"', "").replace('listen = "0.0.0.0:8080"', 'listen = "nowhere"')
    lines = site.problems(wrong, require_upstream=False)
    assert [line.partition(": ")[0] for line in lines] == ["http.listen", "routes.0"]
