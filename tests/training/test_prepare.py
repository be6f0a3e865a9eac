from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
from datasets import load_from_disk
from tokenizers import Tokenizer

from affectlib.conversation import Conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import OUTPUTS
from tests.conftest import assistant, user
from training.config import EncoderSettings, Recipe, SourceSettings
from training.data import augment
from training.data import prepare as module
from training.data.prepare import evaluation_conversations, prepare, training_conversations
from training.data.sources import load_manifest, read_corpus

read_corpus = cache(read_corpus)

CHARGED = "Since the funeral I have felt so alone that I can hardly leave the house."
PLAIN = "Please convert this table of prices to JSON and round each number to two digits."
SMALL_TALK = "We went to the lake with my cousins and my brother fell out of the boat twice."


@pytest.fixture(autouse=True)
def the_corpus_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading it takes seconds, and most of these tests have no other work to do."""
    monkeypatch.setattr(module, "read_corpus", read_corpus)


@pytest.fixture(autouse=True)
def nothing_is_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test wants it."""
    for name in ("ALONE", "GREETING", "OTHER_CONTEXT", "TERSE"):
        monkeypatch.setattr(augment, name, 0.0)


def recipe(output: Path, *sources: dict[str, Any], **settings: Any) -> Recipe:
    return Recipe(
        name="toy",
        version="0",
        output=str(output),
        encoder=EncoderSettings(path="tiny"),
        windows=WindowSettings(
            max_tokens=96, target_tokens=64, lead_tokens=8, assistant_target_tokens=48
        ),
        sources=tuple(SourceSettings(**source) for source in sources),
        **{"real_dev": False, **settings},
    )


def labelled_file(path: Path, *conversations: tuple[list[dict[str, Any]], str]) -> dict[str, Any]:
    """Write conversations with their labels; returns a source that reads them."""
    lines = (json.dumps({"messages": m, "label": label}) for m, label in conversations)
    path.write_text("\n".join(lines), encoding="utf-8")
    return {"name": "file", "path": str(path)}


def windows(recipe: Recipe, part: str = "train") -> list[dict[str, Any]]:
    return [*load_from_disk(str(recipe.folder / "prepare" / part))]


def texts(recipe: Recipe, source: str) -> list[str]:
    """What the training windows of a source say, in small letters."""
    tokenizer = Tokenizer.from_file(str(recipe.folder / "prepare" / "encoder" / "tokenizer.json"))
    return [
        "".join(tokenizer.id_to_token(i) for i in row["input_ids"]).replace("▁", " ")
        for row in windows(recipe)
        if row["source"] == source
    ]


def user_words(conversation: Conversation) -> list[list[str]]:
    """The words of each message of the user with at least eight, in small letters."""
    messages = (re.findall(r"\w+", m.content.lower()) for m in conversation.user_messages)
    return [words for words in messages if len(words) >= 8]


def runs(messages: list[list[str]]) -> list[str]:
    """The distinct runs of eight words of each message."""
    return [
        run
        for words in messages
        for run in {" ".join(words[i : i + 8]) for i in range(len(words) - 7)}
    ]


def test_no_near_duplicate_of_a_dev_conversation_reaches_the_training_windows(
    tmp_path: Path,
) -> None:
    row = next(
        row
        for row in read_corpus("dev")
        if row["labels"]["charge"] >= 2
        and any(m["role"] == "user" and len(m["content"].split()) > 30 for m in row["messages"])
    )
    secret = max((m["content"] for m in row["messages"] if m["role"] == "user"), key=len)
    words = secret.split()
    source = labelled_file(
        tmp_path / "mine.jsonl",
        (row["messages"], "emotional"),
        ([user(PLAIN), assistant("Done."), user(secret.upper() + " !!")], "emotional"),
        ([user("\n".join(words))], "emotional"),
        (
            [user(" ".join([*words[:25], "and", "so", "on", "I", "said", "to", "them"]))],
            "emotional",
        ),
        ([user(CHARGED)], "emotional"),
    )
    chosen = recipe(tmp_path, {"name": "corpus", "conversations": 40}, {**source, "copies": 2})
    report = prepare(chosen, None)
    assert report["file"]["near_duplicates"] == 4
    assert report["file"]["conversations"] == 1
    assert report["file"]["windows"] == 2
    for text in texts(chosen, "file"):
        assert "funeral i have felt" in text
    beginning = " ".join(words[:5]).lower()
    assert all(beginning not in text for text in texts(chosen, "file") + texts(chosen, "corpus"))


