import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_site import ROUTE, UPSTREAM, Site

from bridge.settings import Address, Settings, SettingsError, load_settings, parse_address

BRIDGE_TOML = Path(__file__).parents[2] / "config" / "bridge.toml"
TLS = Path(__file__).parents[1] / "data" / "tls"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestPrecedence:
    def test_environment_over_secret_file_over_file_over_default(self, site: Site) -> None:
        site.environ.clear()
        assert site.load(require_upstream=False).cention.requests_per_minute == 950
        site.write("[cention]\nrequests_per_minute = 1\n")
        assert site.load(require_upstream=False).cention.requests_per_minute == 1
        site.secrets({"cention.requests_per_minute": "2\n"})
        assert site.load(require_upstream=False).cention.requests_per_minute == 2
        site.environ["BRIDGE_CENTION__REQUESTS_PER_MINUTE"] = "3"
        assert site.load(require_upstream=False).cention.requests_per_minute == 3

    def test_a_variable_changes_its_own_key_only(self, site: Site) -> None:
        settings = site.load(
            '[http]\nlisten = "127.0.0.1:1"\nauth_tokens = ["a"]\n', HTTP__LISTEN="127.0.0.1:2"
        )
        assert settings.http.listen == Address("127.0.0.1", 2)
        assert len(settings.http.auth_tokens) == 1

    def test_a_table_in_json_is_laid_over_the_file_and_its_own_keys_over_it(
        self, site: Site
    ) -> None:
        settings = site.load(
            "[calls]\nmax_hours = 1\nsettle_seconds = 1\n",
            CALLS='{"settle_seconds": 2, "reuse_after_hours": 2}',
            CALLS__REUSE_AFTER_HOURS="3",
        )
        assert settings.calls.max_hours == 1
        assert settings.calls.settle_seconds == 2
        assert settings.calls.reuse_after_hours == 3

    def test_an_empty_variable_counts_as_not_set(self, site: Site) -> None:
        assert site.load("[log]\nlevel = 'debug'\n", LOG__LEVEL="").log.level == "debug"

    def test_names_of_variables_may_have_any_case(self, site: Site) -> None:
        site.environ["bridge_Log__level"] = "error"
        assert site.load().log.level == "error"

    def test_a_list_in_the_environment_replaces_that_of_the_file(self, site: Site) -> None:
        settings = site.load(
            '[http]\nauth_tokens = ["a", "b"]\n', HTTP__AUTH_TOKENS='["c"]', ROUTES="[]"
        )
        assert [token.get_secret_value() for token in settings.http.auth_tokens] == ["c"]

    def test_other_variables_are_not_looked_at(self, site: Site) -> None:
        site.environ |= {"BRIDGES": "x", "CENTION__TOKEN": "x", "HOME": "/x"}
        assert site.load().tokens() == {"default": "cention-token"}


class TestKindsOfText:
    @pytest.mark.parametrize(
        ("text", "value"), [("true", True), ("Yes", True), ("1", True), ("off", False)]
    )
    def test_a_switch(self, site: Site, text: str, *, value: bool) -> None:
        assert site.load(REPORTS__ENABLED=text).reports.enabled is value

    def test_numbers(self, site: Site) -> None:
        settings = site.load(CALLS__SETTLE_SECONDS="0.5", RETENTION__JOURNAL_DAYS=" 7 ")
        assert settings.calls.settle_seconds == 0.5
        assert settings.retention.journal_days == 7

    def test_plain_text_is_never_json(self, site: Site) -> None:
        assert site.load(CONTACTS__CUID_LABEL="12").contacts.cuid_label == "12"
        assert site.load(CONTACTS__CUID_LABEL="null").contacts.cuid_label == "null"


