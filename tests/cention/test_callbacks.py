import copy
from collections.abc import Callable
from typing import Any

import pytest
from callback_sample import PATH, errand_of, file_of, read, response_of, sample, with_link

from bridge.cention.callbacks import ANSWERED, ERRAND_TYPE, FILES_MAX, TYPE
from bridge.domain.answers import Answer, FileName, FileType, Recipient
from bridge.domain.errors import InvalidEvent

ATTACHMENT, ARCHIVE = FileType.ATTACHMENT, FileType.ARCHIVE


def refused(document: Any) -> list[str]:
    """Return where a document that is no callback is wrong."""
    with pytest.raises(InvalidEvent) as caught:
        read(document)
    assert all(issue.detail for issue in caught.value.issues)
    return [issue.pointer for issue in caught.value.issues]


def test_the_vendors_sample_is_read_whole() -> None:
    answer = read(sample())
    assert (answer.callback_id, answer.errand_id) == ("76", 2256)
    assert (answer.answer_id, answer.response_id) == ("1189", "3304")
    assert (answer.subject, answer.body) == ("Creating test errand via API", "text")
    assert answer.html_body == response_of(sample())["html_body"]
    assert answer.to == (Recipient(name="David Liew", email_address="david.liew@test.se"),)
    assert (answer.service_name, answer.service_type) == ("Form", 19)
    assert answer.foreign_links == 0


def test_the_samples_four_files_come_as_the_errand_names_them() -> None:
    assert read(sample()).files == (
        FileName(ATTACHMENT, 788),
        FileName(ATTACHMENT, 789),
        FileName(ATTACHMENT, 790),
        FileName(ARCHIVE, 12),
    )


def test_the_secret_is_no_part_of_an_answer() -> None:
    document = sample()
    document["meta"]["api_secret"] = "kanarie"
    assert "kanarie" not in repr(read(document))


def test_a_link_may_be_a_string_or_an_object() -> None:
    document = sample()
    for one in document["included"]:
        if "links" in one:
            one["links"]["self"] = one["links"]["self"]["href"]
    assert read(document) == read(sample())


@pytest.mark.parametrize("links", [None, [], 7, "x", {}, {"self": None}, {"self": {"href": 7}}])
def test_a_file_without_a_link_is_known_by_its_own_type_and_id(links: object) -> None:
    document = sample()
    file_of(document, "788")["links"] = links
    assert read(document) == read(sample())


def test_a_file_that_is_only_included_is_a_file_too() -> None:
    document = sample()
    del errand_of(document)["relationships"]
    assert set(read(document).files) == set(read(sample()).files)


def test_a_file_that_is_only_related_is_a_file_too() -> None:
    document = sample()
    document["included"] = [errand_of(document)]
    assert read(document).files == read(sample()).files


def test_a_file_that_is_named_twice_is_one_file() -> None:
    document = sample()
    related = errand_of(document)["relationships"]["attachments"]["data"]
    related.append(related[0])
    document["included"].append(file_of(document, "789"))
    assert read(document).files == read(sample()).files


def test_a_file_that_is_related_twice_is_the_one_that_its_link_names() -> None:
    document = with_link(f"/capi/json/{ATTACHMENT}/4711")
    related = errand_of(document)["relationships"]["attachments"]["data"]
    related.append(related[0])
    named = [one.id for one in read(document).files]
    assert named == [4711, 789, 790, 12]


def test_of_very_many_files_only_the_first_count() -> None:
    document = sample()
    related = [{"type": ATTACHMENT, "id": str(one)} for one in range(FILES_MAX * 2)]
    errand_of(document)["relationships"]["attachments"]["data"] = related
    assert [one.id for one in read(document).files] == list(range(FILES_MAX))


@pytest.mark.parametrize(
    ("link", "file"),
    [
        (f"http://localhost/capi/json/{ATTACHMENT}/900", (ATTACHMENT, 900)),
        (f"http://localhost/s/other/capi/json/{ATTACHMENT}/900", (ATTACHMENT, 900)),
        (f"http://localhost/capi/json/{ARCHIVE}/900/", (ARCHIVE, 900)),
        (f"http://localhost/capi/json/{ATTACHMENT}/900?{ARCHIVE}/7", (ATTACHMENT, 900)),
        (f"http://localhost/capi/json/{ATTACHMENT}/900#/{ARCHIVE}/7", (ATTACHMENT, 900)),
        (f"http://localhost/{ARCHIVE}/7/{ATTACHMENT}/900", (ATTACHMENT, 900)),
        (f"http://localhost/?/{ATTACHMENT}/900", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/-9", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/9x", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/٩", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/{'9' * 19}", (ATTACHMENT, 788)),
        (f"http://localhost/capi/json/{ATTACHMENT}/900/../901", (ATTACHMENT, 788)),
        ("http://localhost/capi/json/c3_errand_reports/900", (ATTACHMENT, 788)),
        ("http://localhost/capi/json/c3_new_errands/900", (ATTACHMENT, 788)),
        ("http://[::1/capi/json/c3_response_attachments/900", (ATTACHMENT, 788)),
    ],
)
def test_type_and_id_of_a_file_are_those_at_the_end_of_its_links_path(
    link: str, file: tuple[FileType, int]
) -> None:
    assert read(with_link(link)).files[0] == FileName(*file)


