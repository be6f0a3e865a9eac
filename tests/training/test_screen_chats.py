"""What teaches a screen, and what has a say in its bounds."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")

from tests.conftest import assistant, user
from training.data import sources
from training.data.prepare import EvaluationIndex
from training.data.sources import load_manifest
from training.screen import chats
from training.screen.chats import CHECK, KINDS, PARTS, SETS, read_chats

WORDS = "please convert this table of prices to a list and round each of its numbers"


def row(number, text=WORDS, **about):
    return {"id": f"{number}", "messages": [user(f"{number} {text}"), assistant("Done.")], **about}


@pytest.fixture
def sets(monkeypatch):
    """Sets that tests fill; the corpus and all others are empty."""
    rows = {}
    load_manifest()
    monkeypatch.setattr(sources, "read_rows", lambda file: rows.get(file, []))
    monkeypatch.setattr(sources, "read_source", lambda name, data: iter(rows.get(name, [])))
    monkeypatch.setattr(sources, "read_corpus", lambda *split: rows.get("corpus", []))
    monkeypatch.setattr(sources, "read_small_talk", lambda data: [])
    return rows


def test_all_sets_that_may_train_teach_and_none_that_may_not_is_asked():
    manifest = load_manifest()
    names = {*SETS} - {"corpus", "twins"}
    assert names == {s.name for s in manifest.values() if s.use != "eval"}
    assert {kind for kind, _ in SETS.values()} == {*KINDS}


def test_only_training_sets_teach(sets):
    sets["clinc150"] = [row(n) for n in range(50)]
    sets["sharegpt_dev"] = [row(n, "and how are you") for n in range(50, 80)]
    found = read_chats(None)
    assert {chat.source for chat in found if chat.teaches} == {"clinc150"}
    assert {chat.source for chat in found if not chat.teaches} == {"sharegpt_dev"}
    assert {chat.part for chat in found} == {*range(PARTS)}


def test_what_is_like_evaluation_data_does_not_teach(sets):
    sets["clinc150"] = [row(1), row(2, "Convert a list of numbers to a table for my homework now")]
    sets["sharegpt_dev"] = [row(1)]
    assert [chat.conversation.id for chat in read_chats(None) if chat.teaches] == ["2"]


def test_splits_of_the_corpus_teach_decide_and_check(sets):
    splits = ["train", "dev", "test"] * 20
    texts = ["round numbers", "sort names", "count the words in my poem"]
    sets["corpus"] = [
        {**row(n, texts[n % 3]), "split": split, "pair": None, "labels": calm(), "lang": "en"}
        for n, split in enumerate(splits)
    ]
    found = read_chats(None)
    assert {chat.teaches for chat in found if chat.conversation.id == "0"} == {True}
    assert not any(chat.teaches for chat in found if int(chat.conversation.id) % 3)
    assert {chat.part for chat in found if int(chat.conversation.id) % 3 == 2} == {CHECK}


def test_annotations_say_what_is_charged(sets):
    sets["goemotions"] = [row("a"), row("b"), row("c")]
    charged = {"charge": 2, "cues": [], "turns": [1]}
    sets["annotations.jsonl"] = [
        {"id": "a", "source": "goemotions", "labels": charged},
        {"id": "b", "source": "goemotions", "labels": calm()},
    ]
    found = {chat.conversation.id: chat.charged for chat in read_chats(None)}
    assert found == {"a": True, "b": False, "c": False}


@pytest.mark.parametrize(
    ("name", "file"),
    [("studies_dev", "study_labels.jsonl"), ("sharegpt_dev", "real_dev_labels.jsonl")],
)
def test_our_labels_say_which_dev_chats_are_charged(sets, name, file):
    """Not the labels in the rows of the set, which it may lack."""
    charged = {"charge": 2, "cues": [], "turns": [1]}
    sets[name] = [row("a"), row("b", labels=charged)]
    sets[file] = [{"id": "a", "labels": charged}, {"id": "b", "labels": calm()}]
    found = {chat.conversation.id: chat.charged for chat in read_chats(None)}
    assert found == {"a": True, "b": False}


def test_what_is_much_alike_shares_a_part():
    long = "the same long beginning of a chat " * 10
    made = [
        chats.Chat.of(
            sources.from_silver({"id": f"{n}", "messages": [user(long + f"{n}")]}, "x"),
            "clinc150",
        )
        for n in range(20)
    ]
    assert len({chat.part for chat in made}) == 1


def part_of(source, messages, **about):
    labelled = sources.from_gold({"messages": messages, "labels": calm(), **about}, source)
    return chats.Chat.of(labelled, source).part


def test_chats_of_one_person_share_a_part():
    said = [[user(f"{n} something else {n}")] for n in range(20)]
    known = {part_of("studies_train", one, id=f"{n}", writer="me") for n, one in enumerate(said)}
    unknown = {part_of("studies_train", one, id=f"{n}") for n, one in enumerate(said)}
    assert len(known) == 1 < len(unknown)


def test_a_twin_shares_the_part_of_its_original(monkeypatch):
    names = {f"original {n}" for n in range(20)}
    monkeypatch.setattr(chats, "_originals", lambda: names)
    for name in names:
        original = part_of("studies_train", [user(f"as it was {name}")], id=name)
        twin = part_of("twins", [user("written anew")], id=f"{name} a", pair=name)
        assert twin == original


def test_people_of_evaluation_data_teach_nothing(sets, monkeypatch):
    monkeypatch.setattr(chats, "evaluation_data", lambda *_: (EvaluationIndex([]), {"one"}))
    rows = [{"id": n, "labels": calm(), "writer": n} for n in ("one", "two")]
    sets["studies_train"] = [{**row, "messages": [user(f"hello {row['id']}")]} for row in rows]
    assert [c.writer for c in read_chats(None) if c.source == "studies_train"] == ["two"]


def calm():
    return {"charge": 0, "cues": [], "turns": []}
