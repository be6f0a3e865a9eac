"""``affectlib calibrate``: fit a model to labels given by people, without training."""

from __future__ import annotations

import sys
from typing import Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import analysis_of, artifact_of_labels, change_lines, print_findings
from affectlib.cli._terminal import DONE, say


def _shares(text: str) -> dict[str, float]:
    """Read ``NAME=SHARE,NAME=SHARE``."""
    try:
        return {name: float(share) for name, share in shared.pairs(text).items()}
    except ValueError:
        raise click.BadParameter("expected NAME=SHARE, such as balanced=0.95") from None


@click.command("calibrate")
@shared.labels_argument
@shared.gold_option(required=True)
@shared.output_option("a new folder for the new model", "FOLDER")
@shared.labelled_by_option
@click.option("--name", help="the new model's name; if not given, FOLDER's")
@click.option(
    "--specificity",
    type=_shares,
    metavar="NAME=SHARE,…",
    help="share of task rows that an operating point must not flag, such as balanced=0.95",
)
@shared.flag("--force", "force", "accept that recall or specificity falls by more than 0.1")
@shared.confidence_option
@shared.json_option
def command(
    labels: str,
    gold: str,
    missing_at_random: bool,
    output: str,
    model: str | None,
    confidence: float,
    as_json: bool,
    **options: Any,
) -> int:
    """Fit a model's probabilities and thresholds to labels given by people.

    Calibrate the model that made LABELS on a filled-in sheet, without training. FOLDER is the new
    model: name it with --model to label with it.
    """
    from affectlib.analysis import calibrate, read_gold, read_labels
    from affectlib.model.artifacts import load_artifact

    base = artifact_of_labels(labels, model)
    with analysis_of({"labels": labels, "gold": gold}) as notes:
        sheet = read_gold(gold, missing_at_random=missing_at_random)
        rows = calibrate(
            read_labels(labels), sheet, base, output, confidence=confidence, **options
        ).to_dicts()
    new = load_artifact(output)
    made = new.description["calibrated"]
    if not as_json:
        say(
            f"{made['rows']:,} gold labels ({made['emotional']:,} emotional); the new figures are "
            "cross-fitted"
        )
    lines = change_lines(rows, base, new, made["level"], confidence)
    print_findings(rows, lines, notes, as_json=as_json)
    say(
        f"{new.name}, based on {base.name} {base.version} -> {output}; to label with it, "
        f"give --model {output}",
        sys.stderr,
    )
    return DONE
