"""Recording what the writer does to its store, under strace."""

import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from powercut_log import TRACED, Ack, Operation, Sync, read_trace
from powercut_writer import STORE_NAME, Load

# SQLite's longest write is a page of 64 KiB.
_TEXT_BYTES_MAX: Final = 1 << 20
_RECORDING_SECONDS_MAX: Final = 300
_CHECKPOINT_ROWS: Final = 150
_REPOSITORY: Final = Path(__file__).resolve().parents[2]
_WRITER: Final = Path(__file__).with_name("powercut_writer.py")


class RecordingError(Exception):
    """The writer could not be traced, or did not end well."""


@dataclass(frozen=True, slots=True)
class Recording:
    """A whole run of the writer, from the empty folder to the closed store."""

    folder: Path
    operations: list[Operation]

    @property
    def acknowledged(self) -> int:
        """How many events were acknowledged."""
        return sum(isinstance(one, Ack) for one in self.operations)

    @property
    def checkpoints(self) -> int:
        """How often the WAL was brought into the database while events came in."""
        acks = [at for at, one in enumerate(self.operations) if isinstance(one, Ack)]
        among = self.operations[acks[0] : acks[-1]] if acks else []
        return sum(isinstance(one, Sync) and one.name == STORE_NAME for one in among)


def why_not() -> str | None:
    """Say why nothing can be recorded on this machine; None: it can."""
    if sys.platform != "linux":
        return "system calls are traced with strace, which runs on Linux only"
    if shutil.which("strace") is None:
        return "strace is not installed; on Debian: apt-get install strace"
    tried = subprocess.run(  # noqa: S603 - a program that does nothing
        [*_strace(Path(os.devnull)), "true"], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        said = (tried.stderr.strip().splitlines() or ["no reason given"])[-1]
        return f"strace may not trace here ({said}); in a container it needs SYS_PTRACE"
    return None


def record(folder: Path, *, events: int, seed: int, is_normal: bool) -> Recording:
    """Run the writer in a new folder, and return what it did.

    The WAL is brought into the database about every 60 changed rows instead of 1000, so that this
    happens often in a short recording. `is_normal` runs it with `synchronous=NORMAL`.

    Raises:
        RecordingError: the writer could not be traced, or did not end well.
        TraceError: it did something that the replay doesn't model.
    """
    folder = folder.resolve()
    (folder / "store").mkdir(parents=True)
    load = Load(
        folder=folder / "store",
        acks=folder / "acks",
        events=events,
        seed=seed,
        checkpoint_rows=_CHECKPOINT_ROWS,
        is_normal=is_normal,
    )
    _run([*_strace(folder / "trace"), sys.executable, str(_WRITER), *load.arguments()])
    made = load_recording(folder)
    if made.acknowledged != events:
        raise RecordingError(f"{made.acknowledged} of {events} acknowledgements are in the trace")
    return made


def load_recording(folder: Path) -> Recording:
    """Read a recording that was kept. It must be where it was made: the trace has whole paths.

    Raises:
        TraceError: it holds something that the replay doesn't model.
    """
    folder = folder.resolve()
    with (folder / "trace").open("rb") as lines:
        return Recording(folder, read_trace(lines, folder / "store", folder / "acks"))


def _strace(trace: Path) -> list[str]:
    return [
        *("strace", "-f", "--seccomp-bpf", "-y", "-xx", "-s", str(_TEXT_BYTES_MAX)),
        # A question mark: not every machine has every call.
        *("-e", "trace=" + ",".join(f"?{call}" for call in TRACED), "-e", "signal=none"),
        *("-o", str(trace), "--"),
    ]


def _run(command: list[str]) -> None:
    # Without what measures coverage in child processes, which would trace all of this too.
    environment = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(_REPOSITORY)}
    with subprocess.Popen(  # noqa: S603 - our own program
        command,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            _, said = process.communicate(timeout=_RECORDING_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            raise RecordingError(f"not done in {_RECORDING_SECONDS_MAX} seconds") from None
        finally:
            if process.poll() is None:
                # The session is strace's and the writer's own.
                os.killpg(process.pid, signal.SIGKILL)
    if process.returncode != 0:
        raise RecordingError(f"the writer ended with {process.returncode}:\n{said[-1000:]}")
