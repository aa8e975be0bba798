"""The simulation as a test: seeds that every change has to pass, and that a run can be replayed."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Final

import mutants
import pytest
from mutant_list import MUTANTS, Mutant, Patch
from sim_loop import Stalled, VirtualLoop, run_virtual
from sim_scenario import KINDS, scenario
from sim_world import Outcome, simulate

SEEDS: Final = 60
COMMAND: Final = Path(__file__).with_name("simulate.py")


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(simulate, range(SEEDS), chunksize=5))


def test_no_promise_is_broken_in_sixty_seeds(outcomes: list[Outcome]) -> None:
    broken = [(one.seed, one.violation) for one in outcomes if one.violation is not None]
    assert not broken, f"step by step: python {COMMAND.name} --seed {broken[0][0]} --trace"


@pytest.mark.parametrize(
    "name",
    [
        "crash at any time",
        "dead letters",
        "events duplicate",
        "late effects",
        "looked up: absent",
        "looked up: found",
        "others' errands",
        "errands put back",
        "probes of a refused token",
        "new calls beside a backlog",
        "archived",
        "messages",
        "messages given up",
    ],
)
def test_what_is_promised_about_is_what_happens(outcomes: list[Outcome], name: str) -> None:
    assert sum(one.counts[name] for one in outcomes) > 0


def test_every_kind_of_scenario_has_its_turn() -> None:
    assert {scenario(seed).kind for seed in range(len(KINDS))} == {name for name, _ in KINDS}


def digest_in_a_process_of_its_own(seed: int, hash_seed: str) -> str:
    ran = subprocess.run(  # noqa: S603 - the command beside this file
        [sys.executable, str(COMMAND), "--seed", str(seed)],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.splitlines()[0]


@pytest.mark.parametrize("seed", [3, 8, 13])
def test_a_seed_is_the_same_run_in_any_process(seed: int) -> None:
    first, second = (digest_in_a_process_of_its_own(seed, one) for one in ("1", "2"))
    assert "trace" in first
    assert first == second


def test_a_patch_that_no_longer_fits_is_an_error(tmp_path: Path) -> None:
    path = "bridge/services/limiter.py"
    source, target = tmp_path / "source", tmp_path / "target"
    (source / path).parent.mkdir(parents=True)
    (source / path).write_text("the code of next year")
    stale = Mutant("stale", (Patch(path, "the code of last year", ""),))
    with pytest.raises(mutants.Stale, match="stale"):
        mutants.patched(stale, source, target)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda one: one.name)
def test_every_mutant_fits_the_code(mutant: Mutant) -> None:
    for patch in mutant.patches:
        assert (mutants.ROOT / patch.path).read_text().count(patch.old) == 1, patch.path


def test_time_passes_only_where_something_is_waited_for() -> None:
    loop = VirtualLoop()

    async def wait() -> float:
        await asyncio.sleep(86_400)
        return loop.time()

    assert run_virtual(loop, wait()) == pytest.approx(86_400, abs=0.01)


def test_who_waits_for_nothing_is_told_so() -> None:
    loop = VirtualLoop()

    async def hang() -> None:
        await loop.create_future()

    with pytest.raises(Stalled):
        run_virtual(loop, hang())
