"""Bodies of events: valid ones, odd ones, and ones whose bytes were changed."""

import json
from typing import Any, Final

from hypothesis import strategies as st

from bridge.domain.events import EventType

ASTRAL: Final = "\N{GRINNING FACE}"
BOM: Final = b"\xef\xbb\xbf"


def body(*members: str, **given: Any) -> bytes:
    """Return a valid event with more members, as they stand, behind those it needs."""
    needed = {
        "eventId": "e1",
        "eventType": "call.answered",
        "occurredAt": "2026-09-21T14:13:20Z",
        "referenceId": "r1",
        **given,
    }
    said = [f'"{key}": {json.dumps(value, ensure_ascii=False)}' for key, value in needed.items()]
    return ("{" + ", ".join([*said, *members]) + "}").encode("utf-8", "surrogatepass")


# Texts as they stand in a body, without what would end or escape them.
clean = st.characters(exclude_categories=["Cs"], exclude_characters='"\\', min_codepoint=32)


def texts(limit: int) -> st.SearchStrategy[str]:
    """Return texts in quotes, few of them at the limit."""
    full = st.sampled_from(["a", "å", "中", ASTRAL, "\x7f", "\u2028"]).map(lambda one: one * limit)
    short = st.text(clean, min_size=1, max_size=8)
    return st.one_of(short, short, short, full).map(lambda text: f'"{text}"')


def words(*some: str) -> st.SearchStrategy[str]:
    return st.sampled_from(some).map(lambda word: f'"{word}"')


@st.composite
def moments(draw: st.DrawFn) -> str:
    """Return times as RFC 3339 has them, most of them not long ago."""
    day = draw(st.sampled_from(["2026-09-21", "2026-09-20", "2026-02-28", "2024-02-29"]))
    clock = draw(st.sampled_from(["14:13:20", "00:00:00", "23:59:59", "23:59:60"]))
    fraction = draw(st.just("") | st.text("0123456789", min_size=1, max_size=9).map(".{}".format))
    offset = draw(st.sampled_from(["Z", "z", "+00:00", "-00:00", "+02:00", "-11:30", "+14:00"]))
    return f'"{day}{draw(st.sampled_from("Tt "))}{clock}{fraction}{offset}"'


numbers = st.integers(0, 2**31 - 1).map(str) | st.sampled_from(["0", "-0", str(2**31 - 1)])
phones = words("+60123456789", "070-123 45 67", "anonymous", "1001", "0046701234567", "+1 (2) x")
NEEDED: Final[dict[str, st.SearchStrategy[str]]] = {
    "eventId": texts(128),
    "eventType": words(*EventType),
    "occurredAt": moments(),
    "referenceId": texts(128),
    "deviceId": numbers,
    "extensionId": numbers,
}
FURTHER: Final[dict[str, st.SearchStrategy[str]]] = {
    "agentId": texts(256),
    "callerName": texts(256),
    "callerNumber": phones | texts(256),
    "cuid": texts(128),
    "destNumber": phones | texts(256),
    "dialedNumber": phones | texts(256),
    "link": words("https://pbx.example/1", "HTTP:x", "http:" + "å" * 2043),
    "outcome": words("completed", "no_answer", "busy", "failed", "voicemail"),
    "pagingName": texts(128),
    "pagingNumber": phones | texts(128),
    "queueName": words("Sales", "Försäljning", "EHS") | texts(128),
    "queueNumber": words("123") | texts(128),
    "relatedReferenceId": texts(128),
}
KNOWN: Final = NEEDED | FURTHER
odd_keys = words(
    *KNOWN,
    *("contact", "extraData", "attachments", "surprise", "event_id", "occurred_at", "time"),
    *("modelExtra", "EventId", "event\\u0049d", "caller\\u004eame", "", "deviceId ", "null"),
)
ODD_VALUES: Final = st.sampled_from(
    [
        *("null", "true", "false", '""', "17.0", "1e1", "1E0", "-0", "-1", "0.0", "01", "1.", "+1"),
        *("2147483648", "9223372036854775808", "1e999", "9" * 400, "NaN", "-Infinity", "1 2"),
        *('"\\u0041"', '"\\""', '"\\/"', '"\\\\"', '"\\ud83d\\ude00"', '"\\ud800"', '"\\u0000"'),
        *('"a\tb"', '"a\nb"', '"\0"', '"\x1f"', '"a"b"', '"null"', '"a": "b"', "'a'", '"a', 'a"'),
        *("[]", "{}", '["a"]', '[""]', '{"email": ["a@b"]}', '{"comment": "x"}', '{"deviceId": 1}'),
        *('"ftp://x"', '"https"', '"https://x"', '"a", "cuid": "a"', '1, "deviceId": 1', "", "1,"),
        *(f'"{"a" * 129}"', f'"{ASTRAL * 129}"', f'"{"å" * 257}"', f'"http:{"a" * 2044}"'),
        *('"\ud800"', '"\udfff"', f'"{ASTRAL}"', '"call.lost"', '"CALL.ENDED"', '"completed "'),
        *('"2026-09-21T14:13:20"', '"2026-09-21T24:00:00Z"', '"2026-13-01T00:00:00Z"'),
        *('"0001-01-01T00:00:00+14:00"', '"9999-12-31T23:59:59-14:00"', '"2026-09-21T14:13:61Z"'),
        *('"٢٠٢٦-09-21T14:13:20Z"', f'"2026-09-21T14:13:20.{"1" * 44}Z"'),
        f'"2026-09-21T14:13:20.{"1" * 43}Z"',
    ]
)  # fmt: skip
gaps = st.sampled_from(["", "", "", " ", "\n", "\t", "\r", " \r\n\t "])


