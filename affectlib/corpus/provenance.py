"""Where labels come from: a short code in each row, and what it stands for in the file."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from affectlib.corpus.manifest import model_facts

if TYPE_CHECKING:
    from affectlib.model.artifacts import Artifact

__all__ = ["provenance", "provenance_code"]

_CODE = 12


def provenance_code(artifact: Artifact, operating_point: str) -> str:
    """Return a digest of the model, the operating point and the version of the text rules.

    Example:
        >>> from affectlib.model.artifacts import load_artifact
        >>> len(provenance_code(load_artifact(), "balanced"))
        12
    """
    point = artifact.operating_point(operating_point)
    decides = [artifact.fingerprint, operating_point, point.message, point.conversation]
    text = json.dumps([*decides, artifact.description.get("text_rules")])
    return sha256(text.encode()).hexdigest()[:_CODE]


def provenance(artifact: Artifact, operating_point: str) -> dict[str, Any]:
    """Return what an analysis of labels needs to know of the model that gave them.

    ``measured`` has the model's counts at the operating point; ``fitted`` says whether it was
    fitted to its user's labels, on which it was measured too.
    """
    description = artifact.description
    point = artifact.operating_point(operating_point)
    return {
        **model_facts(artifact),
        "provenance": provenance_code(artifact, operating_point),
        "operating_point": operating_point,
        "thresholds": {"message": point.message, "conversation": point.conversation},
        "cue_thresholds": dict(artifact.cue_thresholds),
        "theme_thresholds": dict(artifact.theme_thresholds),
        "measured": dict(description.get("measured", {}).get(operating_point, {})),
        "fitted": bool({"calibrated", "finetuned"} & description.keys()),
    }
