"""What the pages point to is there, and what they show by example works."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bridge.cli.shell import app

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
INSTALL = (ROOT / "docs" / "install.md").read_text()
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)#\s]*)(?:#[^)]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in LINK.findall(text):
        assert not target or (page.parent / target).exists(), target


def test_the_readme_leads_to_every_page() -> None:
    readme = (ROOT / "README.md").read_text()
    linked = {(ROOT / target).resolve() for target in LINK.findall(readme)}
    assert set(PAGES) - {ROOT / "README.md"} <= linked


def test_the_settings_and_events_of_the_installation_page_do_what_it_says(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    tables = re.findall(r"```toml\n(.+?)```", INSTALL, re.DOTALL)
    config.write_text("".join(tables))
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "cention.token").write_text("eyJhbGci\n")
    (secrets / "http.auth_tokens").write_text("a-long-random-one\n")
    events = [
        re.sub(r"'\"\$\(date[^)]*\)\"'", "2026-11-27T09:30:00Z", text)
        for text in re.findall(r"-d '(\{.+?\})'\n", INSTALL, re.DOTALL)
    ]
    assert len(events) == 2
    calls = tmp_path / "events.json"
    calls.write_text(f"[{','.join(events)}]")
    arguments = ["check", "--config", str(config), "--secrets-dir", str(secrets), "--event"]
    ended = CliRunner().invoke(app, [*arguments, str(calls)], catch_exceptions=False)
    assert (ended.exit_code, ended.stderr) == (0, "")
    assert "c3_new_errands" in ended.stdout
    assert "c3_end_errands" in ended.stdout
    assert "device_id" not in ended.stdout.partition("The settings")[0].rpartition("│")[2]
