"""The mistakes that were found so far, and what several checks say alike."""

from dataclasses import dataclass, field
from typing import Final

from bridge.settings.keys import KeyPath

Mistake = tuple[KeyPath, str]
# What a number in national form hangs on.
READING: Final = (("msisdn", "default_region"), ("msisdn", "bare_digits"))


@dataclass(slots=True)
class Findings:
    """The mistakes so far. What hangs on a key that is `broken` anyway is not said again."""

    broken: set[KeyPath]
    mistakes: list[Mistake] = field(default_factory=list)

    def add(self, path: KeyPath, text: str, *others: KeyPath) -> None:
        """Note a mistake at a key, unless that or another that it hangs on is broken."""
        if not any(self._is_broken(key) for key in (path, *others)):
            self.mistakes.append((path, text))

    def _is_broken(self, path: KeyPath) -> bool:
        return any(path[: len(key)] == key for key in self.broken)


def no_number(region: str | None) -> str:
    """Return what to say of a number that is none as it is read in a region."""
    where = f"in {region}" if region else "without msisdn.default_region"
    return f"is no valid number {where}; use plus and country code, such as +60374571234"