@pytest.mark.parametrize(
    "link",
    [
        f"http://127.0.0.1{PATH}",
        f"http://127.0.0.1:8080{PATH}",
        f"http://0x7f000001{PATH}",
        f"http://2130706433{PATH}",
        f"http://[::1]{PATH}",
        f"http://[::ffff:127.0.0.1]{PATH}",
        f"http://169.254.169.254{PATH}",
        f"http://evil.example{PATH}",
        f"http://localhost.evil.example{PATH}",
        f"http://localhost.{PATH}",
        f"http://cention.example{PATH}",
        f"http://cention.example:8444{PATH}",
        f"http://localhost:80{PATH}",
        f"http://localhost:8443{PATH}",
        f"http://localhost@evil.example{PATH}",
        f"http://localhost:x@evil.example{PATH}",
        f"http://evil@localhost{PATH}",
        f"http://localhost%40evil.example{PATH}",
        f"http://[::1{PATH}",
        f"http://{PATH}",
        f"file://{PATH}",
        f"file:{PATH}",
        f"file://localhost{PATH}",
        f"ftp://localhost{PATH}",
        f"gopher://localhost{PATH}",
        f"javascript:{PATH}",
        f"//localhost{PATH}",
        f"//evil.example{PATH}",
    ],
)
@pytest.mark.parametrize("is_object", [True, False])
def test_a_link_to_a_foreign_host_is_counted_and_names_no_more_than_a_file(
    link: str, *, is_object: bool
) -> None:
    answer = read(with_link({"href": link} if is_object else link))
    assert answer.foreign_links == 1
    assert answer.files == read(sample()).files
    assert "evil" not in repr(answer)


@pytest.mark.parametrize(
    "link",
    [
        f"http://localhost{PATH}",
        f"https://localhost{PATH}",
        f"HTTP://LOCALHOST{PATH}",
        f"https://cention.example:8443{PATH}",
        f"http://Cention.Example:8443/s/demo{PATH}",
        PATH,
        f"capi/json/{ATTACHMENT}/788",
        f"?{ATTACHMENT}/788",
        "",
    ],
)
def test_a_link_to_centions_own_host_is_not_foreign(link: str) -> None:
    answer = read(with_link(link))
    assert answer.foreign_links == 0
    assert answer.files == read(sample()).files


def test_every_foreign_link_is_counted() -> None:
    document = sample()
    for one in document["included"]:
        if "links" in one:
            one["links"]["self"]["href"] = f"http://evil.example{PATH}"
    assert read(document).foreign_links == 4


@pytest.mark.parametrize("document", [None, True, 7, 1.5, "x", [], [sample()], [[]]])
def test_what_is_no_object_is_no_callback(document: object) -> None:
    assert refused(document) == [""]


@pytest.mark.parametrize(
    "data",
    [None, [], "x", 7, {}, {"type": None}, {"type": [TYPE]}, {"type": {}}, {"type": f"{TYPE}x"}],
)
def test_what_is_of_another_type_is_no_callback(data: object) -> None:
    assert refused({**sample(), "data": data}) == ["/data/type"]


@pytest.mark.parametrize("of", [None, "", [], {}, True, 1.5, "x" * 65])
def test_a_callback_without_an_id_is_none(of: object) -> None:
    document = sample()
    document["data"]["id"] = of
    assert refused(document) == ["/data/id"]


def test_an_id_may_be_a_number_as_well() -> None:
    document = sample()
    document["data"]["id"] = 76
    document["data"]["relationships"]["errand"]["data"]["id"] = 2256
    for one in document["included"]:
        one["id"] = int(one["id"])
    for relation in errand_of(document)["relationships"].values():
        for one in relation["data"]:
            one["id"] = int(one["id"])
    assert read(document) == read(sample())


