"""Which conversations or messages to label by hand, so that few labels say much."""

from __future__ import annotations

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT
from numpy.typing import NDArray

from affectlib.analysis._design import design_of
from affectlib.analysis._frames import Frame, TableError, labels_table, like, refuse_alike
from affectlib.analysis.gold import row_columns
from affectlib.errors import OptionError
from affectlib.taxonomy import THEME_COLUMNS

__all__ = ["sample"]

_EVEN = 0.5
_SEEDS = 2**63
_LEAST_IN_STRATUM = 5


def sample(
    labels: Frame[IntoDataFrameT], n: int = 200, *, strata: int = 10, seed: int = 0
) -> IntoDataFrameT:
    """Draw rows to label by hand, more where the classifier is unsure, with the weight of each.

    Rows are sorted by probability and cut into strata so that each holds the same sum of
    ``1/2 * 1/N + 1/2 * sqrt(p * (1 - p)) / sum``; the same number is then drawn from each stratum.
    The second term is Neyman's allocation (Journal of the Royal Statistical Society 97, 1934, pp.
    558-625) for calibrated probabilities; the first, a defensive mixture (Hesterberg, Technometrics
    37, 1995, pp. 185-194), keeps weights to about twice those of an even draw. With
    `affectlib.analysis.prevalence` the weights undo the uneven draw.

    Args:
        labels: Labels of conversations or messages, with ``probability`` and ``conversation_id``
            or ``record`` (and ``message``). Rows without a label are not drawn.
        n: How many rows; all of them, with weight 1, where there are no more.
        strata: How many strata, at most; fewer where fewer than 5 rows would come from each.
        seed: Seed of the draw; the same one draws the same rows.

    Returns:
        One row for each row drawn, in random order: ``record`` and ``conversation_id`` as far as
        they are there, ``message`` if a row is a message, ``weight`` (how many rows of `labels` it
        stands for; they add up to all of them), ``design`` (its draw and stratum, which show if
        rows are gone), and ``gold``, which is empty and to be filled in; so is ``themes``, if the
        labels have themes. What the classifier found is left out, so that it does not lead whoever
        fills it in.

    Raises:
        OptionError: `n` or `strata` is below 1, `seed` below 0, or one is not a whole number.
        TableError: A probability is not between 0 and 1, or rows cannot be told apart.

    Example:
        >>> from tools.simulate import simulate
        >>> drawn = sample(simulate(200).conversations, 100)
        >>> drawn.columns, len(drawn)
        (['record', 'conversation_id', 'weight', 'design', 'gold', 'themes'], 100)
    """
    for name, value, least in (("n", n, 1), ("strata", strata, 1), ("seed", seed, 0)):
        if not hasattr(value, "__index__") or not least <= value < _SEEDS:
            raise OptionError(
                f"{name} must be at least {least}, and a whole number, got {value!r:.40}"
            )
    source = labels_table(labels).labelled()
    keys = row_columns(source.columns)
    source.require(["probability", *keys])
    named = [name for name in THEME_COLUMNS.values() if name in source.columns]
    rows = source.collect(*keys, "probability", *named)
    refuse_alike(rows, keys, source.name, "what is drawn cannot be found again")
    probability = rows["probability"].cast(pl.Float64).to_numpy()
    if not ((probability >= 0) & (probability <= 1)).all():
        raise TableError(f"{source.name}, probability: values must be between 0 and 1")
    rng = np.random.default_rng(seed)
    strata = min(strata, max(1, n // _LEAST_IN_STRATUM))
    drawn, weight, stratum = drawn_rows(rng, probability, n, strata)
    empty = {"gold": pl.lit(None, pl.String)}
    if any(rows[name].count() for name in named):
        empty["themes"] = pl.lit(None, pl.String)
    return like(
        labels,
        rows[drawn]
        .select(keys)
        .with_columns(weight=pl.Series(weight), design=design_of(drawn, stratum, weight), **empty)
        .sample(fraction=1.0, shuffle=True, seed=seed),
    )


def drawn_rows(
    rng: np.random.Generator, probability: NDArray[np.float64], n: int, strata: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Return the positions drawn, their weights and their strata."""
    total = len(probability)
    order = np.argsort(probability, kind="stable")
    spread = np.sqrt(probability[order] * (1 - probability[order]))
    share = np.full(total, 1 / total)
    if spread.sum() > 0:
        share = _EVEN * share + (1 - _EVEN) * spread / spread.sum()
    middle = np.cumsum(share) - share / 2
    bounds = np.searchsorted(middle, np.linspace(0, 1, strata + 1)[1:-1])
    parts = np.split(order, bounds)
    sizes = np.array([len(part) for part in parts])
    quotas = _allocate(min(n, total), sizes)
    pairs = zip(parts, quotas, strict=True)
    drawn = [rng.choice(part, quota, replace=False) for part, quota in pairs]
    weights = np.repeat(sizes / np.maximum(quotas, 1), quotas)
    return np.concatenate(drawn), weights, np.repeat(np.arange(len(quotas)), quotas)


def _allocate(n: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `n` evenly, to none more than its size."""
    quotas = np.zeros_like(sizes)
    while left := n - int(quotas.sum()):
        room = np.flatnonzero(quotas < sizes)
        extra = left // len(room) + (np.arange(len(room)) < left % len(room))
        quotas[room] = np.minimum(sizes[room], quotas[room] + extra)
    return quotas
