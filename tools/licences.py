"""Write `docs/licences.md`: under which licence each package is that an installation brings along.

python tools/licences.py            writes it
python tools/licences.py --check    exits with 1 where it is not as it would be

Either way it exits with 1 where a licence is not among those allowed here. What a package says of
itself in its metadata counts; reading it takes a table of a few lines, and no tool of its own.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import metadata
from pathlib import Path
from typing import Final

from pages import ROOT, settle

# What may be shipped beside code under Apache-2.0 without asking anybody: permissive licences, and
# MPL-2.0, which asks for no more than that its own files stay under it.
ALLOWED: Final = frozenset(
    (
        *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "ISC", "MIT", "MIT-0", "MPL-2.0"),
        *("PSF-2.0", "Unlicense", "Zlib"),
    )
)
# How packages spell it whose metadata is from before SPDX expressions (PEP 639).
SPELLINGS: Final = {
    "Apache 2.0": "Apache-2.0",
    "Apache Software License": "Apache-2.0",
    "3-Clause BSD License": "BSD-3-Clause",
    "ISC License": "ISC",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
# What a package's metadata leaves open, as its licence file has it.
READ_BY_HAND: Final = {"jinja2": "BSD-3-Clause", "uvloop": "MIT OR Apache-2.0"}
LOCKS: Final = {"run": "the bridge", "otel": "the extra `otel`"}
# A line of a lock: what it pins, and for which machines.
PINNED: Final = re.compile(r"^([a-z0-9-]+)==[^ ;]+(?: ; (.+))? \\$", re.MULTILINE)
OF_WINDOWS: Final = "sys_platform == 'win32'"
CLASSIFIER: Final = "License :: OSI Approved :: "
WORDS: Final = re.compile(r"[A-Za-z0-9.+-]+")
HEAD: Final = """\
# Licences

<!-- `make docs` writes this page from the locks and what the packages say of themselves. -->

The bridge is under the Apache License 2.0 ([LICENSE](../LICENSE)). This is what an installation
brings along, and under which licence (as an SPDX expression). `make licences`, and `make test`,
fail on a licence that is not on the list in [tools/licences.py](../tools/licences.py), so that
a new dependency is looked at before it is shipped. What the tests and checks need is not shipped,
and not listed.

| package | licence | comes with |
| --- | --- | --- |
"""


def packages() -> dict[str, str]:
    """Return each package that is installed from a lock, and what it comes with."""
    found: dict[str, str] = {}
    for lock, owner in LOCKS.items():
        text = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8")
        for name, marker in PINNED.findall(text):
            if marker != OF_WINDOWS:
                found.setdefault(name, owner)
    return found


def licence(name: str) -> str:
    """Return a package's licence as an SPDX expression, or else as its metadata words it."""
    if name in READ_BY_HAND:
        return READ_BY_HAND[name]
    of = metadata(name)
    if "License-Expression" in of:
        return of["License-Expression"]
    classifiers = [
        text.removeprefix(CLASSIFIER)
        for text in of.get_all("Classifier") or []
        if text.startswith(CLASSIFIER)
    ]
    # The field may hold a whole licence; its first line then says which.
    texts = of.get_all("License") or [" AND ".join(classifiers) or "unknown"]
    first: str = texts[0].strip().partition("\n")[0].strip()
    return SPELLINGS.get(first, first)


def refused(licences: Mapping[str, str]) -> Iterator[str]:
    """Yield a line for each package whose licence is not allowed in all its parts."""
    for name, expression in licences.items():
        parts = set(WORDS.findall(expression)) - {"AND", "OR"}
        if not parts or not parts <= ALLOWED:
            yield f"{name}: {expression}"


def page(licences: Mapping[str, str], owners: Mapping[str, str]) -> str:
    """Return the whole page."""
    rows = (f"| {name} | {text} | {owners[name]} |\n" for name, text in sorted(licences.items()))
    return f"{HEAD}{''.join(rows)}"


def main() -> int:
    """Write or check, and return the exit code."""
    owners = packages()
    licences = {name: licence(name) for name in owners}
    wrong = list(refused(licences))
    for line in wrong:
        sys.stderr.write(f"{line}: is not allowed; see {Path(__file__).name}\n")
    code = settle({"docs/licences.md": page(licences, owners)}, sys.argv[1:])
    return 1 if wrong else code


if __name__ == "__main__":
    sys.exit(main())