@pytest.mark.parametrize("attributes", [None, [], {}, {"event": 2}, {"event": "1"}])
def test_another_event_than_an_answer_is_no_callback(attributes: object) -> None:
    document = sample()
    document["data"]["attributes"] = attributes
    assert refused(document) == ["/data/attributes/event"]


def test_true_is_no_event() -> None:
    document = sample()
    document["data"]["attributes"] = {"event": True}
    assert refused(document) == ["/data/attributes/event"]


@pytest.mark.parametrize("included", [None, {}, "x", 7])
def test_what_includes_nothing_is_no_callback(included: object) -> None:
    assert refused({**sample(), "included": included}) == ["/included"]


@pytest.mark.parametrize("included", [[], [None, 7, "x", [], {}], [{"type": ERRAND_TYPE}]])
def test_what_does_not_include_its_errand_is_no_callback(included: object) -> None:
    assert refused({**sample(), "included": included}) == ["/included"]


@pytest.mark.parametrize("of", ["x", "-1", "1.0", " 1", "1\n", "٢", "9" * 19, -1])
def test_the_errands_id_is_a_number(of: object) -> None:
    document = sample()
    document["data"]["relationships"]["errand"]["data"]["id"] = of
    errand_of(document)["id"] = of
    assert refused(document) == ["/data/relationships/errand/data/id"]


@pytest.mark.parametrize("relationships", [None, [], {}, {"errand": {"data": {"id": None}}}])
def test_the_only_errand_included_is_the_one_if_none_is_named(relationships: object) -> None:
    document = sample()
    document["data"]["relationships"] = relationships
    assert read(document) == read(sample())


def test_of_two_errands_one_has_to_be_named() -> None:
    document = sample()
    other = copy.deepcopy(errand_of(document))
    other["id"] = "2257"
    document["included"].insert(0, other)
    assert read(document).errand_id == 2256
    del document["data"]["relationships"]
    assert refused(document) == ["/data/relationships/errand/data/id"]


def test_all_that_is_wrong_is_told_at_once() -> None:
    document = {"data": {"type": TYPE}}
    assert refused(document) == ["/data/id", "/data/attributes/event", "/included"]


def test_nothing_that_is_wrong_is_repeated() -> None:
    document = sample()
    document["data"] |= {"id": ["kanarie"], "attributes": {"event": "kanarie"}}
    document["data"]["relationships"]["errand"]["data"]["id"] = "kanarie"
    errand_of(document)["id"] = "kanarie"
    with pytest.raises(InvalidEvent) as caught:
        read(document)
    assert len(caught.value.issues) == 3
    assert "kanarie" not in repr(caught.value.issues) + str(caught.value)


@pytest.mark.parametrize("attributes", [None, [], "x", {}, {"answer": None, "service": []}])
def test_an_answer_of_which_nothing_is_told_is_one_all_the_same(attributes: object) -> None:
    document = {
        "data": {"type": TYPE, "id": "76", "attributes": {"event": ANSWERED}},
        "included": [{"type": ERRAND_TYPE, "id": "1", "attributes": attributes}],
    }
    assert read(document) == Answer(callback_id="76", errand_id=1)


ABSENT: list[tuple[Callable[[Any], Any], str, str, object]] = [
    (response_of, "subject", "subject", ""),
    (response_of, "body", "body", ""),
    (response_of, "html_body", "html_body", ""),
    (response_of, "to", "to", ()),
    (response_of, "c3_id", "response_id", ""),
    (lambda one: errand_of(one)["attributes"]["answer"], "c3_id", "answer_id", ""),
    (lambda one: errand_of(one)["attributes"]["service"], "name", "service_name", ""),
    (lambda one: errand_of(one)["attributes"]["service"], "type", "service_type", None),
]


@pytest.mark.parametrize(("where", "key", "field", "absent"), ABSENT)
@pytest.mark.parametrize("odd", [None, True, 1.5, [[]], {"": ""}])
def test_a_field_that_is_missing_or_of_another_type_costs_nothing_else(
    where: Callable[[Any], Any], key: str, field: str, absent: object, odd: object
) -> None:
    document = sample()
    where(document)[key] = odd
    answer, whole = read(document), read(sample())
    del where(document)[key]
    assert read(document) == answer
    assert getattr(answer, field) == absent
    for name in Answer.__struct_fields__:
        if name != field:
            assert getattr(answer, name) == getattr(whole, name)


def test_recipients_that_are_none_are_left_out() -> None:
    document = sample()
    response_of(document)["to"] = [None, "a@b", {"name": "Ada"}, {"email_address": 7}, []]
    assert read(document).to == (Recipient(name="Ada"), Recipient())
