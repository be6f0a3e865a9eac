"""``affectlib predict``: label one message."""

from __future__ import annotations

import argparse
import io
import json
import os.path
import shlex
import sys

from affectlib.cli._options import Commands, load_classifier, network_option, running_options
from affectlib.cli._terminal import DONE, say
from affectlib.errors import OptionError
from affectlib.formats._sources import NOT_UTF8, encoding_of
from affectlib.taxonomy import CUES, THEMES


def add(commands: Commands) -> None:
    """Add the command to those of the parser."""
    predict = commands.add_parser(
        "predict", parents=[running_options(), network_option()], help="label one message"
    )
    predict.add_argument("text", metavar="TEXT", help="the message; - for standard input")
    predict.add_argument("--json", action="store_true", help="print JSON")
    predict.add_argument(
        "--explain",
        action="store_true",
        help="also print the words that count most for or against emotional",
    )
    predict.set_defaults(command=_predict)


def _predict(arguments: argparse.Namespace) -> int:
    if os.path.isfile(arguments.text):  # a Path would refuse a text that is too long for a name
        raise OptionError(
            f"{arguments.text}: this is a file; label what is in it with "
            f"affectlib label {shlex.quote(arguments.text)} -o OUT"
        )
    text = _standard_input() if arguments.text == "-" else arguments.text
    classifier = load_classifier(arguments)
    prediction = classifier.predict(text)
    words = classifier.explain_words(text) if arguments.explain else None
    if arguments.json:
        found = prediction.to_dict()
        say(json.dumps(found if words is None else found | {"words": words.to_dict()["words"]}))
        return DONE
    intensity = prediction.intensity
    charge = "" if intensity is None else f", intensity {intensity:.2f} of 3"
    say(f"{prediction.label}  (probability of emotional {prediction.probability:.3f}{charge})")
    for name in prediction.shown_cues:
        say(f"  {CUES[name].title:<24} {prediction.cues[name]:.3f}")
    for name in prediction.shown_themes:
        say(f"  theme: {THEMES[name].title:<38} {prediction.themes[name]:.3f}")
    if words is not None:
        say("words, by what they add to the logit of emotional:")
        for group, share in words.top():
            say(f"  {share:+7.3f}  {group}")
    return DONE


def _standard_input() -> str:
    """Read a text as those of files are read, whatever encoding the terminal has."""
    data = sys.stdin.buffer.read()
    return io.TextIOWrapper(io.BytesIO(data), encoding_of(data), NOT_UTF8).read()
