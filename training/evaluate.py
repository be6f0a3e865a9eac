"""Fifth step: how good is the artifact, on data that training never saw?

    python -m training.evaluate --data DIR [--config configs/NAME.yaml] [--model NAME_OR_FOLDER]

The dev conversations choose the thresholds and the calibration of the artifact. Figures on them
therefore come from cross-fitting (`training.calibrate.cross_fit`): no conversation is judged by a
calibration or a threshold that it took part in. The weights never saw any of them.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from affectlib.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from affectlib.classifier import AffectClassifier
from affectlib.decisions import sigmoid
from affectlib.encoding import WindowEncoder, token_batches
from affectlib.engines import load_engine
from affectlib.taxonomy import CUES, EMOTIONAL, OUTPUTS
from training import metrics
from training.baselines import TfidfBaseline, VaderBaseline
from training.calibrate import Calibration, ScoredConversation, cross_fit
from training.config import Recipe, RecipeError, load_recipe
from training.labelled import LabelledConversation, from_silver
from training.prepare import training_conversations
from training.probes import probe_table
from training.scoring import dev_conversations, score
from training.sources import load_manifest, read_source

PLAIN_PART = ("pl1", "pl2", "pl3", "pl4")
FEWEST_CUE_POSITIVES = 20
PUBLIC_SAMPLE = 200
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """A dev conversation with what a calibration that never saw it makes of it."""

    scored: ScoredConversation
    calibration: Calibration
    probability: float
    turns: Floats

    @property
    def emotional(self) -> bool:
        """Whether it is emotional by annotation."""
        return self.scored.labelled.emotional

    @property
    def source(self) -> str:
        """Name of its source."""
        return self.scored.labelled.source

    @property
    def row(self) -> Any:
        """What its row says, messages aside."""
        return self.scored.labelled.row

    def flagged(self, point: str) -> bool:
        """Whether it is labelled emotional at an operating point."""
        return self.probability >= self.calibration.operating_points[point].conversation

    def charged_turns(self) -> NDArray[np.bool_]:
        """Return for each user message that was read whether it is charged by annotation."""
        messages = self.scored.labelled.conversation.messages
        charged = self.scored.labelled.charged or frozenset()
        return np.array([i in charged for i in self.scored.logits if messages[i].role == "user"])


GROUPS: dict[str, Callable[[Judged], bool]] = {
    "real transcripts": lambda j: j.scored.real,
    "real: ShareGPT": lambda j: j.source == "sharegpt_dev",
    "real: Arena, WildChat": lambda j: j.source == "arena_wildchat_dev",
    "real: random pool": lambda j: j.scored.real and j.row["pool"] == "random",
    "corpus dev": lambda j: not j.scored.real,
    "corpus dev: English": lambda j: not j.scored.real and j.row["lang"] == "en",
    "corpus dev: French": lambda j: not j.scored.real and j.row["lang"] == "fr",
    "corpus dev: es, de, pt": lambda j: not j.scored.real and j.row["lang"] not in ("en", "fr"),
    "corpus dev: plain part": lambda j: not j.scored.real and _part(j) in PLAIN_PART,
    "corpus dev: subtle part": lambda j: not j.scored.real and _part(j) not in PLAIN_PART,
    "1 user message": lambda j: len(j.turns) == 1,
    "2-4 user messages": lambda j: 2 <= len(j.turns) <= 4,
    "5 or more user messages": lambda j: len(j.turns) >= 5,
}


def evaluate(
    recipe: Recipe, data: Path | None, model: str | Path, *, baselines: bool = True
) -> dict[str, Any]:
    """Measure an artifact.

    Args:
        recipe: The recipe it came from: which dev sets there are, what the baseline is trained on.
        data: Folder of the public sets; None if the recipe needs none.
        model: The artifact.
        baselines: Whether TF-IDF and VADER are run on the same conversations.

    Returns:
        The results, fit for JSON.
    """
    artifact = load_artifact(str(model))
    encoder = WindowEncoder(artifact.folder / "tokenizer.json", artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    scored = score(list(dev_conversations(recipe.real_dev, data)), encoder, engine)
    calibrations = cross_fit(scored, recipe.calibrate)
    judged = [
        Judged(s, c, c.conversation_probability(s), c.turn_probabilities(s))
        for s, c in zip(scored, calibrations, strict=True)
    ]
    points = list(recipe.calibrate.specificity)
    results: dict[str, Any] = {
        "artifact": {
            "name": artifact.name,
            "version": artifact.version,
            "fingerprint": artifact.fingerprint,
        },
        "groups": {name: _group(list(filter(f, judged)), points) for name, f in GROUPS.items()},
        "corpus": _corpus([j for j in judged if not j.scored.real]),
        "cues": _cues(judged),
        "calibration": _calibration(judged),
        "engines": _compare_engines(
            artifact,
            encoder,
            [j.scored.labelled for j in judged if j.scored.real or not recipe.real_dev],
        ),
        "probes": probe_table(AffectClassifier.from_pretrained(str(model), engine="onnx")),
    }
    if baselines:
        results["baselines"] = _baselines(recipe, data, judged)
    if recipe.real_dev:
        results["public"] = _public(artifact, data)
    return results


def _part(judged: Judged) -> str:
    return str(judged.scored.labelled.conversation.id).split("-")[0]


def _estimate(metric: Callable[..., float], *columns: Any) -> dict[str, Any]:
    return asdict(metrics.bootstrap(metric, *columns))


def _group(judged: Sequence[Judged], points: Iterable[str]) -> dict[str, Any]:
    truth = np.array([j.emotional for j in judged], int)
    result: dict[str, Any] = {"n": len(judged), "emotional": int(truth.sum())}
    if not judged:
        return result
    probabilities = np.array([j.probability for j in judged])
    if 0 < truth.sum() < len(truth):
        result["auroc"] = _estimate(metrics.auroc, truth, probabilities)
        result["average_precision"] = _estimate(metrics.average_precision, truth, probabilities)
    for point in points:
        flagged = np.array([j.flagged(point) for j in judged], int)
        result[point] = {
            "recall": _estimate(metrics.recall, truth, flagged),
            "specificity": _estimate(metrics.specificity, truth, flagged),
            "precision": _estimate(metrics.precision, truth, flagged),
            "accuracy": _estimate(metrics.accuracy, truth, flagged),
        }
    return result


def _corpus(judged: Sequence[Judged]) -> dict[str, Any]:
    pairs: dict[str, list[bool]] = {}
    for j in judged:
        if j.row["pair"]:
            pairs.setdefault(j.row["pair"], []).append(j.flagged("balanced") == j.emotional)
    both = np.array([all(right) for right in pairs.values() if len(right) == 2], float)
    truth = np.concatenate([j.charged_turns() for j in judged]).astype(int)
    turns = np.concatenate([j.turns for j in judged])
    flagged = np.concatenate(
        [j.turns >= j.calibration.operating_points["balanced"].message for j in judged]
    ).astype(int)
    return {
        "pairs_both_right": _estimate(lambda right: float(right.mean()), both),
        "turn_f1": _estimate(metrics.f1, truth, flagged),
        "turn_auroc": _estimate(metrics.auroc, truth, turns),
    }


def _cues(judged: Sequence[Judged]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    scores: list[float] = []
    for name in CUES:
        found = [(j, j.calibration.cue_probability(j.scored, name)) for j in judged]
        known = [(j, p) for j, p in found if p is not None]
        labels = np.array([name in (j.scored.labelled.cues or ()) for j, _ in known], int)
        if not labels.any():
            continue
        probabilities = np.array([p for _, p in known])
        decisions = np.array([p >= j.calibration.cue_thresholds[name] for j, p in known], int)
        result[name] = {
            "positives": int(labels.sum()),
            "average_precision": _estimate(metrics.average_precision, labels, probabilities),
            "f1": _estimate(metrics.f1, labels, decisions),
        }
        if labels.sum() >= FEWEST_CUE_POSITIVES:
            scores.append(result[name]["f1"]["value"])
    return {"by_cue": result, "macro_f1": float(np.mean(scores)) if scores else None}


def _calibration(judged: Sequence[Judged]) -> dict[str, Any]:
    result = {}
    for name, real in (("real transcripts", True), ("corpus dev", False)):
        chosen = [j for j in judged if j.scored.real == real]
        if chosen:
            truth = np.array([j.emotional for j in chosen], int)
            probabilities = np.array([j.probability for j in chosen])
            result[name] = _estimate(metrics.calibration_error, truth, probabilities)
    return result


def _compare_engines(
    artifact: Artifact, encoder: WindowEncoder, conversations: Sequence[LabelledConversation]
) -> dict[str, Any]:
    """Compare the int8 ONNX with the fp16 safetensors run in fp32, window by window."""
    engines = [load_engine(artifact, engine=name, device="cpu") for name in ("onnx", "torch")]
    windows = encoder.encode([c.conversation for c in conversations], assistant_targets=False)
    emotional = OUTPUTS.index(EMOTIONAL)
    probabilities = np.zeros((2, len(windows)))
    for places, ids, mask in token_batches(windows, max_tokens=4096, pad_id=encoder.pad_id):
        for row, engine in enumerate(engines):
            logits = engine.logits(ids, mask)[:, emotional]
            probabilities[row, places] = [sigmoid(float(z)) for z in logits]
    same = (
        (probabilities[0] >= artifact.operating_points["balanced"].message)
        == (probabilities[1] >= artifact.operating_points["balanced"].message)
    ).astype(float)
    gap = np.abs(probabilities[0] - probabilities[1])
    return {
        "same_label": _estimate(lambda x: float(x.mean()), same),
        "mean_gap": _estimate(lambda x: float(x.mean()), gap),
    }


def _baselines(recipe: Recipe, data: Path | None, judged: Sequence[Judged]) -> dict[str, Any]:
    """Rank the same conversations by TF-IDF with logistic regression and by VADER."""
    tfidf = TfidfBaseline()
    examples = training_conversations(recipe, data)
    tfidf.fit([e.conversation for e in examples], [e.emotional for e in examples])
    conversations = [j.scored.labelled.conversation for j in judged]
    systems = {
        "affectlib": np.array([j.probability for j in judged]),
        "TF-IDF + logistic regression": np.asarray(tfidf.score(conversations), float),
        "VADER": np.asarray(VaderBaseline().score(conversations), float),
    }
    truth = np.array([j.emotional for j in judged], int)
    real = np.array([j.scored.real for j in judged])
    result: dict[str, Any] = {}
    for group, rows in (("real transcripts", real), ("corpus dev", ~real)):
        if not rows.any():
            continue
        result[group] = {
            name: {
                "auroc": _estimate(metrics.auroc, truth[rows], scores[rows]),
                "average_precision": _estimate(
                    metrics.average_precision, truth[rows], scores[rows]
                ),
                "recall_at_98": _estimate(_recall_at_98, truth[rows], scores[rows]),
            }
            for name, scores in systems.items()
        }
    return result


def _recall_at_98(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the recall at the threshold that leaves 98 % of these same negatives alone."""
    if not 0 < truth.sum() < len(truth):
        return float("nan")
    return metrics.recall(truth, scores > np.quantile(scores[truth == 0], 0.98, method="higher"))


