"""The types of request that the sandbox takes, and the claim of a token that each asks for."""

import re
from collections.abc import Mapping
from typing import Final

from bridge.sandbox.tokens import CONTACT_CARDS, CREATE_ERRAND, ERRAND_DATA, GET_ATTACHMENT

NEW_ERRANDS: Final = "c3_new_errands"
END_ERRANDS: Final = "c3_end_errands"
CARDS: Final = "c3_contact_cards"
DIRTY_ERRANDS: Final = "c3_dirty_errand_list"
REPORTS: Final = "c3_errand_reports"
DIRTY_RATINGS: Final = "c3_dirty_facebook_ratings"
RATINGS: Final = "c3_facebook_ratings"
ATTACHMENTS: Final = "c3_response_attachments"
ARCHIVES: Final = "c3_area_archives"

CLAIMS: Final[Mapping[str, str]] = {
    NEW_ERRANDS: CREATE_ERRAND,
    END_ERRANDS: CREATE_ERRAND,
    CARDS: CONTACT_CARDS,
    DIRTY_ERRANDS: ERRAND_DATA,
    REPORTS: ERRAND_DATA,
    DIRTY_RATINGS: ERRAND_DATA,
    RATINGS: ERRAND_DATA,
    ATTACHMENTS: GET_ATTACHMENT,
    ARCHIVES: GET_ATTACHMENT,
}
# What the administration API takes, as faults name it: the last word of the path, but for an id.
ORG: Final = "org"
AREA: Final = "area"
TAG: Final = "tag"
KEYWORDS: Final = "keywords"
AUTOTAGS: Final = "autotags"
SIP: Final = "sip"
ADMINISTRATION: Final = (ORG, AREA, TAG, KEYWORDS, AUTOTAGS, SIP)
_ADMINISTRATION_PATH: Final = re.compile(r"/s/[^/]*/v1/(?:routing/)?([a-z]+)")


# What the stand-in for One View takes, by the first word of the path after `/v1/`.
_ONEVIEW: Final[Mapping[str, str]] = {
    "info": "oneview_info",
    "online": "oneview_status",
    "offline": "oneview_status",
    "status": "oneview_status",
    "tickets": "oneview_tickets",
    "rooms": "oneview_rooms",
}
# All that a fault may be for.
KINDS: Final = (*CLAIMS, *dict.fromkeys(_ONEVIEW.values()), *ADMINISTRATION)


def kind_of(path: str) -> str:
    """Return the type in a path, empty where none is.

    `/s/<workspace>/capi/json/<type>[/<id>]`, or `/s/<workspace>/v1/[routing/]<type>[/<id>]`. In a
    path `/cs-chat-ticket/v1/<word>` it is what that word is for.
    """
    administration = _ADMINISTRATION_PATH.match(path)
    if administration is not None:
        return administration[1]
    parts = path.split("/")
    if parts[2:3] == ["v1"]:
        return _ONEVIEW.get(parts[3], "") if len(parts) > 3 else ""
    return parts[5] if len(parts) > 5 else ""
