"""``affectlib finetune``: train a model further on labels of your own."""

from __future__ import annotations

import argparse
import json
import sys

from affectlib.cli._labels import change
from affectlib.cli._options import Commands, model_options, network_option
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    finetune = commands.add_parser(
        "finetune",
        parents=[model_options(), network_option()],
        help="train a model further on labels of your own",
        description="Train a model further on labelled conversations. Three tenths of them are "
        "held out to choose how far the new model moves from the old one, to fit its thresholds "
        "and to measure both. FOLDER is the new model: name it with --model to label with it.",
    )
    finetune.add_argument(
        "labelled",
        metavar="LABELLED",
        help='.jsonl: a line {"messages": […], "label": "emotional" or "task"} per conversation, '
        "with turns (the numbers of the charged ones) and cues if known; or .csv: a row per "
        "message, with conversation_id, role, content and label",
    )
    finetune.add_argument(
        "-o", "--output", metavar="FOLDER", required=True, help="a new folder for the new model"
    )
    finetune.add_argument(
        "--group",
        metavar="COLUMN",
        help="the field or column that names the person: all of a person's conversations are "
        "held out, or none",
    )
    finetune.add_argument("--name", help="the new model's name; by default, FOLDER's")
    finetune.add_argument(
        "--data-name",
        metavar="NAME",
        help="what the card calls the data; by default, the file's name",
    )
    finetune.add_argument("--licence", help="the licence that the card states; by default, none")
    finetune.add_argument("--seed", type=int, default=1, help="the random seed; default 1")
    finetune.add_argument(
        "--confidence", type=float, default=0.95, help="level of the intervals; default 0.95"
    )
    finetune.add_argument(
        "--overwrite", action="store_true", help="replace the model in FOLDER if there is one"
    )
    finetune.add_argument("--json", action="store_true", help="print JSON, a line per figure")
    finetune.add_argument("--quiet", action="store_true", help="print no progress")
    finetune.set_defaults(command=_finetune)


def _finetune(arguments: argparse.Namespace) -> int:
    from affectlib.finetuning import finetune
    from affectlib.model.artifacts import DEFAULT_MODEL, load_artifact

    base = load_artifact(arguments.model or DEFAULT_MODEL, local_files_only=not arguments.network)
    made = finetune(
        arguments.labelled,
        arguments.output,
        model=base,
        group=arguments.group,
        name=arguments.name,
        data_name=arguments.data_name,
        licence=arguments.licence,
        seed=arguments.seed,
        confidence=arguments.confidence,
        overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )
    stream = sys.stderr if arguments.json else sys.stdout
    say(
        f"{made.conversations:,} labelled conversations ({made.emotional:,} emotional); "
        f"{made.held_out:,} ({made.held_out_emotional:,} emotional) were held out; "
        f"{made.seconds:,.0f} s",
        stream,
    )
    say(f"share of the new weights, averaged with the base's: {made.share:g}", stream)
    if arguments.json:
        for row in made.figures:
            say(json.dumps(row))
    else:
        new, shown = load_artifact(made.folder), ""
        for row in made.figures:
            name = row["operating_point"]
            heading = "probabilities"
            if name is not None:
                old, now = (each.operating_points[name].conversation for each in (base, new))
                heading = f"{name}: threshold {old:.3f}, now {now:.3f}"
            if heading != shown:
                shown = heading
                say(heading)
            say(f"  {row['measure']:<18} {change(row, arguments.confidence)}")
    for note in made.notes:
        say(f"note: {note}", stream)
    say(
        f"{made.name}, based on {made.base} -> {arguments.output}; to label with it, "
        f"give --model {arguments.output}",
        sys.stderr,
    )
    return DONE
