"""Third step: turn scores into probabilities, and choose thresholds, only on dev conversations.

1. Each output is calibrated with a slope and an intercept (Platt scaling), which export folds into
   the weights of the head. Those of the three charges count the same examples, by the same weights,
   for their sum is the expected charge. Each of them is fitted to the logits of all three, with
   weights that are not negative: what the model says of a charge of at least 1, and of 3, also
   tells how likely it is that the charge is at least 2.
2. The probability of a conversation with one message of its user is that of the message. That of a
   longer one is a logistic function of three features of their logits
   (`affectlib.model.aggregation.conversation_features`), fitted on the longer ones, which leaves a
   single message as it is. So few real dev conversations are charged that it is drawn towards the
   simplest such function, the highest logit. P(charge >= 1) and P(charge >= 3) of a conversation
   come from their own logits by the same function.
3. Each cue's threshold is the probability at which F1 over the dev conversations is highest; that
   of each theme is found in the same way, over the charged ones whose themes are known.
4. Each operating point's thresholds are the lowest at which the wanted share is left alone: of the
   dev conversations of real people without charge, and of the user messages in those that have
   several. Shared logs and personal chats of studies weigh the same in that share.

The kinds of dev conversations (shared logs, personal chats of studies, corpus) weigh the same, and
so that the share of emotional examples is the recipe's `prevalence`.

Figures on the same dev conversations come from cross-fitting: every conversation is judged by a
calibration that was fitted on the other folds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.aggregation import conversation_features
from affectlib.model.calibration import (
    ConversationCalibration,
    OperatingPoint,
    expected_charge,
    sigmoid,
)
from affectlib.taxonomy import CHARGES, CUES, EMOTIONAL, OUTPUTS, THEMES
from training.config import CalibrateSettings

Floats = NDArray[np.float64]

RIDGE = 1e-3
"""Penalty of the coefficients of single outputs."""
TOWARDS_HIGHEST = 0.01
"""Penalty of the conversation function's distance from the highest logit."""
FEWEST_POSITIVES = 5
LEAST_SLOPE = 0.05
"""An output's calibrated logit rises at least so much with its own logit."""
_EMOTIONAL = OUTPUTS.index(EMOTIONAL)

Kind: TypeAlias = Literal["logs", "personal", "corpus"]
"""Of a conversation: from shared logs, of people who talk of themselves in a study, or written."""