def joined(members: list[tuple[str, str]], spaces: list[str]) -> bytes:
    """Return an object of these members, with these gaps around its tokens."""
    one, two, three, four = spaces
    inner = f"{three},{one}".join(f"{key}{two}:{four}{value}" for key, value in members)
    text = f"{one}{{{two}{inner}{three}}}{four}"
    return text.encode("utf-8", "surrogatepass")


@st.composite
def well_formed(draw: st.DrawFn, kind: EventType | None = None) -> bytes:
    """Return valid events, with what they may have in any order."""
    given = dict(NEEDED)
    if kind is not None:
        given["eventType"] = st.just(f'"{kind}"')
    for name in draw(st.sets(st.sampled_from(sorted(FURTHER)))):
        given[name] = FURTHER[name]
    members = [(f'"{name}"', draw(value)) for name, value in given.items()]
    return joined(draw(st.permutations(members)), [draw(gaps) for _ in range(4)])


@st.composite
def odd(draw: st.DrawFn) -> bytes:
    """Return events of which something or other is odd, or comes twice."""
    names = [*NEEDED, *draw(st.lists(st.sampled_from(sorted(FURTHER)), max_size=4, unique=True))]
    members = [(f'"{name}"', draw(KNOWN[name])) for name in names]
    for _ in range(draw(st.integers(0, 2))):
        index = draw(st.integers(0, len(members) - 1))
        value = draw(ODD_VALUES | KNOWN[draw(st.sampled_from(sorted(KNOWN)))])
        what = draw(st.sampled_from(["value", "key", "more", "again", "less"]))
        if what == "value":
            members[index] = members[index][0], value
        elif what == "key":
            members[index] = draw(odd_keys), members[index][1]
        elif what == "less":
            del members[index]
        else:
            key = draw(odd_keys) if what == "more" else members[index][0]
            members.insert(draw(st.integers(0, len(members))), (key, value))
    raw = joined(members, [draw(gaps) for _ in range(4)])
    before = draw(st.sampled_from([b""] * 8 + [BOM, b"\0", b"\x0c", b"[", b"\xc2\xa0"]))
    after = draw(st.sampled_from([b""] * 8 + [BOM, b"\0", b"}", b"{}", b",", b"x", raw]))
    return before + raw + after


steps = st.tuples(
    st.sampled_from(["set", "put", "cut", "twice"]),
    st.integers(0, 10_000),
    st.sampled_from([*b'"\\,:{}[]0119.eE+-ntf \t\r\n\0\x1f\x7f\x80\xbf\xc0\xed\xef\xf0\xff/uIN'])
    | st.sampled_from([*b"aZ7 :-+.\xc3\xa5"])
    | st.integers(0, 255),
)


def changed(raw: bytes, changes: list[tuple[str, int, int]]) -> bytes:
    """Return a body with some of its bytes changed, added, taken out, or said twice."""
    made = bytearray(raw)
    for what, place, byte in changes:
        at = place % (len(made) + 1)
        if what == "set":
            made[at : at + 1] = [byte]
        elif what == "put":
            made[at:at] = [byte]
        elif what == "cut":
            del made[at : at + 1 + byte % 4]
        else:
            made[at:at] = made[at : at + byte]
    return bytes(made)
