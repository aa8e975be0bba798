"""The text that a request to Cention's administration API is signed over. Pure.

Source: the vendor's page "Cention Organization, Area, Routing and Tag API", "Signature".
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

StructSigning = Literal["values", "json"]


def signed_text(
    key_id: str, space: str, path: str, body: Mapping[str, Any], reading: StructSigning
) -> str:
    """Return `<id>:<space>:<api-path>:<value>:…`, the values by their fields' names.

    Without a body it ends with the path, as nothing says that a colon would follow (assumed).
    `path` is what comes after `/s/<workspace>`, such as `/v1/org/1`.
    """
    values = [value_text(body[key], reading) for key in sorted(body)]
    return ":".join([key_id, space, path, *values])


def value_text(value: Any, reading: StructSigning) -> str:
    """Return a value as it is signed.

    The page says how: a text is itself, and an array's items are joined by commas. Of booleans,
    numbers, structs and maps it says nothing. Assumed, and all of it here: true and false are
    written as in JSON, numbers in decimal. A struct or map (`bright_settings`,
    `working_time_data`, and each item of `server_emails`) is read in one of two ways, which
    `provision.struct_signing` picks:

    - `values`: by the rule that the page gives for the whole: its values ordered by key and joined
      by colons, and so on inwards;
    - `json`: as JSON without blanks, its keys in order.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ",".join(value_text(item, reading) for item in value)
    if isinstance(value, Mapping):
        if reading == "json":
            return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return ":".join(value_text(value[key], reading) for key in sorted(value))
    return str(value)
