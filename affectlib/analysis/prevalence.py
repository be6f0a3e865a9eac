"""How common emotional conversations or messages are, and how sure that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

import numpy as np
import polars as pl
from narwhals.typing import IntoDataFrameT

from affectlib._values import name_list
from affectlib.analysis import _frames, _intervals
from affectlib.analysis._correction import Apparent, ErrorRates, GoldUnits, Target, drawn_by_row
from affectlib.analysis._frames import AnyFrame, Frame, Labels, TableError
from affectlib.analysis._intervals import NONE, Estimate, Spread
from affectlib.analysis._privacy import Cell, hidden_crossed, rows_of_users
from affectlib.analysis._provenance import COLUMN, Kind
from affectlib.analysis._times import in_calendar
from affectlib.analysis.accuracy import Accuracy
from affectlib.analysis.gold import gold_rows
from affectlib.errors import OptionError

__all__ = ["headline_method", "prevalence"]

BY_HAND = ("ppi", "gold")
"""Methods that use gold labels, the best first."""
PERIODS = {"day": "1d", "week": "1w", "month": "1mo"}
_WIDE = 0.75
_WANTED = 0.5
_LEAST_USE = 0.1
_REFUTED, _REFUTING = 0.05, 10
_NAMED = 5
_FIGURES: dict[str, pl.DataType] = {
    "method": pl.String(),
    **dict.fromkeys(("estimate", "low", "high"), pl.Float64()),
    **dict.fromkeys(("units", "users", "gold"), pl.Int64()),
    "suppressed": pl.Boolean(),
}
_TAKEN = (*_FIGURES, "weight", "charged", "called", "predicted", "_user", "_prediction")


def prevalence(
    labels: Frame[IntoDataFrameT],
    gold: AnyFrame | None = None,
    *,
    measured: Accuracy | None = None,
    kind: Kind = "logs",
    by: str | Sequence[str] | None = None,
    target: Target = "population",
    confidence: float = 0.95,
    min_users: int = 10,
) -> IntoDataFrameT:
    """Estimate the share that is truly emotional.

    Counting labels is biased where emotional ones are rare: of 1,000 conversations with 5
    emotional ones, a classifier with specificity 0.98 calls 20 others emotional. Which corrections
    are possible depends on what you have. Each is a row, named in ``method``:

    - ``naive``: the share labelled emotional, uncorrected.
    - ``rogan_gladen``: corrected by the sensitivity and specificity `measured` elsewhere. Its
      interval is wide, as it allows for domain shift.
    - ``gold``: the share in the gold sample, weighted. Its interval is never too narrow.
    - ``ppi``: labels, gold sample and `measured` together, the best use of a gold sample (see
      `affectlib.analysis._correction`). With few emotional gold labels, what was measured elsewhere
      weighs more or, if nothing was, the interval is wide. Where gold labels contradict the
      measured accuracy, that gets little weight; where the classifier's labels carry no
      information, ``ppi`` equals ``gold``.

    In groups, sensitivity and specificity are taken to be the same as overall. Where the gold
    labels of a group contradict that, its ``ppi`` is its ``gold``: at least ten of them give a
    share whose interval does not touch that of the common errors, also without the user who counts
    most in it, and at a level that allows for the number of groups. ``python -m tools.simulation``
    measures the coverage of the intervals.

    Args:
        labels: Labels, of conversations or messages: ``label``, and if there are any ``user_id``
            and ``probability``.
        gold: Labels that people gave to a random sample of the rows: ``record`` or
            ``conversation_id`` (and ``message``), ``gold`` (emotional or task) and, if some rows
            were likelier to be drawn, ``weight``, the number of rows that each stands for.
        measured: How the classifier did elsewhere. If None, what the model that made `labels` says
            of itself, if they carry it, as those from `read_labels` of a Parquet file do. What a
            calibrated or fine-tuned model says of its user's gold labels is left out with `gold`,
            which may be the same ones.
        kind: On which transcripts the model says this: ``logs``, shared logs, or ``studies``,
            personal chats that people gave to studies.
        by: Columns to group by; one of ``day``, ``week`` and ``month`` is made from the time.
        target: The share in everything that users like these write (``population``; the intervals
            then allow for having these users and not others), or in the ``corpus`` itself.
        confidence: Level of the intervals.
        min_users: Groups of fewer users are suppressed, and so are figures that rest on gold labels
            of fewer users, that would reveal them by subtraction, or where one user has more than
            80 % of the rows. 0 shows all.

    Returns:
        A frame: the columns of `by`, ``method, estimate, low, high, units, users, gold,
        suppressed``. A figure that cannot be estimated is null.

    Raises:
        OptionError: `by` names no column, one whose name the result uses, or two periods, or the
            model does not say how it did on transcripts of that `kind`, or `measured` is also
            given.

    Warns:
        AnalysisWarning: User ids, times, weights or the column ``provenance`` are missing; the
            correction rests on other transcripts; or the gold sample leaves a wide interval (then
            it says how many more to label) or shows other errors in a group than overall.

    Example:
        >>> from affectlib.analysis import Accuracy, prevalence
        >>> from tools.simulate import simulate
        >>> people = simulate(400, prevalence=0.02)
        >>> found = prevalence(people.conversations, people.gold_conversations.sample(900, seed=1))
        >>> found["method"].to_list()
        ['naive', 'gold', 'ppi']
    """
    _frames.check_confidence(confidence)
    check_target(target)
    source = _frames.labels_table(labels).labelled()
    measured = source.accuracy(measured, kind, beside_gold=gold is not None)
    names = _frames.group_columns(by)
    source = with_groups(with_prediction(_frames.user_keys(source)), names)
    if gold is not None:
        source = _in_memory(source, names)
    sample = None if gold is None else gold_rows(source, gold)
    found = shares(source, sample, measured, names, target, confidence, min_users)
    if gold is None and measured is not None:
        _warn_of_shift(measured, own=is_own(source, measured))
    elif gold is None and nothing_of_origin(source):
        _frames.warn(
            f"{source.name}: no column {COLUMN!r} says which model made these labels, so nothing "
            "is corrected by what it knows of its errors; read the file that affectlib label wrote "
            "with read_labels, keep this column, or give measured",
            level=2,
        )
    last = found.row(-1, named=True)
    if sample is not None and not names and not last["suppressed"]:
        _warn_of_little(last, found.row(0, named=True), sample, confidence)
    return _frames.like(labels, found)


def headline_method(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Return the method whose figure may stand first: ``ppi``, else ``gold``, else none.

    Without gold labels, put first how many rows are labelled emotional, which is a count and not an
    estimate, and then ``rogan_gladen``.

    `rows` are those of `prevalence` for one group, with ``method, estimate, suppressed``.
    """
    shown = {row["method"] for row in rows if not row["suppressed"] and row["estimate"] is not None}
    return next((method for method in BY_HAND if method in shown), None)


