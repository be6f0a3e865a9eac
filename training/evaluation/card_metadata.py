"""The head of the card: YAML that model hubs read, with the measured results."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import yaml

from training.config import Recipe, base_model

_DATASETS = {
    "real transcripts": "Real transcripts (ShareGPT, Chatbot Arena, WildChat), dev",
    "corpus dev": "Corpus of affectlib, dev",
}
"""The groups of dev conversations that stand in the head, and what they are called there."""
_RANKING = {"auroc": "roc_auc", "average_precision": "average_precision"}
_DECISIONS = ("recall", "specificity", "precision")


def header(recipe: Recipe, groups: dict[str, Any]) -> str:
    """Return the head of the card, with the lines of dashes around it.

    Args:
        recipe: The recipe that the model was made by.
        groups: Figures of groups of dev conversations, by name; see `training.evaluation.figures`.
    """
    results: list[dict[str, Any]] = [
        {
            "task": {"type": "text-classification", "name": "Emotionally charged or task-oriented"},
            "dataset": {
                "type": f"affectlib-{group.replace(' ', '-')}",
                "name": name,
                "split": "dev",
            },
            "metrics": metrics,
        }
        for group, name in _DATASETS.items()
        if (metrics := [*_metrics(groups.get(group, {}))])
    ]
    base = base_model(recipe.encoder.path)
    values = {
        "license": "apache-2.0",
        "language": list(recipe.languages),
        "library_name": "transformers",
        "pipeline_tag": "text-classification",
        "tags": ["affective-computing", "chat-transcripts", "multi-label", "onnx", "affectlib"],
        **({"base_model": base} if base is not None else {}),
        "metrics": sorted({m["type"] for result in results for m in result["metrics"]}),
        "model-index": [{"name": recipe.name, "results": results}],
    }
    if not results:  # hubs take no index without results
        del values["metrics"], values["model-index"]
    return f"---\n{yaml.safe_dump(values, sort_keys=False, allow_unicode=True)}---\n"


def _metrics(figures: dict[str, Any]) -> Iterator[dict[str, Any]]:
    found = [(kind, kind, figures.get(key)) for key, kind in _RANKING.items()]
    decisions = figures.get("balanced", {})
    found += [(key, f"{key} at balanced", decisions.get(key)) for key in _DECISIONS]
    for kind, name, estimate in found:
        if estimate is not None and math.isfinite(estimate["value"]):
            yield {"type": kind, "name": name, "value": round(estimate["value"], 3)}
