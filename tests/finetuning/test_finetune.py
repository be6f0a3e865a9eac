from __future__ import annotations

import json
import random
import re
import shutil
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="fine-tuning needs affectlib[train]")
pytest.importorskip("datasets", reason="fine-tuning needs affectlib[train]")
pytest.importorskip("onnx", reason="fine-tuning needs affectlib[train]")
pytest.importorskip("scipy", reason="fine-tuning needs affectlib[train]")

import affectlib
from affectlib import AffectClassifier
from affectlib.cli import main
from affectlib.errors import OptionError, OutputExistsError, TranscriptFormatError
from affectlib.finetuning import FineTuned, finetune, learning, run
from affectlib.finetuning.export import write_weights
from affectlib.model.artifacts import load_artifact, sha256
from affectlib.model.screen import SCREEN_FILE
from tests.conftest import assistant, build_tokenizer, tiny_bert, user, write_manifest

SAD = [
    " ".join(words) for words in product(("i am", "so"), ("alone", "sad"), ("hello", "word", "a"))
]
DRY = [" ".join(words) for words in product(("the", "a"), ("csv", "file"), ("hello", "word", "a"))]
quiet_export = pytest.mark.filterwarnings(
    "ignore::DeprecationWarning:torch", "ignore::torch.jit.TracerWarning"
)
pytestmark = quiet_export


def rows(count: int, share: float = 0.5) -> list[dict[str, Any]]:
    """Conversations of which each says something else, of as many users."""
    charged = round(share * count)
    found = []
    for n in range(count):
        emotional = n < charged
        text = (SAD if emotional else DRY)[n % 12]
        found.append(
            {
                "id": f"c{n}",
                "messages": [user("hello " * (n % 7 + 1)), assistant("sorry"), user(text)],
                "label": "emotional" if emotional else "task",
                "writer": f"w{n}",
            }
        )
        if emotional:
            found[-1]["turns"] = [2]
    return found


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT that knows nothing, but can learn in a few steps."""
    folder = tmp_path_factory.mktemp("base") / "calm"
    folder.mkdir()
    tokenizer = build_tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    model = tiny_bert(vocab_size=size, hidden_size=64, intermediate_size=128, initializer_range=0.1)
    write_weights(model, folder)
    reference = {"words": ["hello"], "kinds": {}}
    return write_manifest(folder, name="calm", recipe="secret", reference=reference)


@pytest.fixture(scope="module")
def fast() -> Any:
    """Let a tiny model learn in seconds."""
    with pytest.MonkeyPatch.context() as patch:
        settings = replace(
            learning.SETTINGS, epochs=12, learning_rate=5e-3, head_learning_rate=5e-3
        )
        patch.setattr(learning, "SETTINGS", settings)
        yield


@pytest.fixture
def brief(fast: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let it learn in one step or two, where it does not matter how much."""
    monkeypatch.setattr(learning, "SETTINGS", replace(learning.SETTINGS, epochs=1))


@pytest.fixture(scope="module")
def made(
    base: Path, fast: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FineTuned, Path]:
    """A model made of 160 conversations, 80 of them emotional."""
    folder = tmp_path_factory.mktemp("made")
    file = write(folder / "mine.jsonl", *rows(160))
    found = finetune(file, folder / "mine", model=base, group="writer", data_name="support chats")
    return found, folder / "mine"


def test_the_new_model_is_a_model_that_names_its_base(
    made: tuple[FineTuned, Path], base: Path
) -> None:
    found, folder = made
    assert found.folder == folder
    new, old = load_artifact(folder), load_artifact(base)
    assert new.name == "mine"
    assert new.outputs == old.outputs
    assert new.windows == old.windows
    assert new.cue_thresholds == old.cue_thresholds
    assert new.description["base"] == {
        "name": "calm",
        "version": old.version,
        "fingerprint": old.fingerprint,
    }
    assert "recipe" not in new.description
    assert sorted(path.name for path in folder.parent.iterdir()) == ["mine", "mine.jsonl"]
    chats = [row["messages"] for row in rows(12)]
    for engine in ("onnx", "torch"):
        classifier = AffectClassifier.from_pretrained(folder, engine=engine, device="cpu")
        assert len(classifier.predict(chats)) == 12


