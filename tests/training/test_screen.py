"""A screen is taught by an artifact's encoder, bounded by what it loses, and goes with it only."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs affectlib[train]")

from affectlib.classifier import AffectClassifier
from affectlib.conversation import parse_conversation
from affectlib.errors import ArtifactCorruptError
from affectlib.model.artifacts import load_artifact
from affectlib.model.calibration import logit, sigmoid
from affectlib.model.screen import SCREEN_FILE, Screen
from tests.conftest import WORDS, assistant, user, write_manifest
from training.screen import __main__ as command
from training.screen import chats as module
from training.screen import make, student
from training.screen.chats import CHECK, CORPUS, NATURAL, PARTS, Chat, score


@pytest.fixture
def chats():
    draw = np.random.default_rng(0)

    def text():
        return " ".join(draw.choice(WORDS, size=6))

    return [
        Chat(
            parse_conversation([user(text()), assistant(text()), user(text())], id=f"{number}"),
            source="mine",
            kind=NATURAL if number % 2 else CORPUS,
            part=number % PARTS,
            teaches=True,
            charged=number % 3 == 0,
        )
        for number in range(100)
    ]


@pytest.fixture
def small(monkeypatch):
    """A small screen, and targets that a hundred conversations can meet."""
    sizes = {"EPOCHS": 1, "BUCKETS": 64, "FILTERS": 4, "CONTEXT": 2, "WORDS": 8, "HIDDEN": 8}
    for name, value in sizes.items():
        monkeypatch.setattr(student, name, value)
    for name in ("OTHER_LABEL", "OTHER_CUES"):
        monkeypatch.setattr(make, name, dict.fromkeys(make.KINDS, 0.2))
    monkeypatch.setattr(make, "CHARGED_LOST", 0.2)
    monkeypatch.setattr(make, "MESSAGES_LOST", 0.2)


@pytest.fixture
def made(bert_folder, chats, tmp_path, small):
    folder = tmp_path / "screened"
    report = make.add_screen(load_artifact(bert_folder), chats, tmp_path / "work", folder, "9.1")
    return folder, report


def test_it_is_taught_listed_and_used(made):
    folder, report = made
    artifact = load_artifact(folder)
    assert AffectClassifier(artifact, None).screen
    assert artifact.description["screen"] == report
    assert artifact.version == "9.1"
    for name, count in (("chosen_on", 40), ("checked_on", 10)):
        found = report[name][NATURAL]
        assert found["conversations"] == count
        assert 0 <= found["settled"] <= count


def test_what_other_bounds_lose_is_in_the_report(made):
    _, report = made
    settled = [
        found[NATURAL]["settled"] / found[NATURAL]["conversations"] for found in report["trade_off"]
    ]
    assert settled == pytest.approx(make.SHARES, abs=0.1)
    lost = [found[NATURAL]["other_label"]["hits"] for found in report["trade_off"]]
    assert lost == sorted(lost)


def test_what_is_lost_lies_within_the_targets(made):
    _, report = made
    assert make.allowed(report["chosen_on"])
    for found in report["chosen_on"].values():
        assert all(found[loss]["most"] <= 0.2 for loss in ("other_label", "other_cues"))


def counts_of(**losses):
    """Losses of natural logs, each as hits and how many there are."""
    names = ("other_label", "other_label_lower", "charged_lost", "messages_lost", "other_cues")
    found = dict.fromkeys(names, (0, 10_000)) | losses
    return {
        NATURAL: {
            name: {"hits": hits, "of": of, "most": make.upper_end(hits, of)}
            for name, (hits, of) in found.items()
        }
    }


@pytest.mark.parametrize(
    ("losses", "said"),
    [
        ({}, []),
        # Few do not show that a target is met, and do not miss it either.
        ({"other_label": (0, 100)}, []),
        (
            {"other_label": (11, 10_000)},
            [
                "natural logs: conversations with another label: 11 of 10,000, 0.11%; the target "
                "is 0.10%"
            ],
        ),
        (
            {"charged_lost": (1, 300), "other_cues": (2, 1000)},
            [
                "charged conversations that are lost: 1 of 300, 0.33%; the target is 0.30%",
                "natural logs: conversations with other cues: 2 of 1,000, 0.20%; the target is "
                "0.10%",
            ],
        ),
        # Thresholds may become lower; labels at such ones may change twice as often.
        (
            {"other_label_lower": (21, 10_000)},
            [
                "natural logs: conversations with another label at lower points: 21 of 10,000, "
                "0.21%; the target is 0.20%"
            ],
        ),
        ({"other_label_lower": (20, 10_000)}, []),
        ({"charged_lost": (0, 0)}, []),
        (
            {"messages_lost": (3, 200)},
            [
                "conversations with emotional messages, all lost: 3 of 200, 1.50%; the target is "
                "1.00%"
            ],
        ),
    ],
)
def test_missed_targets_are_named(losses, said):
    assert [*make.missed(counts_of(**losses))] == said


def test_what_is_missed_by_the_part_that_checks_is_printed(
    bert_folder, chats, tmp_path, small, monkeypatch, capsys
):
    where = tmp_path / "work", tmp_path / "out"
    start = "checked on conversations that took no part: "
    make.add_screen(load_artifact(bert_folder), chats, *where)
    assert f"{start}all targets are met\n" in capsys.readouterr().out
    monkeypatch.setattr(make, "missed", lambda counts: ["something: 1 of 2"])
    make.add_screen(load_artifact(bert_folder), chats, *where)
    printed = capsys.readouterr().out
    assert f"{start}something: 1 of 2\n" in printed
    assert "are met" not in printed


def test_the_report_is_what_the_artifact_does(made, chats):
    """Label the conversations of the part that checks, with and without the screen."""
    folder, report = made
    checked = [chat.conversation for chat in chats if chat.part == CHECK]
    screened = AffectClassifier.from_pretrained(folder, device="cpu", engine="onnx")
    whole = AffectClassifier.from_pretrained(folder, device="cpu", engine="onnx", screen=False)
    other = dict.fromkeys(screened.artifact.operating_points, 0)
    for point in other:
        pairs = zip(
            screened.predict(checked, operating_point=point),
            whole.predict(checked, operating_point=point),
            strict=True,
        )
        other[point] = sum(found.label != expected.label for found, expected in pairs)
    counts = report["checked_on"].values()
    assert max(other.values()) <= sum(found["other_label"]["hits"] for found in counts)
    settled = sum(prediction.messages[0].screened for prediction in screened.predict(checked))
    assert settled == sum(found["settled"] for found in counts)


def test_a_call_that_was_stopped_goes_on(bert_folder, chats, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 30)
    artifact = load_artifact(bert_folder)
    whole = score(chats, artifact, tmp_path / "whole")
    scored, calls = module._scored, []

    def stopping(*arguments):
        calls.append(arguments)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return scored(*arguments)

    monkeypatch.setattr(module, "_scored", stopping)
    with pytest.raises(KeyboardInterrupt):
        score(chats, artifact, tmp_path / "parts")
    found = score(chats, artifact, tmp_path / "parts")
    assert len(calls) == 5
    assert found.logits.tolist() == whole.logits.tolist()
    assert found.peaks.tolist() == whole.peaks.tolist()
    assert [w.ids.tolist() for w in found.windows] == [w.ids.tolist() for w in whole.windows]


def test_other_conversations_or_weights_are_scored_anew(bert_folder, chats, tmp_path):
    artifact = load_artifact(bert_folder)
    score(chats[:10], artifact, tmp_path)
    assert len(score(chats[10:30], artifact, tmp_path)) == 20


def test_other_weights_refuse_it(made):
    folder, _ = made
    values = json.loads((folder / "affect.json").read_text())
    (folder / "model.safetensors").write_bytes(b"others")
    write_manifest(folder, outputs=values["outputs"])
    with pytest.raises(ArtifactCorruptError, match="made for other weights"):
        Screen.load(load_artifact(folder))


@pytest.mark.parametrize(("lower", "kept"), [(0.45, True), (0.55, False)])
def test_thresholds_may_become_a_little_lower(made, lower, kept):
    artifact = load_artifact(made[0])
    points = {
        name: replace(
            point,
            **{x: sigmoid(logit(getattr(point, x)) - lower) for x in ("message", "conversation")},
        )
        for name, point in artifact.operating_points.items()
    }
    screen = Screen.load(replace(artifact, operating_points=points))
    assert (screen is not None) == kept


def test_a_screen_is_made_again_in_place(made, chats, tmp_path):
    folder, _ = made
    before = (folder / SCREEN_FILE).read_bytes()
    make.add_screen(load_artifact(folder), chats, tmp_path / "work", folder)
    assert load_artifact(folder).version == "9.1"
    assert (folder / SCREEN_FILE).read_bytes() == before
    assert Screen.load(load_artifact(folder)) is not None


def test_one_that_is_too_large_is_refused_before_anything_is_scored(
    bert_folder, chats, tmp_path, small, monkeypatch
):
    monkeypatch.setattr(make, "MOST_BYTES", make.HEADER_BYTES + 100)
    with pytest.raises(ValueError, match=r"50,100.*BUCKETS"):
        make.add_screen(load_artifact(bert_folder), chats, tmp_path / "work", tmp_path / "out")
    assert [*tmp_path.iterdir()] == []


def test_the_size_is_known_before_it_learns(made, bert_folder):
    folder, _ = made
    artifact = load_artifact(bert_folder)
    words = make.load_model(artifact).get_input_embeddings().weight.detach()
    size = student.size_of(words, len(artifact.outputs))
    assert 0 < (folder / SCREEN_FILE).stat().st_size - size < make.HEADER_BYTES


def test_an_artifact_that_is_not_there_is_named(tmp_path, capsys):
    arguments = ["--artifact", str(tmp_path / "none"), "--data", str(tmp_path)]
    assert command.main([*arguments, "-o", str(tmp_path / "out")]) == 2
    assert "none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("hits", "of", "end"), [(0, 5990, 0.0005), (0, 0, 0.0), (3, 3, 1.0), (1, 100, 0.0466)]
)
def test_upper_ends_are_those_of_clopper_and_pearson(hits, of, end):
    assert make.upper_end(hits, of) == pytest.approx(end, abs=1e-4)


def judge_of(artifact, chats, tmp_path):
    return make.Judge(artifact, chats, score(chats, artifact, tmp_path))


def test_few_conversations_settle_nothing(bert_folder, chats, tmp_path):
    """Without any loss among 80 conversations, up to 3.7 % might be lost all the same."""
    judge = judge_of(load_artifact(bert_folder), chats, tmp_path)
    count = len(judge.windows)
    nothing = judge.losses(np.zeros(count, bool), judge.windows.logits, range(PARTS))
    assert not make.allowed(nothing)
    zeros = np.zeros(count, np.float32)
    assert make.choose_bound(judge, zeros, judge.windows.logits, range(PARTS)) == make.NOTHING


def test_a_screen_that_knows_the_encoder_may_settle_all_that_decides_nothing(
    bert_folder, chats, tmp_path, small
):
    judge = judge_of(load_artifact(bert_folder), chats, tmp_path)
    judge.windows = replace(judge.windows, peaks=judge.windows.logits)
    reach = judge.windows.logits.max(axis=1)
    found = make.choose_bound(judge, reach, judge.windows.logits, range(PARTS))
    assert found == pytest.approx(reach.max())


def test_a_screen_that_is_wrong_is_bounded(bert_folder, chats, tmp_path, small):
    """It says that no window reaches anything, and is sure of those that do."""
    judge = judge_of(load_artifact(bert_folder), chats, tmp_path)
    calm = np.full_like(judge.windows.logits, -20)
    emotional = judge.windows.logits[:, judge.artifact.outputs.index("emotional")]
    found = make.choose_bound(judge, -emotional, calm, range(PARTS))
    assert make.allowed(judge.losses(-emotional < found, calm, range(PARTS)))
    everything = judge.losses(np.ones(len(calm), bool), calm, range(PARTS))
    assert not make.allowed(everything)


def test_the_mean_probability_of_settled_windows_is_the_encoders():
    draw = np.random.default_rng(0)
    meant = draw.normal(-5, 1, 1000).astype(np.float32)
    found = meant - 1.5 + draw.normal(0, 0.5, 1000).astype(np.float32)
    shift = make.mean_shift(found, meant, -1.0)
    settled = np.minimum(found + shift, -1.0)
    assert np.mean(sigmoid(settled)) == pytest.approx(np.mean(sigmoid(meant)), rel=1e-3)
    assert make.mean_shift(found[:0], meant[:0], -1.0) == 0.0


def test_what_may_not_teach_does_not(bert_folder, chats, tmp_path, small, monkeypatch):
    learnt = []
    monkeypatch.setattr(
        make, "learn", lambda own, *rest: learnt.append(own) or student.learn(own, *rest)
    )
    some = [replace(chat, teaches=place % 4 != 0) for place, chat in enumerate(chats)]
    make.add_screen(load_artifact(bert_folder), some, tmp_path / "work", tmp_path / "out")
    assert len(learnt) == PARTS
    for part, own in enumerate(learnt):
        taught = {some[place].part for place in own.chats.tolist()}
        assert CHECK not in taught
        assert part not in taught
        assert all(some[place].teaches for place in own.chats.tolist())
