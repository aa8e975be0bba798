import json
import resource

import pytest
from process_client import AGENT, event
from process_daemon import Site
from process_shell import command

pytestmark = pytest.mark.process


def test_beside_a_running_daemon_its_own_limits_are_told(site: Site) -> None:
    site.settle(event("call.answered", **AGENT))
    seen = len(site.upstream.seen)
    done = command(site.daemon, "doctor", "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)}
    assert found["daemon"]["detail"] == f"runs as process {site.daemon.process.pid}"
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found["open files"]["detail"] == f"{soft:,}, for the daemon"
    assert found["last event"]["verdict"] == "ok"
    assert found["Cention TCP"]["verdict"] == "ok"
    # One question, and nothing else.
    [asked] = site.upstream.seen[seen:]
    assert (asked.method, asked.path) == ("GET", "/s/demo/capi/json/c3_dirty_errand_list")