def test_parts_of_the_corpus_are_taken_by_themselves_and_counted_once(tmp_path: Path) -> None:
    part = {"name": "corpus", "parts": ["pl4", "rel"]}
    kept = training_conversations(recipe(tmp_path, part), None)
    expected = [row["id"] for row in read_corpus("train") if row["id"].startswith(("pl4-", "rel-"))]
    assert [labelled.conversation.id for labelled in kept] == expected
    twice = recipe(tmp_path, {"name": "corpus", "parts": ["rel"]}, {**part, "copies": 2})
    report = prepare(twice, None)
    assert report["corpus"]["conversations"] == len(expected)


def test_a_part_that_the_corpus_lacks_is_named(tmp_path: Path) -> None:
    # "ta" is there, but for measuring alone.
    for absent in ("rell", "ta"):
        chosen = recipe(tmp_path, {"name": "corpus", "parts": ["rel", absent]})
        with pytest.raises(ValueError, match=f"no training part {absent}$"):
            training_conversations(chosen, None)


def test_parts_of_the_annotations_are_taken_by_themselves(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [{"id": name, "lang": "en", "messages": [user(CHARGED)]} for name in ("first", "later")]
    sources_of(monkeypatch, xed=rows)
    labels = {"charge": 2, "cues": [], "decoy": None, "turns": [1]}
    first, later = ({"id": row["id"], "source": "xed", "labels": labels} for row in rows)
    annotated = [first, {**later, "part": "xed_rest"}]
    monkeypatch.setattr(module, "read_rows", lambda file: annotated)
    for parts, expected in (
        (["xed"], ["first"]),
        (["xed_rest"], ["later"]),
        (None, ["first", "later"]),
    ):
        chosen = recipe(tmp_path, {"name": "annotations", "parts": parts})
        kept = training_conversations(chosen, None)
        assert [labelled.conversation.id for labelled in kept] == expected


def test_a_set_that_nobody_annotated_is_named(tmp_path: Path) -> None:
    chosen = recipe(tmp_path, {"name": "annotations", "parts": ["arena_hard", "chitchat_byu"]})
    with pytest.raises(ValueError, match="arena_hard"):
        training_conversations(chosen, None)


@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_dev_and_test_conversation_would_be_removed_from_a_file(
    split: str, tmp_path: Path
) -> None:
    source = labelled_file(
        tmp_path / "mine.jsonl", *((row["messages"], "task") for row in read_corpus(split))
    )
    kept = training_conversations(recipe(tmp_path, source), None)
    # Messages of fewer than eight words are small talk that anybody may write.
    assert all(not user_words(labelled.conversation) for labelled in kept)
    assert len(kept) < 0.1 * len(read_corpus(split))


def test_corpus_that_is_trained_on_shares_no_message_and_few_runs_of_words_with_dev_and_test(
    tmp_path: Path,
) -> None:
    chosen = recipe(tmp_path, {"name": "corpus"})
    dev = [
        user_words(conversation) for conversation in evaluation_conversations(chosen.real_dev, None)
    ]
    assert len(dev) == len(read_corpus("dev")) + len(read_corpus("test"))
    dev_messages = {" ".join(words) for messages in dev for words in messages}
    dev_runs = {run for messages in dev for run in runs(messages)}
    trained = training_conversations(chosen, None)
    assert len(trained) > 0.95 * len(read_corpus("train"))
    for labelled in trained:
        messages = user_words(labelled.conversation)
        assert not dev_messages & {" ".join(words) for words in messages}
        found = runs(messages)
        assert sum(run in dev_runs for run in found) <= 0.3 * len(found)


def sources_of(monkeypatch: pytest.MonkeyPatch, **rows: list[dict[str, Any]]) -> None:
    """Put rows in the place of public sets; the sets of other names are empty."""
    monkeypatch.setattr(module, "read_source", lambda name, data: iter(rows.get(name, [])))
    monkeypatch.setattr(module, "read_small_talk", lambda data: rows.get("small_talk", []))


def silver(*contents: str, **about: Any) -> dict[str, Any]:
    messages = [m for text in contents for m in (user(text), assistant("I see, go on."))]
    return {"id": contents[0][:9], "messages": messages, **about}


def test_public_evaluation_sets_are_kept_out_of_training_where_data_is_given(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = {
        use: next(s.name for s in load_manifest().values() if s.use == use)
        for use in ("dev", "eval")
    }
    sources_of(
        monkeypatch,
        clinc150=[silver(CHARGED), silver(PLAIN), silver(SMALL_TALK)],
        small_talk=[silver(SMALL_TALK, labels={"charge": 0, "cues": [], "turns": []})],
        **{names["dev"]: [silver(CHARGED)], names["eval"]: [silver(PLAIN.upper())]},
    )
    source = {"name": "clinc150", "kind": "silver_task"}
    with_data = recipe(tmp_path, source, real_dev=True)
    assert training_conversations(with_data, tmp_path) == []
    without = recipe(tmp_path, source)
    assert len(training_conversations(without, tmp_path)) == 3


def test_people_of_evaluation_sets_are_kept_out_of_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dev = next(s.name for s in load_manifest().values() if s.use == "dev")
    sources_of(
        monkeypatch,
        clinc150=[silver(PLAIN, writer="one"), silver(CHARGED, writer="two"), silver(SMALL_TALK)],
        **{dev: [silver("hello", writer="one")]},
    )
    chosen = recipe(tmp_path, {"name": "clinc150", "kind": "silver_task"}, real_dev=True)
    found = training_conversations(chosen, tmp_path)
    assert [labelled.conversation.id for labelled in found] == [CHARGED[:9], SMALL_TALK[:9]]


def test_training_sets_are_no_evaluation_data(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    sources_of(monkeypatch, clinc150=[silver(PLAIN)])
    chosen = recipe(tmp_path, {"name": "clinc150", "kind": "silver_task"}, real_dev=True)
    assert len(training_conversations(chosen, tmp_path)) == 1
    own = len(read_corpus("dev")) + len(read_corpus("test"))
    assert len(list(evaluation_conversations(chosen.real_dev, tmp_path))) == own


def test_evaluation_set_is_refused_as_a_source(tmp_path: Path) -> None:
    chosen = recipe(tmp_path, {"name": "esconv", "kind": "silver_task"})
    with pytest.raises(ValueError, match=r"'esconv'.*train"):
        training_conversations(chosen, tmp_path)


def test_file_without_a_path_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"sources\.N\.path"):
        training_conversations(recipe(tmp_path, {"name": "file"}), None)


def test_languages_and_silent_users_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [silver("one", lang="en"), silver("deux", lang="fr"), silver("tre", lang="it")]
    sources_of(monkeypatch, clinc150=[*rows, silver("", lang="en"), silver("unmarked")])
    chosen = recipe(tmp_path, {"name": "clinc150", "kind": "silver_task"})
    kept = training_conversations(chosen, tmp_path)
    assert [k.conversation.messages[0].content for k in kept] == ["one", "deux", "unmarked"]


def test_wrapped_share_becomes_tasks_of_a_source_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rows = [
        {"id": f"{n}", "lang": "en", "messages": [user(f"I feel lost, day {n}")]}
        for n in range(400)
    ]
    sources_of(monkeypatch, counselchat=rows)
    labels = {"charge": 2, "cues": [], "decoy": None, "turns": [1]}
    annotated = [{"id": row["id"], "source": "counselchat", "labels": labels} for row in rows]
    monkeypatch.setattr(module, "read_rows", lambda file: annotated)
    source = {"name": "annotations", "parts": ["counselchat"], "wrapped": 0.25}
    kept: list[LabelledConversation] = training_conversations(recipe(tmp_path, source), tmp_path)
    wrapped = [k for k in kept if k.source == "counselchat_annotated_wrapped"]
    assert len(kept) == 400
    assert len(wrapped) / 400 == pytest.approx(0.25, abs=0.07)
    assert not any(k.emotional for k in wrapped)
    assert all(k.emotional for k in kept if k.source == "counselchat_annotated")


CHAT = [
    user("Can you sort this list of names?"),
    assistant("Sure, here it is."),
    user("And now by length, please."),
    assistant("Of course."),
    user(CHARGED),
    assistant("I am so sorry."),
]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, 3),
        ({"copies": 3}, 9),
        ({"windows": 2}, 2),
        ({"windows": 2, "copies": 2}, 4),
        ({"assistant_windows": None}, 3),
    ],
)
def test_source_settings_decide_how_many_windows_there_are(
    tmp_path: Path, settings: dict[str, Any], expected: int
) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, {**source, **settings, "weight": 0.4})
    report = prepare(chosen, None)
    rows = windows(chosen)
    assert len(rows) == report["file"]["windows"] == expected
    assert {row["weight"] for row in rows} == {0.4}
    assert report["file"]["weight"] == pytest.approx(0.4 * expected)
    assert all(row["length"] == len(row["input_ids"]) <= 96 for row in rows)


