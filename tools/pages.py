"""Files that are made from the code: written, or held against what they would be."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def settle(made: Mapping[str, str], arguments: Sequence[str]) -> int:
    """Write what was made, by its place in the repository; with `--check`, compare it instead.

    Returns the exit code: 1 where a file is not as it would be.
    """
    stale = []
    for place, text in made.items():
        path = ROOT / place
        if "--check" not in arguments:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(place)
    if stale:
        sys.stderr.write(f"not as the code has them: {', '.join(stale)}; run make docs\n")
    return 1 if stale else 0
