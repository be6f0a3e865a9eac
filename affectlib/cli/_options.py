"""Options that several commands have. Each is named for the argument of Python that it sets."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier

_F = TypeVar("_F", bound=Callable[..., Any])


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