def test_windows_carry_the_targets_of_their_message(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    cues = ["shares_feelings", "shows_empathy"]
    row = {"messages": CHAT, "label": "emotional", "turns": [3], "cues": cues}
    path.write_text(json.dumps(row), encoding="utf-8")
    source = {"name": "file", "path": str(path), "assistant_windows": None, "copies": 2}
    chosen = recipe(tmp_path, source)
    report = prepare(chosen, None)
    found = sorted(
        tuple(
            name
            for name, value in zip(OUTPUTS, row["targets"], strict=True)
            if not math.isnan(value) and value > 0
        )
        for row in windows(chosen)
    )
    # Two copies of each user message, one of each assistant message.
    charged = ("emotional", "charge_1_or_more", "shares_feelings")
    assert found == sorted([(), (), (), (), charged, charged, (), (), ("shows_empathy",)])
    assert report["file"]["emotional"] == 2


def test_long_uncharged_message_does_not_flood_the_mixture(tmp_path: Path) -> None:
    long = " ".join(f"item number {i} costs {i} euros" for i in range(80))
    source = labelled_file(tmp_path / "mine.jsonl", ([user(long)], "task"))
    chosen = recipe(tmp_path, source)
    prepare(chosen, None)
    assert len(windows(chosen)) == 2


def test_charged_messages_and_tasks_are_written_otherwise_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "TERSE", 1.0)
    rows = ([user(CHARGED)], "emotional"), ([user(PLAIN)], "task")
    for copies in (1, 3):
        source = labelled_file(tmp_path / f"{copies}.jsonl", *rows)
        chosen = recipe(tmp_path / str(copies), {**source, "copies": copies})
        prepare(chosen, None)
        written = texts(chosen, "file")
        assert len(written) == 2 * copies
        assert not any("." in text for text in written)


