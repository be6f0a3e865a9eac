"""How common emotional conversations or messages are, and how sure that is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from affectlib._values import name_list
from affectlib.analysis._frames import (
    KEYS,
    AnalysisWarning,
    Labels,
    TableError,
    check_confidence,
    group_columns,
    labels_table,
    user_keys,
)
from affectlib.analysis._intervals import (
    NONE,
    Estimate,
    GoldUnits,
    Spread,
    clustered_mean,
    effective_size,
    exact_share,
    kish,
    prediction_powered_share,
    rogan_gladen_share,
    wilson_share,
)
from affectlib.analysis.gold import gold_rows
from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["Accuracy", "calibration", "measured_accuracy", "prevalence"]

_FEWEST_POSITIVES = 5
PERIODS = {"day": "1d", "week": "1w", "month": "1mo"}
_FIGURES: dict[str, pl.DataType] = {
    "method": pl.String(),
    "estimate": pl.Float64(),
    "low": pl.Float64(),
    "high": pl.Float64(),
    "units": pl.Int64(),
    "users": pl.Int64(),
    "gold": pl.Int64(),
    "suppressed": pl.Boolean(),
}
_TAKEN = (*_FIGURES, "weight", "charged", "called", "predicted", "_user", "_prediction")


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What a classifier did on conversations whose true labels are known.

    Attributes:
        true_positives: Emotional ones that it called emotional.
        false_negatives: Emotional ones that it called task.
        true_negatives: Task ones that it called task.
        false_positives: Task ones that it called emotional.
    """

    true_positives: float
    false_negatives: float
    true_negatives: float
    false_positives: float

    def __post_init__(self) -> None:
        """Refuse counts that are negative, or none of one kind."""
        if min(asdict(self).values()) < 0:
            raise OptionError("the counts of an accuracy must not be negative")
        if not self.positives or not self.negatives:
            raise OptionError("an accuracy needs emotional conversations and others")

    @property
    def positives(self) -> float:
        """How many were emotional."""
        return self.true_positives + self.false_negatives

    @property
    def negatives(self) -> float:
        """How many were not."""
        return self.true_negatives + self.false_positives


def measured_accuracy(
    artifact: Artifact, operating_point: str = "balanced", level: str = "conversation"
) -> Accuracy | None:
    """Return what an artifact says of its own accuracy on real transcripts.

    Args:
        artifact: The artifact.
        operating_point: Which of its operating points made the labels.
        level: What a row of the labels is.

    Returns:
        The counts under ``measured.<operating point>.<level>`` of its ``affect.json``, None if
        it has none.

    Raises:
        OptionError: There is no such operating point.
    """
    artifact.operating_point(operating_point)
    counts = artifact.description.get("measured", {}).get(operating_point, {}).get(level)
    return None if counts is None else Accuracy(**counts)


