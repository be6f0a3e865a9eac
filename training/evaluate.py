"""Fifth step: how good is the artifact, on data that training never saw?

    python -m training.evaluate --data DIR [--config configs/NAME.yaml] [--model NAME_OR_FOLDER]
        [--only choice --only studies] [--against FOLDER] [--json FILE]

Figures on dev conversations, which choose thresholds and calibration, come from cross-fitting;
`training/evaluation/card.md` says what they are worth. The figure by which recipes are chosen comes
first. A recipe with `real_dev: false` needs no --data and is measured on the corpus only.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from affectlib.classifier import AffectClassifier
from affectlib.errors import AffectlibError
from affectlib.finetuning.export import INT8
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.finetuning.user_file import read_labelled_file
from affectlib.model.artifacts import DEFAULT_MODEL, MANIFEST, Artifact, load_artifact
from affectlib.taxonomy import THEMES
from training.config import Recipe, load_recipe
from training.data.prepare import training_conversations
from training.data.sources import LANGUAGES, from_gold, read_corpus, read_rows, read_small_talk
from training.evaluation import baselines, figures, hard_cases
from training.evaluation import judged as judging
from training.evaluation.card import RESULTS, tables
from training.evaluation.hard_cases import shares_flagged
from training.model.calibrate import PREVALENCE, ScoredConversation

SPLITS = 5
"""Splits into folds that the figure of choice is the mean of."""


@dataclass
class Subject:
    """What is measured, with what several measures need of it."""

    recipe: Recipe
    data: Path | None
    artifact: Artifact
    against: Sequence[Artifact] = ()

    @cached_property
    def reader(self) -> judging.Reader:
        """Scores conversations with it."""
        return judging.Reader(self.artifact)

    @cached_property
    def classifier(self) -> AffectClassifier:
        """Labels as users have them."""
        return _classifier(self.artifact)

    @cached_property
    def conversations(self) -> list[LabelledConversation]:
        """The dev conversations."""
        return list(judging.dev_conversations(self.recipe.real_dev, self.data))

    @cached_property
    def scored(self) -> list[ScoredConversation]:
        """The dev conversations, with their logits."""
        return self.reader.score(self.conversations)

    @cached_property
    def judged(self) -> list[judging.Judged]:
        """The dev conversations, judged by cross-fitting."""
        return judging.judge(self.scored)

    @cached_property
    def test(self) -> list[judging.Judged]:
        """The corpus's test split, judged by the artifact as it is."""
        rows = [from_gold(row, "corpus") for row in read_corpus("test")]
        return judging.judge_as_shipped(self.artifact, self.reader, rows)


def _classifier(artifact: Artifact, screen: bool = True) -> AffectClassifier:
    folder = str(artifact.folder)
    return AffectClassifier.from_pretrained(folder, engine="onnx", device="cpu", screen=screen)


def _choice(s: Subject) -> dict[str, Any]:
    others = (judging.judge(s.scored, seed) for seed in range(1, SPLITS))
    return figures.choice(s.judged, *others)


def _groups(s: Subject) -> dict[str, Any]:
    points = s.artifact.operating_points
    return {n: figures.group_figures(figures.of_group(s.judged, n), points) for n in judging.GROUPS}


def _themes(s: Subject, judged: Callable[[], Sequence[judging.Judged]]) -> dict[str, Any]:
    return figures.theme_figures(judged()) if {*THEMES} & {*s.artifact.outputs} else {}


def _test(s: Subject) -> dict[str, Any]:
    each = (*LANGUAGES, *judging.OTHER_LANGUAGES)
    languages = {"English and French": LANGUAGES, **{name: (name,) for name in each}}
    groups = {name: [j for j in s.test if j.language in own] for name, own in languages.items()}
    return {
        "groups": {name: figures.group_figures(own, ["balanced"]) for name, own in groups.items()},
        "corpus": figures.corpus_figures(groups["English and French"]),
    }


def _small_talk(s: Subject) -> dict[str, Any]:
    rows = [from_gold(row, "small talk") for row in read_small_talk(s.data)]
    return figures.group_figures(judging.judge_as_shipped(s.artifact, s.reader, rows), ["balanced"])


def _systems(s: Subject) -> dict[str, Any]:
    systems = {"this artifact": figures.probabilities(s.judged)}
    for artifact in s.against:
        systems |= _other_artifact(s, artifact)
    return figures.rankings(s.judged, systems | _baselines(s))


def _other_artifact(s: Subject, artifact: Artifact) -> dict[str, judging.Floats]:
    """Return another artifact's probabilities of the same conversations, cross-fitted too."""
    scored = judging.Reader(artifact).score(s.conversations)
    found = {id(j.scored.labelled): j.probability for j in judging.judge(scored)}
    name = f"{artifact.name} {artifact.version} ({artifact.fingerprint[:8]})"
    # What the other cannot read, because it knows none of the pieces, it does not flag.
    return {name: np.array([found.get(id(j.scored.labelled), 0.0) for j in s.judged], float)}


def _baselines(s: Subject) -> dict[str, judging.Floats]:
    """Return what systems that are not ours make of the same conversations."""
    examples = training_conversations(s.recipe, s.data)
    known = [e.conversation for e in examples], [e.emotional for e in examples]
    conversations = [j.conversation for j in s.judged]
    return {
        "TF-IDF + logistic regression": baselines.tfidf(*known, conversations),
        "all-MiniLM-L6-v2, zero-shot": baselines.zero_shot(conversations),
        "VADER": baselines.vader(conversations),
    }


