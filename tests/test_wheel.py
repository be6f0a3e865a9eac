"""The wheel: what is in it, and that it works where nothing else of the repository is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

import affectlib

hatchling = pytest.importorskip("hatchling", reason="building it needs affectlib[dev]")

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
MOST_BYTES = 90_000_000
LEFT_OUT = {"__pycache__"}


def run(*command, cwd, **environment):
    """Run a command without what this process adds to Python's path."""
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=plain | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def packages_here():
    """Return the folders of packages that this interpreter imports from."""
    found = [path for path in sys.path if path.endswith("-packages")]
    return list(dict.fromkeys([*found, str(Path(hatchling.__file__).parents[1])]))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    run(
        *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder),
        cwd=ROOT,
        PYTHONPATH=os.pathsep.join(packages_here()),
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """A fresh virtual environment with the wheel, and the other packages of this interpreter."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=os.name != "nt")
    scripts = folder / ("Scripts" if os.name == "nt" else "bin")
    python = scripts / "python"
    run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index"),
        *("--disable-pip-version-check", wheel),
        cwd=folder,
    )
    site = Path(run(python, "-c", "import site; print(site.getsitepackages()[0])", cwd=folder)[:-1])
    (site / "others.pth").write_text("\n".join(packages_here()) + "\n", encoding="utf-8")
    return scripts


def test_name_and_version(wheel):
    assert wheel.name == f"affectlib-{affectlib.__version__}-py3-none-any.whl"


def test_wheel_holds_the_package_and_nothing_else(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "affectlib").rglob("*")
        if path.is_file() and not LEFT_OUT & {*path.parts}
    }
    with ZipFile(wheel) as file:
        names = {*file.namelist()}
        assert file.testzip() is None
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == expected
    assert {name.partition(".dist-info/")[2] for name in about} == {
        "METADATA",
        "RECORD",
        "WHEEL",
        "entry_points.txt",
        "licenses/LICENSE",
    }


def test_wheel_holds_the_model_and_no_training_data(wheel):
    with ZipFile(wheel) as file:
        names = file.namelist()
    model = "affectlib/models/affect-small/"
    for name in ("affect.json", "model.int8.onnx", "model.safetensors", "tokenizer.json"):
        assert model + name in names
    assert not [
        name for name in names if name.startswith(("tests/", "tools/", "training/", "docs/"))
    ]
    assert not [name for name in names if name.endswith((".pkl", ".bin", ".pt", ".parquet"))]


def test_wheel_is_small_enough_to_be_published(wheel):
    assert wheel.stat().st_size <= MOST_BYTES


def test_what_is_installed_labels_from_another_folder(installed, tmp_path):
    where = run(installed / "python", "-c", "import affectlib; print(affectlib.__file__)",
                cwd=tmp_path)  # fmt: skip
    assert Path(where.strip()).is_relative_to(installed.parent)
    run(
        *(installed / "affectlib", "label", ROOT / "examples" / "transcripts.jsonl"),
        *("-o", "labels.jsonl", "--device", "cpu", "--quiet"),
        cwd=tmp_path,
    )
    lines = (tmp_path / "labels.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 40
    assert {row["status"] for row in rows} == {"ok"}
    assert {row["label"] for row in rows} == {"emotional", "task"}
    assert all(0 <= row["probability"] <= 1 for row in rows)


def test_command_and_module_are_installed(installed, tmp_path):
    version = f"affectlib {affectlib.__version__}\n"
    assert run(installed / "affectlib", "--version", cwd=tmp_path) == version
    assert run(installed / "python", "-m", "affectlib.cli", "--version", cwd=tmp_path) == version
