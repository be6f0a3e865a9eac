"""The page on dependencies says what is installed, and what each does when it is imported."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.supply_chain import (
    distributions,
    effects,
    is_installed,
    page_effects,
    page_extras,
    table_of_extras,
)
from tests.traced import why_not

WHY_NOT = why_not()


def test_the_page_lists_what_each_extra_installs() -> None:
    assert page_extras() == table_of_extras(), "python -m tests.supply_chain prints the table"


def test_the_page_says_of_each_dependency_of_users_what_its_import_does() -> None:
    assert [*page_effects()] == distributions()


@pytest.mark.slow
@pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))
@pytest.mark.parametrize("distribution", distributions())
def test_an_import_does_what_the_page_says(tmp_path: Path, distribution: str) -> None:
    if not is_installed(distribution):
        pytest.skip(f"{distribution} is not installed")
    assert effects(distribution, tmp_path).row(distribution) == page_effects()[distribution]