def test_it_learns(made: tuple[FineTuned, Path]) -> None:
    found, folder = made
    assert (found.conversations, found.emotional) == (160, 80)
    assert (found.held_out, found.held_out_emotional) == (48, 24)
    assert found.share > 0
    assert found.fitted
    assert found.figure("AUROC")["after"] > found.figure("AUROC")["before"]
    assert found.figure("AUROC")["after"] > 0.9
    classifier = AffectClassifier.from_pretrained(folder, device="cpu")
    lines = rows(160)[::9]
    labels = [found.label for found in classifier.predict([line["messages"] for line in lines])]
    assert labels == [line["label"] for line in lines]
    with pytest.raises(KeyError):
        found.figure("beauty")


def test_measured_is_what_was_held_out(made: tuple[FineTuned, Path]) -> None:
    found, folder = made
    new = load_artifact(folder)
    for name, point in new.operating_points.items():
        counts = new.description["measured"][name]["conversation"]
        positives = counts["true_positives"] + counts["false_negatives"]
        assert positives == pytest.approx(found.held_out_emotional)
        assert counts["true_positives"] / positives == pytest.approx(point.sensitivity, abs=1e-3)
        row = found.figure("recall", name)
        assert row["after"] == pytest.approx(point.sensitivity, abs=1e-3)


def test_what_is_not_labelled_stays_near_the_base(made: tuple[FineTuned, Path], base: Path) -> None:
    chats = [row["messages"] for row in rows(160)][::5]
    before, after = (
        AffectClassifier.from_pretrained(folder, device="cpu").predict(chats)
        for folder in (base, made[1])
    )
    gaps = [
        abs(one.cues[name] - other.cues[name])
        for one, other in zip(before, after, strict=True)
        for name in one.cues
    ]
    moved = [abs(a.probability - b.probability) for a, b in zip(before, after, strict=True)]
    assert np.mean(gaps) < 0.05
    assert np.mean(gaps) < np.mean(moved) / 2


def test_the_lower_half_of_the_encoder_is_the_base_s(
    made: tuple[FineTuned, Path], base: Path
) -> None:
    from safetensors.numpy import load_file

    before, after = (load_file(folder / "model.safetensors") for folder in (base, made[1]))
    same = {name for name in before if np.array_equal(before[name], after[name])}
    assert {name for name in before if ".layer.0." in name or "embeddings" in name} <= same
    assert not any(".layer.1." in name and name.endswith("dense.weight") for name in same)


def test_the_card_says_what_is_true(made: tuple[FineTuned, Path]) -> None:
    found, folder = made
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\n")
    assert "license" not in card
    assert "No licence was stated." in card
    assert "support chats: 160 labelled conversations, 80 of them emotional (50%)" in card
    assert (
        "112 (56 emotional) were used for training, 48 (24 emotional) were held out, by `writer`"
        in card
    )
    assert "calm 0.0.1" in card
    assert f"| balanced | recall | {found.figure('recall', 'balanced')['before']:.3f} (" in card
    assert f"| AUROC | {found.figure('AUROC')['before']:.3f} (" in card
    for text in ("written by a large language model", "Apache", SAD[0], "c0"):
        assert text not in card
    assert "a calibration and thresholds that were fitted to others" in card
    assert "The specificity that a threshold aims at was set with all of them." in card
    assert "did better on the held-out conversations" not in card
    values = load_artifact(folder).description["finetuned"]
    assert values["conversations"] == 160
    assert values["share"] == found.share


def test_the_model_says_nothing_of_what_was_written(made: tuple[FineTuned, Path]) -> None:
    for path in made[1].iterdir():
        if path.name != "tokenizer.json":
            assert b"alone" not in path.read_bytes(), path.name


