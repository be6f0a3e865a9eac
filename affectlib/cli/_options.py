"""Options that several commands have."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from affectlib.classifier import AffectClassifier


Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"
"""Where a command adds its parser."""


def model_options() -> argparse.ArgumentParser:
    """Return a parent parser: which model."""
    model = argparse.ArgumentParser(add_help=False)
    model.add_argument(
        "--model",
        help="a model's name or folder, or its id on the Hugging Face Hub (with --network, unless "
        "it was downloaded before); by default, the bundled model",
    )
    return model


def network_option() -> argparse.ArgumentParser:
    """Return a parent parser: whether the network may be used, for commands that read no file."""
    network = argparse.ArgumentParser(add_help=False)
    network.add_argument(
        "--network", action="store_true", help="allow downloading a --model from the Hub"
    )
    return network


def running_options() -> argparse.ArgumentParser:
    """Return a parent parser: which model, and how it runs."""
    running = argparse.ArgumentParser(add_help=False, parents=[model_options()])
    running.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    running.add_argument(
        "--engine",
        default="auto",
        choices=["auto", "onnx", "openvino", "torch"],
        help="what runs the model: onnx and openvino on a CPU, torch on a GPU or a CPU",
    )
    running.add_argument(
        "--operating-point",
        default="balanced",
        help="which thresholds to use: balanced, high_precision or high_recall",
    )
    running.add_argument(
        "--no-assistant-cues",
        action="store_true",
        help="do not read the assistant's messages for cues; faster",
    )
    running.add_argument(
        "--no-screen",
        action="store_true",
        help="let the encoder read every message, even if the screen would settle it; slower",
    )
    return running


def columns(text: str) -> dict[str, str]:
    """Read ``FIELD=COLUMN,FIELD=COLUMN``."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(field and column for field, _, column in pairs):
        raise argparse.ArgumentTypeError("expected FIELD=COLUMN, several separated by commas")
    return {field.strip(): column for field, _, column in pairs}


def names(text: str) -> list[str]:
    """Read ``NAME,NAME``."""
    return [name for part in text.split(",") if (name := part.strip())]


def load_classifier(arguments: argparse.Namespace) -> AffectClassifier:
    """Load the classifier that the options ask for."""
    from affectlib.classifier import AffectClassifier

    options: dict[str, Any] = {} if arguments.model is None else {"model": arguments.model}
    if arguments.network:
        options["local_files_only"] = False
    if "device" in arguments:
        options |= {
            "device": arguments.device,
            "engine": arguments.engine,
            "operating_point": arguments.operating_point,
            "screen": not arguments.no_screen,
        }
    return AffectClassifier.from_pretrained(**options)
