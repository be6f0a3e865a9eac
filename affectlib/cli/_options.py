"""Options that several commands have, and what they report about the reading of transcripts.

Each option is named for the argument of Python that it sets.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from affectlib.corpus.source import file_among
from affectlib.errors import OutputExistsError
from affectlib.formats import DROPS, FORMATS, Branches, ReadOptions, ReadReport, Tally

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier

_F = TypeVar("_F", bound=Callable[..., Any])
_SHOWN = 8


def names(text: str) -> list[str]:
    """Read ``NAME,NAME``."""
    return [name for part in text.split(",") if (name := part.strip())]


def pairs(text: str) -> dict[str, str]:
    """Read ``KEY=VALUE,KEY=VALUE``."""
    found = [pair.partition("=") for pair in text.split(",")]
    if not all(key and value for key, _, value in found):
        raise click.BadParameter("expected KEY=VALUE, several separated by commas")
    return {key.strip(): value for key, _, value in found}


def numbers_option(name: str, metavar: str, help: str) -> Callable[[_F], _F]:
    """Return an option that takes as many numbers as its metavar names."""

    def numbers(text: str) -> list[float]:
        try:
            found = [float(number) for number in text.split(",")]
        except ValueError:
            found = []
        if len(found) != metavar.count(",") + 1:
            raise click.BadParameter(f"expected numbers, {metavar}")
        return found

    return click.option(name, type=numbers, metavar=metavar, help=help)


def names_option(*flags: str, help: str) -> Callable[[_F], _F]:
    """Return an option that takes names of columns."""
    return click.option(
        *flags, type=names, default="", show_default=False, metavar="COLUMN,…", help=help
    )


def flag(name: str, argument: str, help: str, *, value: bool = True) -> Callable[[_F], _F]:
    """Return an option without a value, which sets an argument to true or to false."""
    return click.option(
        name, argument, flag_value=value, default=not value, show_default=False, help=help
    )


def output_option(help: str, metavar: str = "OUT") -> Callable[[_F], _F]:
    """Return the option that says where the result goes."""
    return click.option("-o", "--output", metavar=metavar, required=True, help=help)


def together(*options: Callable[[Any], Any]) -> Callable[[_F], _F]:
    """Return several options as one, in their order."""
    return lambda command: reduce(lambda made, option: option(made), reversed(options), command)


def gold_option(*, required: bool = False) -> Callable[[_F], _F]:
    """Return the options for the sheet of labels that people gave."""
    sheet = "the sheet from sample, filled in"
    return together(
        click.option("--gold", metavar="SHEET", required=required, help=sheet),
        flag(
            "--missing-at-random",
            "missing_at_random",
            "rows gone from SHEET, or without an answer, are a random part of those drawn",
        ),
    )


labels_argument = click.argument("labels", metavar="LABELS")
lang_option = click.option("--lang", default="en", help="language of the page, en or fr")
model_option = click.option(
    "--model", help="a model's name or folder, or its id on the Hugging Face Hub (with --network)"
)
labelled_by_option = click.option("--model", help="the model that made LABELS, if not bundled")
measured_on_option = click.option(
    "--measured-on",
    "kind",
    default="logs",
    type=click.Choice(["logs", "studies"]),
    help="use the model's errors on shared logs, or on personal chats given to studies",
)
by_option = names_option("--by", help="columns to group by")
confidence_option = click.option("--confidence", default=0.95, help="level of the intervals")
min_users_option = click.option(
    "--min-users", type=click.IntRange(0), default=10, help="hide figures of fewer users"
)
json_option = flag("--json", "as_json", "print JSON, a line per figure")
overwrite_option = flag("--overwrite", "overwrite", "replace the output if it exists")
quiet_option = flag("--quiet", "quiet", "print nothing but which files were skipped")
network_option = flag(
    "--network",
    "local_files_only",
    "allow the network: data sets (hf://datasets/OWNER/NAME) and models from the Hub",
    value=False,
)
running_options = together(
    model_option,
    click.option("--device", default="auto", help="auto, cpu, cuda or mps"),
    click.option(
        "--engine",
        default="auto",
        type=click.Choice(["auto", "onnx", "openvino", "torch"]),
        help="onnx and openvino run on a CPU, torch on a GPU or a CPU",
    ),
    click.option(
        "--operating-point", default="balanced", help="balanced, high_precision or high_recall"
    ),
    flag("--no-screen", "screen", "let the encoder read every message; slower", value=False),
)


def load_classifier(model: str | None, **options: Any) -> AffectClassifier:
    """Load the classifier that the options ask for; the bundled one if no model is named."""
    from affectlib.classifier import AffectClassifier

    if model is not None:
        options["model"] = model
    return AffectClassifier.from_pretrained(**options)


def reading_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say how transcripts are read; the command gets them as `options`."""

    @wraps(command)
    def read(**given: Any) -> Any:
        reading = {name: given.pop(name) for name in _FIELDS}
        return command(options=ReadOptions(**reading), **given)

    return _reading(read)


def _person_option(role: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(
        f"--{role}",
        f"{role}s",
        multiple=True,
        metavar="NAME",
        help=f"who is the {role} in chats without roles; may be given several times",
    )


_reading = together(
    click.option(
        "--format",
        default="auto",
        type=click.Choice(["auto", *FORMATS]),
        metavar="FORMAT",
        help=f"auto, or one of {', '.join(FORMATS)}",
    ),
    click.option(
        "--columns",
        type=pairs,
        metavar="FIELD=COLUMN,…",
        help="columns of a table with unusual names, such as role=who,content=words",
    ),
    click.option(
        "--branches",
        default="active",
        type=click.Choice(get_args(Branches)),
        help="which branch of edited conversations to read: the one last seen, all, or the longest",
    ),
    _person_option("user"),
    _person_option("assistant"),
    click.option(
        "--gap",
        type=float,
        metavar="MINUTES",
        help="silence after which a new conversation begins, in formats that do not mark "
        "conversations (Gemini: 30)",
    ),
    network_option,
)
_FIELDS = ("format", "columns", "branches", "users", "assistants", "gap", "local_files_only")


def refuse_inputs(outputs: Sequence[Path], *sources: str | None) -> None:
    """Refuse outputs that are files of an input."""
    for source in sources:
        if source is not None and (path := file_among(source, outputs)) is not None:
            raise OutputExistsError(f"{path}: this is the input; name another output")


def report_lines(report: ReadReport, *, quiet: bool = False) -> Iterator[str]:
    """Say what was left out, what could not be read, and where that first occurred.

    If `quiet`, name only skipped files, which leave no trace in the output.
    """
    kinds = {
        "left out": report.dropped,
        "not read": report.problems,
        "files skipped": report.skipped,
    }
    for title, tallies in kinds.items():
        if not tallies or (quiet and tallies is not report.skipped):
            continue
        yield title
        ranked = sorted(tallies.items(), key=lambda item: -item[1].count)
        for reason, tally in ranked[:_SHOWN]:
            yield f"  {tally.count:>9,}  {DROPS.get(reason, reason)}{_places(tally)}"
        if rest := [tally.count for _, tally in ranked[_SHOWN:]]:
            yield f"  {sum(rest):>9,}  of {len(rest)} other kinds"


def _places(tally: Tally) -> str:
    if not any(tally.places):
        return ""
    more = ", …" if tally.count > len(tally.places) else ""
    return f" ({', '.join(filter(None, tally.places))}{more})"
