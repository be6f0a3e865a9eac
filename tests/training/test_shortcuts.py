from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from affectlib.model.artifacts import Artifact
from tests.conftest import ALONE, TASK
from tests.judged_chats import TinyModel, labelled
from training.evaluation import shortcuts
from training.evaluation.shortcuts import masked_pronouns, source_probe, swapped_replies


def test_masking_tells_a_model_that_reads_pronouns_from_one_that_does_not(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TinyModel(tiny_artifact)
    judged = model.judge(
        labelled(ALONE, charged=[0]),
        labelled(TASK),
        labelled(ALONE, charged=[0], lang="fr"),
        labelled(ALONE, charged=[0], lang="es"),
        labelled(ALONE, charged=[0], source="sharegpt_dev"),
    )
    figures = masked_pronouns(judged, model.encoder, model.engine)
    assert {name: values["fall"]["n"] for name, values in figures.items()} == {
        "English and French": 3,
        "English": 2,
        "French": 1,
    }
    assert figures["English and French"]["fall"]["value"] == 0
    # To the tiny artifact, "alone" is what a pronoun is to a model that reads pronouns.
    monkeypatch.setattr(shortcuts, "mask_pronouns", lambda text, _: text.replace("alone", "_"))
    figures = masked_pronouns(judged, model.encoder, model.engine)
    assert figures["English"]["fall"]["value"] == 0.5
    assert figures["French"]["masked"]["value"] == 0


@pytest.mark.parametrize("replies", shortcuts.REPLIES.values(), ids=list(shortcuts.REPLIES))
def test_replies_are_there_in_both_languages(replies: dict[str, tuple[str, ...]]) -> None:
    assert set(replies) == {"en", "fr"}
    assert all(len(set(texts)) == len(texts) >= 3 for texts in replies.values())


def test_replies_move_a_model_that_reads_them_and_no_other(
    tiny_artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"warm": {"en": ("alone",)}, "cold": {"en": ("csv",)}}
    monkeypatch.setattr(shortcuts, "REPLIES", words)
    chats = [
        labelled("a word", ALONE, charged=[1]),
        labelled(TASK, "a word", source="sharegpt_dev"),
        labelled(TASK, reply=None),
    ]
    reads_users, reads_all = (
        TinyModel(tiny_artifact, context_messages=1, assistant_context_tokens=tokens)
        for tokens in (0, 4)
    )
    for model, moved in ((reads_users, False), (reads_all, True)):
        judged = model.judge(*chats)
        figures = swapped_replies(judged, model.encoder, model.engine)
        assert {*figures} == {
            "warm for as written",
            "cold for as written",
            "cold for warm",
        }
        for groups in figures.values():
            assert [group["n"] for group in groups.values()] == [1, 1]
        changes = [group["value"] for group in figures["cold for warm"].values()]
        assert all(change > 0.05 for change in changes) if moved else changes == [0, 0]


def test_source_probe_looks_within_one_class_and_either_way(tiny_artifact: Artifact) -> None:
    judged = TinyModel(tiny_artifact).judge(
        *(labelled(TASK, source="sharegpt_dev") for _ in range(4)),
        *(labelled("a word", id="rel-1") for _ in range(4)),
        # Charged ones, which score higher, must not count among the uncharged.
        *(labelled(ALONE, charged=[0], source="sharegpt_dev") for _ in range(8)),
    )
    figures = source_probe(judged)
    assert {*figures} == {"uncharged: real or corpus"}
    assert figures["uncharged: real or corpus"]["value"] == 1
    assert figures["uncharged: real or corpus"]["n"] == 8


def test_score_that_says_nothing_of_the_source_is_a_coin(tiny_artifact: Artifact) -> None:
    judged = TinyModel(tiny_artifact).judge(
        *(labelled(TASK, source=name) for name in ("sharegpt_dev", "arena_wildchat_dev") * 5)
    )
    assert source_probe(judged)["uncharged: ShareGPT or Arena, WildChat"]["value"] == 0.5
