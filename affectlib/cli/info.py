"""``affectlib info``: say which model is used."""

from __future__ import annotations

import argparse
import json

from affectlib._version import __version__
from affectlib.cli._options import Commands, load_classifier, model_options
from affectlib.cli._terminal import DONE, say


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    info = commands.add_parser("info", parents=[model_options()], help="say which model is used")
    info.set_defaults(command=_info)


def _info(arguments: argparse.Namespace) -> int:
    classifier = load_classifier(arguments)
    artifact = classifier.artifact
    facts = {
        "affectlib": __version__,
        "model": f"{artifact.name} {artifact.version}",
        "fingerprint": artifact.fingerprint,
        "engine": classifier.engine,
        "device": classifier.device,
        "operating point": classifier.operating_point,
        **artifact.description,
    }
    for name, fact in facts.items():
        text = fact if isinstance(fact, str) else json.dumps(fact, ensure_ascii=False, default=str)
        say(f"{name.replace('_', ' '):<16} {text}")
    return DONE
