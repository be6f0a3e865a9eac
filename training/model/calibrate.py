"""Third step: turn scores into probabilities, and choose thresholds, only on dev conversations.

1. Each output is calibrated with a slope and an intercept (Platt scaling) by what is known of whole
   conversations; export folds these into the weights of the head. Those of the three charges count
   the same examples, by the same weights, for their sum is the expected charge. Each of them is
   fitted to the logits of all three, with weights that are not negative.
2. A conversation of several windows has their highest logits, lowered by their number as far as the
   long dev conversations say (`affectlib.model.calibration.WindowCombination`).
3. The logits of messages, which come from the same head, go through a line of their own, fitted on
   conversations in which the user says several things.
4. Each cue's threshold is the probability at which F1 over the dev conversations is highest; that
   of each theme is found in the same way, over the charged ones whose themes are known.
5. Each operating point's thresholds are the lowest at which the wanted share is left alone: of the
   dev conversations of real people without charge, and of the user messages in those that have
   several. Shared logs and personal chats of studies weigh the same in that share.

The kinds of dev conversations (shared logs, personal chats of studies, corpus) weigh the same, and
so that the share of emotional examples is `PREVALENCE`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.calibration import OperatingPoint, WindowCombination, expected_charge, sigmoid
from affectlib.model.scoring import Scores
from affectlib.taxonomy import CHARGES, CUES, EMOTIONAL, OUTPUTS, THEMES

Floats = NDArray[np.float64]

RIDGE = 1e-3
"""Penalty of the coefficients of single outputs."""
TOWARDS_HIGHEST = 0.01
"""Penalty of the conversation function's distance from the highest logit."""
PREVALENCE = 0.1
"""Share of emotional conversations that the probabilities assume."""
SPECIFICITY = {"balanced": 0.92, "high_precision": 0.97, "high_recall": 0.85}
"""Least specificity by operating point."""
FEWEST_POSITIVES = 5
LEAST_SLOPE = 0.05
"""An output's calibrated logit rises at least so much with its own logit."""
_EMOTIONAL = OUTPUTS.index(EMOTIONAL)

Kind: TypeAlias = Literal["logs", "personal", "corpus"]
"""Of a conversation: from shared logs, of people who talk of themselves in a study, or written."""


