from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

pytest.importorskip("scipy", reason="training needs affectlib[train]")
pytest.importorskip("pydantic", reason="training needs affectlib[train]")

from affectlib.conversation import Conversation, Message
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.calibration import WindowCombination, prior_shift, sigmoid
from affectlib.model.scoring import Scores
from affectlib.taxonomy import CHARGES, CUES, EMOTIONAL, OUTPUTS, THEMES
from training.model import calibrate
from training.model.calibrate import ScoredConversation, fit

EMPATHY = OUTPUTS.index("shows_empathy")
GRIEF = OUTPUTS.index("grief")


def scored(
    logits: list[float],
    emotional: bool,
    *,
    windows: list[float] | None = None,
    kind: calibrate.Kind = "logs",
) -> ScoredConversation:
    """A conversation of user messages with these emotional logits; charged is the highest.

    It is read in one window whose logit is that of the highest, unless `windows` has others.
    """
    charged = {int(np.argmax(logits))} if emotional else set()
    labelled = LabelledConversation(
        Conversation(tuple(Message("user", "word") for _ in logits)),
        "toy",
        charge=2 if emotional else 0,
        charges={i: (2, 2) if i in charged else (0, 0) for i in range(len(logits))},
    )
    whole = [outputs(z) for z in windows or [max(logits)]]
    return of(labelled, {i: outputs(z) for i, z in enumerate(logits)}, *whole, kind=kind)


def of(
    labelled: LabelledConversation,
    messages: dict[int, np.ndarray],
    *windows: np.ndarray,
    kind: calibrate.Kind = "logs",
) -> ScoredConversation:
    """A conversation with the logits of its messages and windows."""
    scores = Scores(np.array(windows), messages, dict.fromkeys(messages, 0))
    return ScoredConversation(labelled, scores, kind)


def outputs(emotional: float, empathy: float = 0.0) -> np.ndarray:
    values = np.zeros(len(OUTPUTS), np.float32)
    values[0], values[EMPATHY] = emotional, empathy
    return values