def _public(artifact: Artifact, data: Path | None) -> dict[str, Any]:
    """Return the share of each public evaluation set that is labelled emotional.

    These sets have no labels of ours; the share shows what the model makes of other genres.
    """
    classifier = AffectClassifier.from_pretrained(
        str(artifact.folder), engine="onnx", assistant_cues=False
    )
    result = {}
    for source in load_manifest().values():
        if source.use != "eval":
            continue
        rows = read_source(source.name, data)
        conversations = [
            c
            for c in (from_silver(row, source.name, False).conversation for row in rows)
            if any(m.content.strip() for m in c.user_messages)
        ]
        step = max(1, len(conversations) // PUBLIC_SAMPLE)
        predictions = classifier.predict(conversations[::step][:PUBLIC_SAMPLE])
        flagged = np.array([p.label == EMOTIONAL for p in predictions], float)
        result[source.name] = _estimate(lambda x: float(x.mean()), flagged)
    return result


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables."""
    print(f"\n{results['artifact']['name']} {results['artifact']['version']}")
    print("\nConversations (value [95 % interval]); thresholds cross-fitted")
    print(f"{'':26}{'n':>5}{'pos':>5}  {'AUROC':22}{'avg. precision':22}")
    for name, group in results["groups"].items():
        print(
            f"{name:26}{group['n']:>5}{group['emotional']:>5}  "
            f"{_show(group.get('auroc')):22}{_show(group.get('average_precision')):22}"
        )
    for point in ("balanced", "high_precision", "high_recall"):
        print(f"\n{point:26}{'recall':22}{'specificity':22}{'precision':22}{'accuracy':22}")
        for name, group in results["groups"].items():
            if point in group:
                print(
                    f"{name:26}"
                    + "".join(
                        f"{_show(group[point][m]):22}"
                        for m in ("recall", "specificity", "precision", "accuracy")
                    )
                )
    print("\nCorpus dev, balanced")
    for name, value in results["corpus"].items():
        print(f"{name:26}{_show(value)}  n={value['n']}")
    print(f"\n{'Cues (conversation)':26}{'pos':>5}  {'avg. precision':22}{'F1':22}")
    for name, cue in results["cues"]["by_cue"].items():
        print(
            f"{name:26}{cue['positives']:>5}  {_show(cue['average_precision']):22}"
            f"{_show(cue['f1']):22}"
        )
    print(
        f"macro F1 of cues with at least {FEWEST_CUE_POSITIVES} positives: "
        f"{results['cues']['macro_f1']}"
    )
    print("\nCalibration error (ECE)")
    for name, value in results["calibration"].items():
        print(f"{name:26}{_show(value)}  n={value['n']}")
    print("\nint8 ONNX against fp32, windows of the dev transcripts")
    for name, value in results["engines"].items():
        print(f"{name:26}{_show(value)}  n={value['n']}")
    for group, systems in results.get("baselines", {}).items():
        print(f"\n{group:30}{'AUROC':22}{'avg. precision':22}recall at specificity 0.98")
        for name, values in systems.items():
            print(f"{name:30}" + "".join(f"{_show(v):22}" for v in values.values()))
    if "public" in results:
        print("\nShare labelled emotional in public sets without labels of ours")
        for name, value in results["public"].items():
            print(f"{name:26}{_show(value)}  n={value['n']}")
    print(f"\n{'Probes':60}{'alone':>8}{'after hi':>10}")
    for probe in results["probes"]:
        print(f"{probe['text'][:58]:60}{probe['alone']:>8.3f}{probe['after_greeting']:>10.3f}")


def _show(estimate: dict[str, Any] | None) -> str:
    return str(metrics.Estimate(**estimate)) if estimate else "-"


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate")
    parser.add_argument("--config", default="configs/affect-small.yaml")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="artifact: name or folder")
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.config)
        results = evaluate(recipe, options.data, options.model, baselines=not options.no_baselines)
    except (RecipeError, FileNotFoundError, ValueError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 2
    print_results(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
