"""The worked example of docs/provisioning.md, followed literally."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.shell import app
from bridge.domain.centre_fields import FIELDS
from bridge.domain.centre_values import Kind
from bridge.sandbox.cention import create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.storage.engine import open_engine
from bridge.storage.schema import prepare

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "provisioning.md").read_text()
EXAMPLE = PAGE.partition("## The worked example\n")[2].partition("\n## ")[0]


def run(line: str) -> str:
    """Run a line of the page; return what a command of the bridge has printed."""
    program, *arguments = shlex.split(line)
    if program != "aventa-bridge":
        subprocess.run([program, *arguments], check=True)  # noqa: S603 - the page's own
        return ""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_example_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite:///{tmp_path / 'bridge.db'}"
    engine = open_engine(store)
    prepare(engine)
    engine.dispose()
    (tmp_path / "config").symlink_to(ROOT / "config")
    monkeypatch.chdir(tmp_path)
    with BackgroundServer(create_app(), listen(0)) as server:
        for key, value in {
            "STORE__URL": store,
            "CENTION__BASE_URL": server.url,
            "CENTION__WORKSPACE": "demo",
            "PROVISION__ACCESS_KEY_ID": "sandbox-key",
            "PROVISION__ACCESS_KEY_SECRET": "sandbox-key-secret",
            "PROVISION__REQUESTS_PER_MINUTE": "1000000",
        }.items():
            monkeypatch.setenv(f"BRIDGE_{key}", value)
        said = ""
        for language, block in re.findall(r"```(\w+)\n(.+?)```", EXAMPLE, re.DOTALL):
            if language == "sh":
                said = "".join(map(run, block.splitlines()))
            else:
                assert block in said
    assert (tmp_path / "routes.toml").read_text().count("[[routes]]") == 2


def test_the_page_names_every_field_that_a_file_may_have() -> None:
    for kind, group in FIELDS.items():
        for field in group.fields:
            assert f"`{field.name}`" in PAGE, (kind, field.name)
    assert [kind for kind in Kind if f"\n| `{kind}` |" not in PAGE] == []
