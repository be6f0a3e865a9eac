"""Labelling names the languages that a model was not made for."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from affectlib.conversation import Conversation, Message
from affectlib.corpus import languages
from affectlib.corpus.label_file import label_file
from affectlib.corpus.languages import ForeignLanguages
from affectlib.formats import inspection
from affectlib.formats.inspection import language_detector
from tests.fake_classifier import FakeClassifier

ENGLISH = "I wrote a long letter to my sister, and then I did not send it to her."
GERMAN = "Seit er ausgezogen ist, sitze ich abends allein in der Küche und weiß nicht weiter."


def chats(*texts: str) -> list[Conversation]:
    return [Conversation((Message("user", text),)) for text in texts]


def test_languages_that_are_more_than_mistakes_are_named() -> None:
    found = ForeignLanguages(("en", "fr"), lambda text: text[:2])
    for chat in chats(*["en"] * 80, *["fr"] * 9, *["it"] * 2, *["de"] * 9, "unknown"[:2]):
        found.add(chat)
    line = found.line() or ""
    assert "de: 9" in line
    assert "it" not in line.split("(")[1].split(";")[0]


def test_only_the_first_conversations_are_looked_at() -> None:
    found = ForeignLanguages(("en",), lambda _: "de")
    (chat,) = chats("hallo")
    for _ in range(1500):
        found.add(chat)
    assert found.seen == found.counts["de"] == 1000


@pytest.mark.parametrize(("german", "named"), [(5, True), (0, False)])
def test_labelling_says_it(german: int, named: bool, tmp_path: Path) -> None:
    pytest.importorskip("py3langid", reason="needs affectlib[formats]")
    rows = chats(*[ENGLISH] * 20, *[GERMAN] * german)
    summary = label_file(rows, tmp_path / "labels.csv", classifier=FakeClassifier())
    assert ("de: 5" in (summary.foreign or "")) == named


def test_threads_load_the_detector_once(monkeypatch: pytest.MonkeyPatch) -> None:
    langid = pytest.importorskip("py3langid.langid", reason="needs affectlib[formats]")
    load, loaded = langid.LanguageIdentifier.from_model_file, []

    def count(*arguments: Any, **options: Any) -> Any:
        loaded.append(arguments)
        time.sleep(0.1)  # the others come meanwhile
        return load(*arguments, **options)

    monkeypatch.setattr(langid.LanguageIdentifier, "from_model_file", count)
    inspection._load_identifier.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(lambda text: language_detector()(text), [ENGLISH, GERMAN] * 2)
    assert [*found] == ["en", "de"] * 2
    assert len(loaded) == 1


def test_a_detector_that_cannot_unpack_its_tables_stops_no_labelling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(languages, "language_detector", refuse)
    summary = label_file(chats(GERMAN), tmp_path / "labels.csv", classifier=FakeClassifier())
    assert (summary.conversations, summary.foreign) == (1, None)
