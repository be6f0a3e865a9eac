"""A model fitted to labels of one's own: better where it was wrong, near the old one where few."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from affectlib import AffectClassifier
from affectlib.conversation import Conversation, Message
from affectlib.errors import OptionError, OutputExistsError
from affectlib.model.artifacts import Artifact, load_artifact
from affectlib.model.calibration import OperatingPoint, Recalibration, logit, sigmoid
from affectlib.model.engines import load_engine
from affectlib.model.recalibration import (
    can_cross_fit,
    recalibrate,
    save_recalibrated,
    uncalibrated,
)
from affectlib.model.reference import FEATURES, FeatureHistogram, reference_of
from affectlib.model.screen import SCREEN_FILE, Screen, lowest_limits
from tests.conftest import write_manifest
from tests.tiny_screen import write_screen

forced = partial(recalibrate, force=True)


def draw(rows: int, seed: int, *, shift: float = 0.0, slope: float = 1.0) -> tuple[Any, Any]:
    """Rows whose true log-odds are a line through those of the probabilities given."""
    rng = np.random.default_rng(seed)
    z = rng.normal(size=rows) * 2 - 2
    truth = rng.random(rows) < sigmoid(shift + slope * z)
    return sigmoid(z), truth


@given(st.floats(-3, 3), st.floats(0.2, 4), st.floats(1e-6, 1 - 1e-6), st.floats(1e-6, 1 - 1e-6))
def test_a_line_keeps_the_order_and_composes(intercept, slope, one, other):
    line, first = Recalibration(intercept, slope), Recalibration(slope, 0.5)
    assert (line.probability(one) <= line.probability(other)) or one > other
    twice = line.probability(first.probability(one))
    assert line.after(first).probability(one) == pytest.approx(twice, rel=1e-4, abs=1e-9)


@given(st.floats(0, 1))
def test_without_a_line_a_probability_stays_what_it_is_and_the_ends_always_do(probability):
    assert Recalibration().probability(probability) == probability
    assert [Recalibration(1.0, 2.0).probability(end) for end in (0.0, 1.0)] == [0.0, 1.0]


@pytest.mark.parametrize(("shift", "slope"), [(-2.0, 1.0), (1.5, 1.0), (0.0, 0.6)])
def test_what_was_planted_is_found(tiny_artifact, shift, slope):
    found = forced(tiny_artifact, *draw(4000, 1, shift=shift, slope=slope))
    assert found.line.intercept == pytest.approx(shift, abs=0.3)
    assert found.line.slope == pytest.approx(slope, abs=0.15)
    fresh, truth = draw(20_000, 2, shift=shift, slope=slope)
    new = sigmoid(found.line.intercept + found.line.slope * logit(fresh))
    assert abs(new.mean() - truth.mean()) < 0.02
    for name, point in found.operating_points.items():
        wanted = tiny_artifact.operating_points[name].specificity
        spared = (new < point.conversation)[~truth].mean()
        assert spared == pytest.approx(wanted, abs=0.006)
        # What the model says of itself holds on rows that it has not seen.
        assert point.specificity == pytest.approx(spared, abs=0.01)
        assert point.sensitivity == pytest.approx(
            (new >= point.conversation)[truth].mean(), abs=0.06
        )


def test_few_rows_move_it_little(tiny_artifact):
    lines = {}
    for rows in (90, 3000):
        given = [draw(rows, seed, shift=-2.0) for seed in range(40)][: 40 if rows < 100 else 4]
        found = [forced(tiny_artifact, p, truth).line for p, truth in given if truth.sum() >= 10]
        pivot = 0.0  # the median threshold of the tiny model
        lines[rows] = np.mean([line.intercept + line.slope * pivot for line in found])
    assert lines[3000] == pytest.approx(-2.0, abs=0.2)
    assert lines[3000] - 0.1 < lines[90] < -0.3


def test_specificity_is_honest_with_few_rows(tiny_artifact):
    """Where false alarms are many, what the new operating point says of itself holds."""
    fresh, truth = draw(40_000, 99, shift=-3.0)
    spared, said = [], []
    for seed in range(40):
        given, gold = draw(400, seed, shift=-3.0)
        try:
            found = forced(tiny_artifact, given, gold)
        except OptionError:  # too few
            continue
        new = sigmoid(found.line.intercept + found.line.slope * logit(fresh))
        spared.append((new < found.operating_points["balanced"].conversation)[~truth].mean())
        said.append(found.operating_points["balanced"].specificity)
    base = (fresh < tiny_artifact.operating_points["balanced"].conversation)[~truth].mean()
    assert base < 0.9
    assert len(said) >= 20
    assert np.mean(spared) > base + 0.05
    assert np.mean(said) == pytest.approx(np.mean(spared), abs=0.015)


def test_weights_count_as_copies_of_rows(tiny_artifact):
    given, truth = draw(300, 3, shift=-1.0)
    rare = truth | (np.random.default_rng(0).random(300) < 0.3)
    weight = np.where(truth, 1.0, 1 / 0.3)
    whole = forced(tiny_artifact, given, truth)
    part = forced(tiny_artifact, given[rare], truth[rare], weights=weight[rare])
    assert part.prevalence == pytest.approx(whole.prevalence, abs=0.05)
    even = forced(tiny_artifact, given[rare], truth[rare])
    assert even.prevalence > part.prevalence + 0.05


def test_rows_of_one_group_share_a_fold(tiny_artifact):
    """Copies of a row under one name teach nothing of how it is judged."""
    given, truth = draw(120, 5)
    copies = np.repeat(np.arange(120), 3)
    apart = forced(tiny_artifact, given[copies], truth[copies])
    together = forced(tiny_artifact, given[copies], truth[copies], groups=copies)
    for place in range(120):
        assert len(np.unique(together.probability[copies == place])) == 1
    assert any(len(np.unique(apart.probability[copies == place])) > 1 for place in range(120))


@pytest.mark.parametrize("kind", ["emotional", "task"])
def test_too_few_of_a_kind_is_refused_with_what_is_needed(tiny_artifact, kind):
    truth = np.array([True] * 4 + [False] * 46)
    given = np.linspace(0.9, 0.1, 50)
    if kind == "task":
        truth, given = ~truth, 1 - given
    problem = f"truth: 4 of 50 labels are {kind}.* so 6 more: label about 75 more rows, "
    with pytest.raises(OptionError, match=problem):
        forced(tiny_artifact, given, truth)
    with pytest.raises(OptionError, match=r"0 of 50 .* 10 .* 167 "):
        forced(tiny_artifact, given, np.zeros(50, bool))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"weights": [0.0] * 60}, "weights: every one must be a number above 0; row 0"),
        ({"weights": [1.0] * 59}, "weights: 59 values for 60 probabilities"),
        ({"groups": [1]}, "groups: 1 values"),
        ({"specificity": {"none": 0.9}}, "unknown operating point 'none'"),
        ({"specificity": {"balanced": 1.0}}, "balanced: it must be between 0 and 1"),
    ],
)
def test_bad_input_names_its_place(tiny_artifact, changes, problem):
    given, truth = np.linspace(0.01, 0.99, 60), np.arange(60) > 40
    with pytest.raises(OptionError, match=problem):
        forced(tiny_artifact, given, truth, **changes)
    given[7] = np.nan
    with pytest.raises(OptionError, match="row 7"):
        forced(tiny_artifact, given, truth)


@pytest.mark.parametrize(
    ("users", "problem"),
    [
        ([0] * 10 + [*range(1, 33)], "the emotional rows are of too few users.* 2 emotional rows"),
        ([0] * 12 + [*range(1, 31)], "the emotional rows are of too few users.* 0 emotional rows"),
        ([*range(12)] + [12] * 30, "the task rows are of too few users.* 0 task rows"),
        ([0] * 42, "the emotional rows are of too few users.* 0 emotional rows"),
    ],
)
def test_labels_of_too_few_users_are_refused(tiny_artifact, users, problem):
    truth = np.arange(42) < 12
    given = np.linspace(0.9, 0.1, 42)
    with pytest.raises(OptionError, match=f"{problem} are left.*rows of more users$"):
        forced(tiny_artifact, given, truth, groups=users)


@given(st.lists(st.integers(0, 2), min_size=42, max_size=42))
def test_labels_of_few_users_are_fitted_or_refused(users):
    given, truth = np.linspace(0.9, 0.1, 42), np.arange(42) < 12
    if can_cross_fit(truth, np.unique(users, return_inverse=True)[1]):
        assert forced(load_artifact(), given, truth, groups=users).rows == 42
    else:
        with pytest.raises(OptionError, match="too few users"):
            forced(load_artifact(), given, truth, groups=users)


def test_a_threshold_that_nothing_reaches_is_refused(tiny_artifact):
    rng = np.random.default_rng(0)
    truth = np.arange(300) < 30
    given = np.where(truth, 0.4, rng.random(300) / 2)
    with pytest.raises(
        OptionError, match=r"high_precision: no emotional row.*specificity of at most 0\.[78]\d+"
    ):
        forced(tiny_artifact, given, truth, specificity={"high_precision": 0.99})
    found = forced(tiny_artifact, given, truth)
    assert found.lowered == ("balanced", "high_precision", "high_recall")
    assert found.operating_points["balanced"].conversation < 0.5


def test_an_only_message_is_judged_by_the_threshold_of_conversations(tiny_artifact):
    promised = OperatingPoint(message=0.05, conversation=0.6, sensitivity=0.5, specificity=0.9)
    artifact = replace(tiny_artifact, operating_points={"balanced": promised})
    given, truth = draw(3000, 1)
    alone = np.arange(3000) % 2 == 0
    found = forced(artifact, given, truth, level="message", alone=alone)
    point = found.operating_points["balanced"]
    probability = np.array([found.line.probability(p) for p in given])
    called = probability >= np.where(alone, point.conversation, point.message)
    assert called[~truth].mean() == pytest.approx(0.1, abs=0.01)
    assert called[~truth & alone].mean() < called[~truth & ~alone].mean()
    assert found.called["balanced"][~truth].mean() == pytest.approx(0.1, abs=0.02)
    assert (found.called["balanced"] == called).mean() > 0.98
    with pytest.raises(OptionError, match=r"alone: 1 .* 3,000"):
        forced(artifact, given, truth, level="message", alone=[True])


def test_messages_say_nothing_of_how_many_conversations_are_emotional(tiny_artifact):
    rows = draw(400, 1)
    assert forced(tiny_artifact, *rows, level="message").prevalence == tiny_artifact.prevalence
    assert forced(tiny_artifact, *rows).prevalence != tiny_artifact.prevalence


@pytest.fixture
def fitted(tiny_artifact, tmp_path):
    found = forced(tiny_artifact, *draw(400, 1, shift=-1.0, slope=0.8))
    save_recalibrated(tiny_artifact, found, tmp_path / "mine", name="mine")
    return tmp_path / "mine"


def test_the_folder_differs_in_decisions_alone(tiny_artifact, fitted):
    mine = load_artifact(fitted)
    assert (mine.name, mine.version, mine.outputs) == ("mine", "0.0.1", tiny_artifact.outputs)
    assert mine.windows == tiny_artifact.windows
    assert mine.description["calibrated"]["fingerprint"] == tiny_artifact.fingerprint
    assert mine.fingerprint != tiny_artifact.fingerprint
    assert "refitted on 400 labelled conversations" in (fitted / "README.md").read_text("utf-8")
    old, new = (
        json.loads((folder / "affect.json").read_text("utf-8"))
        for folder in (tiny_artifact.folder, fitted)
    )
    changed = {key for key in new if new[key] != old.get(key)}
    assert changed == {
        "name", "recalibration", "prevalence", "operating_points", "measured", "calibrated",
        "sha256",
    }  # fmt: skip
    assert new["files"] == old["files"]


def test_other_probabilities_do_not_make_transcripts_unlike(tiny_folder, tmp_path):
    """The base gave the same conversations 2 %, and the new model gives them 60 %."""
    chats = [Conversation((Message("user", text),)) for text in ("sad alone", "a file") * 20]
    measured = reference_of(("chats", chat, 0.02) for chat in chats)
    folder = shutil.copytree(tiny_folder, tmp_path / "base")
    base = load_artifact(write_manifest(folder, reference=measured.to_dict()))
    save_recalibrated(base, forced(base, *draw(400, 1)), tmp_path / "mine", name="mine")
    mine = load_artifact(tmp_path / "mine").reference
    assert mine is not None
    histogram = FeatureHistogram(mine.words)
    for chat in chats:
        histogram.add(chat, 0.6)
    assert [found.feature for found in histogram.differences(measured)] == ["score"]
    assert histogram.differences(mine) == []
    assert {name for kind in mine.kinds.values() for name in kind} == {*FEATURES} - {"score"}


def test_one_text_keeps_one_answer(tiny_artifact, fitted):
    base = AffectClassifier(tiny_artifact, load_engine(tiny_artifact, device="cpu"))
    mine = AffectClassifier.from_pretrained(fitted, device="cpu")
    line = mine.artifact.recalibration
    for text in ("sad", "sad sad alone", "hello code"):
        chat = [{"role": "user", "content": text}]
        message, conversation = mine.predict(text), mine.predict(chat)
        assert (
            message.probability == conversation.probability == conversation.messages[0].probability
        )
        assert message.label == conversation.label
        assert mine.predict([text])[0] == message
        expected = line.probability(base.predict(text).probability or 0.0)
        assert message.probability == pytest.approx(expected, abs=2e-5)
        assert mine.explain(chat).prediction == conversation
        assert mine.explain_words(text).probability == message.probability
    longer = [{"role": "user", "content": text} for text in ("sad", "code", "alone")]
    expected = line.probability(base.predict(longer).probability)
    assert mine.predict(longer).probability == pytest.approx(expected, abs=2e-5)


def again(artifact: Artifact, folder: Path, given: Any, truth: Any, **options: Any) -> Artifact:
    base, given = uncalibrated(artifact, given)
    save_recalibrated(base, forced(base, given, truth, **options), folder, name="mine")
    return load_artifact(folder)


def test_the_same_labels_give_the_same_model_again(tiny_artifact, tmp_path):
    given, truth = draw(400, 1, shift=-1.0, slope=0.8)
    first = again(tiny_artifact, tmp_path / "first", given, truth)
    given = np.array([first.recalibration.probability(p) for p in given])
    second = again(first, tmp_path / "second", given, truth)
    assert second.recalibration.intercept == pytest.approx(first.recalibration.intercept, abs=1e-6)
    assert second.recalibration.slope == pytest.approx(first.recalibration.slope, abs=1e-6)
    assert second.prevalence == pytest.approx(first.prevalence, abs=1e-6)
    assert second.description["calibrated"] == first.description["calibrated"]
    for name, point in first.operating_points.items():
        assert asdict(second.operating_points[name]) == pytest.approx(asdict(point), abs=1e-6)


def test_targets_are_kept_whatever_a_sheet_shows(tiny_artifact, tmp_path):
    rows = draw(400, 1)
    first = again(tiny_artifact, tmp_path / "first", *rows, specificity={"balanced": 0.8})
    assert first.operating_points["balanced"].specificity != 0.8
    second = again(first, tmp_path / "second", *draw(400, 2))
    for artifact in (first, second):
        aims = {name: point.aim for name, point in artifact.operating_points.items()}
        assert aims == {"balanced": 0.8, "high_precision": 0.99, "high_recall": 0.99}


@pytest.mark.parametrize("inverted", [True, False])
def test_labels_that_do_not_belong_to_the_model_are_refused(tiny_artifact, inverted):
    given, truth = draw(400, 1)
    truth = ~truth if inverted else np.random.default_rng(1).permutation(truth)
    with pytest.raises(OptionError, match="no better than chance"):
        forced(tiny_artifact, given, truth)


def test_a_fall_of_recall_is_refused(tiny_artifact):
    rows = draw(4000, 1, shift=-2.0)
    with pytest.raises(OptionError, match=r"balanced: recall"):
        recalibrate(tiny_artifact, *rows)
    # Less than it flags by far too many: a fall of specificity to its target is what was asked.
    assert recalibrate(tiny_artifact, *draw(4000, 1, shift=2.0), specificity=dict.fromkeys(
        tiny_artifact.operating_points, 0.9
    )).operating_points["balanced"].specificity == pytest.approx(0.9, abs=0.02)  # fmt: skip


def test_nothing_is_overwritten(tiny_artifact, fitted):
    before = {path.name: path.read_bytes() for path in fitted.iterdir()}
    found = forced(tiny_artifact, *draw(400, 1))
    with pytest.raises(OutputExistsError):
        save_recalibrated(tiny_artifact, found, fitted, name="other")
    assert {path.name: path.read_bytes() for path in fitted.iterdir()} == before


def test_a_classifier_is_calibrated_with_conversations(tiny_classifier, tmp_path):
    texts = ["sad alone", "a file", "sad", "hello", "alone"] * 12
    chats = [[{"role": "user", "content": text}] for text in texts]
    labels = ["task" if text in ("hello", "a file") else "emotional" for text in texts]
    mine = tiny_classifier.calibrated(
        chats, labels, tmp_path / "mine", users=range(60), specificity={"high_precision": 0.9}
    )
    assert mine.artifact.name == "mine"
    found = [prediction.label for prediction in mine.predict(chats)]
    assert found == labels
    with pytest.raises(OptionError, match="labels: 1 "):
        tiny_classifier.calibrated(chats, ["sad"] * 60, tmp_path / "other")
    with pytest.raises(OptionError, match=r"truth: 59 .* 60"):
        tiny_classifier.calibrated(chats, labels[1:], tmp_path / "other")
    with pytest.raises(OptionError, match="emotional rows are of too few users"):
        tiny_classifier.calibrated(chats, labels, tmp_path / "other", users=["anna"] * 60)
    with pytest.raises(OptionError, match="labels: 0 of 60"):
        tiny_classifier.calibrated(chats, [False] * 60, tmp_path / "other")
    assert not (tmp_path / "other").exists()


@settings(max_examples=20)
@given(st.integers(0, 1000), st.floats(-2, 2))
def test_what_is_fitted_is_always_usable(seed, shift):
    given, truth = draw(150, seed, shift=shift)
    if not 10 <= truth.sum() <= 140:
        return
    artifact = load_artifact()
    found = forced(artifact, given, truth, specificity=dict.fromkeys(
        artifact.operating_points, 0.8
    ))  # fmt: skip
    assert found.line.slope > 0
    assert 0 < found.prevalence < 1
    points = found.operating_points.values()
    assert all(0 < point.message < 1 and 0 < point.conversation < 1 for point in points)


@pytest.mark.parametrize(("move", "kept"), [(0.0, True), (0.05, True), (-0.19, False)])
def test_a_screen_goes_along_where_its_bounds_hold(tiny_folder, tmp_path, move, kept):
    shutil.copytree(tiny_folder, tmp_path / "base")
    write_screen(tmp_path / "base", limits=lowest_limits(load_artifact(tiny_folder)))
    base = load_artifact(tmp_path / "base")
    points = {
        name: replace(p, message=p.message + move, conversation=p.conversation + move)
        for name, p in base.operating_points.items()
        if p.message + move < 1
    }
    found = forced(base, *draw(300, 1))
    moved = replace(found, line=Recalibration(), operating_points=points)
    left_out = save_recalibrated(base, moved, tmp_path / "mine", name="mine")
    mine = load_artifact(tmp_path / "mine")
    card = (tmp_path / "mine" / "README.md").read_text(encoding="utf-8")
    assert left_out == ("no screen" in card) == (not kept)
    assert mine.has_file(SCREEN_FILE) == (tmp_path / "mine" / SCREEN_FILE).exists() == kept
    assert (Screen.load(mine) is not None) == kept
    assert AffectClassifier(mine, load_engine(mine, device="cpu")).screen == kept
