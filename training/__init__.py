"""The pipeline that trains, calibrates, measures and exports an artifact; not in the wheel."""

from importlib.util import find_spec

from affectlib.errors import MissingExtraError

_PACKAGES = (
    *("accelerate", "datasets", "evaluate", "jinja2", "matplotlib", "onnx", "onnxscript"),
    *("pydantic", "sklearn", "torch", "transformers", "vaderSentiment", "yaml"),
)
"""What the steps import; looked for before any step begins."""
_NAMES = {"sklearn": "scikit-learn", "yaml": "PyYAML"}
"""What pip calls those that it knows by another name."""

for _package in _PACKAGES:
    if find_spec(_package) is None:
        raise MissingExtraError(_NAMES.get(_package, _package), "train")
