"""The one way in which settings fail."""

from collections.abc import Sequence

from bridge.domain.errors import BridgeError


class SettingsError(BridgeError):
    """The settings are wrong, and nothing was started with them.

    `problems` holds one line a mistake: `key: what is wrong; what would be right`. No line repeats
    the value of a secret.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep every line; there is at least one. Names that hold control characters lose them."""
        self.problems = [_on_one_line(problem) for problem in problems]
        super().__init__("\n".join(self.problems))


def _on_one_line(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
