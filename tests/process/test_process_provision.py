"""The real command killed at requests of the worked example, and run again."""

import json
import re
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from process_daemon import bare_environment
from process_upstream import DEADLINE_S

from bridge.app.provisioning import read_file
from bridge.domain.centre_plan import Record, Standing, plan
from bridge.ops.clock import SystemClock
from bridge.sandbox.cention import SandboxOptions, create_app
from bridge.sandbox.serve import BackgroundServer, listen
from bridge.sandbox.state import ACCESS_KEY_ID, ACCESS_KEY_SECRET
from bridge.storage.engine import open_engine
from bridge.storage.provisioning import SqlCentreState
from bridge.storage.schema import prepare

pytestmark = pytest.mark.process

EXAMPLE = Path(__file__).parents[2] / "config" / "centre.example.toml"
# Without the other commands, which take as long to load as all the rest.
COMMAND = "from bridge.cli.provision import app; app()"
MADE = ("org", "area", "area", "tag", "tag", "tag", "keywords", "autotags", "sip", "sip")
REFS = (
    *("organization.clinic", "area.reception", "area.nurses", "tag.prescription", "tag.renewal"),
    *("tag.vip", "keyword.prescriptions", "autotag.renewals", "sip.reception", "sip.nurses"),
)


class Assassin:
    """Sends a signal to the process that asks, `before` or `after` a request of it is done."""

    def __init__(self) -> None:
        self._victim: subprocess.Popen[str] | None = None
        self._is_there = threading.Event()
        self._moment = ""
        self._after = 0
        self._number = signal.SIGKILL

    def hire(self, moment: str, *, after: int = 0, number: signal.Signals = signal.SIGKILL) -> None:
        """Let so many requests of the next process by, and strike then."""
        self._moment, self._after, self._number = moment, after, number
        self._is_there.clear()

    def meet(self, victim: subprocess.Popen[str]) -> None:
        self._victim = victim
        self._is_there.set()

    def __call__(self, moment: str, _number: int) -> bool:
        if moment != self._moment:
            return True
        if self._after:
            self._after -= 1
            return True
        self._moment = ""
        assert self._is_there.wait(DEADLINE_S)
        assert self._victim is not None
        self._victim.send_signal(self._number)
        if self._number is not signal.SIGKILL:
            return True
        self._victim.wait(DEADLINE_S)
        return False


class Desk:
    def __init__(self, folder: Path, url: str, assassin: Assassin) -> None:
        self.assassin = assassin
        self.url = url
        store = f"sqlite:///{folder / 'bridge.db'}"
        self.engine = open_engine(store)
        prepare(self.engine)
        self.state = SqlCentreState(self.engine, f"{url}/s/demo", SystemClock())
        self._environment = bare_environment(
            {
                "BRIDGE_STORE__URL": store,
                "BRIDGE_CENTION__BASE_URL": url,
                "BRIDGE_CENTION__WORKSPACE": "demo",
                "BRIDGE_PROVISION__ACCESS_KEY_ID": ACCESS_KEY_ID,
                "BRIDGE_PROVISION__ACCESS_KEY_SECRET": ACCESS_KEY_SECRET,
                "BRIDGE_PROVISION__REQUESTS_PER_MINUTE": "1000000",
            }
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [sys.executable, "-c", COMMAND, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.assassin.meet(process)
        said, _ = process.communicate(timeout=DEADLINE_S)
        return process.returncode, said

    def apply(self, *arguments: str) -> tuple[int, str]:
        return self.run("apply", "-f", str(EXAMPLE), "--yes", *arguments)

    def records(self) -> Sequence[Record]:
        return self.state.records()

    def made(self) -> dict[str, dict[str, dict[str, object]]]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/administered") as response:  # noqa: S310 - loopback
            shown: dict[str, dict[str, dict[str, object]]] = json.load(response)["demo"]
        return shown


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    assassin = Assassin()
    app = create_app(SandboxOptions(watch=assassin))
    with BackgroundServer(app, listen(0)) as server:
        made = Desk(tmp_path, server.url, assassin)
        yield made
        made.engine.dispose()


# Which requests, by place, and whether before they are done. Each other one is tested without
# processes.
KILLS = ((0, "after"), (1, "before"), (9, "after"))


def test_killed_at_a_request_and_run_again_nothing_is_made_twice(desk: Desk) -> None:
    retried: list[str] = []
    begins_at = 0
    for place, moment in KILLS:
        desk.assassin.hire(moment, after=place - begins_at)
        code, said = desk.apply(*retried)
        assert code == -signal.SIGKILL, said
        [doubt] = [one for one in desk.records() if one.standing is not Standing.DONE]
        assert (str(doubt.ref), doubt.standing) == (REFS[place], Standing.CREATING)
        retried = ["--retry", REFS[place]] if moment == "before" else []
        begins_at = place if retried else place + 1
        if not retried:
            # As `import` does.
            new = max(int(one) for things in desk.made().values() for one in things)
            desk.state.settle(doubt.ref, new, doubt.pending)
    code, said = desk.apply(*retried)
    assert (code, said.splitlines()[-1].startswith("Note: ")) == (0, True)
    counts = {kind: len(things) for kind, things in desk.made().items()}
    assert counts == {kind: MADE.count(kind) for kind in counts}
    assert plan(read_file(EXAMPLE).things, desk.records()).steps == ()


def test_asked_to_stop_it_lets_the_request_on_its_way_come_back(desk: Desk) -> None:
    desk.assassin.hire("before", after=1, number=signal.SIGINT)
    code, said = desk.apply()
    assert code == 1
    # The signal may be a request later than its sender.
    assert re.search(r"Done: [23] requests; not done: [78]\.", said), said
    assert {one.standing for one in desk.records()} == {Standing.DONE}
    assert sum(map(len, desk.made().values())) == len(desk.records())


def test_the_daemon_loads_nothing_of_it() -> None:
    code = "import sys, bridge.app.main, bridge.app.daemon; print(*sys.modules)"
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    words = ("centre", "provision", "administration")
    loaded = [one for one in done.stdout.split() if any(word in one for word in words)]
    # The schema is one, whoever uses which table.
    assert {one for one in loaded if one.startswith("bridge.")} == {
        "bridge.storage.provisioning_tables"
    }
