"""JMESPath as a site writes it: what nobody can have meant is found before it is used."""

import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from bridge.domain.errors import InvalidExpression
from bridge.domain.spelling import hint


def compiled(text: str, functions: Mapping[str, Any]) -> ParsedResult:
    """Return an expression that may call the functions of this table (JMESPath's own form).

    Raises:
        InvalidExpression: it is no JMESPath, or calls another function, or one with too many or too
            few arguments.
    """
    try:
        with warnings.catch_warnings():
            # `text` for 'text' is an old way of writing, and still understood.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            result: ParsedResult = jmespath.compile(text)
    except (JMESPathError, ValueError, RecursionError) as error:
        raise InvalidExpression(" ".join(str(error).split())) from None
    for node in nodes(result.parsed, "function_expression"):
        _check_call(node, functions)
    return result


def _check_call(node: Mapping[str, Any], functions: Mapping[str, Any]) -> None:
    name, given = node["value"], len(node["children"])
    known = functions.get(name)
    if known is None:
        raise InvalidExpression(f"there is no function {name}(){hint(name, functions)}")
    wanted, is_open = len(known["signature"]), known["signature"][-1].get("variadic", False)
    if given < wanted or (given > wanted and not is_open):
        least = "at least " if is_open else ""
        raise InvalidExpression(
            f"Expected {least}{wanted} arguments for function {name}(), received {given}"
        )


def nodes(tree: Mapping[str, Any], kind: str) -> Iterator[Mapping[str, Any]]:
    """Yield all parts of one kind in an expression."""
    if tree["type"] == kind:
        yield tree
    for child in tree["children"]:
        if isinstance(child, dict):
            yield from nodes(child, kind)
