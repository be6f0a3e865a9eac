"""The pipeline that trains, calibrates, measures and exports an artifact; not in the wheel."""

from importlib.util import find_spec

from affectlib.errors import MissingExtraError

_PACKAGES = {
    "accelerate": "accelerate",
    "datasets": "datasets",
    "evaluate": "evaluate",
    "matplotlib": "matplotlib",
    "onnx": "onnx",
    "onnxscript": "onnxscript",
    "pydantic": "pydantic",
    "sklearn": "scikit-learn",
    "torch": "torch",
    "transformers": "transformers",
    "vaderSentiment": "vaderSentiment",
    "yaml": "PyYAML",
}
"""What the steps import, and the names that pip knows; looked for before any step begins."""

for _package, _distribution in _PACKAGES.items():
    if find_spec(_package) is None:
        raise MissingExtraError(_distribution, "train")