def check_target(target: str) -> None:
    """Refuse an unknown target."""
    if target not in ("corpus", "population"):
        raise OptionError(f"unknown target {target!r}; use corpus or population")


def shares(
    source: Labels,
    sample: pl.DataFrame | None,
    measured: Accuracy | None,
    names: Sequence[str],
    target: Target,
    confidence: float,
    min_users: int,
) -> pl.DataFrame:
    """Return the share of ``charged`` rows by every possible method, as `prevalence` does.

    `source` has ``_user`` and ``_prediction`` too, and `sample` is its rows with a gold label.
    """
    clusters = _by_user(source, names)
    evidence = _evidence(clusters, sample, measured, is_own(source, measured))
    small = hidden_crossed(clusters, names, min_users)
    few: Mapping[Cell, bool] = {}
    by_group: Mapping[Cell, pl.DataFrame] = {}
    few_overall = False
    if sample is not None:
        few = hidden_among(sample.lazy(), names, min_users)
        few_overall = 0 < sample["_user"].n_unique() < min_users
        by_group = dict(grouped(sample, names))
    rows: list[dict[str, Any]] = []
    contradicted: list[str] = []
    for values, group in grouped(clusters, names):
        own = None if sample is None else by_group.get(values, sample.clear())
        of_few = few.get(values, False)
        groups = len(few) if names and not of_few else 0
        figures = _estimates(group, own, evidence, target, confidence, not names, groups)
        for method, estimate, by_hand in figures:
            gone = small[values] or (by_hand and of_few) or (method == "ppi" and few_overall)
            if method == "ppi" and by_hand and not (evidence.useless or gone):
                contradicted.append(" ".join(map(_named, values)))
            rows.append(
                dict(zip(names, values, strict=True))
                | {"method": method}
                | asdict(NONE if gone else estimate)
                | {
                    "units": None if gone else int(group["units"].sum()),
                    "users": None if gone else len(group),
                    "gold": None if small[values] or of_few or own is None else len(own),
                    "suppressed": gone,
                }
            )
    if contradicted:
        _frames.warn(
            f"in {len(contradicted):,} of the groups ({', '.join(contradicted[:_NAMED])}"
            f"{', …' * (len(contradicted) > _NAMED)}), the gold labels contradict what all "
            "together say of label errors: ppi is the share of the gold labels there"
        )
    schema = {name: clusters.schema[name] for name in names} | _FIGURES
    return pl.DataFrame(rows, schema=schema, orient="row").fill_nan(None)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known about label error: measured elsewhere, and updated by gold labels."""

    known: bool
    measured: ErrorRates | None
    """None also if it is of no use."""
    updated: ErrorRates | None

    @property
    def useless(self) -> bool:
        """Whether, by the gold labels, labels say nothing about the truth."""
        return self.updated is not None and _says_little(self.updated)


def hidden_among(rows: pl.LazyFrame, names: Sequence[str], min_users: int) -> Mapping[Cell, bool]:
    """Say which groups of rows (with ``_user``) to suppress."""
    return hidden_crossed(rows_of_users(rows, names), names, min_users)


def nothing_of_origin(labels: Labels) -> bool:
    """Tell whether labels have lost what says which model made them, or never had it."""
    return COLUMN not in labels.columns and not labels.provenance.model


def is_own(source: Labels, measured: Accuracy | None) -> bool:
    """Tell whether errors were measured on the labels of the user that the model was fitted to."""
    origin = source.provenance
    return origin.fitted and measured == origin.measured.get(source.level)


def _evidence(
    clusters: pl.DataFrame, sample: pl.DataFrame | None, measured: Accuracy | None, own: bool
) -> Evidence:
    known = None if measured is None else ErrorRates.measured(measured)
    if known is not None and not own:
        known = known.with_domain_shift()
    if sample is None:
        return Evidence(measured is not None, known, None)
    sums = clusters.select("units", "called", "predicted", "predicted_called").sum()
    units, called, predicted, among = sums.row(0)
    means = among / max(called, 1.0), (predicted - among) / max(units - called, 1.0)
    units_of = GoldUnits(
        user=sample["_user"].to_numpy(),
        truth=sample["gold"].cast(pl.Float64).to_numpy(),
        called=sample["charged"].to_numpy(),
        predicted=sample["_prediction"].to_numpy(),
        weight=sample["weight"].to_numpy(),
        by_row=drawn_by_row(
            clusters.group_by("_user").agg(pl.col("units").sum())["units"].to_numpy(),
            sample["_user"].n_unique(),
            len(sample),
        ),
    )
    updated = ErrorRates.updated(units_of, Apparent(called / units, units), means, measured)
    return Evidence(measured is not None, known, updated)


def label_errors(
    labels: AnyFrame, gold: AnyFrame | None, measured: Accuracy | None
) -> ErrorRates | None:
    """Return the errors by which to correct differences; None if unknown or labels are useless."""
    if gold is None:
        errors = None if measured is None else ErrorRates.measured(measured)
    else:
        source = _in_memory(
            with_prediction(_frames.user_keys(_frames.labels_table(labels).labelled())), []
        )
        errors = _evidence(_by_user(source, []), gold_rows(source, gold), measured, False).updated
    return None if errors is None or _says_little(errors) else errors


def _says_little(errors: ErrorRates) -> bool:
    return sum(errors.rates) - 1 < _LEAST_USE


def _by_user(source: Labels, names: Sequence[str]) -> pl.DataFrame:
    """Return a row for each user of each group, with sums."""
    charged = pl.col("charged")
    return (
        source.rows.group_by([*names, "_user"])
        .agg(
            pl.len().alias("units"),
            charged.sum().cast(pl.Float64).alias("called"),
            pl.col("_prediction").sum().alias("predicted"),
            (pl.col("_prediction") * charged).sum().alias("predicted_called"),
        )
        .sort([*names, "_user"])
        .collect(engine="streaming")
    )


def _named(value: Any) -> str:
    """Return the name of a group, that of a period by its first day."""
    return value.date().isoformat() if hasattr(value, "date") else str(value)


def _estimates(
    group: pl.DataFrame,
    sample: pl.DataFrame | None,
    evidence: Evidence,
    target: Target,
    confidence: float,
    whole: bool,
    groups: int,
) -> Iterator[tuple[str, Estimate, bool]]:
    """Yield each method, its estimate, and whether that is from gold labels only.

    `whole` says that the group is all rows; gold labels may overrule evidence in each of `groups`.
    """
    counts = group["units"].to_numpy().astype(float)
    hits = group["called"].to_numpy()
    share, spread = _intervals.clustered_mean(hits, counts)
    here = called = Apparent(share, counts.sum())
    naive = Estimate(share, share, share)
    if target == "population":
        called = Apparent.of_users(hits, counts, confidence)
        naive = _intervals.wilson_share(share, spread, _intervals.kish(counts), confidence)
    yield "naive", naive, False
    if evidence.known:
        found = NONE if evidence.measured is None else evidence.measured.share(called, confidence)
        yield "rogan_gladen", found, False
    if sample is None or evidence.updated is None:
        return
    by_hand = gold_share(sample, confidence) if len(sample) else NONE
    yield "gold", by_hand, True
    errors = evidence.updated
    corrected = errors.share(called, confidence, whole=whole)
    overruled = evidence.useless or (groups > 0 and _contradicted(errors, here, sample, groups))
    yield "ppi", by_hand if overruled else corrected, overruled


def _contradicted(errors: ErrorRates, called: Apparent, sample: pl.DataFrame, groups: int) -> bool:
    """Tell whether the gold labels of a group contradict that its errors are those of all."""
    if len(sample) < _REFUTING:
        return False
    sure = 1 - _REFUTED / groups  # each of which may contradict by chance
    low, high = errors.plausible_range(called, sure)
    found = gold_share(sample, sure)
    if found.low <= high and low <= found.high:
        return False
    # One user is not enough for that: the labels of the others must say the same.
    against = sample.filter(pl.col("gold") == (found.low > high))
    by_user = against.group_by("_user", maintain_order=True).agg(pl.col("weight").sum())
    loudest = by_user.sort("weight", descending=True, maintain_order=True).head(1)
    rest = sample.join(loudest, on="_user", how="anti")
    if rest.is_empty():
        return False
    found = gold_share(rest, sure)
    return found.low > high or found.high < low


def _warn_of_shift(measured: Accuracy, *, own: bool) -> None:
    counts = f"({measured.positives:,.0f} emotional, {measured.negatives:,.0f} others)"
    elsewhere = (
        f"other transcripts {counts}; the interval of the corrected share allows for yours to "
        "differ from those, and is wide: label a sample of yours by hand"
    )
    here = (
        f"the labels that its model was adapted to {counts}; if yours differ from those, the "
        "corrected share may be off by more than its interval says: give them as `gold`, if they "
        "are of these"
    )
    _frames.warn(f"sensitivity and specificity were measured on {here if own else elsewhere}")


def more_to_label(
    row: Mapping[str, Any], naive: Mapping[str, Any], confidence: float
) -> int | None:
    """Return how many more rows to label to know the share to within half its value.

    That is 0 if its interval is not wide, or all rows are labelled, and None if all would not
    suffice. `row` is the figure of all rows by ``ppi``, `naive` that by ``naive``, whose interval
    is from the spread between users, which gold labels do not reduce.
    """
    reach = (row["high"] - row["low"]) / 2
    left = int(row["units"] - row["gold"])
    if reach <= _WIDE * row["estimate"] or left <= 0:
        return 0
    z = Spread(0.0, np.inf).quantile(confidence)
    outer = naive["estimate"] * (1 - naive["estimate"])
    # A share next to 0 may ask for too many rows; it may as well lie in the middle of its interval.
    for share in (row["estimate"], (row["low"] + row["high"]) / 2):
        inner = share * (1 - share)
        of_users = (naive["high"] - naive["low"]) / 2 * sqrt(inner / max(outer, inner, 1e-12))
        room = (_WANTED * share) ** 2 - of_users**2
        if room <= 0:
            continue
        # Extrapolate how the interval narrows with more, up to what a simple random sample needs.
        needed = row["gold"] * max(reach**2 - of_users**2, 0.0) / room
        even = z**2 * inner / room
        more = (min(needed, even) if even > row["gold"] else needed) - row["gold"]
        if more <= left:
            return max(min(int(np.ceil(more / 50)) * 50, left), 0)
    return None


def _warn_of_little(
    row: Mapping[str, Any], naive: Mapping[str, Any], sample: pl.DataFrame, confidence: float
) -> None:
    """Say how many more rows to label, if any."""
    more = more_to_label(row, naive, confidence)
    if more == 0:
        return
    advice = (
        "to know it to within half its value takes more transcripts, as these are too few, "
        "or of too few users, even if all were labelled by hand"
        if more is None
        else f"label about {more:,} more rows, drawn with affectlib sample, to know it to within "
        "half its value"
    )
    _frames.warn(
        f"{int(sample['gold'].sum()):,} of {len(sample):,} gold labels are emotional, which leaves "
        f"the share between {row['low']:.2%} and {row['high']:.2%}; {advice}"
    )


def with_groups(labels: Labels, names: Sequence[str]) -> Labels:
    """Check the columns of a ``by=``, and make those of a period from the time."""
    made = [name for name in names if name in PERIODS and name not in labels.columns]
    if len(made) > 1:
        raise OptionError(f"by: {' and '.join(made)} cannot be combined; name one period")
    if made:
        labels = in_calendar(labels)
    rows = labels.rows
    kinds = rows.collect_schema()
    for name in names:
        if name in _TAKEN:
            raise OptionError(
                f"by: the name {name!r} is needed for the result; rename that column of "
                f"{labels.name}"
            )
        if name in labels.columns:
            if kinds[name].is_nested():
                raise TableError(f"{labels.name}, {name}: expected single values, got lists")
            if kinds[name].is_float():
                rows = rows.with_columns(pl.col(name).fill_nan(None))
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
    """Add ``_prediction``: the probability, or else the label."""
    label = pl.col("charged").cast(pl.Float64)
    if "probability" in labels.columns:
        label = pl.coalesce(pl.col("probability").cast(pl.Float64).fill_nan(None), label)
    return labels.having(labels.rows.with_columns(label.alias("_prediction")))


def _in_memory(labels: Labels, names: Sequence[str]) -> Labels:
    """Read once what is joined to gold labels; a lazy frame may number its rows anew each time."""
    wanted = (*_frames.KEYS, "message", "charged", "_prediction", "_user", *names)
    columns = [name for name in labels.columns if name in wanted]
    return labels.having(labels.rows.select(columns).collect().lazy())


def grouped(
    rows: pl.DataFrame, names: Sequence[str]
) -> Iterator[tuple[tuple[Any, ...], pl.DataFrame]]:
    """Yield the values and the rows of each group, in order; all rows if there are no columns."""
    yield from rows.group_by(names, maintain_order=True) if names else [((), rows)]


def gold_share(sample: pl.DataFrame, confidence: float) -> Estimate:
    """Return the weighted share of gold rows that are emotional."""
    by_user = sample.group_by("_user", maintain_order=True).agg(
        (pl.col("gold") * pl.col("weight")).sum().alias("hits"), pl.col("weight").sum()
    )
    weight = by_user["weight"].to_numpy()
    share, spread = _intervals.clustered_mean(by_user["hits"].to_numpy(), weight)
    return _intervals.exact_share(
        share,
        spread,
        _intervals.kish(weight),
        _intervals.kish(sample["weight"].to_numpy()),
        confidence,
    )
