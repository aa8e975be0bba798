"""What scripts read of `provision`, and what people write that no store can hold."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from centre_site import DESK, Centre, open_centre
from cli_site import Site, prepared

from bridge.domain.errors import StoreUnavailable
from bridge.storage.provisioning import ProvisionLock, SqlCentreState


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def centre(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    with open_centre(Site.make(tmp_path, empty, monkeypatch)) as made:
        yield made


class TestScripts:
    def test_are_told_in_json_what_is_in_doubt(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.watch.at = ("after", 1)
        first = json.loads(centre.apply("--json", code=1).stdout)
        assert [(one["ending"], one["id"]) for one in first["results"]] == [("unsure", None)]
        assert first["results"][0]["error"] == "ServerDisconnectedError"
        again = json.loads(centre.apply("--json", code=1).stdout)
        assert (again["results"], again["unsure"]) == ([], [{"kind": "area", "name": "desk"}])
        assert len(centre.asked()) == 1

    def test_are_told_the_id_that_could_not_be_kept(
        self, centre: Centre, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def settle(*_: object) -> None:
            raise StoreUnavailable("the disk is full")

        monkeypatch.setattr(SqlCentreState, "settle", settle)
        centre.file.write_text(f'{DESK}[area.night]\nname = "Night"\n')
        result = centre.apply("--json", code=1)
        told = json.loads(result.stdout)
        assert [(one["ending"], one["id"]) for one in told["results"]] == [("done", 1)]
        assert [one["name"] for one in told["left"]] == ["night"]
        assert result.stderr == "the disk is full\n"


def test_a_workspace_that_may_be_one_by_another_address_is_pointed_out(centre: Centre) -> None:
    centre.file.write_text(DESK)
    centre.apply()
    config = centre.site.config.read_text()
    centre.site.config.write_text(config.replace("127.0.0.1", "localhost"))
    note = (
        f"Note: nothing is known of {centre.url.replace('127.0.0.1', 'localhost')}/s/demo, but"
        f" 1 thing of {centre.url}/s/demo; if it is the same under another address, set that back,"
        " or all is made twice"
    )
    assert centre.plan().stderr == f"{note}\n"
    assert json.loads(centre.plan("--json").stdout)["warnings"] == [note]
    # Before anything is sent.
    assert centre.run("apply", "-f", centre.file, code=2).stderr.startswith(note)


class TestIds:
    def test_one_that_no_store_can_hold_is_refused(self, centre: Centre) -> None:
        number = 2**63
        centre.file.write_text(f"{DESK}organization = {number}\n")
        assert centre.apply(code=2).stderr == (
            f"{centre.file}:3: area.desk.organization: names no organization; write the name that"
            " it has in this file\n"
        )
        centre.run("import", "area", "desk", number, code=2)
        assert centre.run("state", "list", "--json").stdout == "[]\n"


def test_a_lock_that_another_user_made_can_be_held(tmp_path: Path) -> None:
    lock = tmp_path / "bridge.db.provision.lock"
    lock.touch(0o444)
    opened: list[int] = []
    real = os.open

    def note(path: str, flags: int, mode: int = 0o777) -> int:
        opened.append(flags)
        return real(path, flags, mode)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(os, "open", note)
        with ProvisionLock(f"sqlite:///{tmp_path / 'bridge.db'}"):
            pass
    assert opened
    assert not any(flags & (os.O_WRONLY | os.O_RDWR) for flags in opened)
