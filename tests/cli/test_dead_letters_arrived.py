from pathlib import Path
from typing import Any

import pytest
from cli_site import DELIVERED, LOST, REFUSED, Site, event, filled
from sqlalchemy import text

from bridge.cli import common
from bridge.domain.deliveries import Kind
from bridge.ops.clock import SystemClock
from bridge.ports import Attempt
from bridge.storage.transaction import SqlTransaction


def fill(site: Site) -> None:
    """A call whose errand is in doubt and held, with its end parked behind it."""
    site.take(event("call.answered", minutes=2), event("call.ended"))
    site.send(Kind.NEW_ERRAND, LOST)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return filled(tmp_path_factory.mktemp("store"), fill)


@pytest.fixture
def site(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    return Site.make(tmp_path, store, monkeypatch)


def number(site: Site, kind: str = "new_errand") -> int:
    [found] = [row["id"] for row in site.read("dead-letters", "list", "--kind", kind)]
    assert isinstance(found, int)
    return found


def arrived(site: Site, *args: object) -> Any:
    return site.run("dead-letters", "drop", *args, "--arrived")


class TestArrived:
    def test_it_counts_as_delivered_and_what_depends_on_it_goes(self, site: Site) -> None:
        delivery = number(site)
        result = arrived(site, delivery, "--errand", 4711, "--yes")
        said = f"{delivery} counts as created; 1 delivery goes on.\n"
        assert (result.exit_code, result.stdout) == (0, said)
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}
        [create, _] = site.read("trace", "r1")["deliveries"]
        assert create["remote_id"] == "4711"
        assert create["done_at"] is not None
        assert len(site.send(Kind.END_ERRAND, DELIVERED)) == 1

    def test_a_refused_one_may_be_there_as_well(self, site: Site) -> None:
        site.run("dead-letters", "replay", number(site))
        site.send(Kind.NEW_ERRAND, REFUSED)
        assert arrived(site, number(site), "--yes").exit_code == 0
        assert site.states() == {"new_errand": "delivered", "end_errand": "ready"}

    def test_an_end_that_comes_later_is_sent(self, site: Site) -> None:
        site.take(event("call.answered", referenceId="r2", minutes=2))
        site.send(Kind.NEW_ERRAND, LOST)
        [held] = site.read("dead-letters", "list", "--reference", "r2")
        result = arrived(site, held["id"], "--yes")
        assert result.stdout == f"{held['id']} counts as created.\n"
        site.take(event("call.ended", referenceId="r2"))
        assert [one.reference_id for one in site.claim(Kind.END_ERRAND)] == ["r2"]

    def test_a_person_is_named_among_its_attempts(self, site: Site) -> None:
        delivery = number(site)
        arrived(site, delivery, "--yes")
        shown = site.run("dead-letters", "show", delivery).stdout
        assert "by hand: arrived" in shown

    def test_what_makes_no_errand_cannot_have_arrived(self, site: Site) -> None:
        delivery = number(site, "end_errand")
        result = arrived(site, delivery, "--yes")
        assert result.exit_code == 1
        assert result.stderr.startswith(f"{delivery}: is of kind end_errand; only what creates")

    def test_what_was_never_sent_cannot_have_arrived(self, site: Site) -> None:
        delivery = number(site)
        site.do(lambda db: db.execute(text("UPDATE outbox SET state = 'parked'")))
        result = arrived(site, delivery, "--yes")
        assert (result.exit_code, "was never sent" in result.stderr) == (1, True)

    def test_what_has_not_stopped_is_no_dead_letter(self, site: Site) -> None:
        result = arrived(site, 99, "--yes")
        assert (result.exit_code, result.stderr) == (1, "99: is no such dead letter\n")

    @pytest.mark.parametrize(
        "args",
        [
            ["--all", "--arrived"],
            ["1", "2", "--arrived"],
            ["1", "--errand", "5"],
            ["1", "--arrived", "--errand", "0"],
            ["1", "--arrived", "--errand", "x"],
        ],
    )
    def test_it_is_about_one_and_its_id(self, site: Site, args: list[str]) -> None:
        assert site.run("dead-letters", "drop", *args, "--yes").exit_code == 2
        assert site.states()["new_errand"] == "held"

    def test_it_asks_first(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        delivery = number(site)
        assert arrived(site, delivery).exit_code == 2
        monkeypatch.setattr(common, "at_terminal", lambda: True)
        refused = site.run("dead-letters", "drop", delivery, "--arrived", answer="n\n")
        assert (refused.exit_code, site.states()["new_errand"]) == (1, "held")


class TestShow:
    def test_it_tells_what_waits_behind_and_what_it_waits_for(self, site: Site) -> None:
        create, end = number(site), number(site, "end_errand")
        found = site.read("dead-letters", "show", create)
        assert found["behind"] == [{"id": end, "kind": "end_errand", "state": "parked"}]
        assert found["waits_for"] == []
        found = site.read("dead-letters", "show", end)
        assert found["waits_for"] == [{"id": create, "kind": "new_errand", "state": "held"}]
        shown = site.run("dead-letters", "show", end).stdout
        assert f"waits for  {create}, new_errand, held" in shown
        shown = site.run("dead-letters", "show", create).stdout
        assert f"behind it  {end}, end_errand, parked" in shown

    def test_what_is_delivered_holds_nobody_up(self, site: Site) -> None:
        arrived(site, number(site), "--yes")
        site.send(Kind.END_ERRAND, REFUSED)
        assert site.read("dead-letters", "show", number(site, "end_errand"))["waits_for"] == []

    def test_a_request_is_told_with_its_status_and_seconds(self, site: Site) -> None:
        shown = site.run("dead-letters", "show", number(site)).stdout
        assert "in_doubt" in shown
        assert "none" in shown
        assert "30.000" in shown

    @pytest.mark.parametrize("outcome", ["found", "absent", "held"])
    def test_a_look_up_is_told_as_one(self, site: Site, outcome: str) -> None:
        delivery = number(site)
        one = Attempt(
            delivery_id=delivery,
            at_us=SystemClock().now_us(),
            seconds=0.0,
            outcome=outcome,
            status=0,
            detail="others read the same lists",
        )

        def look_up(tx: SqlTransaction) -> None:
            tx.add_attempts([one])

        site.do(lambda connection: look_up(SqlTransaction(connection)))
        shown = site.run("dead-letters", "show", delivery).stdout
        [line] = [line for line in shown.splitlines() if "looked up" in line]
        assert f"looked up: {outcome}" in line
        assert "others read the same lists" in line
        assert "0.000" not in line
        tries = site.read("dead-letters", "show", delivery)["tries"]
        assert [one["is_request"] for one in tries] == [True, False]
