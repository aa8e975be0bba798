import email.utils
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cli_site import NAME, Site, event, prepared
from cli_site import TOML as WITH_TOKEN
from typer.testing import CliRunner

from bridge.cli.shell import app
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.tokens import make_token
from bridge.storage.engine import DaemonLock

GOOD = make_token(b"sandbox")
TOML = """\
[store]
url = "sqlite:///{{store}}"
[cention]
base_url = "{base_url}"
workspace = "demo"
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def sandbox() -> Iterator[str]:
    with BackgroundServer(create_app(SandboxOptions()), listen(0)) as server:
        yield server.url


@pytest.fixture
def site(tmp_path: Path, empty: Path, sandbox: str, monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site.make(tmp_path, empty, monkeypatch)
    made.store.chmod(0o600)
    made.write(TOML.format(base_url=sandbox))
    put_secret(made, "cention.token", GOOD)
    return made


def put_secret(site: Site, name: str, value: str) -> Path:
    folder = site.folder / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_text(value)
    path.chmod(0o600)
    return path


def run(site: Site, code: int) -> dict[str, dict[str, str]]:
    """Run it, check the exit code, and return the worst finding of each check."""
    arguments = ["doctor", "--json", "--config", str(site.config)]
    result = CliRunner().invoke(app, [*arguments, "--secrets-dir", str(site.folder / "secrets")])
    findings = json.loads(result.stdout)
    assert (result.exit_code, result.stderr) == (code, ""), findings
    assert {frozenset(one) for one in findings} == {
        frozenset({"check", "verdict", "detail", "advice"})
    }
    order = ["ok", "note", "warn", "fail"]
    found: dict[str, dict[str, str]] = {}
    for one in findings:
        before = found.setdefault(one["check"], one)
        if order.index(one["verdict"]) > order.index(before["verdict"]):
            found[one["check"]] = one
    return found


def take_one(site: Site) -> None:
    """Take an event, as a daemon would whose token is in the settings."""
    toml = site.config.read_text()
    site.write(WITH_TOKEN)
    site.take(event("call.answered"))
    site.config.write_text(toml)


def dead_port() -> int:
    with listen(0) as listener:
        port = listener.getsockname()[1]
    assert isinstance(port, int)
    return port


def test_what_is_well_is_said_to_be(site: Site) -> None:
    lock = DaemonLock(f"sqlite:///{site.store}")
    take_one(site)
    found = run(site, 0)
    lock.release()
    well = ("settings", "secrets", "store", "store schema", "daemon", "last event", "clock")
    assert {found[one]["verdict"] for one in well} == {"ok"}
    way = ("Cention DNS", "Cention TCP", "token of default", "Cention, route default, answers")
    assert {found[one]["verdict"] for one in way} == {"ok"}
    assert found["Cention TLS"]["verdict"] == "note"
    # As the contract asks for.
    assert found["delivery.in_doubt"]["verdict"] == "warn"
    assert "may double" in found["delivery.in_doubt"]["detail"]
    assert found["systemd unit"]["verdict"] in {"note", "ok", "warn"}


def test_people_read_it_with_what_to_do(site: Site) -> None:
    arguments = ["doctor", "--config", str(site.config)]
    result = CliRunner().invoke(app, [*arguments, "--secrets-dir", str(site.folder / "secrets")])
    assert result.exit_code == 0
    assert "warn  daemon" in result.stdout
    assert "→ start it" in result.stdout


def test_a_dead_upstream_fails_and_the_rest_is_looked_at_all_the_same(site: Site) -> None:
    site.write(TOML.format(base_url=f"http://127.0.0.1:{dead_port()}"))
    found = run(site, 1)
    assert found["Cention TCP"]["verdict"] == "fail"
    assert found["Cention, route default, answers"]["detail"] == "Connection refused"
    assert found["clock"]["detail"].startswith("skipped")
    assert found["store"]["verdict"] == "ok"


def test_a_clock_that_is_off_fails(site: Site) -> None:
    async def answer(request: web.Request) -> web.Response:
        del request
        date = email.utils.formatdate(time.time() + 600, usegmt=True)
        return web.json_response({}, headers={"Date": date})

    late = web.Application()
    late.router.add_get("/{path:.*}", answer)
    with BackgroundServer(late, listen(0)) as server:
        site.write(TOML.format(base_url=server.url))
        found = run(site, 1)
    assert "behind Cention's" in found["clock"]["detail"]
    assert "NTP" in found["clock"]["advice"]


@pytest.mark.parametrize(
    ("token", "verdict", "words"),
    [
        (make_token(b"sandbox", expires_at=time.time() - 90_000), "fail", "expired 25 hours ago"),
        (make_token(b"sandbox", expires_at=time.time() + 90_000), "warn", "is good for 25 hours"),
        ("no-jwt", "note", "no JSON Web Token"),
    ],
)
def test_a_token_is_read(site: Site, token: str, verdict: str, words: str) -> None:
    put_secret(site, "cention.token", token)
    found = run(site, 0 if verdict == "warn" else 1)
    told = found["token of default"]
    assert (told["verdict"], words in told["detail"]) == (verdict, True), told
    answered = found["Cention, route default, answers"]
    assert answered["detail"][:3] == ("200" if verdict == "warn" else "401")


def test_a_secret_that_anybody_may_read_fails_unless_its_folder_is_closed(site: Site) -> None:
    path = put_secret(site, "callbacks.secret", "a-secret-of-the-callbacks")
    path.chmod(0o644)
    found = run(site, 0)
    assert "only its folder keeps others out" in found["secrets"]["detail"]
    path.parent.chmod(0o755)
    found = run(site, 1)
    assert str(path.parent) in found["secrets"]["detail"]
    assert "chmod" in found["secrets"]["advice"]


def test_a_token_in_the_settings_file_is_noted(site: Site) -> None:
    site.write(f'{TOML.format(base_url="http://127.0.0.1:1")}token = "{GOOD}"\n')
    site.config.chmod(0o640)
    (site.folder / "secrets" / "cention.token").unlink()
    found = run(site, 1)
    assert found["secrets"]["verdict"] == "note"
    assert "holds cention.token" in found["secrets"]["detail"]


def test_a_store_that_others_may_read_or_that_is_a_newer_releases_fails(site: Site) -> None:
    site.store.chmod(0o644)
    site.do(
        lambda connection: connection.exec_driver_sql("UPDATE alembic_version SET version_num='9'")
    )
    found = run(site, 1)
    assert found["store"]["verdict"] == "fail"
    assert found["store schema"]["verdict"] == "fail"


def test_each_token_is_tried_once_in_each_workspace(site: Site, sandbox: str) -> None:
    routes = "".join(
        f'[[routes]]\nname = "r{number}"\nqueue_names = ["q{number}"]\ntoken = "wrong-{number}"\n'
        for number in range(11)
    )
    site.write(TOML.format(base_url=sandbox) + routes)
    found = run(site, 1)
    tried = [one["detail"][:3] for name, one in found.items() if name.endswith(", answers")]
    assert tried == ["401"] * 10
    assert found["Cention answers"]["detail"].startswith("2 further tokens were not tried")


def test_the_token_of_reports_is_looked_at_too(site: Site, sandbox: str) -> None:
    site.write(f"{TOML.format(base_url=sandbox)}[reports]\nenabled = true\n")
    put_secret(site, "reports.token", make_token(b"sandbox", expires_at=time.time() - 90_000))
    found = run(site, 1)
    assert found["token of reports"]["detail"] == "expired 25 hours ago"
    assert found["token of default"]["verdict"] == "ok"


def test_to_whom_answers_are_sent_on_is_only_connected_to(site: Site) -> None:
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.Response()

    receiver = web.Application()
    receiver.router.add_route("*", "/{path:.*}", answer)
    with BackgroundServer(receiver, listen(0)) as server:
        url = f"{server.url}/hook/in-the-address"
        toml = TOML.format(base_url="http://127.0.0.1:1")
        site.write(f'{toml}[callbacks]\nforward_url = "{url}"\n')
        put_secret(site, "callbacks.forward_secret", "whsec_" + "c2VjcmV0" * 5)
        found = run(site, 1)
    assert found["callbacks.forward_url TCP"]["verdict"] == "ok"
    assert "in-the-address" not in json.dumps(found)
    assert seen == []


def test_wrong_settings_are_told_and_nothing_else_is_tried(site: Site) -> None:
    site.write("[cention]\nworkspace = 1\n")
    result = CliRunner().invoke(app, ["doctor", "--json", "--config", str(site.config)])
    findings: list[dict[str, Any]] = json.loads(result.stdout)
    assert result.exit_code == 2
    assert {(one["check"], one["verdict"]) for one in findings} == {("settings", "fail")}
    assert any("cention.workspace" in one["detail"] for one in findings)


def test_nothing_of_it_is_secret_or_personal(site: Site) -> None:
    take_one(site)
    put_secret(site, "callbacks.secret", "a-secret-of-the-callbacks").chmod(0o666)
    put_secret(site, "http.auth_tokens", "a-token-of-the-callers")
    for arguments in (["--json"], []):
        result = CliRunner().invoke(
            app,
            [
                *("doctor", "--config", str(site.config)),
                *("--secrets-dir", str(site.folder / "secrets"), *arguments),
            ],
        )
        for secret in (GOOD, "a-secret-of", "a-token-of", NAME, "60123456789"):
            assert secret not in result.output