def prevalence(
    labels: Any,
    gold: Any = None,
    *,
    measured: Accuracy | None = None,
    by: str | Sequence[str] | None = None,
    confidence: float = 0.95,
    min_users: int = 10,
) -> Any:
    """Estimate the share that is truly emotional.

    Counting labels is biased where emotional ones are rare: of 1,000 conversations with 5
    emotional ones, a classifier with specificity 0.98 calls 20 others emotional. What corrects it
    depends on what you have, and each correction is a row, its name in ``method``:

    - ``naive``: the share labelled emotional, uncorrected.
    - ``rogan_gladen``: corrected by sensitivity and specificity, those of the gold sample or
      `measured`, with their uncertainty. In a group, they are taken to be the same as overall.
      Where the gold sample was drawn by score, the interval is wider than it need be.
    - ``gold``: the share in the gold sample, weighted. Its interval is never too narrow.
    - ``ppi``: prediction-powered inference, the best use of a gold sample.

    A gold sample corrects only with at least 5 labels that are emotional, by ``ppi`` in each group.

    The intervals allow for users who have many rows. Sources of the methods are named in
    `affectlib.analysis._intervals`.

    Args:
        labels: Labels, of conversations or messages: ``label``, and if there are any ``user_id``
            and ``probability``.
        gold: Labels that people gave to a random sample of the rows: ``record`` or
            ``conversation_id`` (and ``message``), ``gold`` (emotional or task) and, if some rows
            were likelier to be drawn, ``weight``, the number of rows that each stands for.
        measured: What the classifier did elsewhere; used where there is no gold sample.
        by: Columns to group by; ``day``, ``week`` and ``month`` are made from the time.
        confidence: Of the intervals.
        min_users: Groups of fewer users are suppressed, and so is what rests on the gold labels of
            fewer users; 0 shows all.

    Returns:
        A frame: the columns of `by`, ``method, estimate, low, high, units, users, gold,
        suppressed``. A figure that cannot be had is null.

    Raises:
        InputTypeError: `labels` or `gold` is no frame.
        OptionError: `by` names no column or one with a name of the result's, or `confidence` is
            not between 0 and 1, or both `gold` and `measured` are given.
        TableError: A column is missing or holds what it cannot; see the message.

    Warns:
        AnalysisWarning: User ids are missing, so that rows count as independent; or the
            correction rests on transcripts other than these; or the gold sample is too small, as a
            whole or in groups, or has no weights, or numbers that may be charges.

    Example:
        >>> from affectlib.analysis import Accuracy, prevalence, simulate
        >>> people = simulate(400, prevalence=0.02)
        >>> found = prevalence(people.conversations, people.gold_conversations.sample(500, seed=1))
        >>> found["method"].to_list()
        ['naive', 'gold', 'rogan_gladen', 'ppi']
    """
    check_confidence(confidence)
    if gold is not None and measured is not None:
        raise OptionError("give gold or measured, not both; a gold sample is the better of them")
    source = labels_table(labels).labelled()
    names = group_columns(by)
    source = with_groups(with_prediction(user_keys(source)), names)
    if gold is not None:
        source = _in_memory(source, names)
    sample = None if gold is None else gold_rows(source, gold)
    if measured is not None:
        warnings.warn(
            "sensitivity and specificity were measured on other transcripts "
            f"({measured.positives:,.0f} emotional, {measured.negatives:,.0f} others); where yours "
            "differ, the corrected share is wrong by more than its interval says: label a sample "
            "of yours by hand",
            AnalysisWarning,
            stacklevel=2,
        )
    if sample is not None:
        positives = int(sample["gold"].sum())
        if positives < _FEWEST_POSITIVES or positives == len(sample):
            warnings.warn(
                f"{positives} of {len(sample):,} gold labels are emotional, which is too few (or "
                "too many) to correct by; label more, drawn by score",
                AnalysisWarning,
                stacklevel=2,
            )
        else:
            measured = _accuracy_of(sample, confidence)
    clusters = (
        source.rows.group_by([*names, "_user"])
        .agg(
            pl.len().alias("units"),
            pl.col("charged").sum().cast(pl.Float64).alias("called"),
            pl.col("_prediction").sum().alias("predicted"),
        )
        .sort([*names, "_user"])
        .collect(engine="streaming")
    )
    rows = []
    scarce = 0
    few_overall = _of_few(sample, min_users)
    groups = [*_groups(clusters, names)]
    for values, group in groups:
        chosen = None if sample is None else _of_group(sample, names, values)
        small = len(group) < min_users
        few = _of_few(chosen, min_users)
        hidden = {"naive": small, "gold": small or few, "ppi": small or few}
        hidden["rogan_gladen"] = small or few_overall
        if chosen is not None and not hidden["ppi"]:
            scarce += chosen["gold"].sum() < _FEWEST_POSITIVES
        for method, estimate in _estimates(group, chosen, measured, confidence):
            rows.append(
                dict(zip(names, values, strict=True))
                | {"method": method}
                | asdict(NONE if hidden[method] else estimate)
                | {
                    "units": None if hidden[method] else int(group["units"].sum()),
                    "users": None if hidden[method] else len(group),
                    "gold": None if small or few or chosen is None else len(chosen),
                    "suppressed": hidden[method],
                }
            )
    if scarce and measured is not None:  # else it was said of all groups together
        warnings.warn(
            f"groups with fewer than {_FEWEST_POSITIVES} gold labels that are emotional, too few "
            f"to correct by them: {scarce} of {len(groups)}; label more, or make fewer groups",
            AnalysisWarning,
            stacklevel=2,
        )
    schema = {name: clusters.schema[name] for name in names} | _FIGURES
    return source.restore(pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None))


