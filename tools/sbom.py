"""Write `dist/aventa-bridge.cdx.json`: all that is shipped, as CycloneDX, from the lock.

python tools/sbom.py SUPPLY [FILE]     SUPPLY is the environment that has cyclonedx-py

cyclonedx-py reads the lock. What a lock can't tell is added from the packages' own metadata: their
licences, and which of them needs which. The result is checked against CycloneDX's schema.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import requires
from pathlib import Path
from typing import Any, Final

from licences import licence, packages
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from pages import ROOT

from bridge import __version__

# For whom it is told what needs what, whoever tells it.
PLATFORM: Final = {
    "extra": "",
    "implementation_name": "cpython",
    "os_name": "posix",
    "platform_machine": "x86_64",
    "platform_python_implementation": "CPython",
    "platform_system": "Linux",
    "python_full_version": "3.11.0",
    "python_version": "3.11",
    "sys_platform": "linux",
}
OWN_REF: Final = f"pkg:pypi/aventa-bridge@{__version__}"
VALID: Final = """
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(sys.stdin.read())
sys.exit(str(problem) if problem else 0)
"""


def document(supply: Path) -> dict[str, Any]:
    """Return the list of parts."""
    command = [
        *(str(supply / "bin" / "cyclonedx-py"), "requirements", "requirements/run.txt"),
        *("--pyproject", "pyproject.toml", "--spec-version", "1.6"),
        *("--output-reproducible", "--no-validate"),
    ]
    ended = subprocess.run(  # noqa: S603 - the tool that the Makefile installed
        command, cwd=ROOT, check=True, capture_output=True, text=True
    )
    made: dict[str, Any] = json.loads(ended.stdout)
    owners = packages()
    parts = [part for part in made["components"] if part["name"] in owners]
    refs = {part["name"]: part["purl"] for part in parts}
    for part in parts:
        # Which line of the lock it was, which says nothing to anybody else.
        del part["description"]
        part["bom-ref"] = part["purl"]
        part["licenses"] = [{"expression": licence(part["name"])}]
    made["components"] = parts
    made["metadata"]["component"] |= {
        "bom-ref": OWN_REF,
        "purl": OWN_REF,
        "version": __version__,
    }
    needs = {OWN_REF: _needed_by("aventa-bridge", refs)}
    needs |= {ref: _needed_by(name, refs) for name, ref in refs.items()}
    made["dependencies"] = [
        {"ref": ref, "dependsOn": wanted} for ref, wanted in sorted(needs.items())
    ]
    return made


def _needed_by(name: str, refs: dict[str, str]) -> list[str]:
    wanted = [Requirement(text) for text in requires(name) or []]
    names = {
        canonicalize_name(one.name)
        for one in wanted
        if one.marker is None or one.marker.evaluate(PLATFORM)
    }
    return sorted(refs[one] for one in names if one in refs)


def main(arguments: Sequence[str]) -> int:
    """Write it, once it is known to be right; return the exit code."""
    supply = Path(arguments[0])
    place = Path(arguments[1]) if arguments[1:] else ROOT / "dist" / "aventa-bridge.cdx.json"
    text = f"{json.dumps(document(supply), indent=2, sort_keys=True)}\n"
    checked = subprocess.run(  # noqa: S603 - the same environment
        [str(supply / "bin" / "python"), "-c", VALID], check=False, input=text, text=True
    )
    if checked.returncode == 0:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{place}\n")
    return checked.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
