"""``affectlib predict``: label one message."""

from __future__ import annotations

import io
import json
import os.path
import shlex
import sys
from typing import Any

import click

from affectlib.cli import _options as shared
from affectlib.cli._terminal import DONE, say
from affectlib.errors import OptionError
from affectlib.formats.sources import NOT_UTF8, encoding_of
from affectlib.taxonomy import CUES, THEMES


@click.command("predict")
@click.argument("text", metavar="TEXT")
@shared.flag("--json", "as_json", "print JSON")
@shared.flag("--explain", "explain", "also print the words that count most for emotional")
@shared.running_options
@shared.network_option
def command(text: str, as_json: bool, explain: bool, **running: Any) -> int:
    """Label one message, TEXT, or that on standard input if TEXT is "-"."""
    if os.path.isfile(text):  # a Path would refuse a text that is too long for a name
        raise OptionError(
            f"{text}: this is a file; label what is in it with "
            f"affectlib label {shlex.quote(text)} -o OUT"
        )
    text = _standard_input() if text == "-" else text
    classifier = shared.load_classifier(**running)
    prediction = classifier.predict(text)
    words = classifier.explain_words(text) if explain else None
    if as_json:
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