def _agreement(s: Subject) -> dict[str, Any]:
    rows: dict[str, list[Any]] = defaultdict(list, {"corpus": [*read_corpus()]})
    for row in read_rows("annotations.jsonl"):
        rows[row["source"]].append(row)
    rows["shared logs"] = [*read_rows("real_dev_labels.jsonl")]
    rows["small talk"] = [*read_rows("small_talk_labels.jsonl")]
    rows["studies"] = [j.row for j in s.judged if j.source == judging.STUDIES]
    found = {name: figures.agreement(own) for name, own in rows.items()}
    return {name: values for name, values in found.items() if values}


MEASURES: dict[str, Callable[[Subject], Any]] = {
    "choice": _choice,
    "groups": _groups,
    "studies": lambda s: figures.study_figures(s.judged),
    "study_errors": lambda s: figures.study_errors(s.judged),
    "corpus": lambda s: figures.corpus_figures(figures.of_group(s.judged, "corpus dev")),
    "cues": lambda s: figures.cue_figures(s.judged),
    "themes": lambda s: _themes(s, lambda: s.judged),
    "test_themes": lambda s: _themes(s, lambda: s.test),
    "calibration": lambda s: figures.calibration_figures(s.judged, PREVALENCE),
    "test": _test,
    "small_talk": _small_talk,
    "long_chats": lambda s: hard_cases.long_chats(s.judged, s.reader),
    "consistency": lambda s: hard_cases.consistency(s.judged, s.reader),
    "services": lambda s: shares_flagged(s.classifier, hard_cases.SERVICES, s.data),
    "other_kinds": lambda s: shares_flagged(s.classifier, hard_cases.OTHER_KINDS, s.data),
    "robustness": lambda s: hard_cases.robustness(s.classifier),
    "wrappings": lambda s: hard_cases.wrappings(
        s.classifier, _classifier(s.artifact, screen=False)
    ),
    "short_chats": lambda s: hard_cases.short_chats(s.classifier),
    "systems": _systems,
    "engines": lambda s: figures.compare_precision(s.artifact, s.judged, s.reader),
    "sizes": lambda s: {
        "total": sum(p.stat().st_size for p in s.artifact.folder.iterdir() if p.is_file())
    },
    "screen": lambda s: dict(s.artifact.description.get("screen", {})),
    "screen_trade_off": lambda s: s.artifact.description.get("screen", {}).get("trade_off", []),
    "agreement": _agreement,
}
"""What is measured, by its name in the results."""

NEED_DATA = ("studies", "study_errors", "small_talk", "services", "other_kinds")
"""Measures that rest on nothing but sets that are not in the repository."""


def evaluate(
    recipe: Recipe,
    data: Path | None,
    model: str | Path,
    *,
    only: Collection[str] = (),
    against: Sequence[str | Path] = (),
) -> dict[str, Any]:
    """Measure an artifact beside others, fit for JSON; of a recipe's own, say what it learnt."""
    artifact = load_artifact(str(model))
    subject = Subject(recipe, data, artifact, [_other(x) for x in against])
    about = ("name", "version", "fingerprint")
    results: dict[str, Any] = {"artifact": {name: getattr(artifact, name) for name in about}}
    report = recipe.folder / "prepare" / "report.json"
    if report.is_file() and Path(model) == recipe.folder / "artifact":
        results["training_data"] = json.loads(report.read_text(encoding="utf-8"))
        results["own_data"] = own_data(recipe)
    for name, measure in MEASURES.items():
        if (not only or name in only) and (recipe.real_dev or name not in NEED_DATA):
            results[name] = measure(subject)
    return results


def evaluate_run(recipe: Recipe, data: Path | None) -> dict[str, str]:
    """Measure a run's artifact, and write what was found into its folder."""
    results, path = evaluate(recipe, data, recipe.folder / "artifact"), recipe.folder / RESULTS
    print_results(results)
    path.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return {"results": str(path)}


def _other(model: str | Path) -> Artifact:
    """Return an artifact, or a model as training leaves it, such as a teacher."""
    trained = (Path(model) / INT8).is_file() and not (Path(model) / MANIFEST).is_file()
    return judging.uncalibrated(Path(model)) if trained else load_artifact(str(model))


def own_data(recipe: Recipe) -> dict[str, dict[str, int]]:
    """Return how many conversations the user's own files hold, and how many are emotional."""
    found = {}
    for path in (Path(source.path) for source in recipe.sources if source.path is not None):
        labels = [labelled.emotional for labelled in read_labelled_file(path)]
        found[path.name] = {"conversations": len(labels), "emotional": sum(labels)}
    return found


def print_results(results: dict[str, Any]) -> None:
    """Print the results as tables; values are followed by their 95 % interval."""
    artifact = results["artifact"]
    print(f"\n{artifact['name']} {artifact['version']}, fingerprint {artifact['fingerprint']}")
    for _, table in tables(results):
        print(f"\n{table.text()}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluate from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.evaluate")
    parser.add_argument("--config", default="configs/affect-small.yaml")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="artifact: name or folder")
    only = "measure this and what else is named so, and nothing more"
    parser.add_argument("--only", action="append", default=[], choices=[*MEASURES], help=only)
    others = "another artifact or trained model (a run's teach/model) to compare with; repeatable"
    parser.add_argument("--against", action="append", default=[], metavar="FOLDER", help=others)
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments)
    wanted = {"only": options.only, "against": options.against}
    try:
        results = evaluate(load_recipe(options.config), options.data, options.model, **wanted)
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.evaluate: {error}", file=sys.stderr)
        return 2
    print_results(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
