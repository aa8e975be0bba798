"""Texts that a site writes: Jinja2 templates, tried out before any call depends on them.

Sandboxed, since a template is to see an event's values and nothing else; HTML is autoescaped, since
these values come from strangers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from jinja2 import Environment, StrictUndefined, Template, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from bridge.domain.errors import InvalidTemplate
from bridge.domain.spelling import hint


class Extra(dict[str, Any]):
    """What a phone system sends beside the fields that everybody knows.

    Which keys there are differs from call to call, so one that is missing is an empty text.
    """

    def __missing__(self, _key: str) -> str:
        """Return nothing for a key that isn't there."""
        return ""


# What a template may name, as a call might have it. Every template is rendered with these once.
FULL_EXAMPLE: Final[Mapping[str, Any]] = {
    "what": "Call",
    "caller": "Ada",
    "number": "+60123456789",
    "queue": "EHS",
    "queue_number": "123",
    "called": "60374571234",
    "time": "2026-03-01 09:30:00 UTC",
    "reason": "reschedule appointment",
    "comment": "internal comment",
    "appointment": "2026-03-02 10:00",
    "link": "https://pbx.example/rec/1",
    "reference": "1",
    "cuid": "5462-13-6485",
    "type": "call.answered",
    "outcome": "completed",
    "dialed": "60123456789",
    "waited": 12,
    "extra": Extra(),
}
_ALWAYS: Final = frozenset({"what", "caller", "time", "reference", "type", "outcome", "extra"})
# The same of a call of which next to nothing is known.
BARE_EXAMPLE: Final[Mapping[str, Any]] = {
    name: value if name in _ALWAYS else type(value)() for name, value in FULL_EXAMPLE.items()
}


def _environment(*, is_html: bool) -> Environment:
    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=is_html)


@dataclass(slots=True)
class Texts:
    """Templates, compiled once each."""

    _environments: dict[bool, Environment] = field(
        default_factory=lambda: {one: _environment(is_html=one) for one in (False, True)},
        init=False,
    )
    _templates: dict[tuple[str, bool], Template] = field(default_factory=dict, init=False)
    _own_names: dict[str, Any] = field(default_factory=dict, init=False)

    def add(self, text: str, *, is_html: bool = False) -> None:
        """Compile a template, and try it on a call of which all is known and on a bare one.

        Raises:
            InvalidTemplate: it can't be compiled, names what no call has, or fails on one of them.
        """
        if (text, is_html) in self._templates:
            return
        environment = self._environments[is_html]
        try:
            names = meta.find_undeclared_variables(environment.parse(text))
            template = environment.from_string(text)
        except Exception as error:  # noqa: BLE001 - a site's template may raise anything
            raise InvalidTemplate(_reason(error)) from None
        if strange := sorted(names - FULL_EXAMPLE.keys() - environment.globals.keys()):
            meant = hint(strange[0], FULL_EXAMPLE)
            raise InvalidTemplate(f"{strange[0]!r} is undefined{meant}")
        try:
            template.render(FULL_EXAMPLE)
        except Exception as error:  # noqa: BLE001 - as above
            raise InvalidTemplate(_reason(error)) from None
        try:
            template.render(BARE_EXAMPLE)
        except Exception as error:  # noqa: BLE001 - as above
            what = "fails where a call tells little"
            raise InvalidTemplate(f"{what}: {_reason(error)}") from None
        self._templates[text, is_html] = template
        self._own_names = dict(environment.globals)

    def fill(self, text: str, values: Mapping[str, Any], *, is_html: bool = False) -> str | None:
        """Fill in a template that was added; None: it fails on these values.

        Raises nothing, whatever a site's template does.
        """
        if not text:
            return ""
        try:
            template = self._templates[text, is_html]
            # As `render` does, without looking through Jinja2's own names one by one each time.
            names = {**self._own_names, **values}
            environment = template.environment
            context = environment.context_class(environment, names, template.name, template.blocks)
            return "".join(template.root_render_func(context))
        except Exception:  # noqa: BLE001 - a site's template may raise anything
            return None


def _reason(error: Exception) -> str:
    """Return what went wrong, on one line."""
    return " ".join(str(error).split()) or type(error).__name__
