from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
from datasets import load_from_disk
from tokenizers import Tokenizer

from affectlib.conversation import Conversation, parse_conversation
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.windows import WindowSettings
from affectlib.taxonomy import ASSISTANT_CUES, OUTPUTS
from tests.conftest import assistant, user
from training.config import AugmentSettings, EncoderSettings, Recipe, SourceSettings
from training.data import augment, sources
from training.data.prepare import (
    answer_keys,
    evaluation_rows,
    prepare,
    training_conversations,
)
from training.data.sources import load_manifest, read_corpus

CHARGED = "Since the funeral I have felt so alone that I can hardly leave the house."
PLAIN = "Please convert this table of prices to JSON and round each number to two digits."
SMALL_TALK = "We went to the lake with my cousins and my brother fell out of the boat twice."
WINDOWS = WindowSettings(max_tokens=600, budgets=((64, 48), (32, 16)))


@pytest.fixture(autouse=True)
def nothing_is_altered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a test wants it."""
    monkeypatch.setattr(augment, "TERSE", 0.0)


def recipe(output: Path, *given: dict[str, Any], **settings: Any) -> Recipe:
    return Recipe(
        name="toy",
        version="0",
        output=str(output),
        encoder=EncoderSettings(path="tiny"),
        windows=WINDOWS,
        sources=tuple(SourceSettings(**source) for source in given),
        **{"real_dev": False, **settings},
    )


def labelled_file(path: Path, *conversations: tuple[list[dict[str, Any]], str]) -> dict[str, Any]:
    """Write conversations with their labels; returns a source that reads them."""
    lines = (json.dumps({"messages": m, "label": label}) for m, label in conversations)
    path.write_text("\n".join(lines), encoding="utf-8")
    return {"name": "file", "path": str(path)}


def windows(recipe: Recipe) -> list[dict[str, Any]]:
    return [*load_from_disk(str(recipe.folder / "prepare" / "train"))]


def shown(targets: list[float]) -> set[str]:
    """The outputs that are there."""
    return {name for name, value in zip(OUTPUTS, targets, strict=True) if value > 0}


def known(targets: list[float]) -> set[str]:
    """The outputs of which it is known whether they are there."""
    return {name for name, value in zip(OUTPUTS, targets, strict=True) if not math.isnan(value)}


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
    monkeypatch.setattr(sources, "read_rows", lambda file: annotated)
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
    dev = [user_words(parse_conversation(row["messages"])) for row in evaluation_rows(False, None)]
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
    load_manifest()
    monkeypatch.setattr(sources, "read_source", lambda name, data: iter(rows.get(name, [])))
    monkeypatch.setattr(sources, "read_small_talk", lambda data: rows.get("small_talk", []))


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
    assert len([*evaluation_rows(True, tmp_path)]) == own


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
    monkeypatch.setattr(sources, "read_rows", lambda file: annotated)
    source = {"name": "annotations", "parts": ["counselchat"], "wrapped": 0.25}
    kept: list[LabelledConversation] = training_conversations(recipe(tmp_path, source), tmp_path)
    wrapped = [k for k in kept if k.source == "counselchat_annotated_wrapped"]
    assert len(kept) == 400
    assert len(wrapped) / 400 == pytest.approx(0.25, abs=0.07)
    assert not any(k.emotional for k in wrapped)
    assert all(k.emotional for k in kept if k.source == "counselchat_annotated")


LABELLED = ((CHARGED, "emotional"), (PLAIN, "task"))
CHAT = [
    user("Can you sort this list of names?"),
    assistant("Sure, here it is."),
    user("And now by length, please."),
    assistant("Of course."),
    user(CHARGED),
    assistant("I am so sorry."),
]


@pytest.mark.parametrize("copies", [1, 3])
def test_each_copy_of_a_conversation_is_a_window(tmp_path: Path, copies: int) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, {**source, "copies": copies, "weight": 0.4, "last": True})
    report = prepare(chosen, None)
    rows = windows(chosen)
    assert len(rows) == report["file"]["windows"] == report["file"]["emotional"] == copies
    assert report["file"]["weight"] == pytest.approx(0.4 * copies)
    assert report["file"]["tokens"] == sum(row["length"] for row in rows)
    for row, text in zip(rows, texts(chosen, "file"), strict=True):
        assert (row["weight"], row["last"], row["silver"]) == (0.4, True, False)
        assert row["length"] == len(row["input_ids"]) == len(row["turns"])
        assert len(row["targets"]) == len(row["keys"]) == 2 + max(row["turns"])
        assert CHARGED[:20].lower() in text
    # A greeting and its answer stand beside each copy but the first.
    assert [len(row["targets"]) for row in rows] == [7, *[9] * (copies - 1)]


@pytest.mark.parametrize(("kind", "messages"), [("gold", 8), ("silver_task", 6)])
def test_calm_talk_stands_beside_gold_conversations_as_often_as_wanted(
    tmp_path: Path, kind: str, messages: int
) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, {**source, "kind": kind}, augment=AugmentSettings(beside=1))
    prepare(chosen, None)
    (row,) = windows(chosen)
    assert len(row["targets"]) == 1 + messages
    assert "emotional" in shown(row["targets"][0])


@pytest.mark.parametrize("assistant_cues", [True, False])
def test_windows_carry_the_targets_of_the_whole_and_of_each_message(
    tmp_path: Path, assistant_cues: bool
) -> None:
    path = tmp_path / "mine.jsonl"
    cues = ["shares_feelings", "shows_empathy"]
    row = {"messages": CHAT, "label": "emotional", "turns": [3], "cues": cues}
    path.write_text(json.dumps(row), encoding="utf-8")
    source = {"name": "file", "path": str(path), "assistant_cues": assistant_cues}
    chosen = recipe(tmp_path, source)
    prepare(chosen, None)
    ((whole, *messages),) = (row["targets"] for row in windows(chosen))
    charged = {"emotional", "charge_1_or_more", "shares_feelings"}
    of_assistant = {"shows_empathy"} if assistant_cues else set()
    assert shown(whole) == charged | of_assistant
    assert [shown(m) for m in messages] == [*[set()] * 4, charged, of_assistant]
    # Which of the answers before the charged message shows empathy is not known.
    expected = [{*ASSISTANT_CUES}, *[{"claims_affection"}] * 2, {*ASSISTANT_CUES}]
    for targets, cues_known in zip((whole, *messages[1::2]), expected, strict=True):
        found = known(targets) & {*ASSISTANT_CUES}
        assert found == (cues_known if assistant_cues else set())


def test_a_conversation_that_does_not_fit_is_several_windows(tmp_path: Path) -> None:
    """Of those that lack what is charged nothing is known, and no teacher is asked of a part."""
    calm = [user(f"Please sort table number {i} by its first column.") for i in range(60)]
    path = tmp_path / "mine.jsonl"
    row = {"messages": [*calm, user(CHARGED)], "label": "emotional", "turns": [61]}
    path.write_text(json.dumps(row), encoding="utf-8")
    chosen = recipe(tmp_path, {"name": "file", "path": str(path)})
    report = prepare(chosen, None)
    *before, last = windows(chosen)
    assert report["file"] == report["file"] | {"conversations": 1, "emotional": 1}
    assert before
    assert "emotional" in shown(last["targets"][0])
    assert all(known(row["targets"][0]) == set() for row in before)
    assert [row["keys"][0] for row in (*before, last)] == [0] * (len(before) + 1)
    assert all(row["length"] <= WINDOWS.max_tokens for row in (*before, last))
    messages = {key for row in (*before, last) for key in row["keys"][1:]}
    assert len(messages) == 61


def test_a_teacher_is_asked_about_the_text_before_it_was_rewritten(tmp_path: Path) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, source, augment=AugmentSettings(impersonal=1))
    prepare(chosen, None)
    (row,), (text,) = windows(chosen), texts(chosen, "file")
    assert "i have felt" not in text
    assert row["keys"] == asked(CHAT)


def asked(messages: list[dict[str, Any]]) -> list[int]:
    """The keys of the whole and of what the user says: a teacher knows no assistant's charge."""
    whole, *each = answer_keys(parse_conversation(messages))
    return [whole, *(k if m["role"] == "user" else 0 for k, m in zip(each, messages, strict=True))]


