"""Transcripts like those that a model was measured on raise no alarm; others do, and say why."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from affectlib import AffectClassifier, cli, label_file
from affectlib.conversation import Conversation, parse_conversation
from affectlib.model.artifacts import load_artifact
from affectlib.model.reference import (
    Comparison,
    FeatureHistogram,
    Reference,
    add_domain,
    reference_of,
)
from tests.conftest import write_manifest

ROOT = Path(__file__).parents[2]
GERMAN = (
    "ich habe heute leider keine zeit weil der chef noch einen bericht von mir haben will und "
    "meine tochter krank ist kannst du mir bitte einen brief schreiben der freundlich klingt"
)
HINDI = (
    "yaar mujhe bahut tension ho rahi hai kal exam hai aur maine kuch padha nahi bhai kya karu "
    "main ghar ja raha hoon boss ne daanta aaj please jaldi bata do"
)


def corpus(lang: str = "en") -> list[Conversation]:
    lines = (ROOT / "training" / "data" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["lang"] == lang]
    chats = [parse_conversation(row["messages"], id=row["id"]) for row in rows]
    random.Random(0).shuffle(chats)
    return chats[:900]


CHATS = corpus()
REFERENCE = reference_of(("corpus", chat, None) for chat in CHATS[::2])


def said(texts: list[str], replies: int) -> Conversation:
    """A chat with these messages of the user and replies of so many words."""
    answer = {"role": "assistant", "content": "word " * replies}
    return parse_conversation([m for text in texts for m in ({"role": "user", "content": text}, answer)])  # fmt: skip  # noqa: E501


def drawn(words: list[str], rng: random.Random) -> Conversation:
    texts = [" ".join(rng.choices(words, k=rng.randint(8, 30))) for _ in range(3)]
    return said(texts, rng.randint(15, 40))


def log_line(rng: random.Random) -> str:
    return (
        f"2025-03-{rng.randint(1, 28):02d}T08:14:03.{rng.randint(100, 999)}Z [WARN] svc.db: "
        f"id={rng.randrange(16**8):08x} status={rng.choice([200, 500])} 112ms"
    )


def others(kind: str) -> Iterator[Conversation]:
    rng = random.Random(1)
    english = [word for chat in CHATS[:40] for word in chat.messages[0].content.split()]
    for _ in range(120):
        if kind == "German":
            yield drawn(GERMAN.split(), rng)
        elif kind == "code-mixed":
            yield drawn([*HINDI.split() * 2, *rng.sample(english, 30)], rng)
        elif kind == "log files":
            yield said(["\n".join(log_line(rng) for _ in range(3))], 60)
        else:  # people at a help desk: many short messages on both sides
            texts = [" ".join(rng.choices(english, k=rng.randint(1, 5))) for _ in range(9)]
            yield said(texts, rng.randint(2, 8))


def differences(chats: Any, reference: Reference = REFERENCE) -> list[str]:
    histogram = FeatureHistogram(reference.words)
    for chat in chats:
        histogram.add(chat)
    return [difference.feature for difference in histogram.differences(reference)]


def test_the_other_half_is_alike():
    assert differences(CHATS[1::2]) == []


@pytest.mark.parametrize("seed", range(8))
def test_small_samples_of_the_same_are_alike(seed):
    assert differences(random.Random(seed).sample(CHATS[1::2], 30)) == []


@pytest.mark.parametrize(
    ("kind", "feature"),
    [
        ("German", "known"),
        ("code-mixed", "known"),
        ("log files", "letters"),
        ("human support", "reply"),
    ],
)
def test_others_are_unlike_and_it_is_said_in_what(kind, feature):
    assert feature in differences(others(kind))


def test_too_few_say_nothing():
    assert differences([*others("German")][:29]) == []
    assert differences([]) == []


def test_a_part_or_a_mixture_of_kinds_is_alike():
    kinds = {"corpus": CHATS[::2], "desk": [*others("human support")]}
    rows = [(kind, chat, None) for kind, chats in kinds.items() for chat in chats]
    reference = reference_of(rows)
    assert {*reference.kinds} == {*kinds}
    assert differences(kinds["desk"], reference) == []
    assert differences(CHATS[1::2], reference) == []
    assert differences([*CHATS[1:200:2], *kinds["desk"]], reference) == []
    assert "known" in differences(others("German"), reference)


def test_scores_are_compared_where_both_have_them():
    reference = reference_of(("corpus", chat, 0.02) for chat in CHATS[::2])
    for probability, unlike in ((0.02, False), (0.6, True)):
        histogram = FeatureHistogram(reference.words)
        for chat in CHATS[1::2]:
            histogram.add(chat, probability)
        found = histogram.differences(reference)
        assert [each.feature for each in found] == ["score"] * unlike
    assert differences(CHATS[1::2], reference) == []
    assert str(found[0]).startswith("probability of emotional (57% here, ")


@pytest.mark.parametrize("count", [29, 30])
def test_scores_of_other_weights_are_not_compared(count):
    reference = reference_of(("corpus", chat, 0.02) for chat in CHATS[::2])
    own = add_domain(reference, CHATS[1 : 2 * count : 2])
    assert ("own transcripts" in own.kinds) == (count >= 30)
    histogram = FeatureHistogram(own.words)
    for chat in CHATS[1::2]:
        histogram.add(chat, 0.6)
    assert histogram.differences(reference) != []
    assert histogram.differences(own) == []


def test_many_are_read_in_part_and_all_are_counted():
    histogram = FeatureHistogram(REFERENCE.words)
    for place in range(20_000):
        histogram.add(CHATS[place % 50])
    assert histogram.seen == 20_000
    assert 1000 < histogram._counts["messages"].sum() < 2500


def test_a_reference_holds_no_text_and_survives_json():
    values = json.loads(json.dumps(REFERENCE.to_dict()))
    read = Reference.read(values)
    assert read is not None
    assert read.words == REFERENCE.words
    assert len(json.dumps(values)) < 12_000
    assert all(" " not in word for word in values["words"])
    assert differences(CHATS[1::2], read) == []
    assert "known" in differences(others("German"), read)


@pytest.mark.parametrize(
    "values",
    [None, {}, [], {"words": []}, {"words": ["a"], "kinds": {}}, {"words": 3, "kinds": {"a": {}}},
     {"words": ["a"], "kinds": {"a": {"words": ["x"] * 40}}}],
)  # fmt: skip
def test_what_is_no_reference_is_passed_over(values):
    assert Reference.read(values) is None


def test_an_artifact_without_a_reference_says_nothing(tiny_artifact):
    assert tiny_artifact.reference is None
    assert Comparison.of(None, tiny_artifact.name) is None


@pytest.fixture
def measured(tiny_folder, tmp_path):
    """The tiny artifact with a reference."""
    folder = shutil.copytree(tiny_folder, tmp_path / "measured")
    return write_manifest(folder, reference=REFERENCE.to_dict())


def write(path: Path, chats: Any) -> Path:
    rows = [
        {
            "id": str(place),
            "messages": [{"role": m.role, "content": m.content} for m in chat.messages],
        }
        for place, chat in enumerate(chats)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_labelling_and_inspection_say_it_in_one_line(measured, tmp_path, capsys):
    german = write(tmp_path / "german.jsonl", [*others("German")])
    same = write(tmp_path / "same.jsonl", CHATS[1:200:2])
    said_by = "look unlike those that tiny was measured on, above all in "
    model = ["--model", str(measured)]
    assert cli.main(["info", str(german), *model]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "unlike" in line]
    assert said_by in line
    assert "words of the user that are common there (" in line
    assert cli.main(["info", str(same), *model]) == 0
    assert "unlike" not in capsys.readouterr().out
    assert cli.main(["info", str(german), *model, "--json"]) == 0
    assert said_by in json.loads(capsys.readouterr().out)["unlike"]
    for path, count in ((german, 1), (same, 0)):
        out = str(tmp_path / f"{path.stem}.csv")
        assert cli.main(["label", str(path), "-o", out, *model, "--device", "cpu"]) == 0
        assert capsys.readouterr().err.count(said_by) == count
    classifier = AffectClassifier.from_pretrained(measured, device="cpu")
    for workers in (1, 2):
        out = tmp_path / f"labels{workers}.csv"
        summary = label_file(german, out, classifier=classifier, workers=workers)
        assert said_by in (summary.unlike or "")


def test_info_does_not_print_it(measured, capsys):
    assert load_artifact(measured).reference is not None
    assert cli.main(["info", "--model", str(measured)]) == 0
    assert "reference" not in capsys.readouterr().out
