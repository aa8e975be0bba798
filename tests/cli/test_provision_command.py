"""`provision` as an integrator uses it, against the sandbox: the worked example above all."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from centre_site import DESK, Centre, open_centre
from cli_site import Site, prepared

from bridge.sandbox.serve import listen
from bridge.sandbox.state import ACCESS_KEY_SECRET
from bridge.settings import SettingsError, load_settings
from bridge.storage.provisioning import ProvisionLock

EXAMPLE = Path(__file__).parents[2] / "config" / "centre.example.toml"
THINGS = 10


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("empty"))


@pytest.fixture
def centre(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Centre]:
    with open_centre(Site.make(tmp_path, empty, monkeypatch)) as made:
        yield made


class TestTheExample:
    def test_it_is_planned_applied_and_then_there_is_nothing_to_do(self, centre: Centre) -> None:
        centre.file.write_text(EXAMPLE.read_text())
        planned = centre.plan("--detailed-exitcode", code=2).stdout
        assert planned.startswith(f"{centre.file} → {centre.url}/s/demo\n+ organization.clinic\n")
        assert f"To create: {THINGS}, to change: 0, to delete: 0." in planned
        assert centre.asked() == []
        applied = centre.apply().stdout
        assert "area.reception: created, id 2\n" in applied
        assert applied.endswith(f"Done: {THINGS} requests.\n")
        again = centre.plan("--detailed-exitcode").stdout
        assert again.endswith("Nothing to do.\n")
        assert len(centre.asked()) == THINGS
        assert centre.run("destroy", "--yes").stdout.endswith(f"Done: {THINGS} requests.\n")
        assert centre.plan("--detailed-exitcode", code=2).stdout == planned

    def test_a_field_that_is_changed_is_shown_and_is_all_that_is_put(self, centre: Centre) -> None:
        centre.file.write_text(EXAMPLE.read_text())
        centre.apply()
        edited = EXAMPLE.read_text().replace("hours = 4", "hours = 5")
        edited = edited.replace('areas = ["reception", "nurses"]', 'areas = ["nurses"]')
        centre.file.write_text(edited)
        assert centre.plan().stdout.split("\n")[1:-1] == [
            "~ area.reception (id 2)",
            "    expire_time.general_alert_time.hours: 4 → 5",
            "~ tag.vip (id 6)",
            '    areas: ["reception","nurses"] → ["nurses"]',
            "To create: 0, to change: 2, to delete: 0.",
        ]
        centre.apply()
        span = {"days": 0, "hours": 5, "mins": 0}
        assert centre.asked()[THINGS:] == [
            (
                "PUT",
                "/s/demo/v1/area/2",
                {
                    "expire_time": {
                        "general_alert_time": span,
                        "general_warning_time": {**span, "hours": 2},
                        "hold_time": {"days": 1, "hours": 0, "mins": 0},
                    }
                },
            ),
            ("PUT", "/s/demo/v1/tag/6", {"areas": [3]}),
        ]

    def test_its_routes_are_settings_that_reach_its_areas(self, centre: Centre) -> None:
        centre.file.write_text(EXAMPLE.read_text())
        routes = centre.site.folder / "routes.toml"
        said = centre.apply("--write-routes", routes).stderr
        assert said.count("has voice, but no route reaches it") == 2
        written = routes.read_text()
        assert centre.run("routes", "-f", centre.file).stdout == written
        centre.site.config.write_text(centre.site.config.read_text() + written)
        secrets = centre.site.folder / "secrets"
        secrets.mkdir()
        for name in ("reception", "nurses"):
            (secrets / f"routes.{name}.token").write_text(f"token-of-{name}")
        settings = load_settings(config=centre.site.config, secrets_dir=secrets, environ={})
        with pytest.raises(SettingsError, match=r"routes\.0: leads nowhere else"):
            load_settings(config=centre.site.config, secrets_dir=None, environ={})
        picked = settings.route_table().pick("Nurses", "", "")
        assert (picked.name, settings.tokens()["nurses"]) == ("nurses", "token-of-nurses")
        assert centre.plan("--secrets-dir", secrets).stderr == ""

    def test_scripts_read_json(self, centre: Centre) -> None:
        centre.file.write_text(EXAMPLE.read_text())
        planned = json.loads(centre.plan("--json").stdout)
        assert planned["workspace"] == f"{centre.url}/s/demo"
        assert [step["name"] for step in planned["steps"]][:2] == ["clinic", "reception"]
        assert planned["steps"][4]["changes"] == [
            {"field": "areas", "old": None, "new": ["nurses"]},
            {"field": "tag_name", "old": None, "new": "Renewal"},
            {"field": "parent_tag", "old": None, "new": "Prescription"},
        ]
        applied = json.loads(centre.apply("--json").stdout)
        assert {one["ending"] for one in applied["results"]} == {"done"}
        assert [one["id"] for one in applied["results"]] == list(range(1, THINGS + 1))
        listed = json.loads(centre.run("state", "list", "--json").stdout)
        assert listed[2]["fields"]["organization"] == "clinic"
        destroyed = json.loads(centre.run("destroy", "--yes", "--json").stdout)
        assert [one["id"] for one in destroyed["results"]] == list(range(THINGS, 0, -1))


class TestWhatIsInDoubt:
    def test_it_stops_and_says_what_to_do_and_then_takes_it_over(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.watch.at = ("after", 1)
        said = centre.apply(code=1).stdout
        file = centre.file
        todo = (
            "Look for it in Cention.\n"
            "    If it is there: aventa-bridge provision import area desk ID\n"
            f"    If it is not:   aventa-bridge provision apply -f {file} --retry area.desk\n"
        )
        assert "area.desk: no answer came (ServerDisconnectedError), so it may be" in said
        assert todo in said
        again = centre.apply(code=1)
        assert again.stdout == ""
        assert again.stderr == (
            "area.desk: its creation was never answered, so it may be there or not, and is not"
            f" sent again by itself. {todo}Nothing was sent: say first what became of these.\n"
        )
        assert centre.plan("--detailed-exitcode", code=2).stdout.split("\n")[1:3] == [
            "? area.desk: its creation was never answered",
            "In doubt: 1; `apply` says what to do.",
        ]
        assert len(centre.asked()) == 1
        assert centre.run("import", "area", "desk", 1).stdout == (
            "area.desk: taken over as 1, with what was sent.\n"
        )
        assert centre.plan().stdout.endswith("Nothing to do.\n")

    def test_or_it_is_made_again_at_a_persons_word(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.watch.at = ("before", 1)
        centre.apply(code=1)
        assert "area.desk: created, id 1" in centre.apply("--retry", "area.desk").stdout
        assert centre.apply("--retry", "area.desk", code=1).stderr == (
            "area.desk: is not in doubt; take --retry area.desk out\n"
        )

    def test_what_has_left_the_file_is_forgotten_where_it_is_not_there(
        self, centre: Centre
    ) -> None:
        centre.file.write_text(DESK)
        centre.watch.at = ("before", 1)
        centre.apply(code=1)
        for command in (("apply", "-f", centre.file), ("destroy",)):
            centre.file.write_text("")
            said = centre.run(*command, "--yes", code=1).stderr
            assert "    If it is not:   aventa-bridge provision state rm area desk\n" in said
        assert centre.apply("--retry", "area.desk", code=1).stderr == (
            "area.desk: is not in the file; `provision state rm` forgets it\n"
        )
        centre.run("state", "rm", "area", "desk")
        assert centre.run("destroy", "--yes").stdout == "Nothing to do.\n"

    def test_without_a_terminal_nothing_is_done_unasked(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        result = centre.run("apply", "-f", centre.file, code=2)
        assert result.stderr == "There is no terminal to ask at; say --yes.\n"
        assert centre.asked() == []


class TestMistakes:
    def test_a_wrong_value_is_refused_with_the_files_line_before_anything_is_sent(
        self, centre: Centre
    ) -> None:
        centre.file.write_text(f'{DESK}time_zone = "CETT"\nhas_voice = 1\n')
        for command in ("plan", "apply"):
            assert centre.run(command, "-f", centre.file, code=2).stderr == (
                f'{centre.file}:3: area.desk.time_zone: "CETT" is no time zone of Cention\'s;'
                " did you mean CET?\n"
                f"{centre.file}:4: area.desk.has_voice: is neither true nor false\n"
            )
        centre.plan("--detailed-exitcode", code=1)
        assert centre.asked() == []

    def test_what_is_no_toml_is_refused_with_its_place(self, centre: Centre) -> None:
        centre.file.write_text("[area.desk]\nname = Desk\n")
        assert centre.plan(code=2).stderr.startswith(f"{centre.file}:2:8: is no TOML")

    def test_a_refusal_has_the_line_of_the_field_that_it_names(self, centre: Centre) -> None:
        centre.file.write_text(
            f"{DESK}active = true\ndue_date_move_to = 99\n"
            '[tag.vip]\ntag_name = "VIP"\nareas = ["desk"]\n'
        )
        result = centre.apply(code=1)
        assert result.stdout.split("\n")[-3:] == [
            (
                f"{centre.file}:4: area.desk: Cention refuses it (400):"
                " due_date_move_to_areaId: there is no area 99"
            ),
            "tag.vip: not tried, since what it needs is not there",
            "",
        ]
        assert result.stderr == "Done: 0 requests; not done: 2.\n"
        assert centre.run("state", "list", "--json").stdout == "[]\n"

    def test_a_wrong_key_ends_it(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        config = centre.site.config.read_text()
        centre.site.config.write_text(config.replace(ACCESS_KEY_SECRET, "another-secret"))
        result = centre.apply(code=1)
        assert (
            "area.desk: Cention refuses access key or signature (401): The signature is not"
            " right; see provision.access_key_id, access_key_secret and struct_signing\n"
        ) in result.stdout
        assert "another-secret" not in result.output

    def test_without_a_key_apply_says_which_and_a_plan_needs_none(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        config = centre.site.config.read_text()
        centre.site.config.write_text(re.sub(r"access_key_.*\n", "", config))
        centre.plan()
        assert centre.apply(code=2).stderr == (
            "provision.access_key_id: is missing; make an access key in Cention, and put it into"
            " a secret file named provision.access_key_id\n"
        )

    def test_where_cention_is_away_nothing_is_in_doubt(
        self, centre: Centre, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bridge.services.provisioning.TRIES_MAX", 1)
        centre.file.write_text(DESK)
        with listen(0) as free:
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        config = centre.site.config.read_text()
        centre.site.config.write_text(config.replace(centre.url, url))
        assert (
            "area.desk: not done: Cention can't be reached (ClientConnectorError: Connection"
            " refused); run it again later\n"
        ) in centre.apply(code=1).stdout
        assert centre.run("state", "list", "--json").stdout == "[]\n"

    def test_what_is_gone_in_cention_is_made_anew_at_a_persons_word(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.run("import", "area", "desk", 7)
        assert (
            f"{centre.file}:1: area.desk: Cention refuses it (404): There is no area 7; if it is"
            " gone, `provision state rm area desk` has it made anew\n"
        ) in centre.apply(code=1).stdout

    def test_a_file_that_somebody_else_wrote_is_not_written_over(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        routes = centre.site.folder / "routes.toml"
        routes.write_text("mine")
        said = centre.apply("--write-routes", routes, code=1).stderr
        assert "is there already, and was not made by `provision`; name another file" in said
        assert routes.read_text() == "mine"

    def test_two_commands_do_not_set_up_one_centre_at_a_time(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        with ProvisionLock(f"sqlite:///{centre.site.store}"):
            said = centre.apply(code=1).stderr
        assert said == (
            "another `provision` command is at work on this store; wait until it has ended\n"
        )


class TestTheState:
    def test_what_is_imported_is_sent_all_that_the_file_has(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.apply()
        centre.run("state", "rm", "area", "desk")
        assert centre.run("import", "area", "desk", 1).stdout == "area.desk: taken over as 1.\n"
        centre.apply()
        assert centre.asked()[1:] == [("PUT", "/s/demo/v1/area/1", {"name": "Desk"})]
        assert centre.run("import", "area", "desk", 2, code=1).stderr == (
            "area.desk: is known as 1; `provision state rm` it first\n"
        )
        assert centre.run("import", "area", "other", 1, code=1).stderr == (
            "area.other: 1 is area.desk; name each once\n"
        )

    def test_another_name_in_the_file_is_pointed_out_and_followed(self, centre: Centre) -> None:
        centre.file.write_text(DESK)
        centre.apply()
        centre.file.write_text(DESK.replace("area.desk", "area.front"))
        note = "Note: area.front: looks like area.desk under another name; `provision state mv"
        assert note in centre.plan().stderr
        centre.run("state", "mv", "area", "desk", "front")
        assert centre.plan().stdout.endswith("Nothing to do.\n")

    def test_names_that_are_none_are_wrong_usage(self, centre: Centre) -> None:
        assert centre.run("import", "room", "x", 1, code=2).stderr == (
            "room: is no kind; there are organization, area, tag, keyword, autotag, sip\n"
        )
        centre.run("state", "rm", "area", "nobody", code=1)

    def test_a_field_that_leaves_the_file_stays_as_it_is(self, centre: Centre) -> None:
        centre.file.write_text(f"{DESK}has_chat = true\n")
        centre.apply()
        centre.file.write_text(DESK)
        result = centre.plan("--detailed-exitcode")
        assert result.stderr == (
            "Note: area.desk: has_chat is not in the file any more; Cention keeps what it has\n"
        )
