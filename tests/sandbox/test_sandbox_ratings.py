from collections.abc import AsyncIterator
from typing import Any

import pytest
from sandbox_site import Site, errors_of, sample

from bridge.sandbox.tokens import CREATE_ERRAND

LIST = "c3_dirty_facebook_ratings"
RATINGS = "c3_facebook_ratings"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with Site().running() as running:
        yield running


async def make(site: Site, **wishes: Any) -> str:
    made = await site.tell("ratings", wishes, status=201)
    return str(made["id"])


async def dirty(site: Site, workspace: str = "demo") -> list[str]:
    document = await site.read(LIST, workspace=workspace)
    return [item["id"] for item in document["data"]]


async def test_new_ratings_are_listed_as_in_the_vendors_sample(site: Site) -> None:
    assert await site.read(LIST) == {"data": []}
    await make(site)
    await make(site)
    assert await site.read(LIST) == sample("dirty_facebook_ratings")


async def test_a_rating_is_as_in_the_vendors_sample_and_no_longer_listed(site: Site) -> None:
    expected = sample("facebook_rating")
    data = expected["data"]["attributes"]["data"]
    site.wall = data["timestampCreated"] + 0.5
    wishes = {name: data[name] for name in ("message", "rating", "reviewerId", "reviewerName")}
    rating = await make(site, **wishes)
    other = await make(site)
    assert await site.read(f"{RATINGS}/{rating}") == expected
    assert await dirty(site) == [other]
    assert await site.read(f"{RATINGS}/{rating}") == expected


async def test_only_the_fields_that_were_asked_for_are_sent(site: Site) -> None:
    rating = await make(site)
    document = await site.read(f"{RATINGS}/{rating}?fields%5Bc3_facebook_ratings%5D=c3_id")
    assert document["data"]["attributes"] == {"c3_id": 3}
    assert await dirty(site) == []


async def test_workspaces_have_a_list_each(site: Site) -> None:
    rating = await make(site, workspace="other")
    assert (await dirty(site), await dirty(site, "other")) == ([], [rating])
    assert (await site.get(f"{RATINGS}/{rating}")).status == 404
    assert await dirty(site, "other") == [rating]


@pytest.mark.parametrize("rating", ["4", "x", "9" * 5000])
async def test_an_unknown_rating_is_404(site: Site, rating: str) -> None:
    await make(site)
    response = await site.get(f"{RATINGS}/{rating}")
    assert response.status == 404
    await errors_of(response)


@pytest.mark.parametrize("resource", [LIST, f"{RATINGS}/3"])
async def test_the_claim_to_errand_data_is_needed(site: Site, resource: str) -> None:
    await make(site)
    response = await site.get(resource, claims=(CREATE_ERRAND,))
    assert response.status == 403
    await errors_of(response)


async def test_ratings_cant_be_marked(site: Site) -> None:
    document = {"data": {"type": LIST, "attributes": {}}}
    assert (await site.post(document)).status == 405


async def test_reading_counts_against_the_rate() -> None:
    async with Site(requests_per_minute=1).running() as site:
        rating = await make(site)
        assert await dirty(site) == [rating]
        assert (await site.get(f"{RATINGS}/{rating}")).status == 429


async def test_the_oldest_ratings_go(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.sandbox.ratings.RATINGS_KEPT_MAX", 2)
    made = [await make(site) for _ in range(3)]
    assert await dirty(site) == made[1:]


async def test_a_reset_forgets_them(site: Site) -> None:
    await make(site)
    await site.client.delete("/_sandbox")
    assert await dirty(site) == []
    assert await make(site) == "4"


@pytest.mark.parametrize(("wishes", "pointer"), [({"stars": 5}, "/stars"), ({"rating": "5"}, None)])
async def test_a_wrong_wish_is_422(site: Site, wishes: Any, pointer: str | None) -> None:
    answer = await site.tell("ratings", wishes, status=422)
    assert [error["source"]["pointer"] for error in answer["errors"]] == [pointer or "/rating"]
