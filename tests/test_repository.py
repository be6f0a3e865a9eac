"""What holds for the repository as a whole: its files, and the data that it carries."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from affectlib.taxonomy import CUES, THEMES
from training.data.sources import is_held_out

ROOT = Path(__file__).parents[1]
DATA = ROOT / "training" / "data"
LARGE = {"tokenizer.json"}
"""Names of files that only a machine wrote."""
LABELS = [
    "real_dev_labels.jsonl",
    "annotations.jsonl",
    "small_talk_labels.jsonl",
    "study_labels.jsonl",
]
"""Files of labels without texts."""

DEV_STUDIES = {"duo_ed", "isle_social", "isle_job", "isle_inquiry", "support", "coach_de"}
"""Studies that choose and are never trained on."""

# Put together from pieces, so that this file does not mention them itself.
REGISTRIES = [
    ".".join(parts)
    for parts in (("pypi", "org"), ("pythonhosted", "org"), ("anaconda", "org"), ("npmjs", "org"))
]
FOLDERS = [f"/{name}/" for name in ("home", "work", "root", "Users")]

CODES = {cue.code for cue in CUES.values()}


def repository_files() -> list[Path]:
    """The files that are committed or about to be."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    names = listed.stdout.decode().split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def read_rows(name: str) -> list[dict[str, Any]]:
    lines = (DATA / name).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]


def user_turns(row: dict[str, Any]) -> int:
    return sum(message["role"] == "user" for message in row["messages"])


OPTIONAL = {"charges", "second_charge", "second_themes", "themes", "turn_cues"}
"""Labels that a row of the corpus may have besides."""


def check_labels(labels: dict[str, Any]) -> None:
    assert labels["charge"] in range(4)
    assert set(labels["cues"]) <= CODES
    assert len(set(labels["cues"])) == len(labels["cues"])
    assert labels["decoy"] in {None, "D1", "D2", "D3", "D4", "D5"}
    assert labels["turns"] == sorted(set(labels["turns"]))
    assert all(turn >= 1 for turn in labels["turns"])
    assert bool(labels["turns"]) == (labels["charge"] >= 2)
    assert set(labels.get("themes", ())) <= THEMES.keys()
    for turn, charge in labels.get("charges", {}).items():
        least, most = (charge, charge) if isinstance(charge, int) else charge
        assert 0 <= least <= most <= max(1, labels["charge"])
        assert (least >= 2) == (int(turn) in labels["turns"])


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    # A folder counts at the start of a path only: "src/work/x" and "https://x.org/work/" are fine.
    pattern = re.compile(
        "|".join(
            [rf"\b{re.escape(host)}\b" for host in REGISTRIES]
            + [rf"(?<![\w.:/~$}}>-]){re.escape(folder)}" for folder in FOLDERS]
        )
    )
    found = {}
    for path in repository_files():
        if path.name in LARGE:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # not a text file
        if match := pattern.search(text):
            found[str(path.relative_to(ROOT))] = match.group()
    assert found == {}


def test_data_is_utf8_json_lines_with_one_row_per_id() -> None:
    for name in ("corpus.jsonl", *LABELS):
        rows = read_rows(name)
        assert len({row["id"] for row in rows}) == len(rows), name


def test_corpus_rows_are_well_formed() -> None:
    rows = read_rows("corpus.jsonl")
    assert len(rows) > 2000
    for row in rows:
        assert row["split"] in {"train", "dev", "test"}
        assert re.fullmatch("[a-z]{2}", row["lang"])
        assert user_turns(row) >= 1
        for message in row["messages"]:
            assert message.keys() == {"role", "content"}
            assert message["role"] in {"user", "assistant", "system"}
            assert message["content"].strip()


def test_corpus_labels_agree_with_the_codebook_and_with_each_other() -> None:
    for row in read_rows("corpus.jsonl"):
        labels = row["labels"]
        assert labels.keys() - OPTIONAL == {
            "charge",
            "cues",
            "decoy",
            "turns",
        }
        check_labels(labels)
        assert all(turn <= user_turns(row) for turn in labels["turns"])


def test_corpus_has_both_labels_in_each_split_and_language() -> None:
    seen = {
        (row["split"], row["lang"], row["labels"]["charge"] >= 2)
        for row in read_rows("corpus.jsonl")
    }
    for split in ("train", "dev", "test"):
        for language in ("en", "fr"):
            assert {(split, language, True), (split, language, False)} <= seen


@pytest.mark.parametrize("name", LABELS)
def test_labels_of_others_texts_come_without_the_texts(name: str) -> None:
    for row in read_rows(name):
        assert row.keys() <= {"id", "source", "part", "writer", "pool", "lang", "labels"}
        check_labels(row["labels"])


def test_what_measures_is_not_trained_on() -> None:
    measuring = {(row["source"], row["id"]) for row in read_rows("small_talk_labels.jsonl")}
    annotated = {(row["source"], row["id"]) for row in read_rows("annotations.jsonl")}
    twins = {(row["source"], row["of"]) for row in read_rows("twins.jsonl")}
    assert measuring.isdisjoint(annotated | twins)
    new = {(row["source"], row["id"]) for row in read_rows("annotations.jsonl") if "part" in row}
    assert not [row for row in new | twins if is_held_out(*row)]


def test_real_dev_labels_cover_both_sets() -> None:
    rows = read_rows("real_dev_labels.jsonl")
    manifest = {row["name"]: row for row in read_rows("sources.jsonl")}
    for source in ("sharegpt", "arena_wildchat"):
        labelled = [row for row in rows if row["source"] == source]
        assert len(labelled) == manifest[f"{source}_dev"]["conversations"]
        assert {row["pool"] for row in labelled} == {"random", "enriched"}


def test_people_of_the_dev_studies_are_in_no_other_part() -> None:
    rows = read_rows("study_labels.jsonl")
    dev = {row["writer"] for row in rows if row["source"] in DEV_STUDIES}
    assert len(dev) > 100
    assert dev.isdisjoint(row["writer"] for row in rows if row["source"] not in DEV_STUDIES)
    manifest = {row["name"]: row for row in read_rows("sources.jsonl")}
    measured = sum(row["source"] in DEV_STUDIES for row in rows)
    assert measured == manifest["studies_dev"]["conversations"]


def test_licence_and_version_are_the_same_everywhere() -> None:
    import affectlib

    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\nversion: {affectlib.__version__}\n" in citation
    assert f"\n## [{affectlib.__version__}]" in changelog
    assert "\nlicense: Apache-2.0\n" in citation
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
