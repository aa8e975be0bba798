import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from bridge.cli.check import check
from bridge.sandbox.tokens import CREATE_ERRAND, make_token

TOKEN = make_token(b"key", claims=(CREATE_ERRAND,), expires_at=4_102_444_800)
EXPIRED = make_token(b"key", claims=(), expires_at=1_000_000_000)
TOML = f"""
[cention]
base_url = "https://api.cention.example"
workspace = "demo"
token = "{TOKEN}"
[[routes]]
name = "sales"
queue_names = ["[bold]Sales"]
dest_numbers = ["1001"]
workspace = "sales"
token = "{EXPIRED}"
device_id = 1
extension_id = 2
[[routes]]
name = "support"
queue_numbers = ["7"]
token = "opaque-token"
[oneview]
base_url = "https://oneview.example"
[callbacks]
secret = "callback-secret"
"""
SECRETS = (TOKEN, EXPIRED, TOKEN.split(".")[1], "opaque-token", "callback-secret")


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = ("BRIDGE_", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")
    for name in [name for name in os.environ if name.upper().startswith(ours)]:
        monkeypatch.delenv(name)


def run(*args: str | Path) -> Result:
    app = typer.Typer()
    app.command()(check)
    return CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "bridge.toml"
    path.write_text(TOML)
    return path


def test_each_source_says_what_it_asks_for_in_numbers(config: Path) -> None:
    hooks = """
[http]
auth_tokens = ["kanarie-1", "kanarie-2"]
twilio_auth_tokens = ["kanarie-3"]
allowed_addresses = ["192.0.2.7"]
[[hooks]]
name = "desk"
signing_secrets = ["whsec_a2FuYXJpZQ=="]
[[hooks]]
name = "plain"
"""
    config.write_text(TOML + hooks)
    result = run("--config", config)
    assert "source aventa: asks for 2 auth_tokens or 1 twilio_auth_tokens, and 1 allowed" in (
        result.stdout
    )
    assert "source desk: asks for 1 signing_secrets, and 1 allowed_addresses" in result.stdout
    assert "kanarie" not in result.output
    assert "a2FuYXJpZQ" not in result.output
    sources = json.loads(run("--config", config, "--json").stdout)["sources"]
    assert [one["source"] for one in sources] == ["aventa", "desk", "plain"]
    assert sources[2]["credentials"] == {"auth_tokens": 2, "twilio_auth_tokens": 1}


def test_a_source_that_asks_for_nothing_says_so(config: Path) -> None:
    assert "source aventa: asks for nothing: only this machine" in run("--config", config).stdout


def test_right_settings_are_shown_as_a_table_of_routes(config: Path) -> None:
    result = run("--config", config)
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    [sales] = [line for line in lines if line.startswith("│ sales ")]
    assert "queue [bold]Sales; called 1001" in sales
    assert "no claims listed; expired 2001-09-09" in sales
    assert sales.rstrip(" │").endswith("yes")
    [support] = [line for line in lines if line.startswith("│ support ")]
    assert "queue number 7" in support
    assert "no JSON Web Token" in support
    [default] = [line for line in lines if line.startswith("│ default ")]
    assert "all else" in default
    assert "Create Errand; expires 2100-01-01 00:00 UTC" in default


def test_a_default_agent_is_recommended_where_there_is_none(config: Path) -> None:
    lines = run("--config", config).stdout.splitlines()
    advice = [line for line in lines if "need a default agent" in line]
    assert [line.partition(":")[0] for line in advice] == ["route support", "route default"]


def test_a_secret_for_callbacks_is_recommended_where_answers_go_on(config: Path) -> None:
    assert "callbacks.secret" not in run("--config", config).stdout
    text = config.read_text().replace(
        'secret = "callback-secret"',
        'forward_url = "https://crm.example/hook"\nforward_secret = "whsec_c2VjcmV0"',
    )
    config.write_text(text)
    assert "callbacks.secret: answers are sent on" in run("--config", config).stdout


def test_what_is_not_acted_on_yet_is_said(config: Path) -> None:
    assert "oneview: set, but there are no [[agents]]" in run("--config", config).stdout


def test_one_object_for_scripts(config: Path) -> None:
    result = run("--config", config, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["ok"] is True
    assert [route["name"] for route in report["routes"]] == ["sales", "support", "default"]
    assert report["routes"][0]["queue_names"] == ["[bold]Sales"]
    assert report["routes"][0]["default_agent"] is True
    assert report["routes"][1]["token"] is None
    assert report["routes"][2]["token"] == {
        "claims": ["Create Errand"],
        "expires_at": 4_102_444_800,
    }
    assert len(report["recommendations"]) == 2
    assert len(report["notices"]) == 1


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_no_secret_is_shown(config: Path, form: list[str]) -> None:
    shown = run("--config", config, *form).output
    config.write_text(f"{TOML}bogus = 1\n")
    shown += run("--config", config, *form).output
    assert not [secret for secret in SECRETS if secret in shown]


def test_each_mistake_is_a_line_on_stderr(config: Path) -> None:
    config.write_text(f"x = 1\n{TOML}bogus = 1\n")
    result = run("--config", config)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert [line.partition(":")[0] for line in result.stderr.splitlines()] == [
        "x",
        "callbacks.bogus",
    ]


def test_mistakes_are_one_object_for_scripts(config: Path) -> None:
    config.write_text("x = 1\n")
    result = run("--config", config, "--json")
    assert result.exit_code == 2
    report = json.loads(result.stdout)
    assert report["ok"] is False
    assert report["problems"] == result.stderr.splitlines()


def test_secret_files_are_read(config: Path, tmp_path: Path) -> None:
    config.write_text(TOML.replace(f'token = "{TOKEN}"', ""))
    assert run("--config", config).exit_code == 2
    (tmp_path / "cention.token").write_text(TOKEN)
    assert run("--config", config, "--secrets-dir", tmp_path).exit_code == 0


def test_an_expiry_beyond_every_calendar_is_shown_as_a_number(config: Path) -> None:
    far = make_token(b"key", claims=(), expires_at=2**52)
    config.write_text(TOML.replace(TOKEN, far))
    assert f"expires at {2**52} (Unix seconds)" in run("--config", config).stdout


def test_the_help_has_an_example() -> None:
    assert "aventa-bridge check --config" in run("--help").output
