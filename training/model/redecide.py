"""The same weights with decisions of their own: thresholds and probabilities fitted anew.

    python -m training.model.redecide --model NAME_OR_FOLDER --version 0.12.1 --data DIR -o FOLDER

They are fitted to the dev conversations as `training.run` fits those of a new model, and nothing is
trained. What export folds into the head goes into ``affect.json`` instead: the weights stay as they
are, byte by byte.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from affectlib.errors import AffectlibError
from affectlib.model.artifacts import (
    FORMAT,
    MANIFEST,
    Artifact,
    load_artifact,
    save_artifact,
    with_digest,
)
from affectlib.model.calibration import Recalibration, logit, sigmoid
from affectlib.model.recalibration import points_of
from affectlib.model.reference import Reference
from affectlib.taxonomy import CHARGES, EMOTIONAL, OUTPUTS
from training.config import CalibrateSettings
from training.evaluation.judged import Reader
from training.model.calibrate import Calibration
from training.model.export import decide


def redecide(
    artifact: Artifact,
    calibration: Calibration,
    counts: Mapping[str, Any],
    reference: Reference,
    *,
    version: str,
    prevalence: float,
) -> str:
    """Return the ``affect.json`` of a model with other decisions.

    Args:
        artifact: The model, whose own line its calibration replaces.
        calibration: What was fitted to its logits.
        counts: What the thresholds gave (`training.evaluation.judged.measured`); themes, which
            the model does not give, are left out.
        reference: What the transcripts that it is measured on look like.
        version: The new version.
        prevalence: The share of emotional conversations that its probabilities assume.

    Raises:
        ValueError: It has a screen, which was made for other thresholds; or it gives all charges,
            whose lines differ, while ``affect.json`` holds one.
    """
    if {CHARGES[0], CHARGES[2]} & {*artifact.outputs} or "screen" in artifact.description:
        raise ValueError(f"{artifact.name}: only for models without charges and without a screen")
    place = OUTPUTS.index(EMOTIONAL)
    line = Recalibration(float(calibration.intercepts[place]), float(calibration.slopes[place]))
    # The line comes after the function here, while the calibration has it before.
    function = calibration.conversation
    function = replace(function, log_turns=function.log_turns / line.slope)
    cues = {
        name: round(_unmoved(calibration, name, threshold), 6)
        for name, threshold in calibration.cue_thresholds.items()
        if name in artifact.outputs
    }
    values = json.loads((artifact.folder / MANIFEST).read_bytes())
    values |= {
        "format": FORMAT,
        "version": version,
        "conversation": asdict(function),
        "recalibration": asdict(line),
        "prevalence": prevalence,
        "operating_points": points_of(calibration.operating_points),
        "cue_thresholds": cues,
        "measured": {
            point: {name: found for name, found in of_point.items() if name != "themes"}
            for point, of_point in counts.items()
        },
        "reference": reference.to_dict(),
    }
    return json.dumps(with_digest(values), indent=1, ensure_ascii=False) + "\n"


def _unmoved(calibration: Calibration, output: str, threshold: float) -> float:
    """Return where a threshold lies before the output is calibrated."""
    place = OUTPUTS.index(output)
    slope, intercept = float(calibration.slopes[place]), float(calibration.intercepts[place])
    return sigmoid((logit(threshold) - intercept) / slope)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit and write from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m training.model.redecide", description=__doc__)
    parser.add_argument("--model", required=True, help="artifact: name or folder")
    parser.add_argument("--version", required=True, help="of the new artifact")
    parser.add_argument("--data", type=Path, help="folder of the public sets")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the new folder")
    options = parser.parse_args(arguments)
    try:
        artifact, settings = load_artifact(options.model), CalibrateSettings()
        languages = artifact.description["languages"]
        decided = decide(Reader(artifact), settings, languages, real_dev=True, data=options.data)
        manifest = redecide(
            artifact, *decided, version=options.version, prevalence=settings.prevalence
        )
        card = artifact.folder / "README.md"
        text = card.read_text(encoding="utf-8") if card.is_file() else ""
        save_artifact(artifact, options.output, manifest=manifest, card=text)
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"training.model.redecide: {error}", file=sys.stderr)
        return 2
    print(json.dumps(json.loads(manifest)["operating_points"], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