def sample(
    n: int,
    *,
    slope: float = 1.5,
    intercept: float = -1.0,
    kind: calibrate.Kind = "logs",
    seed: int = 0,
) -> list[ScoredConversation]:
    """Conversations of one message whose label follows a known logistic function of its logit."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, n)
    labels = generator.uniform(size=n) < sigmoid(slope * logits + intercept)
    return [scored([z], bool(y), kind=kind) for z, y in zip(logits, labels, strict=True)]


def mixed(n: int, *, longer_is_charged: float = 0.0, seed: int = 0) -> list[ScoredConversation]:
    """Conversations of one to twelve messages, of which an emotional one has a charged message."""
    generator = np.random.default_rng(seed)
    result = []
    for _ in range(n):
        turns = int(generator.integers(1, 13))
        emotional = generator.uniform() < sigmoid(longer_is_charged * (turns - 6.5))
        logits = generator.normal(-3, 1.5, turns)
        logits[generator.integers(turns)] += 5.0 * emotional
        result.append(
            scored(
                list(logits), bool(emotional), kind=("logs", "corpus")[int(generator.integers(2))]
            )
        )
    return result


def test_known_logistic_function_is_recovered() -> None:
    conversations = sample(4000)
    share = float(np.mean([s.labelled.emotional for s in conversations]))
    fitted = fit(conversations, share)
    assert fitted.weights[0, 0] == pytest.approx(1.5, rel=0.1)
    assert fitted.intercepts[0] == pytest.approx(-1.0, abs=0.15)
    for logit in (-3.0, -1.0, 0.0, 1.0, 3.0):
        one = scored([logit], False)
        expected = sigmoid(1.5 * logit - 1.0)
        assert fitted.probability(one) == pytest.approx(expected, abs=0.03)
        assert fitted.turn_probabilities(one)[0] == pytest.approx(expected, abs=0.03)


def test_outputs_with_enough_positives_are_calibrated_and_others_are_left() -> None:
    generator = np.random.default_rng(0)
    conversations = sample(50)
    for _ in range(3000):
        logit = generator.normal(0, 2)
        shown = generator.uniform() < sigmoid(0.5 * logit + 1)
        labelled = LabelledConversation(
            Conversation((Message("user", "word"), Message("assistant", "word"))),
            "toy",
            charge=2,
            charges={0: (2, 2)},
            cues=frozenset({"shows_empathy"} if shown else ()),
        )
        whole = outputs(2.0, empathy=logit)
        conversations.append(of(labelled, {0: outputs(2.0), 1: whole}, whole, kind="corpus"))
    fitted = fit(conversations)
    assert fitted.weights[EMPATHY, EMPATHY] == pytest.approx(0.5, rel=0.15)
    assert fitted.intercepts[EMPATHY] == pytest.approx(1.0, abs=0.15)
    never = OUTPUTS.index("in_crisis")
    assert (fitted.weights[never] == np.eye(len(OUTPUTS))[never]).all()
    assert fitted.intercepts[never] == 0
    logits = outputs(0.5, empathy=2.0)
    expected = fitted.weights[EMPATHY, EMPATHY] * 2.0 + fitted.intercepts[EMPATHY]
    assert fitted.calibrated(logits)[EMPATHY] == pytest.approx(expected)


def of_every_charge(n: int, noise: dict[str, float]) -> list[ScoredConversation]:
    """Conversations of one message, whose logits tell their charge with some noise each."""
    generator = np.random.default_rng(0)
    conversations = []
    for _ in range(n):
        charge = int(generator.choice([0, 1, 2, 3], p=[0.6, 0.2, 0.1, 0.1]))
        labelled = LabelledConversation(
            Conversation((Message("user", "word"),)),
            "toy",
            charge=charge,
            charges={0: (charge, charge)},
        )
        z = outputs(0.0)
        for level, name in enumerate(CHARGES, 1):
            error = generator.normal(0, noise[name])
            z[OUTPUTS.index(name)] = 2.0 * (charge >= level) - level + error
        kind = ("logs", "corpus")[int(generator.integers(2))]
        conversations.append(of(labelled, {0: z}, z, kind=kind))
    return conversations


def test_charges_are_calibrated_together() -> None:
    # All three say the truth: what is expected is the mean charge, whatever their logits were.
    conversations = of_every_charge(3000, dict.fromkeys(CHARGES, 1.0))
    fitted = fit(conversations, 0.2)
    expected = [fitted.intensity(s) for s in conversations]
    assert np.mean(expected) == pytest.approx(0.7, abs=0.05)
    by_charge = [
        np.mean([x for x, s in zip(expected, conversations, strict=True) if s.labelled.charge == c])
        for c in range(4)
    ]
    assert by_charge == sorted(by_charge)
    # Where charge is rarer, all three are: their examples have the weights of P(emotional).
    rare = fit(conversations, 0.02)
    truth = np.array([s.labelled.emotional for s in conversations], float)
    weights = calibrate.example_weights(truth, np.array([s.kind for s in conversations]), 0.02)
    found = weights @ np.array([rare.intensity(s) for s in conversations])
    assert found == pytest.approx(0.02 + 0.98 * 0.25 + 0.02 + 0.01, abs=0.02)


def test_charge_takes_from_the_logits_of_the_others_what_its_own_does_not_tell() -> None:
    conversations = of_every_charge(2000, {**dict.fromkeys(CHARGES, 0.5), EMOTIONAL: 20.0})
    fitted = fit(conversations, 0.2)
    places = [OUTPUTS.index(name) for name in CHARGES]
    own = fitted.weights[OUTPUTS.index(EMOTIONAL)]
    assert (own[places] >= 0).all()
    assert own[places[1]] < 0.2 < min(own[places[0]], own[places[2]])
    assert np.delete(own, places).tolist() == [0.0] * (len(OUTPUTS) - len(places))
    truth = [s.labelled.emotional for s in conversations]
    right = [(fitted.probability(s) >= 0.5) == t for s, t in zip(conversations, truth, strict=True)]
    assert np.mean(right) > 0.85


def test_intensity_is_that_of_a_single_message_and_lies_between_0_and_3() -> None:
    fitted = fit(mixed(200))
    for logit in (-4.0, 0.0, 4.0):
        found = fitted.intensity(scored([logit], False))
        probability = fitted.probability(scored([logit], False))
        assert 2 * probability <= found <= 1 + 2 * probability


def test_turns_are_those_of_the_user() -> None:
    fitted = fit(sample(500))
    answered = of(
        LabelledConversation(
            Conversation((Message("user", "word"), Message("assistant", "word"))), "toy", False
        ),
        {0: outputs(-1.0), 1: outputs(9.0)},
        outputs(-1.0),
    )
    assert answered.user_places == [0]
    assert fitted.turn_probabilities(answered).tolist() == [fitted.probability(answered)]


@pytest.mark.parametrize("deployed", [0.02, 0.1, 0.7])
def test_prevalence_moves_probabilities_by_bayes_rule(deployed: float) -> None:
    conversations = sample(4000)
    even, other = (fit(conversations, p) for p in (0.5, deployed))
    for logit in (-2.0, 0.0, 1.0, 2.0):
        one = scored([logit], False)
        expected = prior_shift(even.probability(one), trained=0.5, deployed=deployed)
        assert other.probability(one) == pytest.approx(expected, rel=0.15, abs=0.01)


@pytest.mark.parametrize("prevalence", [0.02, 0.3])
def test_both_sets_and_the_prevalence_weigh_as_documented(prevalence: float) -> None:
    # A logistic regression with an intercept predicts, on average, the share it was fitted on.
    conversations = sample(900, kind="logs") + sample(90, kind="corpus", intercept=1.0, seed=1)
    fitted = fit(conversations, prevalence)

    def mean(emotional: bool, kind: str) -> float:
        return float(
            np.mean(
                [
                    fitted.probability(s)
                    for s in conversations
                    if s.labelled.emotional == emotional and s.kind == kind
                ]
            )
        )

    expected = prevalence * (mean(True, "logs") + mean(True, "corpus")) / 2
    expected += (1 - prevalence) * (mean(False, "logs") + mean(False, "corpus")) / 2
    assert expected == pytest.approx(prevalence, rel=0.01)


def test_size_of_a_set_does_not_count() -> None:
    real, ours = sample(300), sample(300, kind="corpus", intercept=1.5, seed=1)
    once, often = fit(real + ours), fit(real + ours * 5)
    one = scored([0.5], False)
    assert often.probability(one) == pytest.approx(once.probability(one), rel=1e-3)


def long(n: int, *, longer_is_charged: float) -> list[ScoredConversation]:
    """Conversations of one to six windows, one of which is charged if the conversation is."""
    generator = np.random.default_rng(0)
    result = []
    for _ in range(n):
        count = int(generator.integers(1, 7))
        emotional = bool(generator.uniform() < sigmoid(longer_is_charged * (count - 3.5)))
        windows = generator.normal(-3, 1.5, count)
        windows[generator.integers(count)] += 5.0 * emotional
        result.append(scored([float(windows.max())], emotional, windows=list(windows)))
    return result


def test_more_windows_lower_the_probability_as_far_as_long_conversations_are_calm() -> None:
    fits = [fit(long(800, longer_is_charged=trend)) for trend in (-0.6, 0.0, 0.6, 2.0)]
    falls = [fitted.combination.log_windows for fitted in fits]
    assert falls == sorted(falls)
    assert falls[0] < -0.1 < falls[2] <= falls[3] == 0.0
    for fitted in fits:
        probabilities = [
            fitted.probability(scored([0.0], False, windows=[0.0] * count))
            for count in (1, 2, 8, 40)
        ]
        assert probabilities == sorted(probabilities, reverse=True)
        assert probabilities[0] == pytest.approx(sigmoid(fitted.calibrated(outputs(0.0))[0]))


def test_a_single_message_has_the_probability_of_the_whole() -> None:
    fitted = fit(mixed(400))
    assert fitted.lines[0].tolist() != [0.0, 1.0]
    for logit in (-2.0, 0.0, 3.0):
        one = scored([logit], False)
        assert fitted.turn_probabilities(one).tolist() == [fitted.probability(one)]


def test_messages_of_several_have_a_line_of_their_own() -> None:
    generator = np.random.default_rng(0)
    conversations = []
    for _ in range(3000):
        z = generator.normal(0, 2, 2)
        charged = generator.uniform(size=2) < sigmoid(0.5 * z - 1.0)
        labelled = LabelledConversation(
            Conversation((Message("user", "word"), Message("user", "word"))),
            "toy",
            charge=2 * bool(charged.any()),
            charges={i: (2, 2) if flag else (0, 0) for i, flag in enumerate(charged)},
        )
        # The model is surer of the whole than of its messages.
        whole = outputs(8.0 * charged.any() - 4.0 + generator.normal())
        messages = {i: outputs(value) for i, value in enumerate(z)}
        conversations.append(of(labelled, messages, whole))
    share = np.mean([len(s.labelled.charged) / 2 for s in conversations])
    fitted = fit(conversations, float(share))
    found = fitted.turn_probabilities(scored([-3.0, 0.0, 3.0], False))
    assert found == pytest.approx(sigmoid(0.5 * np.array([-3.0, 0.0, 3.0]) - 1.0), abs=0.03)


def test_without_longer_conversations_logits_of_windows_and_messages_stay() -> None:
    fitted = fit(sample(300))
    assert fitted.combination == WindowCombination()
    assert (fitted.lines == [0.0, 1.0]).all()


def test_scores_that_are_the_wrong_way_round_are_not_turned() -> None:
    turned = [scored([-z, z], True, windows=[-z]) for z in (1.0, 2.0, 3.0) * 4]
    fitted = fit(sample(500, slope=-1.5) + turned)
    assert fitted.weights[0, 0] == pytest.approx(calibrate.LEAST_SLOPE)
    assert (fitted.lines[:, 1] >= calibrate.LEAST_SLOPE).all()


def test_extreme_logits_are_fitted_without_overflow() -> None:
    pairs = [(1000.0, True), (-1000.0, False), (2000.0, True), (-3000.0, False)] * 5
    fitted = fit([scored([z], y) for z, y in pairs], 0.5)
    assert fitted.probability(scored([1000.0], False)) > 0.5
    assert fitted.probability(scored([-1000.0], False)) < 0.5


WANTED = {"balanced": 0.99, "high_precision": 0.998, "high_recall": 0.9}


def with_cue(logits: list[float], shown: bool) -> ScoredConversation:
    """A conversation of a user's word and the assistant's answers with these empathy logits."""
    messages = (Message("user", "word"), *(Message("assistant", "word") for _ in logits))
    cues = frozenset({"shows_empathy"} if shown else ())
    labelled = LabelledConversation(
        Conversation(messages), "toy", charge=2 * shown, charges={0: (0, 2)}, cues=cues
    )
    found = {0: outputs(0.0, 9.0)} | {i: outputs(0.0, z) for i, z in enumerate(logits, 1)}
    return of(labelled, found, outputs(0.0, max(logits, default=9.0)))


def test_cue_threshold_is_where_f1_is_highest_over_the_answers() -> None:
    shown = [with_cue([-5.0, z], True) for z in (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)]
    others = [with_cue([z, -5.0], False) for z in (-3.0, -2.0, -1.0, 0.3, -4.0, -5.0)]
    fitted = fit([*shown, *others])
    threshold = fitted.cue_thresholds["shows_empathy"]
    flagged = [fitted.probability(s, "shows_empathy") >= threshold for s in (*shown, *others)]
    assert flagged == [True] * 6 + [False] * 3 + [True] + [False] * 2
    assert set(fitted.cue_thresholds) == set(CUES)


def test_cue_with_few_examples_keeps_one_half() -> None:
    scored = [with_cue([2.0], True)] * 4 + [with_cue([0.0], False)] * 20
    assert fit(scored).cue_thresholds["shows_empathy"] == 0.5


def test_cue_without_a_message_of_its_role_has_no_say() -> None:
    silent = [with_cue([], True)] * 10
    assert not silent[0].can_show("shows_empathy")
    assert silent[0].can_show("shares_feelings")
    fitted = fit(silent)
    assert fitted.cue_thresholds["shows_empathy"] == 0.5
    assert (fitted.weights[EMPATHY] == np.eye(len(OUTPUTS))[EMPATHY]).all()


def with_theme(logit: float, *themes: str, charge: int = 2) -> ScoredConversation:
    """A conversation of one message with this logit of grief."""
    labelled = LabelledConversation(
        Conversation((Message("user", "word"),)),
        "toy",
        charge=charge,
        charges={0: (charge, charge)},
        themes=frozenset(themes) if themes else None,
    )
    found = outputs(2.0 * charge)
    found[GRIEF] = logit
    return of(labelled, {0: found}, found)


def test_theme_threshold_is_where_f1_is_highest_over_charged_chats_with_themes() -> None:
    shown = [with_theme(z, "grief", "love") for z in (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)]
    others = [with_theme(z, "love") for z in (-3.0, -2.0, -1.0, 0.3, -4.0)]
    unknown = [with_theme(5.0), with_theme(5.0, "love", charge=0)] * 20
    fitted = fit([*shown, *others, *unknown])
    threshold = fitted.theme_thresholds["grief"]
    flagged = [fitted.probability(s, "grief") >= threshold for s in (*shown, *others)]
    assert flagged == [True] * 6 + [False] * 3 + [True, False]
    assert set(fitted.theme_thresholds) == set(THEMES)
    assert fitted.theme_thresholds["money"] == 0.5


def left_alone(fitted: calibrate.Calibration, negatives: list[Any], point: str) -> list[float]:
    """Shares left alone: of negatives, and of the messages of those that have several."""
    thresholds = fitted.operating_points[point]
    turns = [fitted.turn_probabilities(s) for s in negatives]
    messages = np.concatenate([found for found in turns if len(found) > 1] or turns)
    return [
        np.mean([fitted.probability(s) < thresholds.conversation for s in negatives]),
        np.mean(messages < thresholds.message),
    ]


def test_thresholds_leave_the_wanted_share_of_real_negatives_alone() -> None:
    conversations = mixed(3000)
    fitted = fit(conversations, specificity=WANTED)
    negatives = [s for s in conversations if s.kind == "logs" and not s.labelled.emotional]
    for point, wanted in WANTED.items():
        for share in left_alone(fitted, negatives, point):
            assert wanted <= share < wanted + 2 / len(negatives)
        assert fitted.operating_points[point].specificity == pytest.approx(
            left_alone(fitted, negatives, point)[0]
        )


def test_sensitivity_is_that_of_real_conversations() -> None:
    conversations = mixed(1000)
    fitted = fit(conversations, specificity=WANTED)
    positives = [s for s in conversations if s.kind == "logs" and s.labelled.emotional]
    found = {
        name: np.mean([fitted.probability(s) >= p.conversation for s in positives])
        for name, p in fitted.operating_points.items()
    }
    assert {n: p.sensitivity for n, p in fitted.operating_points.items()} == pytest.approx(found)
    assert found["high_precision"] <= found["balanced"] <= found["high_recall"]


def test_corpus_chooses_thresholds_only_where_nothing_real_is_given() -> None:
    real, ours = sample(300), sample(300, kind="corpus", intercept=2.0, seed=1)
    lower = [scored([z - 4], False, kind="corpus") for z in np.linspace(0, 1, 50)]
    wanted = {"balanced": 0.9}
    for conversations, deciding in ((real + ours, real), (ours + lower, ours + lower)):
        fitted = fit(conversations, specificity=wanted)
        negatives = [s for s in deciding if not s.labelled.emotional]
        shares = left_alone(fitted, negatives, "balanced")
        assert shares == pytest.approx([0.9, 0.9], abs=1 / len(negatives))


def test_shared_logs_and_personal_chats_weigh_the_same_in_thresholds() -> None:
    logs = sample(400, intercept=-2.0)
    personal = sample(40, kind="personal", intercept=0.0, seed=1)
    fitted = fit(logs + personal, specificity={"balanced": 0.9})
    shares = [
        left_alone(fitted, [s for s in part if not s.labelled.emotional], "balanced")[0]
        for part in (logs, personal)
    ]
    assert np.mean(shares) == pytest.approx(0.9, abs=0.03)
    assert fitted.operating_points["balanced"].specificity == pytest.approx(np.mean(shares))


def test_no_operating_point_is_dominated_by_another() -> None:
    fitted = fit(sample(400) + sample(200, kind="personal", seed=1))
    points = sorted(fitted.operating_points.values(), key=lambda point: point.specificity)
    recalls = [point.sensitivity for point in points]
    assert sorted({*recalls}, reverse=True) == recalls


@hypothesis_settings(deadline=None)
@given(
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
    st.floats(0.01, 1),
)
def test_threshold_leaves_enough_alone_and_is_the_lowest_that_does(
    values: list[int], wanted: float
) -> None:
    negatives = np.array(values) / 21
    threshold = calibrate._threshold(negatives, np.full(len(values), 1 / len(values)), wanted)
    assert 0 < threshold <= 1
    assert (negatives < threshold).mean() >= wanted - 1e-9
    below = negatives[negatives < threshold].max()
    assert (negatives < below).mean() < wanted


def test_calibration_is_folded_into_the_head() -> None:
    torch = pytest.importorskip("torch", reason="training needs affectlib[train]")
    from training.model.export import fold_calibration

    fitted = fit(sample(300))
    mixed_charges = fitted.weights.copy()
    mixed_charges[0, OUTPUTS.index(CHARGES[0])] = 0.7
    fitted = replace(fitted, weights=mixed_charges)
    hidden = torch.randn(5, 8, generator=torch.Generator().manual_seed(0))
    model = SimpleNamespace(classifier=torch.nn.Linear(8, len(OUTPUTS)))
    with torch.no_grad():
        before = model.classifier(hidden).numpy()
        fold_calibration(model, fitted)
        after = model.classifier(hidden).numpy()
    assert after == pytest.approx(fitted.calibrated(before), abs=1e-5)
