"""Starts that are refused with a line each, and settings that are read again."""

import socket
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from process_client import AGENT, JSON, event, new_reference
from process_daemon import NewSite, Site, minimal_settings, run_to_end, running_site
from process_upstream import NEW

pytestmark = pytest.mark.process

UPSTREAM = "http://127.0.0.1:9"
PLANTED = "planted-secret"
LISTEN, STORE = "BRIDGE_HTTP__LISTEN", "BRIDGE_STORE__URL"
WRONG_FILE = """\
[http]
listen = "nowhere"
auth_token = ["x"]
[cention]
requests_per_minute = 0
[nonsense]
x = 1
"""


def refusal(settings: dict[str, str], *arguments: str | Path) -> list[str]:
    """Return the lines that a start is refused with."""
    ended = run_to_end(settings, *arguments)
    assert ended.returncode == 2, ended
    assert not ended.stdout
    assert "Traceback" not in ended.stderr, ended.stderr
    assert PLANTED not in ended.stderr
    return ended.stderr.splitlines()


def test_each_wrong_key_of_a_file_gets_a_line_that_names_it(tmp_path: Path) -> None:
    config = tmp_path / "bridge.toml"
    config.write_text(WRONG_FILE)
    settings = minimal_settings(UPSTREAM, tmp_path)
    del settings[LISTEN]
    lines = refusal(settings, "--config", config)
    assert sorted(line.partition(": ")[0] for line in lines) == [
        "cention.requests_per_minute",
        "http.auth_token",
        "http.listen",
        "nonsense",
    ]
    assert not (tmp_path / "bridge.db").exists()


@pytest.mark.parametrize(
    ("given", "about"),
    [
        ({"BRIDGE_CENTION__TOKN": PLANTED}, "BRIDGE_CENTION__TOKN: "),
        ({"BRIDGE_HTTP__SIGNING_SECRETS": f'["{PLANTED}"]'}, "http.signing_secrets.0: "),
        ({LISTEN: "0.0.0.0:0"}, "http.listen: "),
    ],
)
def test_a_wrong_key_of_the_environment_gets_one_line_without_its_value(
    tmp_path: Path, given: dict[str, str], about: str
) -> None:
    (line,) = refusal(minimal_settings(UPSTREAM, tmp_path) | given)
    assert line.startswith(about)


def test_a_second_daemon_on_the_same_store_is_refused_and_harms_nothing(site: Site) -> None:
    (line,) = refusal(site.daemon.settings)
    assert line.startswith("store.url: ")
    assert "another daemon" in line
    site.accept(event("call.queued"))


def test_a_store_of_a_newer_release_is_refused_and_left_as_it_is(new_site: NewSite) -> None:
    site = new_site()
    reference = new_reference()
    site.settle(event("call.answered", reference, **AGENT))
    assert site.daemon.terminate() == 0
    path = site.daemon.settings[STORE].removeprefix("sqlite:///")
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = 'zzzz'")
        events = connection.execute("SELECT count(*) FROM events").fetchone()
    connection.close()
    (line,) = refusal(site.daemon.settings)
    assert line.startswith("store.url: ")
    assert "zzzz" in line
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM events").fetchone() == events
    connection.close()


def at_folder(folder: Path) -> Path:
    path = folder / "folder.db"
    path.mkdir()
    return path


def at_text(folder: Path) -> Path:
    path = folder / "text.db"
    path.write_text("this is no database\n" * 100)
    return path


def beside_a_lock_that_cannot_be_opened(folder: Path) -> Path:
    (folder / "bridge.db.lock").mkdir()
    return folder / "bridge.db"


@pytest.mark.parametrize(
    "place",
    [
        at_folder,
        at_text,
        beside_a_lock_that_cannot_be_opened,
    ],
)
def test_a_store_that_is_none_is_refused_with_one_line(
    tmp_path: Path, place: Callable[[Path], Path]
) -> None:
    url = f"sqlite:///{place(tmp_path)}"
    (line,) = refusal(minimal_settings(UPSTREAM, tmp_path) | {STORE: url})
    assert line.startswith("store.url: ")


