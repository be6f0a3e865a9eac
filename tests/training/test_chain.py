from __future__ import annotations

import json
import re
import shutil
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from affectlib.classifier import AffectClassifier
from affectlib.conversation import Conversation
from affectlib.finetuning import trainer
from affectlib.model.artifacts import load_artifact
from affectlib.taxonomy import LABELS, OUTPUTS
from tests.conftest import assistant, user
from training import evaluate, run
from training.config import load_recipe
from training.data import sources
from training.data.sources import from_gold, read_corpus
from training.evaluation import metrics
from training.model import train

SMOKE, FINETUNE = (
    str(Path(__file__).parents[2] / "configs" / name) for name in ("smoke.yaml", "finetune.yaml")
)
STEPS = list(run.STEPS)
TRAIN_STEPS, SAVE_STEPS = 600, 60


def real_run(test: Any) -> Any:
    """Mark a test of a real run: slow, and with what torch's exporter says of itself."""
    warnings = ("ignore::DeprecationWarning:torch", "ignore::torch.jit.TracerWarning")
    own = ("ignore:You are using the legacy TorchScript", "ignore:Exporting aten")
    return pytest.mark.slow(pytest.mark.filterwarnings(*warnings, *own)(test))


def chain(config: str, output: Path, *words: str, **changes: Any) -> int:
    """Run a recipe from the command line, made short; returns the exit code."""
    settings = [word for override in overrides(output, **changes) for word in ("--set", override)]
    return run.main(["--config", config, *settings, *words])


def overrides(output: Path, **changes: Any) -> list[str]:
    """What makes a recipe short, and changes of its settings with two underscores for a dot."""
    values = {
        "output": output,
        "train.max_steps": TRAIN_STEPS,
        "train.save_steps": SAVE_STEPS,
        **{key.replace("__", "."): value for key, value in changes.items()},
    }
    return [f"{key}={value}" for key, value in values.items()]


def done_before(printed: str) -> list[str]:
    return re.findall(r"^(\w+): done before$", printed, re.MULTILINE)


