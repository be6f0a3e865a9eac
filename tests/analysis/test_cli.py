from __future__ import annotations

import json
import re
from pathlib import Path

import polars as pl
import pytest

from affectlib import cli
from affectlib.analysis import NOT_A_CAUSE
from tools.simulate import simulate

PEOPLE = simulate(200, seed=6, prevalence=0.05)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("labels")
    PEOPLE.conversations.write_parquet(folder / "labels.parquet")
    PEOPLE.gold_conversations.sample(600, seed=1).write_csv(folder / "gold.csv")
    PEOPLE.gold_conversations.sample(600, seed=2).write_csv(folder / "other.csv")
    return folder


def test_prevalence_with_gold(files, capsys):
    arguments = ["prevalence", str(files / "labels.parquet"), "--gold", str(files / "gold.csv")]
    assert cli.main(arguments) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    head, *lines = captured.out.splitlines()
    assert head == f"all: {PEOPLE.conversations.height:,} labelled, 200 users"
    assert [line.split("  ")[1] for line in lines] == [
        "labelled emotional, uncorrected",
        "gold sample only",
        "labels, gold sample, known errors (best)",
    ]
    assert all("95 % interval" in line for line in lines)


def test_prevalence_by_group_says_what_it_does_not_say(files, capsys):
    labels = str(files / "labels.parquet")
    assert (
        cli.main(["prevalence", labels, "--by", "model,month", "--measured", "80,20,980,20"]) == 0
    )
    out = capsys.readouterr().out
    assert "model model-a, month 2025-03-01: " in out
    assert out.startswith(f"all: {PEOPLE.conversations.height:,} labelled, 200 users")
    assert "measured on other transcripts (100 emotional, 1,000 others)" in out
    assert NOT_A_CAUSE in out
    assert cli.main(["prevalence", labels, "--by", "model", "--min-users", "500"]) == 0
    assert (
        "model model-a\n  labelled emotional, uncorrected                  not shown, too few"
        in (capsys.readouterr().out)
    )


def test_prevalence_without_a_correction_says_so(files, capsys):
    assert cli.main(["prevalence", str(files / "labels.parquet")]) == 0
    assert "counting labels is biased" in capsys.readouterr().out


def test_counts_measured_elsewhere_may_be_fractions(files, capsys):
    labels = str(files / "labels.parquet")
    outputs = []
    for counts in ("17.31,3.97,980.2,19.8", "17.31,3.97,980,20"):
        assert cli.main(["prevalence", labels, "--measured", counts, "--json"]) == 0
        outputs.append(capsys.readouterr().out)
    assert "rogan_gladen" in outputs[0]
    assert outputs[0] != outputs[1]


def test_json_has_a_line_a_figure(files, capsys):
    labels, gold = str(files / "labels.parquet"), str(files / "gold.csv")
    assert cli.main(["prevalence", labels, "--gold", gold, "--by", "week", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["method"] for row in rows} == {"naive", "gold", "ppi"}
    assert cli.main(["evaluate", "--agreement", gold, gold, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["estimate"] for row in rows] == [1.0] * 4


def test_agreement(files, capsys):
    assert (
        cli.main(["evaluate", "--agreement", str(files / "gold.csv"), str(files / "other.csv")])
        == 0
    )
    out = capsys.readouterr().out
    assert "rows answered by both" in out
    assert "Cohen's kappa            1.000  (interval cannot be estimated)" in out
    assert re.search(r"observed agreement +1\.000  \(95 % interval 0\.9\d\d to 1\.000\)", out)
    assert "rows have an answer in one sheet only" in out


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["prevalence", "none.parquet"], "none.parquet: no such file"),
        (["prevalence", "{labels}", "--by", "country"], "by: no column 'country'"),
        (["prevalence", "{labels}", "--gold", "{labels}"], "gold: no column 'gold'"),
        (["prevalence", "{labels}", "--confidence", "95"], "confidence must be"),
        (["prevalence", "{labels}", "--measured", "1,2"], "--measured"),
        (["prevalence", "{labels}", "--measured", "0,0,2,2"], "--measured"),
        (["prevalence", "{labels}", "--measured", "nan,1,2,2"], "--measured"),
        (
            ["prevalence", "{labels}", "--measured-on", "studies"],
            "--measured-on studies: nothing says how well the model that made the labels does on "
            "conversations of personal study chats; leave --measured-on out, or give --measured",
        ),
        (["evaluate", "--agreement", "{labels}", "{labels}"], "first sheet: no column 'gold'"),
    ],
)
def test_errors_are_one_line_and_status_2(files, arguments, problem, capsys):
    labels = str(files / "labels.parquet")
    assert cli.main([argument.replace("{labels}", labels) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert problem in captured.err


def test_no_command_loads_the_extra_before_it_runs():
    import subprocess
    import sys

    code = "import sys; from affectlib import cli; cli.main(['--version']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"polars", "scipy", "statsmodels", "pandas"} & {*done.stdout.split()}


def test_simulated_labels_can_be_read_back(files):
    assert pl.read_parquet(files / "labels.parquet").equals(PEOPLE.conversations)