def test_dev_windows_are_those_of_the_dev_split_whatever_is_trained_on(tmp_path: Path) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, source)
    prepare(chosen, None)
    rows = windows(chosen, "dev")
    charged = sum(len(row["labels"]["turns"]) for row in read_corpus("dev"))
    assert {row["source"] for row in rows} == {"corpus"}
    assert sum(row["targets"][0] == 1.0 for row in rows) >= charged


def test_report_is_written_and_same_seed_gives_the_same_mixture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(augment, "OTHER_CONTEXT", 0.5)
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"), ([user(PLAIN)], "task"))
    sources = ({"name": "corpus", "conversations": 30}, {**source, "copies": 3})
    first, second, other = (
        recipe(tmp_path / str(i), *sources, seed=seed) for i, seed in enumerate((1, 1, 2))
    )
    reports = [prepare(chosen, None) for chosen in (first, second, other)]
    written = json.loads((first.folder / "prepare" / "report.json").read_text(encoding="utf-8"))
    assert written == reports[0] == reports[1]
    order = [[row["source"] for row in windows(chosen)] for chosen in (first, second, other)]
    assert order[0] == order[1] != order[2]


def test_charged_messages_are_drawn_first(tmp_path: Path) -> None:
    chat = [*(user(f"Please sort table {i}.") for i in range(20)), user(CHARGED)]
    path = tmp_path / "mine.jsonl"
    row = {"messages": chat, "label": "emotional", "turns": [21]}
    path.write_text(json.dumps(row), encoding="utf-8")
    chosen = recipe(tmp_path, {"name": "file", "path": str(path), "windows": 2})
    prepare(chosen, None)
    assert sorted(row["targets"][0] for row in windows(chosen)) == [0.0, 1.0]


@pytest.mark.parametrize(("words", "altered"), [(CHARGED, True), ("just since last March", False)])
def test_copies_of_a_short_later_message_keep_its_context(
    words: str, altered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = [user("Please list three cities."), assistant("Rome, Oslo, Lima."), user(words)]
    source = labelled_file(tmp_path / "mine.jsonl", (chat, "emotional"))
    monkeypatch.setattr(augment, "ALONE", 1.0)
    chosen = recipe(tmp_path, {**source, "copies": 2})
    prepare(chosen, None)
    found = [text for text in texts(chosen, "file") if words[:9].lower() in text]
    assert len(found) == 2
    assert sum("cities" in text for text in found) == 2 - altered
