from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from affectlib.errors import ArtifactNotFoundError
from tests.fake_classifier import FakeClassifier


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[FakeClassifier]:
    """Puts the fake in the place of the classifier, and lists those that were made."""
    made: list[FakeClassifier] = []

    class Stand(FakeClassifier):
        @classmethod
        def from_pretrained(cls, **options: Any) -> FakeClassifier:
            if options.get("model") == "nowhere":
                raise ArtifactNotFoundError("no model 'nowhere'")
            made.append(cls(**options))
            return made[-1]

    module = ModuleType("affectlib.classifier")
    module.AffectClassifier = Stand  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "affectlib.classifier", module)
    return made
