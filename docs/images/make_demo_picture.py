"""Make `demo.svg`: a real `make demo CALLS=20` on a terminal of its own, on the way and at the end.

Run it in the project's folder: `.venv/bin/python docs/images/make_demo_picture.py`.
"""  # noqa: INP001 - a script, no package

import codecs
import errno
import io
import os
import pty
import re
import select
import subprocess
import termios
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

CALLS: Final = 20
COMMAND: Final = ("make", "demo", f"CALLS={CALLS}")
PICTURE: Final = Path(__file__).with_name("demo.svg")
ROWS: Final = 50
COLUMNS: Final = 78
# A screen is whole when nothing more was written for so long.
QUIET_SECONDS: Final = 0.1
FONTS: Final = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"
_PIECE: Final = re.compile(r"\x1b\[(?P<what>[0-9;?]*)(?P<control>[A-Za-z])|\n|[^\x1b\n\r]+")


class Screen:
    """As much of a terminal as rich's live display asks for."""

    def __init__(self) -> None:
        self._rows = [""]
        self._row = 0

    def write(self, text: str) -> None:
        """Take what a program writes; what it says of the cursor's looks does not matter."""
        for piece in _PIECE.finditer(text):
            match piece["control"]:
                case "A":
                    self._row = max(0, self._row - int(piece["what"] or 1))
                case "K":
                    self._rows[self._row] = ""
                case None if piece[0] == "\n":
                    self._row += 1
                    self._rows.extend([""] * (self._row + 1 - len(self._rows)))
                case None | "m":
                    self._rows[self._row] += piece[0]

    def __str__(self) -> str:
        """Return what stands on it, colours included."""
        return "\n".join(self._rows).rstrip()


def watch() -> list[str]:
    """Run the demo; return each screen that it showed."""
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (ROWS, COLUMNS))
    environment = os.environ | {"TERM": "xterm-256color"}
    with subprocess.Popen(  # noqa: S603 - the command is written above
        COMMAND, stdin=its_end, stdout=its_end, stderr=its_end, env=environment
    ) as demo:
        os.close(its_end)
        screen, screens = Screen(), [""]
        decoder = codecs.getincrementaldecoder("utf-8")()
        while written := _read(terminal):
            screen.write(decoder.decode(written))
            is_whole = not select.select([terminal], [], [], QUIET_SECONDS)[0]
            if is_whole and str(screen) != screens[-1]:
                screens.append(str(screen))
        os.close(terminal)
    if demo.returncode != 0:
        raise SystemExit(f"The demo failed:\n{screen}")
    return [*screens[1:], str(screen)]


def _read(terminal: int) -> bytes:
    """Return what was written; nothing when the program has ended."""
    try:
        return os.read(terminal, 65536)
    except OSError as error:
        if error.errno == errno.EIO:  # how Linux says that nobody has the other end any more
            return b""
        raise


def draw(on_the_way: str, at_the_end: str) -> str:
    """Return both screens as one SVG that needs nothing from elsewhere."""
    console = Console(
        record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, highlight=False
    )
    console.print(Text(f"$ {' '.join(COMMAND)}", style="bold"))
    console.print(Text.from_ansi(on_the_way))
    console.print()
    console.print(Text.from_ansi(at_the_end))
    svg = console.export_svg(title="The demo, on the way and at the end", unique_id="demo")
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    return svg.replace("Fira Code, monospace", FONTS)


def main() -> None:
    """Make the picture."""
    screens = watch()
    # The address of the events' door is shown from the moment that calls are posted.
    live = [screen for screen in screens if f"of {CALLS}" in screen and "/v1/events" in screen]
    PICTURE.write_text(draw(live[len(live) // 2], screens[-1]), encoding="utf-8")


if __name__ == "__main__":
    main()
