"""``affectlib finetune``: train a model further on labels of your own."""

from __future__ import annotations

import sys
from typing import Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._labels import change_lines, print_findings
from affectlib.cli._terminal import DONE, say


@click.command("finetune")
@click.argument("labelled", metavar="LABELLED")
@shared.output_option("a new folder for the new model", "FOLDER")
@click.option(
    "--group",
    metavar="COLUMN",
    help="the field or column that identifies the person; a person is learnt from or held out",
)
@click.option("--name", help="the new model's name; if not given, FOLDER's")
@click.option("--data-name", metavar="NAME", help="what the card calls the data")
@click.option("--licence", help="the licence that the card states")
@click.option("--seed", default=1, help="the random seed")
@shared.confidence_option
@shared.overwrite_option
@shared.json_option
@shared.quiet_option
@shared.model_option
@shared.network_option
def command(
    labelled: str,
    output: str,
    model: str | None,
    local_files_only: bool,
    confidence: float,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> int:
    """Train a model further on labelled conversations.

    LABELLED is a .jsonl file with a line {"messages": […], "label": "emotional" or "task"} per
    conversation, with turns (the numbers of the charged ones) and cues if known; or a .csv file
    with a row per message and the columns conversation_id, role, content and label.

    Three tenths of the conversations are held out to choose how far the new model moves from the
    old one, to fit its thresholds and to measure both. FOLDER is the new model: name it with
    --model to label with it.
    """
    from affectlib.finetuning import finetune
    from affectlib.model.artifacts import DEFAULT_MODEL, load_artifact

    base = load_artifact(model or DEFAULT_MODEL, local_files_only=local_files_only)
    made = finetune(
        labelled, output, model=base, confidence=confidence, progress=not quiet, **options
    )
    lines = (
        f"{made.conversations:,} labelled conversations ({made.emotional:,} emotional); "
        f"{made.held_out:,} ({made.held_out_emotional:,} emotional) were held out; "
        f"{made.seconds:,.0f} s",
        f"share of the new weights, averaged with the base's: {made.share:g}",
    )
    for line in lines:
        say(line, sys.stderr if as_json else sys.stdout)
    new = load_artifact(made.folder)
    changes = change_lines(made.figures, base, new, "conversation", confidence)
    print_findings(made.figures, changes, made.notes, as_json=as_json)
    say(
        f"{made.name}, based on {made.base} -> {output}; to label with it, give --model {output}",
        sys.stderr,
    )
    return DONE
