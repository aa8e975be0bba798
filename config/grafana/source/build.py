"""Write the dashboards beside this folder, as Grafana imports them.

python config/grafana/source/build.py            writes them
python config/grafana/source/build.py --check    exits with 1 where one is not as it would be
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from delivery import delivery
from grafana_foundation_sdk.builders.dashboard import Dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from overview import overview
from process import process

FOLDER: Final = Path(__file__).resolve().parents[1]
BOARDS: Final[dict[str, Callable[[], Dashboard]]] = {
    "overview": overview,
    "delivery": delivery,
    "process": process,
}


def document(name: str) -> str:
    """Return a dashboard's JSON."""
    made = BOARDS[name]().build()
    for number, panel in enumerate(made.panels or [], 1):
        panel.id_val = number
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(made)}\n"


def main(arguments: Sequence[str]) -> int:
    """Write or check, and return the exit code."""
    wrong = []
    for name in BOARDS:
        path, text = FOLDER / f"{name}.json", document(name)
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != text:
            wrong.append(path.name)
    if wrong:
        sys.stderr.write(f"not as the source has them: {', '.join(wrong)}; run make dashboards\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