@dataclass(frozen=True, slots=True)
class ScoredConversation:
    """A labelled conversation with its logits, in the order of `OUTPUTS`."""

    labelled: LabelledConversation
    scores: Scores
    kind: Kind = "corpus"

    @property
    def user_places(self) -> list[int]:
        """Positions of the user messages that were read."""
        messages = self.labelled.conversation.messages
        return [place for place in self.scores.messages if messages[place].role == "user"]

    @property
    def named(self) -> frozenset[str]:
        """The cues and themes that it shows by annotation."""
        return (self.labelled.cues or frozenset()) | (self.labelled.themes or frozenset())

    def can_show(self, name: str) -> bool:
        """Whether a theme or cue can be shown: whether somebody of its role says anything."""
        messages = self.labelled.conversation.messages
        units = {messages[place].role for place in self.scores.messages}
        return name not in CUES or CUES[name].unit in units


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted.

    Attributes:
        weights: Of the logits in each output's calibrated logit, shape ``[outputs, outputs]``: its
            slope on the diagonal, and what charges take from each other.
        intercepts: Intercept of each output, shape ``[outputs]``.
        combination: How several windows make one logit.
        lines: Intercept and slope of each output of messages, shape ``[outputs, 2]``.
    """

    weights: Floats
    intercepts: Floats
    combination: WindowCombination = field(default_factory=WindowCombination)
    lines: Floats = field(default_factory=lambda: np.tile([0.0, 1.0], (len(OUTPUTS), 1)))
    operating_points: dict[str, OperatingPoint] = field(default_factory=dict)
    cue_thresholds: dict[str, float] = field(default_factory=dict)
    theme_thresholds: dict[str, float] = field(default_factory=dict)

    def calibrated(self, logits: NDArray[Any]) -> Floats:
        """Return calibrated logits, shape as given (last axis: outputs)."""
        return np.asarray(logits @ self.weights.T + self.intercepts, dtype=np.float64)

    def conversation_logits(self, scored: ScoredConversation) -> Floats:
        """Return the logits of the conversation, shape ``[outputs]``."""
        return self.combination.logits(self.calibrated(scored.scores.windows))

    def turn_probabilities(self, scored: ScoredConversation) -> Floats:
        """Return P(emotional) of each user message; a single one is the whole."""
        places = scored.user_places
        if len(places) == 1:
            return np.array([self.probability(scored)])
        rows = np.array([scored.scores.messages[place] for place in places], float)
        logits = self.lines[:, 0] + self.lines[:, 1] * self.calibrated(rows)
        return sigmoid(logits[:, _EMOTIONAL])

    def probability(self, scored: ScoredConversation, output: str = EMOTIONAL) -> float:
        """Return the probability of an output of the conversation."""
        return sigmoid(float(self.conversation_logits(scored)[OUTPUTS.index(output)]))

    def shows(self, scored: ScoredConversation, name: str) -> bool:
        """Whether a conversation shows a cue or theme."""
        threshold = (self.cue_thresholds | self.theme_thresholds)[name]
        return self.probability(scored, name) >= threshold

    def intensity(self, scored: ScoredConversation) -> float:
        """Return the expected charge of the conversation, from 0 to 3."""
        return expected_charge(*(self.probability(scored, name) for name in CHARGES))


def fit(
    scored: Sequence[ScoredConversation],
    prevalence: float = PREVALENCE,
    specificity: Mapping[str, float] = SPECIFICITY,
) -> Calibration:
    """Fit everything on dev conversations."""
    fitted = Calibration(*_fit_outputs(scored, prevalence))
    fitted = replace(fitted, combination=_fit_combination(fitted, scored, prevalence))
    fitted = replace(fitted, lines=_fit_lines(fitted, scored, prevalence))
    themed = [s for s in scored if s.labelled.emotional and s.labelled.themes]
    return replace(
        fitted,
        operating_points=_choose_operating_points(fitted, scored, specificity),
        cue_thresholds={name: _best_threshold(fitted, scored, name) for name in CUES},
        theme_thresholds={name: _best_threshold(fitted, themed, name) for name in THEMES},
    )


def _fit_outputs(scored: Sequence[ScoredConversation], prevalence: float) -> tuple[Floats, Floats]:
    labelled = [s.labelled for s in scored]
    truth = np.array([x.whole_targets(range(len(x.conversation.messages))) for x in labelled])
    z = np.array([s.scores.windows.max(axis=0) for s in scored], float)
    kinds = np.array([s.kind for s in scored])
    weights, intercepts = np.eye(len(OUTPUTS)), np.zeros(len(OUTPUTS))
    for output, name in enumerate(OUTPUTS):
        known = ~np.isnan(truth[:, output])
        y = truth[known, output]
        if y.sum() < FEWEST_POSITIVES:
            continue
        read, examples = [output], np.full(len(y), 1 / len(y))
        if name in CHARGES:
            read = [OUTPUTS.index(charge) for charge in CHARGES]
            examples = example_weights(truth[known, _EMOTIONAL], kinds[known], prevalence)
        bounds = [(LEAST_SLOPE if place == output else 0.0, None) for place in read]
        found = _fit_logistic(z[known][:, read], y, examples, bounds)
        intercepts[output], weights[output, read] = found[0], found[1:]
    return weights, intercepts


def _fit_combination(
    partial: Calibration, scored: Sequence[ScoredConversation], prevalence: float
) -> WindowCombination:
    """Fit how much the highest logit of several windows is lowered; not, if all have one label."""
    longer = [s for s in scored if len(s.scores.windows) > 1]
    truth = np.array([s.labelled.emotional for s in longer], float)
    if len({*truth}) < 2:
        return WindowCombination()
    highest = np.array([partial.conversation_logits(s)[_EMOTIONAL] for s in longer])
    count = np.log([len(s.scores.windows) for s in longer])
    weights = example_weights(truth, np.array([s.kind for s in longer]), prevalence)
    _, slope = _fit_logistic(
        count[:, None], truth, weights, [(None, 0.0)], offset=highest, ridge=TOWARDS_HIGHEST
    )
    return WindowCombination(min(slope, 0.0))


def _fit_lines(
    partial: Calibration, scored: Sequence[ScoredConversation], prevalence: float
) -> Floats:
    """Fit a line through the logits of messages, for each output of which enough is known."""
    targets, logits, kinds = [], [], []
    for s in scored:
        if len(s.user_places) < 2:
            continue
        by_message = s.labelled.targets()
        for place, row in s.scores.messages.items():
            targets.append(by_message[place])
            logits.append(partial.calibrated(row))
            kinds.append(s.kind)
    lines = np.tile([0.0, 1.0], (len(OUTPUTS), 1))
    truth, z, of_kind = np.array(targets), np.array(logits, float), np.array(kinds)
    for output, name in enumerate(OUTPUTS if len(truth) else ()):
        known = ~np.isnan(truth[:, output])
        y = truth[known, output]
        if min(y.sum(), (1 - y).sum()) < FEWEST_POSITIVES:
            continue
        examples = np.full(len(y), 1 / len(y))
        if name in CHARGES:
            examples = example_weights(y, of_kind[known], prevalence)
        lines[output] = _fit_logistic(z[known][:, [output]], y, examples, [(LEAST_SLOPE, None)])
    return lines


def example_weights(truth: Floats, kinds: NDArray[np.str_], prevalence: float) -> Floats:
    """Weigh examples so that each kind counts the same and the classes have the prevalence.

    The weights have the sum 1 if there are examples of both classes.
    """
    weights = np.zeros(len(truth))
    for positive, share in ((True, prevalence), (False, 1 - prevalence)):
        own = (truth >= 0.5) == positive
        weights[own] = share * _even(kinds[own])
    return weights


def _even(kinds: NDArray[np.str_]) -> Floats:
    """Return weights, shape ``[n]``, by which each kind has the same sum, and all have 1."""
    names, places, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    return np.asarray(1 / (len(names) * counts[places]) if len(names) else np.zeros(0))


def _fit_logistic(
    features: Floats,
    truth: Floats,
    weights: Floats,
    bounds: Sequence[tuple[float | None, float | None]],
    *,
    offset: Floats | None = None,
    ridge: float = RIDGE,
) -> tuple[float, ...]:
    """Fit a bounded logistic regression with a ridge; the intercept comes first.

    With an `offset`, which is added as it is, there is no intercept.
    """
    fixed = np.zeros(len(truth)) if offset is None else offset

    def loss(parameters: Floats) -> tuple[float, Floats]:
        z = fixed + parameters[0] + features @ parameters[1:]
        value = weights @ (np.logaddexp(0, z) - truth * z)
        residual = weights * (sigmoid(z) - truth)
        gradient = np.array([residual.sum(), *(features.T @ residual)])
        gradient[1:] += ridge * parameters[1:]
        return float(value + ridge * parameters[1:] @ parameters[1:] / 2), gradient

    intercept = (None, None) if offset is None else (0.0, 0.0)
    start = np.zeros(features.shape[1] + 1)
    result = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[intercept, *bounds])
    return tuple(float(value) for value in result.x)


def _choose_operating_points(
    fitted: Calibration, scored: Sequence[ScoredConversation], specificity: Mapping[str, float]
) -> dict[str, OperatingPoint]:
    real = [s for s in scored if s.kind != "corpus"] or list(scored)
    charged = np.array([s.labelled.emotional for s in real], bool)
    kinds = np.array([s.kind for s in real])
    whole = np.array([fitted.probability(s) for s in real])
    others = [s for s, flag in zip(real, charged, strict=True) if not flag]
    others = [s for s in others if len(s.user_places) > 1] or others
    turns = [fitted.turn_probabilities(s) for s in others]
    messages = np.concatenate([*turns, np.zeros(0)])
    kinds_of_messages = np.repeat([s.kind for s in others], [len(found) for found in turns])
    found_weights, other_weights = _even(kinds[charged]), _even(kinds[~charged])
    points = {}
    for name, wanted in specificity.items():
        threshold = _threshold(whole[~charged], other_weights, wanted)
        found = float(found_weights @ (whole[charged] >= threshold))
        points[name] = OperatingPoint(
            message=_threshold(messages, _even(kinds_of_messages), wanted),
            conversation=threshold,
            sensitivity=found if charged.any() else float("nan"),
            specificity=float(other_weights @ (whole[~charged] < threshold)),
            target=wanted,
        )
    return points


def _best_threshold(fitted: Calibration, scored: Sequence[ScoredConversation], name: str) -> float:
    """Return the probability at which F1 of a cue or theme is highest; 0.5 with few examples."""
    able = (s for s in scored if s.can_show(name))
    known = sorted(((fitted.probability(s, name), name in s.named) for s in able), reverse=True)
    positives = sum(shown for _, shown in known)
    if positives < FEWEST_POSITIVES:
        return 0.5
    hits = np.cumsum([shown for _, shown in known])
    f1 = 2 * hits / (np.arange(1, len(known) + 1) + positives)
    best = int(f1.argmax())
    below = known[best + 1][0] if best + 1 < len(known) else 0.0
    return float((known[best][0] + below) / 2)


def _threshold(negatives: Floats, weights: Floats, specificity: float) -> float:
    """Return the lowest threshold that leaves the wanted share of the negatives' weight alone."""
    values, places = np.unique(negatives, return_inverse=True)
    shares = np.cumsum(np.bincount(places, weights, len(values)))
    # The small number is for sums such as that of 25 times 0.04, which are a little less than 1.
    if not len(values):
        return 0.5
    last = min(int(np.searchsorted(shares, specificity - 1e-9)), len(values) - 1)
    above = values[last + 1] if last + 1 < len(values) else 1.0
    return float((values[last] + above) / 2)
