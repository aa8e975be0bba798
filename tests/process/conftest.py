from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from process_daemon import NewSite, Site, running_site

SLOW = ("process", "simulation", "watch", "powercut")
SLOWEST = ("test_process_tracing.py", "test_process_disk.py", "test_simulation.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long for a file: else one worker has it to do when all others are done.

    The order within a file stays.
    """
    items.sort(key=lambda item: (item.path.parent.name not in SLOW, item.path.name not in SLOWEST))


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that tests share: each has calls and callers of its own, and leaves nothing to do."""
    with running_site(tmp_path_factory.mktemp("site")) as running:
        yield running


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[NewSite]:
    """Make a site of a test's own; see `running_site`."""
    with ExitStack() as stack:

        def make(*arguments: str | Path, **given: Any) -> Site:
            return stack.enter_context(running_site(tmp_path, *arguments, **given))

        yield make