def test_a_database_of_something_else_is_refused_in_words_about_the_store(tmp_path: Path) -> None:
    settings = minimal_settings(UPSTREAM, tmp_path)
    connection = sqlite3.connect(settings[STORE].removeprefix("sqlite:///"))
    with connection:
        connection.execute("CREATE TABLE events (what TEXT)")
    connection.close()
    lines = refusal(settings)
    assert 1 <= len(lines) <= 2
    assert all(line.startswith("store.url: ") for line in lines)


def test_a_port_that_is_taken_ends_the_start_with_1_and_says_why(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = run_to_end(minimal_settings(UPSTREAM, tmp_path) | {LISTEN: listen})
    assert ended.returncode == 1
    assert "address already in use" in ended.stderr
    assert "Traceback" not in ended.stderr


class Configured(NamedTuple):
    """A site with a file."""

    site: Site
    file: Path

    def post(self, reference: str, token: str) -> int:
        body = event("call.answered", reference, queueName="Sales", **AGENT)
        headers = {"Authorization": f"Bearer {token}"}
        return self.site.daemon.events.post(body, JSON, **headers).status

    def paths(self, reference: str) -> list[str]:
        self.site.daemon.drain()
        return [one.path for one in self.site.upstream.of_call(reference)]


TOKENS = '[http]\nauth_tokens = ["first-token"]\n'
OTHER_TOKENS = '[http]\nauth_tokens = ["second-token"]\n'
ROUTE = '[[routes]]\nname = "sales"\nqueue_names = ["Sales"]\nworkspace = "sales"\n'


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Configured]:
    folder = tmp_path_factory.mktemp("configured")
    file = folder / "bridge.toml"
    file.write_text(TOKENS)
    with running_site(folder, "--config", file) as site:
        yield Configured(site, file)


def test_a_new_route_takes_effect_when_the_file_is_read_again(configured: Configured) -> None:
    before, after = new_reference(), new_reference()
    configured.file.write_text(TOKENS)
    configured.site.daemon.reload()
    assert configured.post(before, "first-token") == 202
    assert configured.paths(before) == [f"/s/demo/capi/json/{NEW}"]
    configured.file.write_text(TOKENS + ROUTE)
    assert configured.site.daemon.reload()["event"] == "settings read again"
    assert configured.post(after, "first-token") == 202
    assert configured.paths(after) == [f"/s/sales/capi/json/{NEW}"]


@pytest.mark.parametrize(
    "broken",
    [
        OTHER_TOKENS + '[calls]\nsettle_seconds = "x"\n',
        OTHER_TOKENS + "[cention\n",
        OTHER_TOKENS + "[nonsense]\nx = 1\n",
        None,
    ],
)
def test_a_broken_file_is_refused_whole_and_the_old_settings_stay(
    configured: Configured, broken: str | None
) -> None:
    configured.file.write_text(TOKENS + ROUTE)
    configured.site.daemon.reload()
    if broken is None:
        configured.file.unlink()
    else:
        configured.file.write_text(broken)
    line = configured.site.daemon.reload()
    assert line["event"].startswith("settings refused")
    assert line["level"] == "error"
    assert line["problem"]
    reference = new_reference()
    assert configured.post(reference, "second-token") == 401
    assert configured.post(reference, "first-token") == 202
    assert configured.paths(reference) == [f"/s/sales/capi/json/{NEW}"]


def test_who_may_post_changes_when_the_file_is_read_again(configured: Configured) -> None:
    configured.file.write_text(OTHER_TOKENS)
    configured.site.daemon.reload()
    assert configured.post(new_reference(), "first-token") == 401
    assert configured.post(new_reference(), "second-token") == 202