class Chain:
    """The chain with steps that do nothing but leave a file and note that they ran."""

    def __init__(self, output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.output = output
        self.ran: list[str] = []
        self.left: dict[str, bool] = {}
        self.fails: str | None = None
        monkeypatch.setattr(run, "STEPS", {name: name for name in STEPS})
        monkeypatch.setattr(run, "resolve_name", lambda name: partial(self.step, name))
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")

    def step(self, name: str, recipe: Any, data: Any) -> None:
        folder = self.output / "smoke" / name
        self.ran.append(name)
        self.left[name] = (folder / "checkpoint").exists()
        folder.mkdir(exist_ok=True)
        (folder / "checkpoint").touch()
        if name == self.fails:
            raise KeyboardInterrupt

    def run(self, *words: str, **changes: Any) -> list[str]:
        """Run the chain, stopped in the step that fails; returns the steps that ran."""
        self.ran = []
        if self.fails:
            with pytest.raises(KeyboardInterrupt):
                chain(SMOKE, self.output, *words, **changes)
        else:
            assert chain(SMOKE, self.output, *words, **changes) == 0
        return self.ran


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Chain:
    return Chain(tmp_path, monkeypatch)


def test_steps_run_in_order_and_once(steps: Chain, capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.run() == STEPS
    assert done_before(capsys.readouterr().out) == []
    assert steps.run() == []
    assert done_before(capsys.readouterr().out) == STEPS


@pytest.mark.parametrize("name", STEPS)
def test_start_runs_that_step_and_all_after_it(steps: Chain, name: str) -> None:
    steps.run()
    assert steps.run("--start", name) == STEPS[STEPS.index(name) :]
    assert not steps.left[name]
    assert steps.run() == []


@pytest.mark.parametrize("name", STEPS)
def test_stopped_chain_goes_on_in_the_step_that_was_stopped(steps: Chain, name: str) -> None:
    steps.fails = name
    assert steps.run() == STEPS[: STEPS.index(name) + 1]
    steps.fails = None
    assert steps.run() == STEPS[STEPS.index(name) :]
    assert steps.left[name]


def test_what_comes_after_a_stopped_step_is_not_taken_for_done(steps: Chain) -> None:
    steps.run()
    steps.fails = "train"
    steps.run("--start", "train")
    steps.fails = "export"
    steps.run()
    steps.fails = None
    assert steps.run() == STEPS[STEPS.index("export") :]


@pytest.mark.parametrize(
    ("changes", "first"),
    [
        ({"version": "'2'"}, "export"),
        ({"train__learning_rate": 0.1}, "train"),
        ({"teacher__path": "tiny"}, "teach"),
        ({"teacher__path": "tiny", "teacher__frozen": 1}, "teach"),
        ({"finish__epochs": 1}, "teach"),
        ({"screen": "true"}, "screen"),
        ({"seed": 2}, "prepare"),
        ({"windows__max_tokens": 90}, "prepare"),
        ({"sources.0.copies": 2}, "prepare"),
    ],
)
def test_changed_setting_is_followed_by_what_depends_on_it(
    steps: Chain, changes: dict[str, Any], first: str
) -> None:
    steps.run()
    assert steps.run(**changes) == STEPS[STEPS.index(first) :]


def test_whose_conversations_choose_the_thresholds_is_said(
    steps: Chain, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps.run()
    assert "affectlib finetune" not in capsys.readouterr().out
    file = tmp_path / "mine.jsonl"
    file.write_text('{"id": "1"}\n', encoding="utf-8")
    steps.run(sources=f"[{{name: file, path: '{file}'}}]")
    (line,) = [x for x in capsys.readouterr().out.splitlines() if "affectlib finetune" in x]
    assert "not on your file" in line


def test_changed_labels_of_a_file_are_followed_by_everything(steps: Chain, tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    own = {"sources": f"[{{name: file, path: '{file}'}}]"}
    file.write_text('{"id": "1"}\n', encoding="utf-8")
    assert steps.run(**own) == STEPS
    assert steps.run(**own) == []
    file.write_text('{"id": "2"}\n', encoding="utf-8")
    assert steps.run(**own) == STEPS


@pytest.mark.parametrize("name", ["real_dev_labels.jsonl", "study_labels.jsonl"])
def test_changed_dev_labels_are_followed_by_what_they_choose(
    steps: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What was learnt stays: thresholds, the screen and the figures depend on them."""
    labels = tmp_path / "labels"
    labels.mkdir()
    for file in ("real_dev_labels.jsonl", "study_labels.jsonl"):
        (labels / file).write_text("{}\n", encoding="utf-8")
    monkeypatch.setattr(run, "DATA", labels)
    steps.run()
    (labels / name).write_text('{"id": "1"}\n', encoding="utf-8")
    assert steps.run() == STEPS[STEPS.index("export") :]


def test_training_with_other_settings_or_windows_does_not_go_on_from_old_checkpoints(
    steps: Chain,
) -> None:
    steps.fails = "train"
    steps.run()
    steps.run()
    assert steps.left["train"]
    steps.run(train__learning_rate=0.1)
    assert not steps.left["train"]
    steps.run("--start", "prepare", train__learning_rate=0.1)
    assert not steps.left["train"]


@pytest.mark.parametrize(
    ("config", "words", "problem"),
    [
        (SMOKE, ["--set", "train.epoch=1"], "unknown key 'train.epoch'"),
        ("configs/none.yaml", [], "configs/none.yaml"),
        (FINETUNE, [], "sources.N.path"),
        (FINETUNE, ["--set", "sources.0.path=none.jsonl"], "none.jsonl"),
    ],
)
def test_wrong_recipe_ends_with_one_line_and_code_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    config: str,
    words: list[str],
    problem: str,
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    assert chain(config, tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert error.startswith("training.run: ")
    assert error.count("\n") == 1
    assert problem in error


def test_broken_artifact_to_start_from_ends_with_one_line_and_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")
    (tmp_path / "affect.json").write_text("{}", encoding="utf-8")
    assert chain(FINETUNE, tmp_path, **{"encoder.path": tmp_path}) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"training.run: {tmp_path / 'affect.json'}")
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def _light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The plain part of the corpus and a twelfth of the rest, short bootstraps and one thread."""
    folder = tmp_path_factory.mktemp("data")
    rows = (
        row
        for row in read_corpus()
        if row["id"].split("-")[0] in ("pl1", "pl2", "pl3", "pl4")
        or zlib.crc32((row["pair"] or row["id"]).encode()) % 12 == 0  # pairs stay whole
    )
    lines = (json.dumps(row, ensure_ascii=False) for row in rows)
    (folder / "corpus.jsonl").write_text("\n".join(lines), encoding="utf-8")
    for name in ("sources", "annotations", "real_dev_labels", "small_talk_labels"):
        shutil.copy(sources.DATA / f"{name}.jsonl", folder)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "DATA", folder)
        patch.setattr(metrics, "RESAMPLES", 20)
        patch.setenv("TOKENIZERS_PARALLELISM", "true")
        yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def smoke(_light: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of the smoke recipe from beginning to end."""
    output = tmp_path_factory.mktemp("runs")
    assert chain(SMOKE, output) == 0
    return output / "smoke"


@pytest.fixture
def dev(smoke: Path) -> list[Conversation]:
    return [from_gold(row, "corpus").conversation for row in read_corpus("dev")[:40]]


@real_run
def test_smoke_recipe_leaves_an_artifact_results_and_a_card(smoke: Path) -> None:
    artifact = load_artifact(smoke / "artifact")
    assert artifact.outputs == OUTPUTS
    assert set(artifact.operating_points) == {"balanced", "high_precision", "high_recall"}
    assert artifact.windows == load_recipe(SMOKE).windows
    results = json.loads((smoke / "results.json").read_text(encoding="utf-8"))
    groups = results["groups"]
    assert groups["corpus dev"]["n"] == len(read_corpus("dev"))
    # The model differs a little from run to run, and many of its logits lie about the threshold.
    assert results["engines"]["same_label"]["high"] >= 0.98
    assert results["engines"]["mean_gap"]["value"] < 0.005
    assert {*results["systems"]["corpus dev"]} == {
        "this artifact",
        "TF-IDF + logistic regression",
        "all-MiniLM-L6-v2, zero-shot",
        "VADER",
    }
    # It learnt something, which a chain that mixes up targets or windows would not.
    assert groups["corpus dev"]["auroc"]["value"] > 0.6
    card = (smoke / "artifact" / "README.md").read_text(encoding="utf-8")
    assert "smoke 0.0.1" in card
    assert f"\n`{artifact.fingerprint}`\n" in card
    # Without real transcripts there is nothing that tells how the thresholds do on them.
    assert artifact.description["measured"] == {}
    assert "None" not in card
    assert results["long_chats"]["tasks of the corpus"]["4 turns"]["message"]["n"] > 0
    assert f"{groups['corpus dev']['auroc']['value']:.3f}" in card


@real_run
def test_artifact_has_no_pickle_and_half_precision(smoke: Path) -> None:
    names = {path.name for path in (smoke / "artifact").iterdir()}
    assert names == {
        "README.md",
        "affect.json",
        "config.json",
        "model.int8.onnx",
        "model.safetensors",
        "reliability.svg",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    size = (smoke / "artifact" / "model.safetensors").stat().st_size
    trained = (smoke / "train" / "model" / "model.safetensors").stat().st_size
    assert size == pytest.approx(trained / 2, rel=0.05)


@real_run
def test_both_engines_predict_the_same_with_the_artifact(
    smoke: Path, dev: list[Conversation]
) -> None:
    onnx, fp16 = (
        AffectClassifier.from_pretrained(str(smoke / "artifact"), engine=engine, device="cpu")
        for engine in ("onnx", "torch")
    )
    probabilities = [[p.probability for p in c.predict(dev)] for c in (onnx, fp16)]
    assert np.std(probabilities[0]) > 0.01
    assert probabilities[0] == pytest.approx(probabilities[1], abs=0.02)
    assert {p.label for p in onnx.predict(dev)} <= {*LABELS}
    turns = [
        [turn.probability for p in c.predict(dev) for turn in p.messages if turn.role == "user"]
        for c in (onnx, fp16)
    ]
    assert turns[0] == pytest.approx(turns[1], abs=0.02)


@real_run
def test_transformers_alone_loads_the_artifact(smoke: Path) -> None:
    folder = smoke / "artifact"
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert model.config.id2label == dict(enumerate(OUTPUTS))
    assert model.config.problem_type == "multi_label_classification"
    classify = pipeline("text-classification", model=str(folder), top_k=None, device="cpu")
    texts = ["I feel so alone.", "Sort this list, please."]
    with torch.inference_mode():
        logits = model.float().eval()(**tokenizer(texts, padding=True, return_tensors="pt")).logits
    for scores, expected in zip(classify(texts), torch.sigmoid(logits).tolist(), strict=True):
        found = {score["label"]: score["score"] for score in scores}
        assert [found[name] for name in OUTPUTS] == pytest.approx(expected, abs=0.01)


@real_run
def test_artifact_does_as_well_as_itself(smoke: Path) -> None:
    recipe = load_recipe(SMOKE, overrides(smoke.parent))
    artifact = load_artifact(smoke / "artifact")
    subject = evaluate.Subject(recipe, None, artifact, [artifact])
    found = evaluate._other_artifact(subject, artifact)
    assert [*found] == [f"smoke 0.0.1 ({artifact.fingerprint[:8]})"]
    (probabilities,) = found.values()
    assert probabilities == pytest.approx([j.probability for j in subject.judged])


@pytest.mark.parametrize("option", ["--model", "--against"])
def test_artifact_that_is_not_there_is_one_line_and_code_2(
    option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--config", SMOKE, option, "./none"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("training.evaluate: no model './none'")
    assert error.count("\n") == 1


@real_run
def test_second_run_does_nothing(smoke: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = {path: path.stat().st_mtime_ns for path in smoke.rglob("*") if path.is_file()}
    assert chain(SMOKE, smoke.parent) == 0
    assert done_before(capsys.readouterr().out) == STEPS
    assert before == {path: path.stat().st_mtime_ns for path in smoke.rglob("*") if path.is_file()}


def count_steps(
    monkeypatch: pytest.MonkeyPatch, *, stop_at: int | None = None
) -> Callable[[], int]:
    """Count the training steps from now on; stop the training in one of them."""
    original = trainer.MultiTaskTrainer.compute_loss
    steps = 0

    def compute_loss(self: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal steps
        steps += model.training
        if steps == stop_at:
            raise KeyboardInterrupt
        return original(self, model, *args, **kwargs)

    monkeypatch.setattr(trainer.MultiTaskTrainer, "compute_loss", compute_loss)
    return lambda: steps


@real_run
def test_training_that_was_stopped_goes_on_to_the_same_weights(
    smoke: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(smoke / "prepare", tmp_path / "smoke" / "prepare")
    recipe = load_recipe(SMOKE, overrides(tmp_path))
    with monkeypatch.context() as patch:
        count_steps(patch, stop_at=SAVE_STEPS + 5)
        with pytest.raises(KeyboardInterrupt):
            train.train(recipe)
    assert (tmp_path / "smoke" / "train" / "first" / f"checkpoint-{SAVE_STEPS}").is_dir()
    assert not (tmp_path / "smoke" / "train" / "model").exists()
    steps = count_steps(monkeypatch)
    resumed = train.train(recipe)
    assert steps() == TRAIN_STEPS - SAVE_STEPS
    at_once = json.loads((smoke / "train" / "metrics.json").read_text(encoding="utf-8"))
    assert resumed == pytest.approx(at_once, abs=1e-4)
    models = [
        AutoModelForSequenceClassification.from_pretrained(folder / "train" / "model").state_dict()
        for folder in (smoke, tmp_path / "smoke")
    ]
    for name, weights in models[0].items():
        assert torch.allclose(weights, models[1][name], atol=1e-4), name


@real_run
def test_own_conversations_fine_tune_an_artifact(
    smoke: Path, tmp_path: Path, dev: list[Conversation]
) -> None:
    rows = [
        {"messages": [user(text), assistant("I see.")], "label": label}
        for i in range(10)
        for text, label in (
            (f"I feel lost and alone since day {i}", "emotional"),
            (f"Sort the numbers from {i} to nine", "task"),
        )
    ]
    file = tmp_path / "mine.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    changes = {
        "encoder.path": smoke / "artifact",
        "sources.0.path": file,
        "sources.1.conversations": 20,
        "train.max_steps": 4,
    }
    assert chain(FINETUNE, tmp_path, **changes) == 0
    folder = tmp_path / "finetune"
    report = json.loads((folder / "prepare" / "report.json").read_text(encoding="utf-8"))
    found = report["file"]
    assert (found["conversations"], found["emotional"]) == (20, 20)
    # Of each there is a copy beside calm talk, which may take more than one window.
    assert found["windows"] == found["weight"] >= 40
    texts = [
        (place / "tokenizer.json").read_text(encoding="utf-8")
        for place in (smoke / "artifact", folder / "artifact")
    ]
    assert json.loads(texts[0]) == json.loads(texts[1])
    before, after = (
        AutoModelForSequenceClassification.from_pretrained(place).bert.float()
        for place in (smoke / "artifact", folder / "artifact")
    )
    assert torch.equal(*(b.embeddings.word_embeddings.weight for b in (before, after)))
    layers = (b.encoder.layer[0].output.dense.weight for b in (before, after))
    assert 0 < torch.dist(*layers, p=torch.inf) < 0.05
    classifier = AffectClassifier.from_pretrained(str(folder / "artifact"), engine="onnx")
    assert len(classifier.predict(dev)) == len(dev)
    card = (folder / "artifact" / "README.md").read_text(encoding="utf-8")
    assert "--config configs/finetune.yaml --data DIR\n" in card
    assert "mine.jsonl: 20 conversations, 10 of them charged (50%)" in card
    assert "license" not in card