class TestSecretFiles:
    @pytest.mark.parametrize(
        "name",
        ["cention.token", "cention__token", "BRIDGE_CENTION__TOKEN", "Cention__TOKEN"],
    )
    def test_each_form_of_name(self, site: Site, name: str) -> None:
        del site.environ["BRIDGE_CENTION__TOKEN"]
        site.secrets({name: "from-file\n"})
        assert site.load().tokens() == {"default": "from-file"}

    def test_the_credentials_folder_serves_where_none_is_named(self, site: Site) -> None:
        del site.environ["BRIDGE_CENTION__TOKEN"]
        site.environ["CREDENTIALS_DIRECTORY"] = str(site.secrets({"cention.token": "from-file"}))
        site.secrets_dir = None
        assert site.load().tokens() == {"default": "from-file"}

    def test_a_named_folder_wins_over_the_credentials_folder(self, site: Site) -> None:
        site.environ["CREDENTIALS_DIRECTORY"] = "/does/not/exist"
        site.secrets({"callbacks.secret": "a"})
        assert site.load().callbacks.secret is not None

    def test_one_trailing_newline_is_cut_and_no_more(self, site: Site) -> None:
        site.secrets({"callbacks.secret": " two \n\n"})
        secret = site.load().callbacks.secret
        assert secret is not None
        assert secret.get_secret_value() == " two \n"

    @pytest.mark.parametrize("content", ["a\nb\n", '["a", "b"]', "a\r\n\r\n b\r\n"])
    def test_a_list_is_json_or_one_value_a_line(self, site: Site, content: str) -> None:
        site.secrets({"http.auth_tokens": content})
        tokens = site.load().http.auth_tokens
        assert [token.get_secret_value() for token in tokens] == ["a", "b"]

    @pytest.mark.parametrize(
        "name", ["routes.sales.token", "routes__sales__token", "BRIDGE_ROUTES__SALES__TOKEN"]
    )
    def test_the_token_of_a_route_by_its_name(self, site: Site, name: str) -> None:
        site.secrets({name: "sales-token\n"})
        assert site.load(ROUTE).tokens()["sales"] == "sales-token"

    def test_a_route_that_the_environment_made_has_its_token_from_a_file(self, site: Site) -> None:
        site.secrets({"routes.a__b-c.token": "of-file", "routes.both.token": "of-file"})
        settings = site.load(
            ROUTES='[{"name": "a__b-c", "queue_names": ["a"]},'
            ' {"name": "both", "queue_names": ["b"], "token": "of-env"}]'
        )
        assert settings.tokens()["a__b-c"] == "of-file"
        assert settings.tokens()["both"] == "of-env"

    def test_tables_without_a_name_go_by_number(self, site: Site) -> None:
        site.secrets({"agents.0.token": "one-view"})
        settings = site.load(
            '[[agents]]\ndevice_id = 1\nextension_id = 2\nemail = "a@example.com"\n',
            ROUTES='[{"name": "a", "queue_names": ["a"]}]',
            ROUTES__0__TOKEN="by-number",
        )
        assert settings.agents[0].token.get_secret_value() == "one-view"
        assert settings.tokens()["a"] == "by-number"

    def test_other_peoples_files_are_left_alone(self, site: Site) -> None:
        folder = site.secrets({"tls.key": "x", "log": "x", ".hidden": "x", "README": "x"})
        (folder / "http.d").mkdir()
        assert site.load().log.level == "info"

    def test_an_empty_secret_is_a_mistake_and_no_secret(self, site: Site) -> None:
        site.secrets({"callbacks.secret": "\n"})
        where = f"{site.secrets_dir}/callbacks.secret"
        assert site.problems() == [
            f"callbacks.secret: is empty; give it a value or leave it out (from {where})"
        ]


class TestStore:
    def test_the_default_is_relative_to_the_working_folder(self, site: Site) -> None:
        assert site.load().store.url == "sqlite:///var/lib/aventa-bridge/bridge.db"

    def test_systemd_gives_a_folder(self, site: Site) -> None:
        site.environ["STATE_DIRECTORY"] = "/var/lib/one:/var/lib/two"
        assert site.load().store.url == "sqlite:////var/lib/one/bridge.db"

    def test_the_file_wins_over_systemds_folder(self, site: Site) -> None:
        site.environ["STATE_DIRECTORY"] = "/var/lib/one"
        assert site.load('[store]\nurl = "sqlite:///x.db"\n').store.url == "sqlite:///x.db"


