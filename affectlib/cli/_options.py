"""Options that several commands have. Each is named for the argument of Python that it sets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


def numbers_option(flag: str, metavar: str, help: str) -> Callable[[_F], _F]:
    """Return an option that takes as many numbers as its metavar names."""

    def numbers(text: str) -> list[float]:
        try:
            found = [float(number) for number in text.split(",")]
        except ValueError:
            found = []
        if len(found) != metavar.count(",") + 1:
            raise click.BadParameter(f"expected numbers, {metavar}")
        return found

    return click.option(flag, type=numbers, metavar=metavar, help=help)


def names_option(*flags: str, help: str) -> Callable[[_F], _F]:
    """Return an option that takes names of columns."""
    return click.option(*flags, type=names, default="", metavar="COLUMN,…", help=help)


def output_option(help: str, metavar: str = "OUT") -> Callable[[_F], _F]:
    """Return the option that says where the result goes."""
    return click.option("-o", "--output", metavar=metavar, type=str, required=True, help=help)


def model_option(help: str | None = None) -> Callable[[_F], _F]:
    """Return the option that says which model."""
    return click.option(
        "--model",
        help=help
        or "a model's name or folder, or its id on the Hugging Face Hub (with --network, unless it "
        "was downloaded before); the bundled model if not given",
    )


labels_argument = click.argument("labels", metavar="LABELS")
lang_option = click.option(
    "--lang", default="en", show_default=True, help="language of the page, en or fr"
)
labelled_by_option = model_option("the folder of the model that made LABELS, if not a bundled one")
_GOLD: Mapping[str, Any] = {
    "metavar": "SHEET",
    "help": "the sheet from affectlib sample, filled in",
}
gold_option = click.option("--gold", **_GOLD)
required_gold_option = click.option("--gold", required=True, **_GOLD)
measured_on_option = click.option(
    "--measured-on",
    "kind",
    default="logs",
    show_default=True,
    type=click.Choice(["logs", "studies"]),
    help="which error counts of the model to use: those measured on shared logs, or on personal "
    "chats that people gave to studies",
)
by_option = names_option("--by", help="columns to group by")
confidence_option = click.option(
    "--confidence", type=float, default=0.95, show_default=True, help="level of the intervals"
)
min_users_option = click.option(
    "--min-users",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="hide the figures of fewer users",
)
json_option = click.option("--json", "as_json", is_flag=True, help="print JSON, a line per figure")
overwrite_option = click.option("--overwrite", is_flag=True, help="replace the output if it exists")
quiet_option = click.option(
    "--quiet", is_flag=True, help="print no progress and no summary, only what was skipped"
)
network_option = click.option(
    "--network",
    "local_files_only",
    flag_value=False,
    default=True,
    help="allow the network, for data sets (hf://datasets/OWNER/NAME) and models from the Hub",
)


def running_options(command: _F) -> _F:
    """Add the options that say which model runs, and how."""
    for option in reversed(
        (
            model_option(),
            click.option(
                "--device", default="auto", show_default=True, help="auto, cpu, cuda or mps"
            ),
            click.option(
                "--engine",
                default="auto",
                show_default=True,
                type=click.Choice(["auto", "onnx", "openvino", "torch"]),
                help="what runs the model: onnx and openvino on a CPU, torch on a GPU or a CPU",
            ),
            click.option(
                "--operating-point",
                default="balanced",
                show_default=True,
                help="which thresholds to use: balanced, high_precision or high_recall",
            ),
            click.option(
                "--no-assistant-cues",
                "assistant_cues",
                flag_value=False,
                default=True,
                help="do not read the assistant's messages for cues; faster",
            ),
            click.option(
                "--no-screen",
                "screen",
                flag_value=False,
                default=True,
                help="let the encoder read every message, even if the screen would settle it; "
                "slower",
            ),
        )
    ):
        command = option(command)
    return command


def load_classifier(model: str | None, **options: Any) -> AffectClassifier:
    """Load the classifier that the options ask for; the bundled one if no model is named."""
    from affectlib.classifier import AffectClassifier

    if model is not None:
        options["model"] = model
    return AffectClassifier.from_pretrained(**options)
