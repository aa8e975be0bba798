"""Figures as a picture: one bar a target, 1 being the target itself.

Written by hand: what libraries there are put scripts, random ids or colours for one background into
the picture.
"""

from collections.abc import Sequence
from typing import Final
from xml.etree import ElementTree as ET

from bench_figures import Figure, Target
from bench_table import amount, target_words

WIDTH: Final = 640
SCORE_MAX: Final = 2.5
_LABELS: Final = 250
_BARS: Final = 300
_ROW: Final = 22
_TOP: Final = 30
_STYLE: Final = """
text { font: 12px system-ui, sans-serif; fill: #1f2328; }
.faint { fill: #656d76; }
.met { fill: #2da44e; } .missed { fill: #cf222e; }
line { stroke: #656d76; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .faint { fill: #8b949e; }
  .met { fill: #3fb950; } .missed { fill: #f85149; }
  line { stroke: #8b949e; }
}
"""


def chart(figures: Sequence[Figure]) -> str:
    """Return the picture as SVG."""
    bars = [
        (figure, target, measured)
        for figure in figures
        for target in figure.targets
        if (measured := figure.measured(target.of)) is not None
    ]
    height = _TOP + _ROW * len(bars) + 10
    svg = ET.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {height}",
            "width": str(WIDTH),
            "height": str(height),
            "role": "img",
        },
    )
    ET.SubElement(svg, "title").text = "Benchmarks, each against its target"
    ET.SubElement(svg, "style").text = _STYLE
    for number, bar in enumerate(bars):
        _bar(svg, _TOP + _ROW * number, *bar)
    at = str(_LABELS + _x(1.0))
    line = {"x1": at, "x2": at, "y1": str(_TOP - 6), "y2": str(height - 6)}
    ET.SubElement(svg, "line", line)
    _text(svg, float(at), _TOP - 12, "target", anchor="middle", kind="faint")
    ET.indent(svg)
    return f"{ET.tostring(svg, encoding='unicode')}\n"


def _x(score: float) -> int:
    return round(_BARS * min(score, SCORE_MAX) / SCORE_MAX)


def _bar(svg: ET.Element, top: int, figure: Figure, target: Target, measured: float) -> None:
    score = target.score(measured)
    middle = top + 14
    _text(
        svg,
        _LABELS - 8,
        middle,
        f"{figure.name}: {target_words(target, figure.unit)}",
        anchor="end",
    )
    rect = {
        "x": str(_LABELS),
        "y": str(top + 3),
        "width": str(max(1, _x(score))),
        "height": str(_ROW - 7),
        "rx": "2",
        "class": "met" if target.is_met(measured) else "missed",
    }
    ET.SubElement(svg, "rect", rect)
    shown = f"{amount(score)}{'' if score <= SCORE_MAX else ' »'}"
    _text(svg, _LABELS + _x(score) + 6, middle, shown, kind="faint")


def _text(
    svg: ET.Element, x: float, y: int, words: str, *, anchor: str = "start", kind: str = ""
) -> None:
    place = {"x": f"{x:g}", "y": str(y), "text-anchor": anchor}
    ET.SubElement(svg, "text", place | ({"class": kind} if kind else {})).text = words
