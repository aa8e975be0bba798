from pathlib import Path

import pytest
from settings_site import ROUTE, UPSTREAM, Site

from bridge.domain.errors import BridgeError
from bridge.settings import SettingsError


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "hint"),
        [
            ("BRIDGE_HTTP_LISTEN", "did you mean BRIDGE_HTTP__LISTEN?"),
            ("BRIDGE_CENTION__TOKN", "did you mean BRIDGE_CENTION__TOKEN?"),
            ("bridge_zzz", "see config/bridge.toml"),
            ("BRIDGE_", "see config/bridge.toml"),
            ("BRIDGE_CENTION__TOKEN__X", "did you mean BRIDGE_CENTION__TOKEN?"),
        ],
    )
    def test_of_an_unknown_variable(self, site: Site, name: str, hint: str) -> None:
        site.environ[name] = "x"
        assert site.problems() == [f"{name}: is for no setting; {hint}"]

    def test_of_a_variable_with_no_json(self, site: Site) -> None:
        assert site.problems(HTTP__AUTH_TOKENS="a,b") == [
            (
                'http.auth_tokens: is no JSON (line 1, column 1); use ["…"] '
                "(from BRIDGE_HTTP__AUTH_TOKENS)"
            )
        ]
        del site.environ["BRIDGE_HTTP__AUTH_TOKENS"]
        assert site.problems(ROUTES="{", LOG="[") == [
            'log: is no JSON (line 1, column 2); use {"key": "…"} (from BRIDGE_LOG)',
            'routes: is no JSON (line 1, column 2); use [{"name": "…"}] (from BRIDGE_ROUTES)',
        ]

    def test_of_a_variable_for_a_route_that_is_not_there(self, site: Site) -> None:
        assert site.problems(ROUTE, ROUTES__SALE__TOKEN="x", ROUTES__1__TOKEN="x") == [
            "BRIDGE_ROUTES__1__TOKEN: is for none of the [[routes]]; there are: sales",
            "BRIDGE_ROUTES__SALE__TOKEN: is for none of the [[routes]]; there are: sales",
        ]

    def test_of_an_unknown_key_of_a_route(self, site: Site) -> None:
        assert site.problems(ROUTE, ROUTES__SALES__TOKN="x") == [
            "BRIDGE_ROUTES__SALES__TOKN: is for no setting; did you mean BRIDGE_ROUTES__0__TOKEN?"
        ]

    def test_of_a_key_that_is_missing_by_a_slip_alone(self, site: Site) -> None:
        del site.environ["BRIDGE_CENTION__TOKEN"]
        folder = site.secrets({"cention.tokn": "x"})
        assert site.problems() == [
            f"{folder}/cention.tokn: is for no setting; did you mean cention.token?"
        ]

    def test_of_a_variable_that_is_no_number(self, site: Site) -> None:
        [problem] = site.problems(CALLS__MAX_HOURS="two")
        assert problem.startswith("calls.max_hours: is no number; use a number above 0, at most ")

    def test_of_a_key_that_is_set_twice(self, site: Site) -> None:
        site.environ |= {"BRIDGE_LOG__LEVEL": "info", "bridge_log__level": "info"}
        [problem] = site.problems()
        assert problem.startswith("log.level: is set twice; keep one of the two (from ")

    def test_where_a_section_is_no_table_nothing_is_laid_over_it(self, site: Site) -> None:
        toml = "log = 5\nroutes = 5\n"
        assert site.problems(toml, LOG__LEVEL="info", ROUTES__A__TOKEN="x") == [
            "routes: is no list; write [[routes]]",
            "log: is no table; write [log]",
        ]


