"""No library that affectlib imports speaks to another machine or keeps files of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

import pytest

from affectlib._extras import SWITCHES
from tests.traced import ROOT, traced, why_not

WHY_NOT = why_not()
ENGINES = {"onnx": "onnxruntime", "torch": "torch", "openvino": "openvino"}
COMMANDS = ["label", "predict", "info", "info", "sample", "prevalence", "report"]
RAY_ASKS = {"169.254.169.254:80"}
"""What Ray asks for when a cluster of one machine begins, and no switch of its keeps it from: the
metadata service of a cloud, which is on the machine itself."""

needs_strace = pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    record = {"id": "a", "user_id": "u", "messages": [{"role": "user", "content": "i am sad"}]}
    (tmp_path / "work").mkdir()
    path = tmp_path / "work" / "in.jsonl"
    path.write_text("".join(json.dumps(record | {"id": str(n)}) + "\n" for n in range(30)))
    return path


def cli(*arguments: str) -> list[str]:
    return ["-W", "ignore", "-m", "affectlib.cli", *arguments]


@needs_strace
@pytest.mark.parametrize(
    ("engine", "workers"), [("onnx", "1"), ("onnx", "2"), ("torch", "1"), ("openvino", "1")]
)
def test_no_engine_reports(tmp_path: Path, chats: Path, engine: str, workers: str) -> None:
    pytest.importorskip(ENGINES[engine])
    if engine != "onnx":
        pytest.importorskip("transformers")
    options = ["--engine", engine, "--device", "cpu", "--workers", workers]
    done = traced(tmp_path, cli("label", "in.jsonl", "-o", "out.parquet", *options))
    assert done.status == 0, done.output
    assert (tmp_path / "work" / "out.parquet").exists()
    assert (done.peers, done.left, done.made) == (set(), set(), set())


@needs_strace
def test_no_command_reports(tmp_path: Path, chats: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("polars")
    calls = [
        ["label", "in.jsonl", "-o", "out.parquet", "--level", "both"],
        ["predict", "i am so sad"],
        ["info", "in.jsonl", "-o", "all.jsonl"],
        ["info", "in.jsonl"],
        ["sample", "out.parquet", "-o", "sheet.csv", "--transcripts", "in.jsonl"],
        ["prevalence", "out.parquet"],
        ["report", "out.parquet", "--messages", "out.messages.parquet", "-o", "r.html"],
    ]
    assert [call[0] for call in calls] == COMMANDS
    code = (
        "import json, sys; from affectlib.cli import main;"
        "assert [main(call) for call in json.loads(sys.argv[1])] == [0] * 7"
    )
    done = traced(tmp_path, ["-W", "ignore", "-c", code, json.dumps(calls)])
    assert done.status == 0, done.output
    assert done.peers == set()
    # matplotlib keeps a list of this machine's fonts where it keeps it for every program.
    kept = {path for path in done.left if "/matplotlib/fontlist" not in path}
    assert kept == set()


LIBRARIES = {
    "pandas": "import pandas; frame = pandas.DataFrame(rows)",
    "polars": "import polars; frame = polars.DataFrame(rows)",
    "pyarrow": "import pyarrow; frame = pyarrow.Table.from_pylist(rows)",
    "duckdb": "import duckdb, pandas; frame = duckdb.sql("
    "\"select '1' conversation_id, 'user' as role, 'i am sad' as content\").df()",
    "datasets": "import datasets; frame = datasets.Dataset.from_list(rows)",
    "pyspark": "import pyspark, pandas; frame = pandas.DataFrame(rows)",
    "sklearn": "from affectlib.sklearn import AffectTransformer; import pandas;"
    "frame = pandas.DataFrame(rows)",
    "py3langid": "from affectlib.formats.inspection import language_detector; import pandas;"
    "language_detector()('Je ne sais plus quoi faire'); frame = pandas.DataFrame(rows)",
}


@needs_strace
@pytest.mark.parametrize("library", LIBRARIES)
def test_no_library_reports(tmp_path: Path, chats: Path, library: str) -> None:
    pytest.importorskip(library)
    pytest.importorskip("pandas")
    code = (
        "rows = [{'conversation_id': '1', 'role': 'user', 'content': 'i am sad'}]\n"
        f"{LIBRARIES[library].replace('; ', chr(10)).replace(';', chr(10))}\n"
        "from affectlib.tables import label_table\n"
        "print(len(label_table(frame)))\n"
    )
    done = traced(tmp_path, ["-W", "ignore", "-c", code])
    assert done.status == 0, done.output
    assert (done.peers, done.left) == (set(), set())


@needs_strace
@pytest.mark.slow
def test_a_ray_cluster_of_this_machine_speaks_to_itself(tmp_path: Path, chats: Path) -> None:
    pytest.importorskip("ray")
    command = cli("label", "in.jsonl", "-o", "out.parquet", "--ray", "local")
    with tempfile.TemporaryDirectory(prefix="r") as short:  # names of its sockets must be short
        done = traced(tmp_path, command, RAY_TMPDIR=short)
    assert done.status == 0, done.output
    assert {peer for peer in done.peers if not peer.endswith(":53")} <= RAY_ASKS
    assert done.left <= {"home/.ray/auth_token"}, "by which its processes know each other"


@needs_strace
def test_what_the_trace_would_show(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Packets to other machines, names looked up and files are seen, so their absence counts."""
    code = (
        "import socket, sys, pathlib; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
        "s.connect(('192.0.2.1', 9)); s.connect(('127.0.0.1', 53)); s.connect(('127.0.0.1', 9));"
        "pathlib.Path.home().joinpath('.id').write_text('x'); pathlib.Path('here').write_text('x');"
        "pathlib.Path(sys.argv[1]).write_text('x')"
    )
    elsewhere = str(tmp_path_factory.mktemp("elsewhere") / "beside")
    done = traced(tmp_path, ["-c", code, elsewhere])
    assert done.status == 0, done.output
    assert done.peers == {"192.0.2.1:9", "127.0.0.1:53"}
    assert done.left == {"home/.id"}
    assert done.made == {elsewhere}


def run(code: str, **environment: str) -> str:
    kept = {name: value for name, value in os.environ.items() if name not in SWITCHES}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**kept, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


SHOW = f"import os; print(*(os.environ.get(name) for name in {[*SWITCHES]}))"


def test_switches_that_the_host_program_set_stay() -> None:
    load = "import affectlib.model.engines.onnx;" + SHOW
    assert run(load).split() == [*SWITCHES.values()]
    own = {name: str(1 - int(value)) for name, value in SWITCHES.items()}
    assert run(load, **own).split() == [*own.values()]


def test_importing_affectlib_sets_nothing() -> None:
    assert run("import affectlib;" + SHOW).split() == ["None"] * len(SWITCHES)


@pytest.mark.skipif(find_spec("openvino_telemetry") is None, reason="needs affectlib[openvino]")
def test_openvino_is_imported_without_what_reports_and_the_host_may_import_it() -> None:
    code = (
        "import sys, affectlib.model.engines.openvino;"
        "print('openvino_telemetry' in sys.modules); import openvino_telemetry;"
        "print('openvino_telemetry' in sys.modules)"
    )
    assert run(code).split() == ["False", "True"]
