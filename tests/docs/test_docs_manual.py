"""The manual page against the commands, and against those who show it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer.main

from bridge.cli.run import parser
from bridge.cli.shell import app

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "aventa-bridge.1"
# Releases are dated in the change log; a page that is made again the same has no day of its own.
NO_DATE = "missing date"


def leaves(command: Any, path: str = "aventa-bridge") -> dict[str, Any]:
    """Return every command that does something, by the words it is called with."""
    if not hasattr(command, "commands"):
        return {path: command}
    return {
        words: leaf
        for name, inner in command.commands.items()
        for words, leaf in leaves(inner, f"{path} {name}").items()
    }


def sections() -> dict[str, str]:
    """Return what is said of each command, without roff's escapes."""
    text = PAGE.read_text().replace(r"\-", "-")
    parts = re.split(r'^\.SS "\\fB(.+?)\\fR.*"$', text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_page_is_as_make_docs_writes_it() -> None:
    command = [sys.executable, str(ROOT / "tools" / "manual.py"), "--check"]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_command_stands_there_with_all_its_options_and_an_example() -> None:
    said = sections()
    for words, command in leaves(typer.main.get_command(app)).items():
        assert ".EX\naventa-bridge" in said[words], words
        for param in command.params:
            for name in param.opts:
                assert name.startswith("--") is False or name in said[words], (words, name)


def test_the_daemons_options_are_argparses_and_the_shell_completes_them() -> None:
    said = sections()["aventa-bridge run"]
    known = set(re.findall(r"--[a-z-]+", parser().format_help())) - {"--help", "--version"}
    assert known <= set(re.findall(r"--[a-z-]+", said))
    stand_in = leaves(typer.main.get_command(app))["aventa-bridge run"]
    assert {name for param in stand_in.params for name in param.opts} == known


@pytest.mark.service
@pytest.mark.skipif(shutil.which("man") is None, reason="needs man-db")
def test_man_shows_it_without_a_warning() -> None:
    command = ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(PAGE)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert (ended.returncode, ended.stderr) == (0, "")
    # Bold and the like come as letters struck over each other.
    shown = re.sub(".\b", "", ended.stdout)
    assert "aventa-bridge dead-letters replay [ID]... [OPTIONS]" in shown


@pytest.mark.service
@pytest.mark.skipif(shutil.which("mandoc") is None, reason="needs mandoc")
def test_mandoc_finds_nothing_wrong_with_it() -> None:
    command = ["mandoc", "-T", "lint", "-W", "warning", str(PAGE)]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603
    assert [line for line in ended.stdout.splitlines() if NO_DATE not in line] == []
