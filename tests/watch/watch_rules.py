"""The alerts' rules on a clock that runs sixty times as fast: what takes minutes takes seconds.

Only lengths of time change: windows, `for:`, offsets, intervals, and thresholds that are written as
minutes (`5 * 60`). What a rule says stays as it is.
"""

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
RULES: Final = ROOT / "config" / "prometheus" / "rules" / "aventa-bridge.yml"
SPEED: Final = 60
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_LENGTH: Final = re.compile(
    r"(?P<before>\[|offset |for: |interval: )(?P<count>\d+)(?P<unit>[smhd])\b"
)
_MINUTES: Final = re.compile(r"\* 60\b")
# Whenever the tests run, it is to be working time.
_HOURS: Final = (
    (re.compile(r"hour\(\) >= \d+"), "hour() >= 0"),
    (re.compile(r"hour\(\) < \d+"), "hour() < 24"),
    (re.compile(r"day_of_week\(\) >= \d+"), "day_of_week() >= 0"),
    (re.compile(r"day_of_week\(\) <= \d+"), "day_of_week() <= 6"),
)


def hastened(text: str) -> str:
    """Return rules whose lengths of time are a sixtieth, and whose working hours are always."""
    text = _LENGTH.sub(_shorter, text)
    text = _MINUTES.sub("* 1", text)
    for hours, always in _HOURS:
        text = hours.sub(always, text)
    return text


def _shorter(found: re.Match[str]) -> str:
    seconds = int(found["count"]) * _SECONDS[found["unit"]] / SPEED
    return f"{found['before']}{max(1, round(seconds))}s"