def test_a_teacher_is_not_asked_about_what_the_assistant_says(tmp_path: Path) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    for name, kind in (("labels", "gold"), ("none", "unlabelled")):
        chosen = recipe(tmp_path / name, {**source, "kind": kind})
        prepare(chosen, None)
        (row,) = windows(chosen)
        assert row["keys"] == asked(CHAT)
        assert [key == 0 for key in row["keys"]] == [False, *[False, True] * 3]


def test_keys_tell_conversations_and_what_was_said_before_apart() -> None:
    chat = parse_conversation(CHAT)
    other = parse_conversation([*CHAT[:-1], assistant("Go on.")])
    assert len({*answer_keys(chat), *answer_keys(other)}) == 2 * (1 + len(CHAT))
    assert 0 not in answer_keys(chat)
    assert answer_keys(chat) == answer_keys(parse_conversation(CHAT))


def test_unlabelled_conversations_have_windows_without_targets(tmp_path: Path) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"))
    chosen = recipe(tmp_path, {**source, "kind": "unlabelled"})
    prepare(chosen, None)
    (row,) = windows(chosen)
    assert all(known(targets) == set() for targets in row["targets"])
    assert training_conversations(chosen, None) == []


def test_a_part_of_the_uncharged_is_left_out(tmp_path: Path) -> None:
    rows = [([user(f"{text} {n}")], label) for n in range(200) for text, label in LABELLED]
    source = labelled_file(tmp_path / "mine.jsonl", *rows)
    kept = training_conversations(recipe(tmp_path, {**source, "uncharged": 0.25}), None)
    assert sum(labelled.emotional for labelled in kept) == 200
    assert len(kept) == pytest.approx(250, abs=25)


