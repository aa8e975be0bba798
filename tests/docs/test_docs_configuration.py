"""docs/configuration.md against the settings that it is made from."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from bridge.settings import SettingsError, load_settings
from bridge.settings.keys import shape_of
from bridge.settings.overlays import from_environment
from bridge.settings.root import AT_START, TO_COME, Settings

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "configuration.md").read_text()
UPSTREAM = {
    "BRIDGE_CENTION__BASE_URL": "https://api.cention.example",
    "BRIDGE_CENTION__WORKSPACE": "demo",
    "BRIDGE_CENTION__TOKEN": "cention-token",
}


def keys(
    model: type[BaseModel] = Settings, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, ...]]:
    """Return every key that holds a value, and not a table."""
    for name, field in model.model_fields.items():
        table = shape_of(field).table
        if table is None:
            yield (*path, name)
        else:
            yield from keys(table, (*path, name))


def rows() -> dict[tuple[str, ...], list[str]]:
    """Return the cells of each row by its key."""
    found: dict[tuple[str, ...], list[str]] = {}
    table: tuple[str, ...] = ()
    for line in PAGE.splitlines():
        if line.startswith("## "):
            table = tuple(line.strip("# `[]").split("."))
        elif line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            found[*table, cells[0].split("`")[1]] = cells
    return found


ROWS = rows()


def test_the_page_is_as_make_docs_writes_it() -> None:
    command = [sys.executable, str(ROOT / "tools" / "configuration.py"), "--check"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_page_names_every_key_and_says_all_of_it() -> None:
    assert set(keys()) <= set(ROWS)
    for key, cells in ROWS.items():
        assert len(cells) == 5, key
        assert all(cells), key


@pytest.mark.parametrize(
    "key", [key for key in keys() if len(key) == 2 and key[-1] != "name"], ids=".".join
)
def test_the_variable_of_a_key_sets_that_key(key: tuple[str, ...]) -> None:
    name = re.findall(r"`(BRIDGE_[^`]+)`", ROWS[key][0])[0]
    given = name.replace("<NAME>", "SALES").replace("<NUMBER>", "0")
    (overlay,) = from_environment({given: "x"})
    middle = [] if given == name else ["sales" if "<NAME>" in name else "0"]
    assert overlay.parts == (key[0], *middle, key[1])


def test_what_is_in_a_rules_table_is_set_by_the_variable_of_that_table(tmp_path: Path) -> None:
    assert ROWS["rules", "when", "withheld"][0].endswith("in `BRIDGE_RULES__<NAME>__WHEN`")
    config = tmp_path / "bridge.toml"
    config.write_text('[[rules]]\nname = "night"\non = ["call.abandoned"]\ndo = ["ignore"]\n')
    environ = UPSTREAM | {"BRIDGE_RULES__NIGHT__WHEN": '{"withheld": true}'}
    settings = load_settings(config=config, secrets_dir=None, environ=environ)
    assert settings.rules[0].when.withheld is True


def secret_keys() -> set[tuple[str, ...]]:
    return {
        (section, name)
        for section, outer in Settings.model_fields.items()
        for name, field in getattr(shape_of(outer).table, "model_fields", {}).items()
        if shape_of(field).base is SecretStr
    }


def test_the_page_marks_as_secret_what_the_models_hide_and_names_its_file() -> None:
    marked = {key for key, cells in ROWS.items() if "**Secret**" in cells[3]}
    assert marked == secret_keys()
    assert "file `routes.<name>.token`" in ROWS["routes", "token"][3]
    assert "file `http.auth_tokens`, one a line" in ROWS["http", "auth_tokens"][3]


def test_what_the_page_calls_required_is_all_that_a_start_wants() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(config=None, secrets_dir=None, environ={})
    wanted = {line.split(":")[0] for line in caught.value.problems}
    required = {".".join(key) for key, cells in ROWS.items() if "required" in cells[2]}
    assert {key for key in required if key.startswith("cention.")} == wanted


def test_what_wants_a_restart_is_what_a_reload_warns_of() -> None:
    restart = {key for key, cells in ROWS.items() if cells[4] == "restart"}
    assert restart == {key for key in keys() if key[0] in AT_START or ".".join(key[:2]) in AT_START}
    assert {key[0] for key, cells in ROWS.items() if cells[4] == "nothing yet"} == set(TO_COME)


def test_the_settings_file_shows_every_key() -> None:
    shown = (ROOT / "config" / "bridge.toml").read_text()
    table = ""
    found = set()
    for line in shown.splitlines():
        if match := re.match(r"#?\[+([a-z.]+)\]+$", line):
            table = match[1]
        elif match := re.match(r"#?([a-z_]+) = ", line):
            found.add((*table.split("."), match[1]))
    assert set(keys()) <= found