@dataclass(frozen=True, slots=True)
class ScoredConversation:
    """A labelled conversation with the logits of its messages.

    Attributes:
        labelled: The conversation and its labels.
        logits: Logits of each message that was read, by its position; shape ``[outputs]``.
        kind: What kind of conversation it is; each kind weighs the same.
    """

    labelled: LabelledConversation
    logits: dict[int, NDArray[np.float32]]
    kind: Kind = "corpus"

    def user_logits(self) -> Floats:
        """Return the logits of the user's messages, shape ``[messages, outputs]``."""
        messages = self.labelled.conversation.messages
        own = [z for i, z in self.logits.items() if messages[i].role == "user"]
        return np.array(own, float).reshape(len(own), len(OUTPUTS))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was fitted.

    Attributes:
        weights: Of the logits in each output's calibrated logit, shape ``[outputs, outputs]``: its
            slope on the diagonal, and what charges take from each other.
        intercepts: Intercept of each output, shape ``[outputs]``.
        conversation: From a conversation's features to its probability.
        operating_points: Thresholds by name.
        cue_thresholds: Probability from which a conversation shows a cue, by the cue's name.
        theme_thresholds: Probability from which a charged conversation has a theme, by its name.
    """

    weights: Floats
    intercepts: Floats
    conversation: ConversationCalibration
    operating_points: dict[str, OperatingPoint] = field(default_factory=dict)
    cue_thresholds: dict[str, float] = field(default_factory=dict)
    theme_thresholds: dict[str, float] = field(default_factory=dict)

    def message_logits(self, logits: NDArray[Any]) -> Floats:
        """Return calibrated logits, shape as given (last axis: outputs)."""
        return np.asarray(logits @ self.weights.T + self.intercepts, dtype=np.float64)

    def turn_probabilities(self, scored: ScoredConversation) -> Floats:
        """Return P(emotional) of each user message."""
        return sigmoid(self._user_logits(scored))

    def conversation_probability(self, scored: ScoredConversation) -> float:
        """Return P(emotional) of the conversation."""
        return self.conversation.probability(self._user_logits(scored))

    def intensity(self, scored: ScoredConversation) -> float:
        """Return the expected charge of the conversation, from 0 to 3."""
        return expected_charge(
            *(self.conversation.probability(self._user_logits(scored, name)) for name in CHARGES)
        )

    def cue_probability(self, scored: ScoredConversation, cue: str) -> float | None:
        """Return the highest probability of a cue; None without a message of its role."""
        messages = scored.labelled.conversation.messages
        logits = [
            self.message_logits(z)[OUTPUTS.index(cue)]
            for i, z in scored.logits.items()
            if messages[i].role == CUES[cue].unit
        ]
        return sigmoid(max(logits)) if logits else None

    def theme_probability(
        self, scored: ScoredConversation, theme: str, point: str | None = None
    ) -> float:
        """Return the mean probability of a theme in the messages that are flagged.

        In all of the user's if none is, as `affectlib.model.decisions.build_prediction` does.

        Args:
            scored: The conversation.
            theme: The theme.
            point: Name of the operating point; the first one if None.
        """
        turns = self.turn_probabilities(scored)
        threshold = self.operating_points[point or next(iter(self.operating_points))]
        flagged = turns >= threshold.of_messages(len(turns))
        found = sigmoid(self._user_logits(scored, theme))
        return float(found[flagged if flagged.any() else slice(None)].mean())

    def _user_logits(self, scored: ScoredConversation, output: str = EMOTIONAL) -> Floats:
        return self.message_logits(scored.user_logits())[:, OUTPUTS.index(output)]


def fit(scored: Sequence[ScoredConversation], settings: CalibrateSettings) -> Calibration:
    """Fit everything on the given conversations.

    Args:
        scored: Dev conversations, real ones and the corpus's.
        settings: Prevalence, and specificity of each operating point.
    """
    weights, intercepts = _fit_outputs(scored, settings.prevalence)
    partial = Calibration(weights, intercepts, ConversationCalibration(0.0, 1.0, 0.0, 0.0))
    fitted = replace(partial, conversation=_fit_conversation(partial, scored, settings.prevalence))
    points = _choose_operating_points(fitted, scored, settings)
    fitted = replace(fitted, operating_points=points)
    return replace(
        fitted,
        cue_thresholds={name: _cue_threshold(fitted, scored, name) for name in CUES},
        theme_thresholds={name: _theme_threshold(fitted, scored, name) for name in THEMES},
    )


def _fit_outputs(scored: Sequence[ScoredConversation], prevalence: float) -> tuple[Floats, Floats]:
    targets, logits, kinds = [], [], []
    for s in scored:
        by_message = s.labelled.targets()
        for index, values in s.logits.items():
            targets.append(by_message[index])
            logits.append(values)
            kinds.append(s.kind)
    truth, z, of_kind = np.array(targets), np.array(logits, float), np.array(kinds)
    weights, intercepts = np.eye(len(OUTPUTS)), np.zeros(len(OUTPUTS))
    emotional = truth[:, _EMOTIONAL]
    for output, name in enumerate(OUTPUTS):
        known = ~np.isnan(truth[:, output])
        if name in CHARGES:
            known &= ~np.isnan(emotional)
        y = truth[known, output]
        if y.sum() < FEWEST_POSITIVES:
            continue
        if name in CHARGES:
            read = [OUTPUTS.index(charge) for charge in CHARGES]
            examples = example_weights(emotional[known], of_kind[known], prevalence)
        else:
            read, examples = [output], np.full(len(y), 1 / len(y))
        bounds = [(LEAST_SLOPE if place == output else 0.0, None) for place in read]
        found = _fit_logistic(z[known][:, read], y, examples, bounds)
        intercepts[output], weights[output, read] = found[0], found[1:]
    return weights, intercepts


def _fit_conversation(
    partial: Calibration, scored: Sequence[ScoredConversation], prevalence: float
) -> ConversationCalibration:
    """Fit the function of longer conversations; the highest logit if they are of one label.

    It is one that leaves a single message as it is, so that short and long conversations have one
    scale: the highest logit, drawn by some share towards the mean of the highest ones, less
    something for the number of turns. For more turns are more chances of a false alarm.
    """
    longer = [s for s in scored if len(s.user_logits()) > 1]
    truth = np.array([s.labelled.emotional for s in longer], float)
    if len({*truth}) < 2:
        return partial.conversation
    features = np.array([conversation_features(partial._user_logits(s)) for s in longer])
    weights = example_weights(truth, np.array([s.kind for s in longer]), prevalence)
    highest, top, log_turns = features.T
    _, share, turns = _fit_logistic(
        np.column_stack([top - highest, log_turns]),
        truth,
        weights,
        [(0, 1), (None, 0)],
        offset=highest,
        ridge=TOWARDS_HIGHEST,
    )
    return ConversationCalibration(0.0, 1.0 - share, share, turns)


def example_weights(truth: Floats, kinds: NDArray[np.str_], prevalence: float) -> Floats:
    """Weigh examples so that each kind counts the same and the classes have the prevalence.

    Args:
        truth: Labels, 0 or 1, shape ``[n]``.
        kinds: The kind of conversation that each is of, shape ``[n]``.
        prevalence: Share of the positives in the sum of the weights.

    Returns:
        The weights, shape ``[n]``; their sum is 1 if there are examples of both classes.
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
    fitted: Calibration, scored: Sequence[ScoredConversation], settings: CalibrateSettings
) -> dict[str, OperatingPoint]:
    real = [s for s in scored if s.kind != "corpus"] or list(scored)
    charged = np.array([s.labelled.emotional for s in real], bool)
    kinds = np.array([s.kind for s in real])
    whole = np.array([fitted.conversation_probability(s) for s in real])
    others = [s for s, flag in zip(real, charged, strict=True) if not flag]
    others = [s for s in others if len(s.user_logits()) > 1] or others
    turns = [fitted.turn_probabilities(s) for s in others]
    messages = np.concatenate([*turns, np.zeros(0)])
    kinds_of_messages = np.repeat([s.kind for s in others], [len(found) for found in turns])
    found_weights, other_weights = _even(kinds[charged]), _even(kinds[~charged])
    points = {}
    for name, wanted in settings.specificity.items():
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


def _cue_threshold(fitted: Calibration, scored: Sequence[ScoredConversation], cue: str) -> float:
    found = [(fitted.cue_probability(s, cue), cue in (s.labelled.cues or ())) for s in scored]
    return _best_threshold([(p, shown) for p, shown in found if p is not None])


def _theme_threshold(
    fitted: Calibration, scored: Sequence[ScoredConversation], theme: str
) -> float:
    return _best_threshold(
        [
            (fitted.theme_probability(s, theme), theme in themes)
            for s in scored
            if s.labelled.emotional and (themes := s.labelled.themes)
        ]
    )


def _best_threshold(found: Sequence[tuple[float, bool]]) -> float:
    """Return the probability at which F1 is highest; 0.5 with too few examples.

    Args:
        found: Probability and truth of each conversation.
    """
    known = sorted(found, reverse=True)
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