def test_the_state_of_chance_is_left_alone_and_what_a_killed_run_left_is_not(
    base: Path, fast: None, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import torch

    def state() -> list[float]:
        return [random.random(), np.random.random(), torch.rand(1).item()]

    rest = tmp_path / ".mine.tmp"
    rest.mkdir()
    (rest / "model.safetensors").write_bytes(b"half")
    file = write(tmp_path / "mine.jsonl", *rows(40))
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    first = state()
    random.seed(3), np.random.seed(3), torch.manual_seed(3)
    finetune(file, tmp_path / "mine", model=base)
    assert state() == first
    assert capfd.readouterr() == ("", "")
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "mine.jsonl"}


def test_few_conversations_keep_the_thresholds(base: Path, fast: None, tmp_path: Path) -> None:
    file = write(tmp_path / "mine.jsonl", *rows(40))
    found = finetune(file, tmp_path / "mine", model=base, licence="CC0: mine", name="few")
    new, old = load_artifact(tmp_path / "mine"), load_artifact(base)
    assert not found.fitted
    assert new.name == "few"
    assert new.operating_points == old.operating_points
    assert new.prevalence == old.prevalence
    assert new.recalibration.slope == 1.0
    assert any("those of calm 0.0.1 stay" in note for note in found.notes)
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert 'license: "CC0: mine"' in card
    assert "Those of calm" not in card
    assert "those of calm 0.0.1 stay" in card
    assert "judged by a share of the new weights that was chosen without it" in card
    assert "by conversation" in card


def test_one_person_held_out_does_not_make_the_new_model_look_better(
    base: Path, brief: None, tmp_path: Path
) -> None:
    """Nobody else is there to choose its share with, so that it is judged as the base is."""
    lines = rows(160)
    for place, line in enumerate(lines):
        line["writer"] = "abcd"[place % 4]
    file = write(tmp_path / "mine.jsonl", *lines)
    found = finetune(file, tmp_path / "mine", model=base, group="writer")
    assert (found.held_out, found.held_out_emotional) == (40, 20)
    assert not found.fitted
    assert found.figure("AUROC")["change"] == 0
    assert any("of so few people that thresholds cannot be fitted" in n for n in found.notes)
    assert any("does not rank the held-out conversations better" in n for n in found.notes)


def test_a_screen_does_not_hold_for_other_weights(base: Path, brief: None, tmp_path: Path) -> None:
    folder = shutil.copytree(base, tmp_path / "base")
    (folder / SCREEN_FILE).write_bytes(b"what the base learnt to leave alone")
    values = json.loads((folder / "affect.json").read_text(encoding="utf-8"))
    files = {**values["files"], SCREEN_FILE: sha256(folder / SCREEN_FILE)}
    write_manifest(folder, name="calm", files=files, screen={"settled": 0.7})
    found = finetune(write(tmp_path / "mine.jsonl", *rows(40)), tmp_path / "mine", model=folder)
    assert any("the screen of calm 0.0.1 is left out" in note for note in found.notes)
    assert "screen" not in load_artifact(tmp_path / "mine").description
    assert not (tmp_path / "mine" / SCREEN_FILE).exists()


def test_a_model_that_is_no_better_is_the_base_and_says_so(
    base: Path, fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "choose_share", lambda *_: 0)
    found = finetune(write(tmp_path / "mine.jsonl", *rows(40)), tmp_path / "mine", model=base)
    assert found.share == 0
    assert any("did better on the held-out conversations" in note for note in found.notes)
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert "did better on the held-out conversations" in card
    texts = ["i am so alone", "the csv file", "hello"]
    before, after = (
        AffectClassifier.from_pretrained(folder, device="cpu").predict(texts)
        for folder in (base, tmp_path / "mine")
    )
    for one, other in zip(before, after, strict=True):
        assert dict(other.cues) == pytest.approx(dict(one.cues), abs=0.03)


