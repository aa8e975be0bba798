"""Forgetting somebody of whose errands nobody knows whether Cention has them."""

from pathlib import Path

import pytest
from cli_site import DELIVERED, LOST, NUMBER, REFUSED, Site, event, prepared
from contacts_site import forget, left
from sqlalchemy import text

from bridge.domain.deliveries import Kind, State
from bridge.storage.engine import DaemonLock

MAYBE = "1 errand may be in Cention already, and won't be sent or ended: look there.\n"
CALL = (event("call.answered", minutes=2), event("call.ended"))


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("store"))


@pytest.fixture
def site(tmp_path: Path, empty: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, empty, monkeypatch)


def set_state(site: Site, state: State) -> None:
    """Put the errand into this state."""
    change = text("UPDATE outbox SET state = :state WHERE kind = :kind")
    site.do(lambda db: db.execute(change, {"state": state, "kind": Kind.NEW_ERRAND}))


def test_what_is_being_looked_up_is_left_to_the_daemon(site: Site) -> None:
    site.take(*CALL)
    parcels = site.claim(Kind.NEW_ERRAND)
    set_state(site, State.DOUBTFUL)
    lock = DaemonLock(f"sqlite:///{site.store}")
    result = site.run("contacts", "forget", NUMBER, "--yes")
    lock.release()
    assert result.exit_code == 1
    assert "being looked up there: run it again in a few minutes" in result.stderr
    assert site.states() == {"new_errand": "doubtful", "end_errand": "blocked"}
    site.settle(parcels, DELIVERED)
    assert "may be in Cention" not in forget(site)
    assert left(site) == []
    assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}


@pytest.mark.parametrize("state", [State.DOUBTFUL, State.SENDING])
def test_what_was_in_doubt_when_the_daemon_stopped_goes_and_may_be_there(
    site: Site, state: State
) -> None:
    site.take(*CALL)
    site.claim(Kind.NEW_ERRAND)
    set_state(site, state)
    assert forget(site).endswith(f"0 refused events.\n{MAYBE}")
    assert left(site) == []
    assert site.states() == {}


def test_what_is_held_goes_with_its_end_and_may_be_there(site: Site) -> None:
    site.take(*CALL)
    site.send(Kind.NEW_ERRAND, LOST)
    assert site.states() == {"new_errand": "held", "end_errand": "parked"}
    assert forget(site).endswith(f"0 refused events.\n{MAYBE}")
    assert left(site) == []
    assert site.states() == {}


def test_what_waits_to_be_sent_again_after_a_doubt_may_be_there(site: Site) -> None:
    site.take(*CALL)
    site.send(Kind.NEW_ERRAND, LOST)
    set_state(site, State.READY)
    assert forget(site).endswith(f"0 refused events.\n{MAYBE}")


def test_what_was_refused_and_what_was_not_tried_are_not_there(site: Site) -> None:
    site.take(event("call.answered", minutes=2))
    site.send(Kind.NEW_ERRAND, REFUSED)
    site.take(event("call.answered", referenceId="r2"))
    said = forget(site)
    assert "2 errands had not been sent and won't be" in said
    assert "may be in Cention" not in said
