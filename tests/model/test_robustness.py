"""The tables of `tests.robustness` and `tests.short_chats`; what nobody sees changes no label."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from affectlib.classifier import AffectClassifier
from affectlib.model.text.legible import legible
from tests import short_chats
from tests.robustness import PERTURBATIONS, altered, main, read_rows

CORPUS = Path(__file__).parents[2] / "training/data/corpus.jsonl"


def test_messages_are_balanced_and_distinct():
    rows = read_rows()
    kinds = Counter((row["language"], row["label"]) for row in rows)
    assert kinds == dict.fromkeys(
        [(language, label) for language in ("en", "fr") for label in ("emotional", "task")], 120
    )
    texts = [row[name].lower() for row in rows for name in ("text", "paraphrase")]
    assert len({*texts}) == len({row["id"] for row in rows}) * 2 == 960


def test_no_message_is_in_the_corpus():
    def bare(text):
        return " ".join(re.findall(r"\w+", text.lower()))

    with CORPUS.open(encoding="utf-8") as file:
        known = {
            bare(message["content"]) for line in file for message in json.loads(line)["messages"]
        }
    ours = {bare(row[name]) for row in read_rows() for name in ("text", "paraphrase")}
    short = {bare(row["text"]) for row in read_rows(short_chats.ROWS)}
    assert (ours | short) & known == set()


def test_short_chats_are_short_and_distinct():
    rows = read_rows(short_chats.ROWS)
    kinds = Counter((row["language"], row["label"]) for row in rows)
    assert len(kinds) == 4
    assert min(kinds.values()) >= 70
    assert len({row["id"] for row in rows}) == len({row["text"].lower() for row in rows}) == 304
    assert max(len(row["text"].split()) for row in rows) <= 7


def test_every_alteration_alters():
    texts = altered(read_rows())
    assert [*texts] == ["original", *PERTURBATIONS, "paraphrase"]
    for name, group in texts.items():
        same = sum(a == b for a, b in zip(group, texts["original"], strict=True))
        assert (same == len(group)) if name == "original" else (same < len(group)), name
    assert texts == altered(read_rows())


@pytest.mark.parametrize("name", ["lookalike letters", "invisible characters"])
def test_disguised_messages_are_read_as_they_look(name):
    texts = altered(read_rows())
    assert [legible(text) for text in texts[name]] == texts["original"]


def test_disguises_flip_no_label():
    rows = read_rows()[::8]
    texts = altered(rows)
    classifier = AffectClassifier.from_pretrained(device="cpu", engine="onnx")
    plain = classifier.predict(texts["original"])
    for name in ("lookalike letters", "invisible characters"):
        assert classifier.predict(texts[name]) == plain


def test_the_command_prints_a_table(capsys):
    main(["--rows", "2", "--json"])
    figures = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [figure["name"] for figure in figures][1:] == [*PERTURBATIONS, "paraphrase"]
    assert all(0 <= f["low"] <= f["share"] <= f["high"] <= 1 and f["n"] == 4 for f in figures)
    main(["--rows", "1"])
    assert "label flips (target: at most 3%)" in capsys.readouterr().out


def test_the_table_of_short_chats(capsys):
    short_chats.main(["--json"])
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["name"] for row in found][:3] == [
        f"English chats: {name}" for name in ("accuracy", "recall", "specificity")
    ]
    assert len(found) == 12
    for accuracy, recall, specificity in zip(*[iter(found)] * 3, strict=True):
        assert accuracy["n"] == recall["n"] + specificity["n"]
        right = recall["share"] * recall["n"] + specificity["share"] * specificity["n"]
        assert accuracy["share"] * accuracy["n"] == pytest.approx(right)
