"""Importing affectlib costs nothing and changes nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "pandas",
    "pyarrow",
    "tokenizers",
    "numpy",
    "huggingface_hub",
)


def run(code: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_import_loads_nothing_heavy():
    loaded = run("import sys, affectlib; dir(affectlib); print(*sys.modules)").split()
    assert "affectlib" in loaded
    assert not {*HEAVY} & {*loaded}


@pytest.mark.parametrize("module", ["conversation", "predictions", "errors", "taxonomy"])
def test_light_modules_load_nothing_heavy(module):
    loaded = run(f"import sys, affectlib.{module}; print(*sys.modules)").split()
    assert not {*HEAVY} & {*loaded}


def test_classifier_loads_no_engine_before_it_needs_one():
    loaded = run("import sys; from affectlib import AffectClassifier; print(*sys.modules)").split()
    assert not {"torch", "transformers", "onnxruntime", "pandas", "pyarrow"} & {*loaded}


def test_prediction_on_the_cpu_loads_no_torch(tiny_folder):
    code = f"""
import sys
from affectlib import AffectClassifier
AffectClassifier.from_pretrained({str(tiny_folder)!r}, device="cpu").predict("hello")
print(*sys.modules)
"""
    loaded = run(code).split()
    assert "onnxruntime" in loaded
    assert not {"torch", "transformers", "pandas", "pyarrow"} & {*loaded}


def test_import_has_no_side_effects():
    code = """
import locale, logging, os, signal, sys, threading, warnings
def state():
    return (
        dict(os.environ), [*warnings.filters], threading.active_count(), os.getcwd(),
        [*logging.root.handlers], logging.root.level, sys.excepthook, [*sys.path],
        signal.getsignal(signal.SIGINT), locale.setlocale(locale.LC_ALL), sys.getrecursionlimit(),
    )
before = state()
import affectlib
assert state() == before, (before, state())
import numpy, pyarrow, tokenizers  # what these do at import is theirs
before = state()
from affectlib import *
assert state() == before, (before, state())
"""
    assert run(code) == ""
