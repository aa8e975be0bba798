from pathlib import Path

import pytest
from cli_site import TOML, Site, event, prepared

from bridge.domain.deliveries import Kind
from bridge.domain.outcomes import Reply


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def pauses(site: Site) -> dict[str, list[tuple[str | None, str]]]:
    return {
        route["name"]: [(one["kind"], one["reason"]) for one in route["pauses"]]
        for route in site.read("routes", "list")
    }


def test_routes_are_listed_as_they_match(site: Site) -> None:
    sales, default = site.read("routes", "list")
    assert sales == {
        "name": "sales",
        "is_known": True,
        "queue_names": ["Sales"],
        "dest_numbers": [],
        "queue_numbers": [],
        "workspace": "sales",
        "pauses": [],
    }
    assert default["name"] == "default"
    shown = site.run("routes", "list").stdout
    assert "queue Sales" in shown
    assert "all else" in shown


def test_a_pause_lasts_until_it_is_ended(site: Site) -> None:
    result = site.run("routes", "pause", "sales")
    assert (result.exit_code, result.stderr) == (0, "")
    assert pauses(site) == {"sales": [(None, "by hand")], "default": []}
    assert "all: by hand, since 20" in site.run("routes", "list").stdout
    result = site.run("routes", "resume", "sales")
    assert (result.exit_code, result.stdout) == (0, "sales: 1 pause ended.\n")
    assert pauses(site)["sales"] == []


def test_one_kind_can_be_paused(site: Site) -> None:
    site.run("routes", "pause", "default", "--kind", "contact_card")
    assert pauses(site)["default"] == [("contact_card", "by hand")]


def test_pausing_twice_is_pausing_once(site: Site) -> None:
    site.run("routes", "pause", "sales")
    assert site.run("routes", "pause", "sales").exit_code == 0
    assert len(pauses(site)["sales"]) == 1


def test_resuming_what_runs_is_no_mistake(site: Site) -> None:
    result = site.run("routes", "resume", "sales")
    assert (result.exit_code, result.stdout) == (0, "sales: was not paused.\n")


def test_a_pause_that_cention_caused_tells_its_status(site: Site) -> None:
    site.take(event("call.answered"))
    site.send(Kind.NEW_ERRAND, Reply(status=403))
    assert pauses(site)["default"] == [("new_errand", "403")]
    assert "new_errand: Cention answers 403" in site.run("routes", "list").stdout
    site.run("routes", "resume", "default")
    assert pauses(site)["default"] == []


@pytest.mark.parametrize("command", ["pause", "resume"])
def test_an_unknown_name_is_one_line_with_those_there_are(site: Site, command: str) -> None:
    result = site.run("routes", command, "sale")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "sale: is no route; there are sales, default\n"


def test_the_pause_of_a_route_that_is_gone_is_shown_and_can_be_ended(site: Site) -> None:
    site.run("routes", "pause", "sales")
    site.write(TOML.partition("[[routes]]")[0])
    assert "(not in the settings)" in site.run("routes", "list").stdout
    assert [one["is_known"] for one in site.read("routes", "list")] == [True, False]
    assert site.run("routes", "resume", "sales").exit_code == 0
    assert list(pauses(site)) == ["default"]


@pytest.mark.parametrize("command", ["list", "pause", "resume"])
def test_the_help_has_an_example(site: Site, command: str) -> None:
    shown = site.run("routes", command, "--help").stdout
    assert f"Example: aventa-bridge routes {command}" in shown