class TestBridgeToml:
    def test_it_wants_the_three_keys_of_cention_and_nothing_else(self) -> None:
        with pytest.raises(SettingsError) as caught:
            load_settings(config=BRIDGE_TOML, secrets_dir=None, environ={})
        assert [line.split(":")[0] for line in caught.value.problems] == [
            "cention.base_url",
            "cention.workspace",
            "cention.token",
        ]

    def test_it_loads_with_these_three_and_changes_no_default(self) -> None:
        settings = load_settings(config=BRIDGE_TOML, secrets_dir=None, environ=UPSTREAM)
        assert settings == load_settings(config=None, secrets_dir=None, environ=UPSTREAM)
        assert settings.notices() == []

    def test_all_that_it_leaves_out_by_a_hash_is_right_too(self, site: Site) -> None:
        shown = re.sub(r"^#(?=[a-z\[])", "", BRIDGE_TOML.read_text(), flags=re.MULTILINE)
        for name, kind in (("fullchain", "crt"), ("privkey", "key"), ("clients", "crt")):
            (site.folder / f"{name}.pem").write_text((TLS / f"localhost.{kind}").read_text())
        settings = site.load(shown.replace("/etc/aventa-bridge/tls", str(site.folder)))
        for name, section in Settings.model_fields.items():
            # Where there is one, the default is what is shown.
            for key, field in getattr(section.annotation, "model_fields", {}).items():
                if field.default not in (None, ""):
                    assert getattr(getattr(settings, name), key) == field.default, (name, key)
        assert settings.routes
        assert settings.rules
        assert settings.agents


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "address"),
        [
            ("127.0.0.1:8080", Address("127.0.0.1", 8080)),
            ("[::1]:8080", Address("::1", 8080)),
            ("localhost:8080", Address("localhost", 8080)),
            ("pbx-1.example.com:80", Address("pbx-1.example.com", 80)),
            ("0.0.0.0:0", Address("0.0.0.0", 0)),  # noqa: S104 - only read
            ("unix:/run/x.sock", Address(path="/run/x.sock")),
        ],
    )
    def test_what_it_reads_it_writes(self, text: str, address: Address) -> None:
        assert parse_address(text) == address
        assert str(address) == text

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "8080",
            ":8080",
            "*:8080",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:65536",
            "127.0.0.1:-1",
            "127.0.0.1:٨٠",
            "127.0.0.256:80",
            "::1:80",
            "[::1]",
            "[127.0.0.1]:80",
            "http://localhost:80",
            "unix:",
            "unix:run/x.sock",
            "unix:/run/",
            "unix:/run/\0",
            f"unix:/{'x' * 107}",
        ],
    )
    def test_what_is_no_address(self, text: str) -> None:
        with pytest.raises(ValueError, match="; use "):
            parse_address(text)

    @pytest.mark.parametrize(
        ("text", "is_loopback"),
        [
            ("127.0.0.1:1", True),
            ("127.1.2.3:1", True),
            ("[::1]:1", True),
            ("LOCALHOST:1", True),
            ("0.0.0.0:1", False),
            ("[::]:1", False),
            ("example.com:1", False),
            ("unix:/x", False),
        ],
    )
    def test_what_is_of_this_machine_alone(self, text: str, *, is_loopback: bool) -> None:
        assert parse_address(text).is_loopback is is_loopback

    @given(st.text() | st.from_regex(r"\A(unix:/?|\[)?[0-9a-f:.%]*\]?:[0-9]*\Z"))
    def test_it_raises_nothing_but_value_errors(self, text: str) -> None:
        try:
            address = parse_address(text)
        except ValueError:
            return
        assert parse_address(str(address)) == address
