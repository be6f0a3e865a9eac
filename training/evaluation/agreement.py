"""How well do the two annotations of the same transcripts agree?

    python -m training.evaluation.agreement

Cohen's kappa of the rows of `training/data` that were annotated twice, with 95 % bootstrap
intervals. Both annotators are large language models of one family.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score

from training.data.sources import (
    read_annotations,
    read_corpus,
    read_real_dev_labels,
    read_small_talk_labels,
)
from training.evaluation.metrics import Estimate, bootstrap


def agreement(rows: Iterable[dict[str, Any]]) -> dict[str, Estimate]:
    """Compare the first and the second charge of the rows that have both.

    Returns:
        Kappa of the label (charge 2 or more), and kappa of the charge with quadratic weights.
    """
    labels = [row["labels"] for row in rows]
    twice = [x for x in labels if x.get("second_charge") is not None]
    first, second = (np.array([x[key] for x in twice]) for key in ("charge", "second_charge"))
    return {
        "label": bootstrap(_label_kappa, first, second),
        "charge": bootstrap(_charge_kappa, first, second),
    }


def _label_kappa(first: NDArray[Any], second: NDArray[Any]) -> float:
    return _kappa(first >= 2, second >= 2)


def _charge_kappa(first: NDArray[Any], second: NDArray[Any]) -> float:
    return _kappa(first, second, weights="quadratic")


def _kappa(first: NDArray[Any], second: NDArray[Any], weights: str | None = None) -> float:
    """Return Cohen's kappa; NaN where both give one answer alone."""
    if len(np.union1d(first, second)) < 2:
        return float("nan")
    return float(cohen_kappa_score(first, second, weights=weights))


def main() -> None:
    """Print the agreement."""
    annotated: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read_annotations():
        annotated[row["source"]].append(row)
    for name, rows in (
        ("corpus", read_corpus()),
        *annotated.items(),
        ("real dev", read_real_dev_labels()),
        ("small talk", read_small_talk_labels()),
    ):
        for what, estimate in agreement(rows).items():
            print(f"{name:21}kappa of the {what:8}{estimate}  n={estimate.n}")


if __name__ == "__main__":
    main()
