"""Last step: the card of the artifact (its README.md), rendered from the results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from training.config import Recipe
from training.metrics import Estimate
from training.sources import load_manifest

POINTS = ("balanced", "high_precision", "high_recall")
POINT_GROUPS = (
    "real transcripts",
    "real: random pool",
    "corpus dev",
    "corpus dev: English",
    "corpus dev: French",
)

TEXT = """\
{header}
# {name} {version}

Tells **emotionally charged** from **task-oriented** chat transcripts between people and AI
assistants, and finds eleven affective cues. It is the model that comes with affectlib, which lays
out conversations, aggregates turns and applies the thresholds. Its weights were trained by the
project's own pipeline.

- **Reads** a user's message after up to {context} ({max_tokens} tokens in all).
- **Puts out** twelve logits: `emotional`, nine user cues, two assistant cues. The sigmoid of each
  is its calibrated probability.
- **Size**: {layers} layers, {hidden} wide, {vocabulary:,} pieces; started from {base}.
- **Languages**: English and French. Others written in Latin script work by chance.

## Intended use, and misuse

For research on transcripts in the aggregate: how common affective use is, how it is spread, what it
goes with. It is no diagnosis and no crisis detector. Do not use it to make decisions about a
person, to watch people without their consent, or on transcripts of minors without safeguards. The
probabilities assume that {prevalence:.0%} of conversations are emotional; `affectlib.prior_shift`
moves them to another share.

## Training data

{sources}

The corpus and the annotations were written by a large language model to the project's codebook, and
were not checked by people. Near-duplicates of evaluation data were removed from training.

## Results

The dev conversations were never trained on. They do choose thresholds and calibration, so the
figures come from cross-fitting: each conversation is judged by a calibration fitted on the others.
Their labels were given by a large language model too, about half of them twice and blind, so they
are a consistent reading, not human gold. Values are followed by 95 % bootstrap intervals. There are
{positives} emotional conversations among the {n} real ones: read the intervals.

{groups}

At each operating point:

{points}

On the corpus's dev split, `balanced`:

{corpus}

Beside other systems, on the same conversations (TF-IDF was trained on the same training
conversations; the threshold for the last column is set on the same negatives for every system):

{baselines}

### Cues

Of whole conversations, all dev conversations together; F1 at probability 0.5. Macro F1 over cues
with at least 20 positives: {macro}.

{cues}

### Calibration and engines

{calibration}

### Other genres

Share labelled emotional (`balanced`) in public sets that have no labels of ours:

{public}

## Limits

- Emotional conversations are rare in real transcripts, and so are they in the dev sets: the
  intervals are wide.
- The turns of a conversation are labelled one by one, with little context; what is only said
  between the lines of many turns is missed.
- Of a very long message at most four windows are read; what is not read is counted in
  `truncated_tokens`.
