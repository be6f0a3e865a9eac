"""Fifth step: how good is the artifact, on data that training never saw?

    python -m training.evaluate --data DIR [--config configs/NAME.yaml] [--model NAME_OR_FOLDER]
        [--against FOLDER] [--json FILE]

The dev conversations choose the thresholds and the calibration of the artifact. Figures on them
therefore come from cross-fitting (`training.model.calibrate.cross_fit`): no conversation is judged
by a calibration or a threshold that it took part in. No weight was trained on any of them. They
also
chose between recipes, and a recipe that goes on from an artifact begins with a head that holds
that one's calibration, so figures may be a little kind. The corpus's test split took no part in
anything, but that its languages other than English and French had a say in how unknown words are
read; the artifact judges it as it is.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from affectlib.classifier import AffectClassifier
from affectlib.errors import AffectlibError
from affectlib.model.artifacts import DEFAULT_MODEL, Artifact, load_artifact
from affectlib.model.encoding import WindowEncoder
from affectlib.model.engines import load_engine
from affectlib.taxonomy import EMOTIONAL
from training.config import Recipe, RecipeError, load_recipe
from training.data.labelled import LabelledConversation, from_silver
from training.data.prepare import training_conversations
from training.data.sources import load_manifest, read_source
from training.evaluation import metrics
from training.evaluation.ablations import read_ablations
from training.evaluation.baselines import Baseline, TfidfBaseline, VaderBaseline, ZeroShotBaseline
from training.evaluation.figures import corpus_figures, cue_figures, group_figures, language_figures
from training.evaluation.footprint import compare_precision, sizes, speed, user_windows
from training.evaluation.heldout import held_out, small_talk
from training.evaluation.judged import (
    GROUPS,
    Floats,
    Judged,
    calibrations,
    estimate,
    judge,
    labels,
    probabilities,
    proportion,
)
from training.evaluation.length import drift, late_turn
from training.evaluation.probes import probe_table
from training.evaluation.reliability import calibration
from training.evaluation.scoring import CachedEngine, dev_conversations, score
from training.evaluation.shortcuts import masked_pronouns, source_probe, swapped_replies
from training.evaluation.tables import tables

PUBLIC_SAMPLE = 200

T = TypeVar("T")


def evaluate(
    recipe: Recipe,
    data: Path | None,
    model: str | Path,
    *,
    baselines: bool = True,
    against: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """Measure an artifact.

    Args:
        recipe: The recipe it came from: which dev sets there are, what the baseline is trained on.
        data: Folder of the public sets; None if the recipe needs none.
        model: The artifact.
        baselines: Whether TF-IDF, VADER and zero-shot MiniLM are run on the same conversations.
        against: Other artifacts that are run on them, such as earlier ones.

    Returns:
        The results, fit for JSON.
    """
    artifact = load_artifact(str(model))
    others = [load_artifact(str(other)).folder for other in against]
    encoder = WindowEncoder(artifact.folder / "tokenizer.json", artifact.windows)
    engine = CachedEngine(load_engine(artifact, engine="onnx", device="cpu"))
    conversations = list(dev_conversations(recipe.real_dev, data))
    judged = judge(score(conversations, encoder, engine), recipe.calibrate)
    points = list(recipe.calibrate.specificity)
    windows = user_windows(judged, encoder)
    results: dict[str, Any] = {
        "artifact": _identity(artifact),
        "groups": {
            name: group_figures(list(filter(belongs, judged)), points)
            for name, belongs in GROUPS.items()
        },
        "corpus": corpus_figures([j for j in judged if not j.real]),
        "languages": language_figures(judged),
        "cues": cue_figures(judged),
        "calibration": calibration(judged, recipe.calibrate.prevalence),
        "replies": swapped_replies(judged, encoder, engine),
        "source": source_probe(judged),
        "pronouns": masked_pronouns(judged, encoder, engine),
        "drift": drift(judged),
        "late": late_turn(judged, encoder, engine),
        "test": held_out(artifact, encoder, engine, points),
        "engines": compare_precision(artifact, windows, engine, encoder.pad_id),
        "speed": speed(artifact, windows, encoder.pad_id),
        "sizes": sizes(artifact),
        "probes": probe_table(AffectClassifier.from_pretrained(str(model), engine="onnx")),
    }
    systems = {"this artifact": probabilities(judged)}
    for other in others:
        systems.update(earlier_artifact(other, recipe, conversations, judged))
    if baselines:
        systems.update(_baselines(recipe, data, judged))
    if len(systems) > 1:
        results["baselines"] = _compare(systems, judged)
    if recipe.real_dev:
        results["small_talk"] = small_talk(artifact, encoder, engine, points, data)
        results["public"] = _public(artifact, data)
    return results


def _identity(artifact: Artifact) -> dict[str, str]:
    return {
        "name": artifact.name,
        "version": artifact.version,
        "fingerprint": artifact.fingerprint,
    }


def earlier_artifact(
    other: str | Path,
    recipe: Recipe,
    conversations: Sequence[LabelledConversation],
    judged: Sequence[Judged],
) -> dict[str, Floats]:
    """Return another artifact's probabilities of the same conversations, cross-fitted too.

    Args:
        other: The artifact, by name or folder.
        recipe: The recipe, for how calibration is chosen.
        conversations: The dev conversations.
        judged: What the artifact that it is compared with makes of them.

    Returns:
        Its name and version, with one probability for each of `judged`.
    """
    artifact = load_artifact(str(other))
    encoder = WindowEncoder(artifact.folder / "tokenizer.json", artifact.windows)
    engine = load_engine(artifact, engine="onnx", device="cpu")
    found = {
        id(j.scored.labelled): j.probability
        for j in judge(score(conversations, encoder, engine), recipe.calibrate)
    }
    name = f"{artifact.name} {artifact.version} ({artifact.fingerprint[:8]})"
    # What the other cannot read, because it knows none of the pieces, it leaves alone.
    return {name: np.array([found.get(id(j.scored.labelled), 0.0) for j in judged], float)}


def _baselines(recipe: Recipe, data: Path | None, judged: Sequence[Judged]) -> dict[str, Floats]:
    """Return what systems that are not ours make of the same conversations."""
    tfidf = TfidfBaseline()
    examples = training_conversations(recipe, data)
    tfidf.fit([e.conversation for e in examples], [e.emotional for e in examples])
    systems: dict[str, Baseline] = {
        "TF-IDF + logistic regression": tfidf,
        "all-MiniLM-L6-v2, zero-shot": ZeroShotBaseline(),
        "VADER": VaderBaseline(),
    }
    conversations = [j.scored.labelled.conversation for j in judged]
    return {name: system.score(conversations) for name, system in systems.items()}


def _compare(systems: dict[str, Floats], judged: Sequence[Judged]) -> dict[str, Any]:
    """Compare how systems rank the same conversations."""
    truth = labels(judged)
    real = np.array([j.real for j in judged])
    judges = calibrations(judged)
    return {
        group: {
            name: {
                "auroc": estimate(metrics.auroc_within, truth[rows], scores[rows], judges[rows]),
                "average_precision": estimate(metrics.average_precision, truth[rows], scores[rows]),
                "recall_at_98": estimate(_recall_at(0.98), truth[rows], scores[rows]),
                "recall_at_995": estimate(_recall_at(0.995), truth[rows], scores[rows]),
            }
            for name, scores in systems.items()
        }
        for group, rows in (("real transcripts", real), ("corpus dev", ~real))
        if rows.any()
    }


def _recall_at(specificity: float) -> Any:
    def recall(truth: NDArray[Any], scores: NDArray[Any]) -> float:
        """Return the recall at the threshold that leaves that share of these negatives alone."""
        if not 0 < truth.sum() < len(truth):
            return float("nan")
        threshold = np.quantile(scores[truth == 0], specificity, method="higher")
        return metrics.recall(truth, scores > threshold)

    return recall


def _public(artifact: Artifact, data: Path | None) -> dict[str, Any]:
    """Return the share of each public evaluation set that is labelled emotional.

    These sets have no labels of ours; the share shows what the model makes of other genres. Of
    each, at most `PUBLIC_SAMPLE` conversations in the artifact's languages are taken, at even
    distances.
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
            for c in (
                from_silver(row, source.name, False).conversation
                for row in rows
                if row["lang"] in artifact.description["languages"]
            )
            if any(m.content.strip() for m in c.user_messages)
        ]
        predictions = classifier.predict(spread(conversations, PUBLIC_SAMPLE))
        result[source.name] = proportion(np.array([p.label == EMOTIONAL for p in predictions]))
    return result


def spread(rows: Sequence[T], most: int) -> list[T]:
    """Return at most so many of the rows, at even distances from the first to the last.

    Example:
        >>> spread("abcdefg", 4)
        ['a', 'c', 'e', 'g']
    """
    places = np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int)
    return [rows[place] for place in places]


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables; values are followed by their 95 % bootstrap interval."""
    artifact = results["artifact"]
    print(f"\n{artifact['name']} {artifact['version']}, fingerprint {artifact['fingerprint']}")
    for table in tables(results, read_ablations()).values():
        if table.rows:
            print(f"\n{table.text()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate")
    parser.add_argument("--config", default="configs/affect-small.yaml")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="artifact: name or folder")
    parser.add_argument(
        "--against",
        action="append",
        default=[],
        metavar="FOLDER",
        help="another artifact to compare with, such as an earlier one; may be given again",
    )
    parser.add_argument("--no-baselines", action="store_true")
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments)
    try:
        recipe = load_recipe(options.config)
        results = evaluate(
            recipe,
            options.data,
            options.model,
            baselines=not options.no_baselines,
            against=options.against,
        )
    except (RecipeError, AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 2
    print_results(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
