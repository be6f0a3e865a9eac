"""Without an optional package, what needs it says which extra to install."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from affectlib._extras import requires_extra
from affectlib.errors import MissingExtraError

ROOT = Path(__file__).parents[1]

ENGINE = """
from affectlib.model.artifacts import load_artifact
from affectlib.model.engines import load_engine
load_engine(load_artifact(), engine={!r}, device="cpu")
"""
LABEL = """
from affectlib import label_file
label_file("examples/transcripts.jsonl", {!r}, ray="local")
"""
READ = """
from affectlib import ReadOptions, read_conversations
list(read_conversations({!r}, ReadOptions(local_files_only=False)))
"""
ANALYSE = """
import polars
from affectlib import analysis
from tools.simulate import simulate
people = simulate(50, seed=1).participants
analysis.associate(people, outcome="loneliness_end", predictors=["modality"])
"""
AGREE = """
import polars
from affectlib.analysis import agreement
sheet = polars.DataFrame({"conversation_id": ["a", "b"], "gold": ["task", "emotional"]})
agreement(sheet, sheet)
"""
PLOT = """
from affectlib import ConversationPrediction
ConversationPrediction(None, "task", 0.1, (), {}, False, 0.0, 0.0).plot()
"""
PAGE = "from affectlib.analysis import _pages; _pages._environment()"
HTML = "from affectlib.formats._html import html_to_text; html_to_text('<p>a</p>')"
LANGUAGES = "from affectlib.formats.inspection import language_detector; language_detector()"
ZSTANDARD = """
import io
from affectlib.formats.sources import _Unzstd
_Unzstd(io.BytesIO())
"""
DOWNLOAD = """
from affectlib import AffectClassifier
AffectClassifier.from_pretrained("user/model", local_files_only=False)
"""

CASES = [
    ("torch", "torch", "torch", ENGINE.format("torch")),
    ("transformers", "transformers", "torch", ENGINE.format("torch")),
    ("openvino", "openvino", "openvino", ENGINE.format("openvino")),
    ("torch", "torch", "openvino", ENGINE.format("openvino")),
    ("sklearn", "scikit-learn", "sklearn", "import affectlib.sklearn"),
    ("ray", "ray", "ray", LABEL.format("out")),
    ("polars", "polars", "analysis", "import affectlib.analysis"),
    ("scipy", "scipy", "analysis", "import affectlib.analysis"),
    ("statsmodels", "statsmodels", "analysis", ANALYSE),
    ("krippendorff", "krippendorff", "analysis", AGREE),
    ("jinja2", "jinja2", "analysis", PAGE),
    ("matplotlib", "matplotlib", "analysis", PLOT),
    ("lxml", "lxml", "formats", HTML),
    ("py3langid", "py3langid", "formats", LANGUAGES),
    ("zstandard", "zstandard", "formats", ZSTANDARD),
    ("datasets", "datasets", "hub", READ.format("hf://datasets/user/name")),
    ("huggingface_hub", "huggingface_hub", "hub", DOWNLOAD),
    ("yaml", "PyYAML", "train", "import training.run"),
    ("torch", "torch", "train", "import training.evaluate"),
]
LOOKED_FOR_BEFORE = {"openvino": ["openvino"], "torch": ["torch"], "train": ["accelerate"]}
"""Packages whose absence would be told of first."""


@pytest.mark.parametrize(
    ("blocked", "package", "extra", "code"),
    CASES,
    ids=[f"{blocked}-{extra}" for blocked, _, extra, _ in CASES],
)
def test_missing_package_is_named_with_its_extra(blocked, package, extra, code):
    for other in LOOKED_FOR_BEFORE.get(extra, ()):
        pytest.importorskip(other, reason=f"needs affectlib[{extra}]")
    script = f"""
import sys
sys.modules[{blocked!r}] = None
from affectlib.errors import MissingExtraError
try:
    exec({code!r})
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    expected = f"{package} is not installed; install it with: pip install 'affectlib[{extra}]'\n"
    assert done.stdout == expected, done.stderr


def test_helper_lets_other_errors_through():
    with pytest.raises(ZeroDivisionError), requires_extra("torch"):
        _ = 1 / 0
    with pytest.raises(ModuleNotFoundError, match=r"affectlib\.nonsense"), requires_extra("torch"):
        import affectlib.nonsense  # noqa: F401
    with pytest.raises(ImportError, match="libcuda") as caught, requires_extra("torch"):
        raise ImportError("libcuda.so.1: cannot open shared object file")
    assert not isinstance(caught.value, MissingExtraError)


def test_package_that_is_too_old_is_named():
    with pytest.raises(MissingExtraError, match=r"json is not installed.*affectlib\[audio\]"):  # noqa: SIM117
        with requires_extra("audio"):
            from json import of_tomorrow  # noqa: F401


def guarded_imports():
    """Yield the file, the extra and the packages of each guarded import."""
    for path in sorted((ROOT / "affectlib").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.With):
                continue
            call = node.items[0].context_expr
            if not isinstance(call, ast.Call) or ast.unparse(call.func) != "requires_extra":
                continue
            names = [
                name
                for statement in ast.walk(node)
                for name in (
                    [statement.module]
                    if isinstance(statement, ast.ImportFrom)
                    else [alias.name for alias in statement.names]
                    if isinstance(statement, ast.Import)
                    else []
                )
            ]
            packages = {name.partition(".")[0] for name in names} - {"affectlib"}
            yield path.name, call.args[0].value, packages


def test_extras_that_are_named_bring_what_is_imported():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]

    def brings(extra):
        for requirement in extras[extra]:
            name, _, nested = re.match(r"([\w-]+)(\[([\w,-]+)\])?", requirement).groups()
            yield name.lower().replace("_", "-")
            for inner in (nested or "").split(","):
                if inner:
                    yield from brings(inner)

    distributions = {"sklearn": "scikit-learn"}
    found = [*guarded_imports()]
    assert len(found) >= 12
    for file, extra, packages in found:
        wanted = {distributions.get(name, name).lower().replace("_", "-") for name in packages}
        assert wanted <= {*brings(extra)}, f"{file}: affectlib[{extra}]"