def calibration(
    labels: Any,
    gold: Any,
    *,
    bins: int = 10,
    confidence: float = 0.95,
    min_gold: int = 10,
    min_users: int = 10,
) -> Any:
    """Set the classifier's probabilities against gold labels.

    Args:
        labels: Labels with ``probability``.
        gold: As for `prevalence`.
        bins: How many bins of equal width from 0 to 1.
        confidence: Of the intervals.
        min_gold: Bins with fewer gold labels are suppressed; 0 shows all.
        min_users: Bins with gold labels of fewer users are suppressed; 0 shows all.

    Returns:
        A frame: ``bin`` (from 0), ``probability`` (weighted mean), ``estimate, low, high`` (share
        that is emotional), ``gold`` (how many labels), ``suppressed``. Empty bins are left out;
        of bins of too few users, mean and number are null as well.

    Raises:
        InputTypeError: `labels` or `gold` is no frame.
        OptionError: `bins` is below 1, or `confidence` not between 0 and 1.
        TableError: A column is missing or holds what it cannot.

    Warns:
        AnalysisWarning: User ids are missing, or the gold sample has no weights, or numbers that
            may be charges, or rows without an answer.
    """
    check_confidence(confidence)
    if bins < 1:
        raise OptionError(f"bins must be at least 1, got {bins}")
    source = user_keys(labels_table(labels).labelled())
    source.require(["probability"])
    joined = gold_rows(source, gold).with_columns(
        bin=(pl.col("probability") * bins).floor().clip(0, bins - 1).cast(pl.Int64)
    )
    rows = []
    for (place,), group in joined.sort("bin").group_by(["bin"], maintain_order=True):
        few = _of_few(group, min_users)
        hidden = few or len(group) < min_gold
        estimate = NONE if hidden else _gold_share(group, confidence)
        weight = group["weight"].to_numpy()
        centre = float(group["probability"].to_numpy() @ weight / weight.sum())
        rows.append(
            {"bin": place, "probability": None if few else centre}
            | asdict(estimate)
            | {"gold": None if few else len(group), "suppressed": hidden}
        )
    kinds: dict[str, Any] = dict.fromkeys(("probability", "estimate", "low", "high"), pl.Float64)
    return source.restore(
        pl.DataFrame(rows, schema_overrides=kinds | {"gold": pl.Int64}).fill_nan(None)
    )


def with_groups(labels: Labels, names: Sequence[str]) -> Labels:
    """Check the columns of a ``by=``, and make those of a period from the time.

    Raises:
        OptionError: One is not there, or has a name that `prevalence` gives to something else.
        TableError: A period is asked for and no row has a time.
    """
    rows = labels.rows
    for name in names:
        if name in _TAKEN:
            raise OptionError(
                f"by: {name!r} is a name that the result or its making needs; rename that column "
                f"of {labels.name}"
            )
        if name in labels.columns:
            continue
        if name not in PERIODS or labels.time not in labels.columns:
            raise OptionError(
                f"by: no column {name!r}; there are {name_list(labels.columns)}; "
                f"{', '.join(PERIODS)} are made from {labels.time}"
            )
        if not rows.select(pl.col(labels.time).count()).collect().item():
            raise TableError(f"{labels.name}, {labels.time}: no row has a time to make {name} from")
        rows = rows.with_columns(pl.col(labels.time).dt.truncate(PERIODS[name]).alias(name))
    return labels.having(rows)


def with_prediction(labels: Labels) -> Labels:
    """Add what the classifier makes of each row: its probability, else its label."""
    label = pl.col("charged").cast(pl.Float64)
    if "probability" in labels.columns:
        label = pl.coalesce(pl.col("probability").cast(pl.Float64).fill_nan(None), label)
    return labels.having(labels.rows.with_columns(label.alias("_prediction")))


