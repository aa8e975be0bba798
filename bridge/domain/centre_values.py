"""The values that Cention's administration API names: kinds of things, time zones, languages, days.

Source: the vendor's page "Cention Organization, Area, Routing and Tag API".
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final, TypeGuard

from msgspec import Struct


class Kind(StrEnum):
    """What a centre is made of, each after what it may refer to."""

    ORGANIZATION = "organization"
    AREA = "area"
    TAG = "tag"
    KEYWORD = "keyword"
    AUTOTAG = "autotag"
    SIP = "sip"

    @property
    def rank(self) -> int:
        """Where it stands in the order in which things are made."""
        return tuple(Kind).index(self)


class Ref(Struct, frozen=True, order=True):
    """One thing of a centre, by the name that its file gives it: `area.reception`."""

    kind: Kind
    name: str

    def __str__(self) -> str:
        """Return it as a person writes it."""
        return f"{self.kind}.{self.name}"


# What a store can hold; the page says only that ids are integers.
ID_MAX: Final = 2**63 - 1


def is_id(value: Any) -> TypeGuard[int]:
    """Say whether this can be the id of something."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= ID_MAX


# Each zone of the page's table, and its abbreviation, which is what is sent. GST is two zones'.
TIME_ZONES: Final[Mapping[str, str]] = {
    "Pacific/Midway": "SST",
    "US/Hawaii": "HDT",
    "US/Alaska": "AKDT",
    "US/Pacific": "PST",
    "US/Arizona": "MST",
    "US/Central": "CST",
    "US/Eastern": "EST",
    "Brazil/West": "AMT",
    "America/Buenos_Aires": "ART",
    "Atlantic/South_Georgia": "GST",
    "Atlantic/Cape_Verde": "CVT",
    "GMT": "GMT",
    "Europe/London": "BST",
    "Europe/Stockholm": "CET",
    "Europe/Helsinki": "EET",
    "Europe/Moscow": "MSK",
    "Asia/Baghdad": "AST",
    "Asia/Dubai": "GST",
    "Asia/Karachi": "PKT",
    "Asia/Dhaka": "BDT",
    "Asia/Jakarta": "WIB",
    "Asia/Kuala_Lumpur": "MYT",
    "Asia/Manila": "PHT",
    "Asia/Seoul": "KST",
    "Australia/Canberra": "AEDT",
    "Asia/Vladivostok": "VLAT",
    "Pacific/Auckland": "NZST",
}
LANGUAGES: Final[Mapping[str, str]] = {
    "Swedish": "SE",
    "Norwegian": "NO",
    "Danish": "DK",
    "Finnish": "FI",
}
ROUTING_TYPES: Final = ("From", "To", "Subject", "Subject or text")
WEEKDAYS: Final = (
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
)