- Cues are rarer than the label; look at their figures above before you use one.
- Registers that the corpus lacks (other languages, dialects, teenagers' slang) are untested.

## Reproduce

```
python -m training.run --config configs/{name}.yaml --data DIR
python -m training.evaluate --config configs/{name}.yaml --data DIR
```
"""


def write_card(recipe: Recipe) -> Path:
    """Render the card from ``results.json`` and write it into the artifact.

    Returns:
        Its path.
    """
    folder = recipe.folder / "artifact"
    results = json.loads((recipe.folder / "results.json").read_text(encoding="utf-8"))
    report = json.loads((recipe.folder / "prepare" / "report.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    path = folder / "README.md"
    path.write_text(render(recipe, results, report, config), encoding="utf-8")
    return path


def render(
    recipe: Recipe, results: dict[str, Any], report: dict[str, Any], config: dict[str, Any]
) -> str:
    """Return the card's text."""
    groups = results["groups"]
    main = groups["real transcripts"] if recipe.real_dev else groups["corpus dev"]
    return TEXT.format(
        header=_header(recipe, main),
        name=recipe.name,
        version=recipe.version,
        context=_context(recipe),
        max_tokens=recipe.windows.max_tokens,
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        vocabulary=config["vocab_size"],
        base=recipe.encoder.path.rsplit("/", 1)[-1],
        prevalence=recipe.calibrate.prevalence,
        sources=_sources(report),
        positives=main["emotional"],
        n=main["n"],
        groups=_table(
            ["", "n", "emotional", "AUROC", "average precision"],
            [
                [name, g["n"], g["emotional"], _show(g, "auroc"), _show(g, "average_precision")]
                for name, g in groups.items()
                if g["n"]
            ],
        ),
        points=_table(
            ["operating point", "on", "recall", "specificity", "precision", "accuracy"],
            [
                [point, name]
                + [
                    _show(groups[name][point], metric)
                    for metric in ("recall", "specificity", "precision", "accuracy")
                ]
                for point in POINTS
                for name in POINT_GROUPS
                if point in groups[name]
            ],
        ),
        corpus=_table(
            ["", "value", "n"],
            [
                [name, _show(results["corpus"], name), v["n"]]
                for name, v in results["corpus"].items()
            ],
        ),
        baselines=_table(
            ["on", "system", "AUROC", "average precision", "recall at specificity 0.98"],
            [
                [group, name, *(_show(values, metric) for metric in values)]
                for group, systems in results.get("baselines", {}).items()
                for name, values in systems.items()
            ],
        ),
        macro="-" if results["cues"]["macro_f1"] is None else f"{results['cues']['macro_f1']:.3f}",
        cues=_table(
            ["cue", "positives", "average precision", "F1"],
            [
                [name, cue["positives"], _show(cue, "average_precision"), _show(cue, "f1")]
                for name, cue in results["cues"]["by_cue"].items()
            ],
        ),
        calibration=_table(
            ["", "value", "n"],
            [
                [f"expected calibration error, {name}", _show(results["calibration"], name), v["n"]]
                for name, v in results["calibration"].items()
            ]
            + [
                [
                    f"int8 against fp32: {name.replace('_', ' ')}",
                    _show(results["engines"], name),
                    v["n"],
                ]
                for name, v in results["engines"].items()
            ],
        ),
        public=_table(
            ["set", "share", "n"],
            [
                [name, _show(results["public"], name), v["n"]]
                for name, v in results.get("public", {}).items()
            ],
        ),
    )


def _context(recipe: Recipe) -> str:
    users_alone = recipe.windows.assistant_context_tokens == 0
    whose = "earlier ones of the same user" if users_alone else "earlier messages"
    return f"{recipe.windows.context_messages} {whose}"


def _header(recipe: Recipe, main: dict[str, Any]) -> str:
    values = {
        "license": "apache-2.0",
        "language": list(recipe.languages),
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["affective-computing", "chat-transcripts", "multi-label", "affectlib"],
        "base_model": "intfloat/multilingual-e5-small",
        "metrics": ["roc_auc", "average_precision"],
        "model-index": [
            {
                "name": recipe.name,
                "results": [
                    {
                        "task": {"type": "text-classification"},
                        "dataset": {"name": "affectlib dev transcripts", "type": "affectlib-dev"},
                        "metrics": [
                            {"type": metric, "value": round(main[key]["value"], 4)}
                            for metric, key in (
                                ("roc_auc", "auroc"),
                                ("average_precision", "average_precision"),
                            )
                            if key in main
                        ],
                    }
                ],
            }
        ],
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def _sources(report: dict[str, Any]) -> str:
    manifest = load_manifest()
    rows = []
    for name, counts in report.items():
        source = manifest.get(name.removesuffix("_wrapped").removesuffix("_annotated"))
        if source is not None:
            licence, origin = source.licence, source.repository
        else:
            licence, origin = "Apache-2.0", "this project, written by a large language model"
        rows.append(
            [
                name,
                counts.get("conversations", 0),
                counts.get("windows", 0),
                counts.get("emotional", 0),
                counts.get("near_duplicates", 0),
                origin,
                licence,
            ]
        )
    head = [
        "source",
        "conversations",
        "windows",
        "emotional",
        "near-duplicates removed",
        "origin",
        "licence",
    ]
    return _table(head, rows)


def _show(values: dict[str, Any], key: str) -> str:
    return str(Estimate(**values[key])) if key in values else "-"


def _table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