class TestFiles:
    def test_a_broken_file_is_told_by_line_and_column(self, site: Site) -> None:
        path = site.write("[http]\nlisten = \n")
        assert site.problems() == [f"{path}:2:10: is no TOML (Invalid value); mend it there"]

    def test_a_file_that_ends_too_early(self, site: Site) -> None:
        path = site.write("[http")
        [problem] = site.problems()
        assert problem.startswith(f"{path}:1:6: is no TOML (Expected ']' at the end of a table")

    def test_a_file_that_is_no_text(self, site: Site) -> None:
        path = site.write(b"[http]\n# \xff\n")
        assert site.problems() == [f"{path}:2:3: is no UTF-8; save it as UTF-8"]

    def test_a_file_that_is_not_there(self, site: Site) -> None:
        site.config = site.folder / "none.toml"
        assert site.problems() == [
            f"{site.config}: can't be read (No such file or directory); name a TOML file"
        ]

    @pytest.mark.parametrize("toml", [f"x = {'[' * 5000}", f"x = {'9' * 5000}"])
    def test_a_file_that_is_beyond_reading(self, site: Site, toml: str) -> None:
        [problem] = site.problems(toml)
        assert problem.startswith(f"{site.config}: holds a value that is too long or too deep")

    def test_a_folder_of_secrets_that_is_not_there(self, site: Site) -> None:
        site.secrets_dir = site.folder / "none"
        assert site.problems() == [
            (
                f"{site.secrets_dir}: can't be read (No such file or directory); "
                "name a folder of secret files"
            )
        ]

    def test_a_secret_file_that_is_no_text_or_too_large(self, site: Site) -> None:
        folder = site.secrets({"callbacks.secret": "x" * 1_048_577})
        (folder / "reports.token").write_bytes(b"\xff")
        assert site.problems() == [
            f"{folder}/callbacks.secret: is too large; use 1048576 bytes at most",
            f"{folder}/reports.token: is no text; use UTF-8",
        ]

    def test_a_secret_file_for_no_key(self, site: Site) -> None:
        folder = site.secrets({"log.colour": "x", "BRIDGE_X": "x"})
        assert site.problems() == [
            (
                f"{folder}/BRIDGE_X: is for no setting; here there are http, hooks, admin, store, "
                "cention, msisdn, routes, rules, calls, contacts, delivery, reports, callbacks, "
                "oneview, agents, provision, retention, log, tracing"
            ),
            f"{folder}/log.colour: is for no setting; here there are level, format",
        ]


class TestAllAtOnce:
    def test_every_mistake_of_every_kind_is_told(self, site: Site) -> None:
        site.environ = {"BRIDGE_NONE": "x", "BRIDGE_CENTION__WORKSPACE": "demo"}
        problems = site.problems(
            "bogus = 1\n"
            "[http]\nlisten = '0.0.0.0:80'\n"
            "[cention]\nbase_url = 'x'\n"
            "[[routes]]\nqueue_names = [1, 'a', 2, 3, 4, 5, 6, 7, 8, 9, 10]\ndevice_id = 1\n"
            "[[routes]]\nname = 'a'\ntimezone = 'x'\n"
            "[[rules]]\non = ['x', 'call.ended']\ndo = ['ignore']\nbody = '{{ x }}'\n"
        )
        keys = [problem.partition(": ")[0] for problem in problems]
        assert keys == [
            "BRIDGE_NONE",
            "bogus",
            "cention.base_url",
            "routes.0.name",
            *(f"routes.0.queue_names.{number}" for number in (0, *range(2, 11))),
            "routes.1.timezone",
            "rules.0.on.0",
            "cention.token",
            "http.listen",
            "routes.0",
            "routes.0.extension_id",
            "routes.1",
            "routes.1",
            "rules.0.body",
        ]

    def test_each_is_one_line_of_two_parts(self, site: Site) -> None:
        site.environ = {"BRIDGE_A\nB": "x", "BRIDGE_LOG__LEVEL": "a\nb"}
        for problem in site.problems('"a\\nb" = 1\n[log]\n"\\u001b" = 1\n'):
            assert problem.isprintable()
            assert ": " in problem
            assert "; " in problem

    def test_the_error_holds_all_lines(self, site: Site) -> None:
        site.environ.clear()
        with pytest.raises(SettingsError) as caught:
            site.load()
        assert isinstance(caught.value, BridgeError)
        assert str(caught.value).splitlines() == caught.value.problems

    def test_options_of_the_library_are_keys_like_any_other(self, site: Site) -> None:
        problems = site.problems("_env_file = 'x'\n_secrets_dir = 'x'\n_cli_parse_args = true\n")
        assert [problem.partition(":")[0] for problem in problems] == [
            "_env_file",
            "_secrets_dir",
            "_cli_parse_args",
        ]