def _in_memory(labels: Labels, names: Sequence[str]) -> Labels:
    """Read once what is used with gold labels; a lazy frame may give other places to its rows."""
    wanted = (*KEYS, "message", "charged", "_prediction", "_user", *names)
    columns = [name for name in labels.columns if name in wanted]
    return labels.having(labels.rows.select(columns).collect().lazy())


def _groups(
    clusters: pl.DataFrame, names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    if not names:
        yield (), clusters
        return
    yield from clusters.group_by(names, maintain_order=True)


def _of_group(sample: pl.DataFrame, names: Sequence[str], values: Sequence[Any]) -> pl.DataFrame:
    return sample.filter(
        pl.lit(True),
        *(pl.col(name).eq_missing(value) for name, value in zip(names, values, strict=True)),
    )


def _of_few(sample: pl.DataFrame | None, min_users: int) -> bool:
    """Tell whether there are gold labels, and fewer users than these stand behind them."""
    return sample is not None and 0 < sample["_user"].n_unique() < min_users


def _estimates(
    group: pl.DataFrame,
    sample: pl.DataFrame | None,
    measured: Accuracy | None,
    confidence: float,
) -> Iterator[tuple[str, Estimate]]:
    """Yield the methods that can be had for one group, and what they find."""
    counts = group["units"].to_numpy().astype(float)
    apparent, spread = clustered_mean(group["called"].to_numpy(), counts)
    units = kish(counts) if len(counts) > 1 else 1.0
    yield "naive", wilson_share(apparent, spread, units, confidence)
    if sample is not None:
        yield "gold", _gold_share(sample, confidence) if len(sample) else NONE
    if measured is not None:
        yield (
            "rogan_gladen",
            rogan_gladen_share(
                apparent,
                effective_size(apparent, spread, units, confidence),
                (measured.true_positives, measured.positives),
                (measured.true_negatives, measured.negatives),
                confidence,
            ),
        )
    elif sample is not None:
        yield "rogan_gladen", NONE
    if sample is not None:
        enough = sample["gold"].sum() >= _FEWEST_POSITIVES
        yield "ppi", _powered_share(group, counts, sample, confidence) if enough else NONE


def _gold_share(sample: pl.DataFrame, confidence: float) -> Estimate:
    share, spread, users = _weighted_share(sample, pl.col("gold"))
    most = kish(sample["weight"].to_numpy())
    return exact_share(share, spread, users, most, confidence)


def _weighted_share(sample: pl.DataFrame, hit: pl.Expr) -> tuple[float, Spread, float]:
    """Return the share of gold rows that hit, its spread, and how many users they are worth."""
    by_user = sample.group_by("_user", maintain_order=True).agg(
        (hit * pl.col("weight")).sum().alias("hits"), pl.col("weight").sum()
    )
    weight = by_user["weight"].to_numpy()
    share, spread = clustered_mean(by_user["hits"].to_numpy(), weight)
    return share, spread, kish(weight)


def _powered_share(
    group: pl.DataFrame, counts: Any, sample: pl.DataFrame, confidence: float
) -> Estimate:
    place = pl.DataFrame({"_user": group["_user"], "place": np.arange(len(group))})
    joined = sample.select("_user", "gold", "weight", "_prediction").join(
        place, on="_user", how="left", maintain_order="left"
    )
    units = GoldUnits(
        cluster=joined["place"].to_numpy(),
        truth=joined["gold"].cast(pl.Float64).to_numpy(),
        predicted=joined["_prediction"].to_numpy(),
        weight=joined["weight"].to_numpy(),
    )
    return prediction_powered_share(group["predicted"].to_numpy(), counts, units, confidence)


def _accuracy_of(sample: pl.DataFrame, confidence: float) -> Accuracy:
    """Return the counts in a gold sample of both kinds, at its effective size."""
    counts = []
    for truth in (True, False):
        of_kind = sample.filter(pl.col("gold") == truth)
        share, spread, users = _weighted_share(of_kind, pl.col("charged") == truth)
        size = effective_size(share, spread, users, confidence)
        counts += [share * size, (1 - share) * size]
    return Accuracy(*counts)
