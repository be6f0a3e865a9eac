"""Options of every command that are not what they should be: a result, or exit status 2 and why."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import click
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import affectlib.analysis.endpoint  # noqa: F401 its pauses are patched
from affectlib import cli
from tests.conftest import SINGLE_MESSAGE, TASK

pytestmark = [
    pytest.mark.filterwarnings("ignore::affectlib.analysis.AnalysisWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
    pytest.mark.loopback,
]

MODEL = ["--model=model", "--device=cpu"]
CALLS: dict[str, list[str]] = {
    "predict": ["i am so sad", *MODEL],
    "label": ["in.jsonl", "--output=out.csv", *MODEL],
    "info": ["in.jsonl", "--no-languages", "--model=model"],
    "sample": ["labels.parquet", "--output=new.csv"],
    "annotate": ["sheet.csv", "--transcripts=in.jsonl", "--network", "--output=new.csv",
                 "--endpoint=http://127.0.0.1:9/v1", "--endpoint-model=m"],
    "prevalence": ["labels.parquet"],
    "evaluate": ["labels.parquet", "--gold=sheet.csv", "--model=model"],
    "calibrate": ["labels.parquet", "--gold=sheet.csv", "--model=model", "--output=new"],
    "report": ["labels.parquet", "--output=new.html"],
    "finetune": ["few.jsonl", "--output=new", "--model=model"],
}  # fmt: skip
"""A call of each command that is well, to which odd options are added."""

NOT_DONE = {"annotate", "finetune"}
"""Commands whose call ends with 2: nothing is sent unasked, and there is too little to train on."""

READERS = {"label", "info", "annotate", "sample", "evaluate", "report"}
"""Commands that read transcripts, of which some may be bad: exit status 1."""

EXAMPLES = {"report": 40, "calibrate": 40, "evaluate": 60, "annotate": 40}
"""Calls of the slower commands; of the others 100."""

LEFT_OUT = {
    "local_files_only": "reaches for the network",
    "ray": "starts a cluster; see tests/corpus/test_ray.py",
}

NAMES = """in.jsonl labels.parquet messages.parquet sheet.csv empty.csv empty.parquet empty.jsonl
garbage.parquet garbage.csv folder no_such no/such.csv . model users.csv in.txt"""
VALUES = """x no_such a,b = , a=b label label,label user_id,model record en fr model auto cpu
{} * [ - nan balanced=0.9 balanced=x balanced=2 role=content content=content"""
FILES = NAMES.split()
WORDS = [
    *VALUES.split(),
    *("", " ", "é", "\udce9", "\u202e", "x" * 300, "9" * 400, "a\nb", "0,0", "1,2,3,4", "html,md"),
]
WHOLE = ["0", "-1", "1", "3", str(2**31), str(2**80), "x", "", "1.5", "nan"]
REAL = ["0", "1", "-1", "0.5", "0.999999", "nan", "inf", "-inf", "1e400", "1e-320", "x", ""]
BOUNDED = {
    "workers": ["-1", "0", "1", "x"],  # more would start processes
    "engine": ["auto", "onnx", "x"],  # the others take long to load
    "endpoint": ["http://127.0.0.1:9", "http://[", "ftp://127.0.0.1", "127.0.0.1", "", "http://"],
    "concurrency": ["-1", "0", "1", "3", "x"],
    "timeout": ["-1", "0", "1", "nan", "inf", "x"],
}
OF_FILES = {
    *("input", "labels", "sheet", "output", "gold", "messages", "participants", "transcripts"),
    *("show_text", "plot", "summary", "model", "files"),
}


def command_of(name: str) -> click.Command:
    command = cli.app.get_command(click.Context(cli.app), name)
    assert command is not None
    return command


def values_of(option: click.Parameter) -> list[str]:
    if option.name in BOUNDED:
        return BOUNDED[option.name]
    if isinstance(option.type, click.Choice):
        return [*map(str, option.type.choices), "x"]
    if isinstance(option.type, click.types.IntParamType):
        return WHOLE
    if isinstance(option.type, click.types.FloatParamType):
        return REAL
    return [*FILES, *WORDS] if option.name in OF_FILES else WORDS


def arguments_of(command: str) -> st.SearchStrategy[list[str]]:
    """Options with odd values, or another file in the place of the first that is given."""
    options = []
    other = st.sampled_from([*FILES, *WORDS]).map(lambda name: [name, *CALLS[command][1:]])
    files = st.one_of(st.just(CALLS[command]), st.just(CALLS[command]), other)
    for option in command_of(command).params:
        if option.name in LEFT_OUT or not isinstance(option, click.Option):
            continue
        name = option.opts[-1]
        if option.is_flag:
            options.append(st.just(name))
        else:
            joined = f"{name}=" if name.startswith("--") else name
            options.append(st.sampled_from(values_of(option)).map(joined.__add__))
    added = st.lists(st.one_of(options), min_size=1, max_size=3)
    return st.tuples(files, added).map(lambda parts: [command, *parts[0], *parts[1]])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A folder with a file of each kind."""
    folder = tmp_path_factory.mktemp("work")
    shutil.copytree(tiny_folder, folder / "model")
    with (folder / "in.jsonl").open("w") as file:
        for number in range(60):
            text = (SINGLE_MESSAGE, TASK, "hello")[number % 3]
            chat = [{"role": "user", "content": text}, {"role": "assistant", "content": "sorry"}]
            about = {"id": str(number), "user_id": f"u{number % 20}", "timestamp": "2024-05-01"}
            file.write(json.dumps({**about, "messages": chat}) + "\n")
    few = {"messages": [{"role": "user", "content": SINGLE_MESSAGE}], "label": "emotional"}
    (folder / "few.jsonl").write_text(json.dumps(few) + "\n")
    (folder / "in.txt").write_text("i am so sad\n")
    (folder / "folder").mkdir()
    for name in ("empty.csv", "empty.parquet", "empty.jsonl"):
        (folder / name).touch()
    for name in ("garbage.csv", "garbage.parquet"):
        (folder / name).write_bytes(bytes(range(256)) * 9)
    users = pl.DataFrame({"user_id": [f"u{n}" for n in range(20)], "label": range(20)})
    users.write_csv(folder / "users.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        made = ["--output=labels.parquet", "--level=both", *MODEL]
        assert cli.main(["label", "in.jsonl", *made]) == 0
        (folder / "labels.messages.parquet").rename("messages.parquet")
        assert cli.main(["sample", "labels.parquet", "--output=sheet.csv", "-n60"]) == 0
    sheet = pl.read_csv(folder / "sheet.csv", infer_schema=False)
    charged = pl.col("conversation_id").cast(pl.Int64) % 3 == 0
    gold = pl.when(charged).then(pl.lit("emotional")).otherwise(pl.lit("task"))
    sheet.with_columns(gold=gold).write_csv(folder / "sheet.csv")
    return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("places")


def test_every_command_has_a_call_that_is_well(
    work: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {*CALLS} == {*cli.app.list_commands(click.Context(cli.app))}
    for command, call in CALLS.items():
        status, errors = run(work, places, [command, *call], monkeypatch)
        assert status == (2 if command in NOT_DONE else 0), errors


@pytest.mark.slow
@pytest.mark.parametrize("command", CALLS)
def test_odd_options(
    work: Path, places: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    allowed = {0, 2, 1} if command in READERS else {0, 2}
    seen = set()

    @settings(
        max_examples=EXAMPLES.get(command, 100),
        deadline=None,
        derandomize=True,
        suppress_health_check=[*HealthCheck],
    )
    @given(arguments_of(command))
    def try_it(arguments: list[str]) -> None:
        with pytest.MonkeyPatch.context() as patch:
            status, errors = run(work, places, arguments, patch)
        seen.add(status)
        assert status in allowed, errors
        if status == 2:
            assert errors
        assert "Traceback" not in errors

    try_it()
    assert {*seen} >= ({2} if command in NOT_DONE else {0, 2})


def run(
    work: Path, places: Path, arguments: list[str], patch: pytest.MonkeyPatch
) -> tuple[int, str]:
    """Run a command in a copy of the folder, and return its exit status and what it complained."""
    place = places / "place"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(work, place)
    patch.chdir(place)
    patch.setattr(sys.modules["affectlib.analysis.endpoint"], "_LONGEST_PAUSE", 0.0)
    errors = io.StringIO()
    patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
    patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), "utf-8"))
    patch.setattr(sys, "stderr", errors)
    status: Any = cli.main(arguments)
    return status, errors.getvalue()


@pytest.mark.parametrize(
    "arguments", [["annotate"], ["sample"], ["report", "--to=md"]], ids=lambda a: a[0]
)
def test_a_folder_in_the_place_of_the_output(
    work: Path, places: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    command, *options = arguments
    call = [command, *CALLS[command], *options, "--output=."]
    status, errors = run(work, places, call, monkeypatch)
    assert (status, errors.count("\n")) == (2, 1), errors


def test_a_model_in_a_folder_whose_name_is_no_text(
    work: Path, places: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = ["calibrate", *CALLS["calibrate"], "--output=\udce9"]
    assert run(work, places, call, monkeypatch)[0] == 0
    (made,) = (path for path in (places / "place").iterdir() if not path.name.isascii())
    assert json.loads((made / "affect.json").read_text("utf-8"))["name"] == "\ufffd"
