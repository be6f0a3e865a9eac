"""The page on dependencies says what is installed, and what each does when it is imported."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.traced import why_not
from tools.supply_chain import (
    Effects,
    distributions,
    effects,
    is_installed,
    page_effects,
    page_extras,
    table_of_extras,
)

WHY_NOT = why_not()


def test_the_page_lists_what_each_extra_installs() -> None:
    assert page_extras() == table_of_extras(), "python -m tools.supply_chain prints the table"


def test_the_page_says_of_each_dependency_of_users_what_its_import_does() -> None:
    assert [*page_effects()] == distributions()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Effects]:
    """What each import does; most of the time is waiting, so several run at once."""
    names = [name for name in distributions() if is_installed(name)]
    folders = [tmp_path_factory.mktemp("import") for _ in names]
    with ThreadPoolExecutor(4) as pool:
        return dict(zip(names, pool.map(effects, names, folders), strict=True))


@pytest.mark.slow
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("distribution", distributions())
def test_an_import_does_what_the_page_says(found: dict[str, Effects], distribution: str) -> None:
    if distribution not in found:
        pytest.skip(f"{distribution} is not installed")
    assert found[distribution].row(distribution) == page_effects()[distribution]