@pytest.mark.parametrize("copies", [1, 3])
def test_charged_messages_and_tasks_are_written_otherwise_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copies: int
) -> None:
    monkeypatch.setattr(augment, "TERSE", 1.0)
    rows = [([user(text)], label) for text, label in LABELLED]
    source = labelled_file(tmp_path / "mine.jsonl", *rows)
    chosen = recipe(tmp_path, {**source, "copies": copies})
    prepare(chosen, None)
    written = texts(chosen, "file")
    assert len(written) == 2 * copies
    said = [part for text in written for part in re.findall(r"<\|user\|>([^<]*)", text)]
    assert len(said) == 2 * (2 * copies - 1)  # copies have a greeting too
    assert not any("." in part for part in said)


def test_report_is_written_and_same_seed_gives_the_same_mixture(tmp_path: Path) -> None:
    source = labelled_file(tmp_path / "mine.jsonl", (CHAT, "emotional"), ([user(PLAIN)], "task"))
    sources = ({"name": "corpus", "conversations": 30}, {**source, "copies": 3})
    first, second, other = (
        recipe(tmp_path / str(i), *sources, seed=seed) for i, seed in enumerate((1, 1, 2))
    )
    reports = [prepare(chosen, None) for chosen in (first, second, other)]
    written = json.loads((first.folder / "prepare" / "report.json").read_text(encoding="utf-8"))
    assert written == reports[0] == reports[1]
    for name in ("corpus", "file"):
        found = [texts(chosen, name) for chosen in (first, second, other)]
        assert found[0] == found[1] != found[2]
