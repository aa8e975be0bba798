"""Changing a text before something is done with it: in a person's editor, or out of a file."""

import contextlib
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import typer

from bridge.cli.common import fail

STANDARD_INPUT: Final = "-"


@contextlib.contextmanager
def changed(
    text: bytes, *, edit: bool, given: Path | None, suffix: str = ".json"
) -> Iterator[bytes]:
    """Yield the text that is to stand in place of this one: as edited, or as a file holds it.

    What was edited is lost only if all goes well; else it is kept, for its owner's eyes, and said
    where. An editor that is left without a change ends the command.
    """
    if edit:
        with _edited(text, suffix) as after:
            yield after
    elif given is None:
        yield text
    elif str(given) == STANDARD_INPUT:
        yield typer.get_binary_stream("stdin").read()
    else:
        yield given.read_bytes()


@contextlib.contextmanager
def _edited(text: bytes, suffix: str) -> Iterator[bytes]:
    # A folder of its own, since editors leave copies beside what they edit.
    folder = Path(tempfile.mkdtemp(prefix="aventa-bridge-"))
    file = folder / f"edited{suffix}"
    file.touch(mode=0o600)
    file.write_bytes(text)
    is_over = False
    try:
        _run_editor(file)
        if not _is_changed(file, text):
            fail("Nothing was edited, so nothing was done.")
        yield file.read_bytes()
        is_over = True
    finally:
        if is_over or not _is_changed(file, text):
            shutil.rmtree(folder)
        else:
            # Some editors put a new file in its place.
            file.chmod(0o600)
            typer.echo(f"What was edited is kept: mend it, and use --with {file}", err=True)


def _is_changed(file: Path, text: bytes) -> bool:
    """Tell whether a file holds something, and not what it held before."""
    return file.exists() and file.read_bytes().strip() not in {b"", text.strip()}


def _run_editor(file: Path) -> None:
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        status = subprocess.run([*shlex.split(editor), file], check=False).returncode  # noqa: S603 - whoever is at the shell has chosen it
    except (OSError, ValueError) as error:
        fail(f"{editor}: can't be started ({error}); set $EDITOR, or use --with FILE")
    if status:
        fail(f"{editor}: ended with {status}, so nothing was done")