SECRET = "hunter2-hunter2"
SECRET_KEYS = (
    "http.auth_tokens",
    "http.signing_secrets",
    "cention.token",
    "routes.sales.token",
    "reports.token",
    "callbacks.secret",
    "callbacks.forward_secret",
    "agents.0.token",
    "provision.access_key_id",
    "provision.access_key_secret",
)
TABLES = f"{ROUTE}[[agents]]\ndevice_id = 1\nextension_id = 2\nemail = 'a@b'\n"


class TestSecrets:
    @pytest.mark.parametrize("spoilt", [f"{SECRET} \u00e4", f"whsec_{SECRET}", f"[{SECRET}", ""])
    def test_no_mistake_shows_one(self, site: Site, spoilt: str) -> None:
        site.environ = {"BRIDGE_HTTP__AUTH_TOKENS": SECRET, "BRIDGE_PROVISION": f"{{{SECRET}"}
        site.secrets(dict.fromkeys(SECRET_KEYS, spoilt or SECRET))
        problems = site.problems(f"x = 1\n{TABLES}[log]\nlevel = 'x'\n")
        assert len(problems) > 4
        assert SECRET not in "\n".join(problems)

    @pytest.mark.parametrize("shape", ["'{0} {0}'", "['{0} ']", "{{ x = '{0}' }}", "[['{0}']]"])
    def test_none_is_shown_whatever_its_shape_in_the_file(self, site: Site, shape: str) -> None:
        text = shape.format(SECRET)
        toml = f"[store]\nurl = 'postgresql://u:{SECRET}@h/d'\n"
        toml += f"[cention]\nbase_url = 'https://u:{SECRET}@h'\ntoken = {text}\n"
        toml += f"[http]\nauth_tokens = {text}\nsigning_secrets = {text}\n"
        toml += f"[callbacks]\nsecret = {text}\nforward_secret = {text}\n"
        toml += f"[reports]\ntoken = {text}\n"
        toml += f"[provision]\naccess_key_id = {text}\naccess_key_secret = {text}\n"
        toml += f"[[routes]]\nname = 'a'\ntoken = {text}\n[[agents]]\ntoken = {text}\n"
        site.environ.clear()
        with pytest.raises(SettingsError) as caught:
            site.load(toml)
        assert len(caught.value.problems) > 8
        assert SECRET not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    def test_settings_do_not_show_one(self, site: Site, caplog: pytest.LogCaptureFixture) -> None:
        site.secrets(
            dict.fromkeys(SECRET_KEYS, SECRET)
            | dict.fromkeys(("http.signing_secrets", "callbacks.forward_secret"), "whsec_c2VjcmV0")
            | {"callbacks.forward_url": "https://x"}
        )
        site.environ = {key: text for key, text in UPSTREAM.items() if not key.endswith("TOKEN")}
        with caplog.at_level("DEBUG"), pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYDANTIC_SETTINGS_DEBUG", "1")
            settings = site.load(TABLES)
        assert settings.tokens() == {"sales": SECRET, "default": SECRET}
        shown = f"{settings!r}{settings}{settings.model_dump_json()}{caplog.text}"
        assert SECRET not in shown
        assert "c2VjcmV0" not in shown
