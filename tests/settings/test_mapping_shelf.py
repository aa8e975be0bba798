"""Where mappings are found, and which hooks there are."""

from pathlib import Path

import pytest
from settings_site import Site

from bridge.settings import SettingsError
from bridge.settings.mappings import Shelf, shelf_of, shipped_folder

OWN = '[[events]]\n[events.fields]\neventType = "kind"\nreferenceId = "ref"\n'
SHIPPED = {
    *("aventa-flat", "aventa-nested", "sipgate-io", "telnyx-call-control"),
    *("twilio-status", "zammad-cti"),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    site.write("")
    return site


def put(site: Site, name: str, text: str = OWN) -> Path:
    folder = site.folder / "mappings"
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(text)
    return path


def problems(site: Site, toml: str = "") -> list[str]:
    with pytest.raises(SettingsError) as caught:
        site.load(toml)
    return caught.value.problems


def test_every_mapping_has_a_hook_of_its_own_name(site: Site) -> None:
    put(site, "own")
    assert set(site.load().hook_table()) == {*SHIPPED, "own"}
    assert set(Shelf().names()) == SHIPPED


def test_a_site_s_own_mapping_stands_before_a_shipped_one(site: Site) -> None:
    path = put(site, "sipgate-io")
    shelf = site.load().mappings
    assert shelf.names()["sipgate-io"] == path
    assert not shelf.is_shipped("sipgate-io")
    assert shelf.is_shipped("zammad-cti")
    assert shelf.mapping("sipgate-io").entries[0].when.text == ""


def test_what_is_put_there_after_the_settings_were_checked_is_not_served(site: Site) -> None:
    settings = site.load()
    put(site, "late", "not = a = mapping")
    assert set(settings.hook_table()) == SHIPPED
    assert list(settings.mappings.problems()) == []


def test_a_mapping_is_read_once(site: Site) -> None:
    path = put(site, "own")
    shelf = site.load().mappings
    path.unlink()
    assert shelf.mapping("own") is shelf.mapping("own")


def test_a_wrong_mapping_is_refused_a_line_for_each_mistake(site: Site) -> None:
    path = put(site, "own", OWN.replace("eventType", "eventTipe").replace('"ref"', '"("'))
    lines = problems(site)
    assert len(lines) == 3
    assert all(line.startswith(f"{path}: events.0.fields") for line in lines)


def test_a_mapping_that_is_no_toml_is_refused_with_its_line(site: Site) -> None:
    path = put(site, "own", f"{OWN}x = \n")
    assert problems(site)[0].startswith(f"{path}:5:")


@pytest.mark.parametrize("name", ["aventa", "cention", "Own", "a b", "x" * 33])
def test_a_mapping_that_no_hook_can_be_named_after_is_refused(site: Site, name: str) -> None:
    put(site, name)
    assert "is no name for a hook" in problems(site)[0]


@pytest.mark.parametrize(
    ("toml", "line"),
    [
        ('name = "aventa"\nmapping = "sipgate-io"', "hooks.0.name: is kept for another source"),
        ('name = "x"', "hooks.0.name: is no mapping that is there; there are aventa-flat"),
        ('name = "x"\nmapping = "sipgate-oi"', "hooks.0.mapping: is no mapping that is there, did"),
        ('name = "x"\nmapping = "zammad-cti"\npublic_url = "x"', "hooks.0.public_url: "),
    ],
)
def test_a_hook_is_another_source_and_has_a_mapping(site: Site, toml: str, line: str) -> None:
    assert any(one.startswith(line) for one in problems(site, f"[[hooks]]\n{toml}\n"))


def test_no_two_hooks_have_the_same_name(site: Site) -> None:
    hook = '[[hooks]]\nname = "sipgate-io"\n'
    assert problems(site, hook * 2) == ["hooks.1.name: is that of hooks.0 too; use another name"]


def test_commands_that_need_the_store_alone_read_no_mapping(site: Site) -> None:
    put(site, "own", "nonsense")
    assert site.load(require_upstream=False).hook_table()


def test_beside_the_settings_of_the_sources_only_shipped_mappings_are_found() -> None:
    assert shelf_of(shipped_folder().parent / "bridge.toml").folder is None
