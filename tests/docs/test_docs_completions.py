"""Completion in real shells: what a Tab would offer."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "config" / "completions"
ENVIRON = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
# A terminal of its own for zsh: a Tab, and then what is shown.
ZSH = """\
zmodload zsh/zpty
zpty -b tty zsh -f -i
zpty -w tty "PS1=; unsetopt zle_bracketed_paste 2>/dev/null; fpath=({folder} \\$fpath)"
zpty -w tty "autoload -Uz compinit && compinit -u -D; stty columns 200; print READY\\$((1+1))"
zpty -r tty seen '*READY2*'
zpty -w -n tty $'aventa-bridge dead-letters re\\t'
zpty -r tty seen '*replay*'
print -r -- "$seen"
"""


def run(*command: str, **environ: str) -> str:
    ended = subprocess.run(  # noqa: S603
        command,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
        env=ENVIRON | environ,
        stdin=subprocess.DEVNULL,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def needs(shell: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(shell) is None, reason=f"needs {shell}")


def in_bash(*words: str) -> set[str]:
    """Return what bash offers for the last of the words."""
    quoted = " ".join(f"'{word}'" for word in words)
    text = (
        f'source "{FOLDER}/aventa-bridge"; COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1};'
        ' _aventa_bridge_completion aventa-bridge; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(run("bash", "--norc", "-c", text).split())


def test_the_files_are_as_make_docs_writes_them() -> None:
    assert run(sys.executable, str(ROOT / "tools" / "completions.py"), "--check") == ""


def test_bash_offers_commands_options_and_choices() -> None:
    assert in_bash("aventa-bridge", "dea") == {"dead-letters"}
    assert in_bash("aventa-bridge", "dead-letters", "re") == {"replay"}
    assert in_bash("aventa-bridge", "run", "--s") == {"--secrets-dir"}
    assert in_bash("aventa-bridge", "dead-letters", "list", "--state", "") == {
        "dead",
        "held",
        "parked",
    }


def test_the_command_prints_the_script_of_a_shell_by_itself() -> None:
    printed = run("aventa-bridge", _AVENTA_BRIDGE_COMPLETE="source_bash")
    assert printed.strip() == (FOLDER / "aventa-bridge").read_text().strip()


@pytest.mark.service
@needs("fish")
def test_fish_offers_commands_with_what_they_do(tmp_path: Path) -> None:
    text = f"source {FOLDER}/aventa-bridge.fish; complete -C 'aventa-bridge dead-letters re'"
    offered = run("fish", "--no-config", "--command", text, HOME=str(tmp_path))
    name, _, said = offered.strip().partition("\t")
    assert name == "replay"
    assert said


@pytest.mark.service
@needs("zsh")
def test_zsh_completes_at_the_first_tab(tmp_path: Path) -> None:
    text = ZSH.replace("{folder}", str(FOLDER))
    assert "replay" in run("zsh", "-f", "-c", text, HOME=str(tmp_path))