def never(*_: Any, **__: Any) -> Any:
    raise AssertionError("it must not come to this")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "there is no conversation in it"),
        (rows(40, share=1.0), "0 of 40 conversations are task"),
        (rows(40, share=0.0), "0 of 40 conversations are emotional"),
        (rows(40, share=0.1), "4 of 40 conversations are emotional"),
        ([{"messages": [user("hello")]}], 'line 1: field "label"'),
        ([{"messages": [user("hello")], "label": "sad"}], 'line 1: field "label"'),
        ([rows(1)[0]] * 2, "line 2: field \"id\": 'c0' is also that of line 1"),
        ([{"messages": [user("hello")], "label": "task", "id": "x"}], "'x': field 'writer'"),
        ([{"messages": [user("hello")], "label": "task", "writer": []}], "1: field 'writer'"),
    ],
)
def test_a_file_that_cannot_be_learnt_from_is_named_before_anything_is_done(
    tmp_path: Path,
    base: Path,
    lines: list[Any],
    problem: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(run, "_make", never)
    file = write(tmp_path / "mine.jsonl", *lines)
    with pytest.raises((TranscriptFormatError, OptionError), match=re.escape(problem)) as caught:
        finetune(file, tmp_path / "mine", model=base, group="writer")
    assert str(file) in str(caught.value)
    words = [str(file), "-o", str(tmp_path / "mine"), "--model", str(base), "--group", "writer"]
    assert main(["finetune", *words]) == 2
    assert problem in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


@pytest.mark.parametrize(
    ("people", "missing"), [("ab", "emotional"), ("a", "emotional"), ("abbb", "task")]
)
def test_too_few_people_to_hold_any_out_is_said_before_it_learns(
    people: str, missing: str, tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run, "_learn", never)
    lines = rows(40)
    for place, line in enumerate(lines):
        line["writer"] = people[place * len(people) // 40]
    file = write(tmp_path / "mine.jsonl", *lines)
    problem = f"mine.jsonl: no {missing} conversation can be held out .*'writer'.*of more people$"
    with pytest.raises(OptionError, match=problem):
        finetune(file, tmp_path / "mine", model=base, group="writer")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.jsonl"]


def test_a_file_that_is_not_there_is_named(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [str(tmp_path / "none.jsonl"), "-o", str(tmp_path / "mine"), "--model", str(base)]
    assert main(["finetune", *words]) == 2
    assert "none.jsonl" in capsys.readouterr().err


def test_a_share_of_confidence_is_between_0_and_1(tmp_path: Path, base: Path) -> None:
    with pytest.raises(OptionError, match="confidence"):
        finetune(tmp_path / "none", tmp_path / "mine", model=base, confidence=95)


def test_nothing_is_overwritten_unasked(
    tmp_path: Path, base: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "_make", never)
    file = write(tmp_path / "mine.jsonl", *rows(40))
    target = tmp_path / "mine"
    target.mkdir()
    (target / "thesis.txt").write_text("years of work")
    words = ["finetune", str(file), "-o", str(target), "--model", str(base)]
    assert main(words) == 2
    assert "it exists; name another folder or give --overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 2
    assert "it holds no model, so it is not overwritten" in capsys.readouterr().err
    assert (target / "thesis.txt").read_text() == "years of work"
    with pytest.raises(OutputExistsError, match="holds what is to be read"):
        finetune(file, base, model=base, overwrite=True)
    with pytest.raises(FileNotFoundError):
        finetune(file, tmp_path / "no" / "mine", model=base)


def test_a_calibrated_model_can_be_fine_tuned_and_a_model_replaced_if_asked(
    made: tuple[FineTuned, Path], base: Path, fast: None, tmp_path: Path
) -> None:
    """What is fitted afterwards is applied to what was fitted before."""
    target = shutil.copytree(base, tmp_path / "mine")
    file = write(tmp_path / "mine.jsonl", *rows(40))
    finetune(file, target, model=made[1], overwrite=True)
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "mine.jsonl"}
    new = load_artifact(target)
    assert new.description["finetuned"]["conversations"] == 40
    assert new.description["base"]["name"] == "mine"
    chats = [line["messages"] for line in rows(160)[::9]]
    before, after = (
        [p.label for p in AffectClassifier.from_pretrained(folder, device="cpu").predict(chats)]
        for folder in (made[1], target)
    )
    assert before == after


@pytest.mark.parametrize("place", ["learn", "write_model", "write_description"])
def test_a_run_that_ends_early_leaves_nothing_half_done(
    place: str,
    made: tuple[FineTuned, Path],
    base: Path,
    brief: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        raise KeyboardInterrupt

    file = write(tmp_path / "mine.jsonl", *rows(40))
    kept = shutil.copytree(made[1], tmp_path / "kept")
    with monkeypatch.context() as patch:
        patch.setattr(learning if place == "learn" else run, place, stop)
        words = ["finetune", str(file), "--model", str(base), "--quiet"]
        assert main([*words, "-o", str(tmp_path / "mine")]) == 130
        assert main([*words, "-o", str(kept), "--overwrite"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} == {"mine.jsonl", "kept"}
    assert load_artifact(kept).description["finetuned"]["conversations"] == 160


def test_command_line(
    base: Path, fast: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "mine.jsonl", *rows(160))
    words = ["finetune", str(file), "--model", str(base), "--group", "writer"]
    assert main([*words, "-o", str(tmp_path / "one")]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("160 labelled conversations (80 emotional); 48 (24 emotional) were held")
    assert re.search(r"^balanced: threshold 0\.500, now 0\.\d{3}$", out, re.MULTILINE)
    assert re.search(r"^  AUROC +\d\.\d{3}, now \d\.\d{3} \(.*\); change \+", out, re.MULTILINE)
    assert "one, based on calm 0.0.1 ->" in err
    assert "learning" in err
    assert re.search(r"<\d\d:\d\d", err), "the time that is left"
    assert main([*words, "-o", str(tmp_path / "two"), "--json", "--quiet"]) == 0
    out, err = capsys.readouterr()
    figures = [json.loads(line) for line in out.splitlines()]
    assert {row["measure"] for row in figures} > {"AUROC", "recall", "calibration error"}
    assert "learning" not in err
    assert main(["info", "--model", str(tmp_path / "one")]) == 0
    assert "calm 0.0.1, fine-tuned" in capsys.readouterr().out


class Bar:
    """A line that keeps what it was told."""

    def __init__(self, *, total: float, **_: Any) -> None:
        self.total, self.n, self.stage, self.closed = total, 0.0, "", False
        self.seen: list[tuple[str, float]] = []
        self.said: list[tuple[str, str]] = []

    def write(self, text: str, **_: Any) -> None:
        self.said.append((self.stage, text))

    def set_description_str(self, words: str) -> None:
        self.stage = words

    def update(self, more: float) -> None:
        assert more >= 0
        self.n += more
        self.seen.append((self.stage, self.n))

    def close(self) -> None:
        self.closed = True


def test_one_line_moves_through_all_stages_to_its_end(
    base: Path, fast: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bars: list[Bar] = []

    def bar_of(**how: Any) -> Bar:
        bars.append(Bar(**how))
        return bars[-1]

    monkeypatch.setattr("tqdm.auto.tqdm", bar_of)
    file = write(tmp_path / "mine.jsonl", *rows(40))
    finetune(file, tmp_path / "mine", model=base, progress=True)
    (bar,) = bars
    assert bar.closed
    ((stage, note),) = bar.said
    assert stage == "", "before it learns"
    assert note.startswith("note: 6 emotional and 6 other conversations were held out")
    assert "those of the base stay" in note
    assert bar.n == pytest.approx(bar.total)
    stages = [*dict(bar.seen)]
    assert stages == ["preparing", "learning", "choosing", "writing", "reading", "checking"]
    for stage in ("preparing", "learning", "choosing", "reading", "checking"):
        within = [n for name, n in bar.seen if name == stage]
        assert within[-1] > within[0], stage


def test_it_is_a_public_name() -> None:
    assert affectlib.finetune is finetune
    assert affectlib.finetuning.FineTuned is FineTuned
