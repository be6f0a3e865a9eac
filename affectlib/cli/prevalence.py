"""``affectlib prevalence``: estimate how common emotional conversations or messages are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import analysis_of, figure, print_findings
from affectlib.cli._terminal import DONE
from affectlib.errors import OptionError

if TYPE_CHECKING:
    from affectlib.analysis import Accuracy

_METHODS = {
    "naive": "labelled emotional, uncorrected",
    "rogan_gladen": "corrected by sensitivity and specificity",
    "gold": "gold sample only",
    "ppi": "labels, gold sample, known errors (best)",
}


@click.command("prevalence")
@shared.labels_argument
@shared.gold_option()
@shared.numbers_option(
    "--measured",
    "TP,FN,TN,FP",
    "counts measured elsewhere: true positives, false negatives, true negatives, false positives",
)
@shared.measured_on_option
@shared.by_option
@click.option(
    "--target",
    default="population",
    type=click.Choice(["population", "corpus"]),
    help="the share in all that such users write, or only in these transcripts",
)
@shared.confidence_option
@shared.min_users_option
@shared.json_option
def command(
    labels: str,
    gold: str | None,
    missing_at_random: bool,
    measured: list[float] | None,
    by: list[str],
    confidence: float,
    as_json: bool,
    **options: Any,
) -> int:
    """Estimate how common emotional conversations or messages are.

    LABELS is the output of affectlib label.
    """
    from affectlib.analysis import NOT_A_CAUSE, prevalence, read_gold, read_labels

    with analysis_of({"labels": labels, "gold": gold}) as notes:
        table = read_labels(labels)
        sheet = None if gold is None else read_gold(gold, missing_at_random=missing_at_random)
        accuracy = None if measured is None else _accuracy(measured)
        rows = [
            row
            for names in ([None, by] if by else [None])
            for row in prevalence(
                table, sheet, measured=accuracy, by=names, confidence=confidence, **options
            ).to_dicts()
        ]
    if not as_json and {row["method"] for row in rows} == {"naive"}:
        notes.append(
            "counting labels is biased where emotional ones are rare; give --gold, a sample "
            "labelled by hand, or --measured"
        )
    if not as_json and by:
        notes.append(NOT_A_CAUSE)
    print_findings(rows, _lines(rows, by, confidence), notes, as_json=as_json)
    return DONE


def _accuracy(counts: Sequence[float]) -> Accuracy:
    from affectlib.analysis import Accuracy

    try:
        return Accuracy(*counts)
    except OptionError as error:
        raise OptionError(f"`measured`: {error}") from None


def _lines(
    rows: Sequence[Mapping[str, Any]], groups: Sequence[str], confidence: float
) -> Iterator[str]:
    def name_of(row: Mapping[str, Any]) -> str:
        return ", ".join(f"{name} {_plain(row[name])}" for name in groups if name in row) or "all"

    for group, own in groupby(rows, name_of):
        first, *others = own
        size = (
            ""
            if first["suppressed"]
            else f": {first['units']:,} labelled, {first['users']:,} users"
        )
        yield f"{group}{size}"
        for row in (first, *others):
            yield f"  {_METHODS[row['method']]:<48} {figure(row, confidence, '.2%')}"


def _plain(value: Any) -> str:
    return value.date().isoformat() if hasattr(value, "date") else str(value)
