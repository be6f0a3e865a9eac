"""Whether the tests find faults: 30 are put in by hand, one at a time, into a copy of the code.

    python -m tools.mutants [NUMBER ...]

For each fault it runs the tests that should find it, and prints the first that fails with the fault
and passes without it. A fault whose place is no longer in the code counts as an error: name
another.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
_SECONDS = 300
_QUIET = ("-p", "no:cacheprovider")


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: a text of a file, what is put in its place, and the tests that should notice."""

    file: str
    text: str
    replacement: str
    tests: str


MUTANTS = (
    Mutant(
        "model/decisions.py",
        "EMOTIONAL if found[EMOTIONAL] >= point.conversation else TASK",
        "EMOTIONAL if found[EMOTIONAL] > point.conversation else TASK",
        "model/test_calibration.py test_classifier.py test_predictions.py",
    ),
    Mutant(
        "model/decisions.py",
        "if labelled and name in found}",
        "if name in found}",
        "model/test_themes.py",
    ),
    Mutant(
        "model/calibration.py",
        "highest + self.log_windows * log(len(windows))",
        "highest",
        "model/test_calibration.py test_classifier.py",
    ),
    Mutant(
        "model/aggregation.py",
        "drawn = min(sample, len(flags))",
        "drawn = len(flags)",
        "model/test_aggregation.py",
    ),
    Mutant(
        "model/calibration.py",
        "self.conversation if count == 1 else self.message",
        "self.message",
        "model/test_calibration.py test_inputs.py test_classifier.py",
    ),
    Mutant(
        "model/scoring.py",
        "np.maximum(messages[message], row) if message in messages else row",
        "row",
        "model/test_scoring.py",
    ),
    Mutant("model/scoring.py", "self._logits.move_to_end(key)", "pass", "test_stream.py"),
    Mutant(
        "model/artifacts.py",
        "if (found := sha256(path)) != self._hashes[name]:",
        "if not (found := sha256(path)):",
        "model/test_artifact_damage.py model/test_artifacts.py",
    ),
    Mutant(
        "model/text/unicode.py",
        'return _MARK.sub("", composed) if found[1] <= _LAST_LATIN else composed',
        "return composed",
        "model/text",
    ),
    Mutant(
        "model/text/spelling.py",
        "if not (word.islower() or word.isupper()) or word.lower() in places:",
        "if word.lower() in places:",
        "model/text",
    ),
    Mutant(
        "formats/chatgpt.py",
        'message.get("channel") == "analysis"',
        'message.get("channel") == "commentary"',
        "formats/test_chats.py formats/test_records.py formats/test_fixtures.py",
    ),
    Mutant(
        "formats/_tree.py",
        "longest = max(reversed([*self.shown])",
        "longest = max([*self.shown]",
        "formats/test_chats.py formats/test_records.py formats/test_fixtures.py",
    ),
    Mutant(
        "formats/_tree.py",
        "if active is not None and active not in self.shown:",
        "if False:",
        "formats/test_chats.py formats/test_records.py formats/test_fixtures.py",
    ),
    Mutant(
        "formats/sources.py",
        'return "utf-16"',
        'return "utf-8"',
        "formats/test_reading.py",
    ),
    Mutant(
        "formats/table.py",
        'if turn not in (None, "") and key in seen:',
        "if key in seen:",
        "formats/test_table.py",
    ),
    Mutant(
        "formats/_people.py",
        "for message in sent if None in times else in_order(sent, times):",
        "for message in sent:",
        "formats/test_chats.py formats/test_text.py formats/test_times.py",
    ),
    Mutant(
        "_values/dates.py",
        "_DAY_OR_MONTH_FIRST[0 if day else 1]",
        "_DAY_OR_MONTH_FIRST[1 if day else 0]",
        "formats/test_table.py formats/test_times.py",
    ),
    Mutant(
        "conversation.py",
        "if content is None and role != ",
        "if content is None and role == ",
        "test_conversation.py",
    ),
    Mutant(
        "corpus/output.py",
        "if isinstance(value, str) and FORMULA.match(value):",
        "if False:",
        "corpus/test_label_file.py corpus/test_hostile_names.py",
    ),
    Mutant(
        "corpus/output.py",
        "return None if FileFacts.of(path) == self else",
        "return None if self else",
        "corpus/test_resume.py",
    ),
    Mutant(
        "corpus/rows.py",
        "screened=sum(message.screened for message in self.outcome.messages)",
        "screened=0",
        "corpus/test_label_file.py cli/test_cli.py model/test_screen.py",
    ),
    Mutant("_atomic.py", "flags, 0o600)", "flags, 0o644)", "test_atomic.py test_privacy.py"),
    Mutant(
        "_atomic.py",
        "lock.acquire(timeout=0)",
        "pass",
        "test_atomic.py test_concurrency.py corpus/test_faults.py",
    ),
    Mutant(
        "tables.py",
        '[_number(found.messages[row.get("message", 0)])]',
        '[row.get("message", 0)]',
        "test_tables.py",
    ),
    Mutant(
        "analysis/_intervals.py",
        "total * clusters / (clusters - 1)",
        "total",
        "analysis/test_independent.py analysis/test_evaluation.py",
    ),
    Mutant(
        "analysis/_intervals.py",
        'confidence, "wilson")',
        'confidence, "normal")',
        "analysis/test_prevalence.py analysis/test_correction.py analysis/test_independent.py",
    ),
    Mutant(
        "analysis/_intervals.py",
        "stats.false_discovery_control(p.drop_nulls().to_numpy())",
        "p.drop_nulls().to_numpy()",
        "analysis/test_independent.py analysis/test_users.py",
    ),
    Mutant(
        "analysis/_privacy.py",
        "or bool(units.max() > _DOMINANT * units.sum())",
        "",
        "analysis/test_privacy.py",
    ),
    Mutant(
        "analysis/sampling.py",
        "sizes / np.maximum(quotas, 1)",
        "np.ones(len(sizes))",
        "analysis/test_sampling.py",
    ),
    Mutant(
        "cli/__init__.py",
        "return INTERRUPTED",
        "return USAGE",
        "cli/test_cli.py cli/test_streams.py",
    ),
)


def copy_of_code(folder: Path) -> None:
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)


def outcome(mutant: Mutant, folder: Path) -> tuple[str, str]:
    """Return ``found``, ``missed``, or ``error``, and the test that found it or what is wrong."""
    path = folder / "affectlib" / mutant.file
    code = path.read_text(encoding="utf-8") if path.is_file() else ""
    if code.count(mutant.text) != 1:
        return "error", f"the text stands {code.count(mutant.text)} times in the file"
    left_out: list[str] = []
    while True:
        path.write_text(code.replace(mutant.text, mutant.replacement), encoding="utf-8")
        try:
            run = run_tests(folder, [f"tests/{name}" for name in mutant.tests.split()], left_out)
        except subprocess.TimeoutExpired:
            return "error", f"no result in {_SECONDS} s"
        finally:
            path.write_text(code, encoding="utf-8")
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", run.stdout, re.M)
        if run.returncode != 1 or failed is None:
            return ("missed", "") if run.returncode == 0 else ("error", run.stdout[-200:])
        clean = run_tests(folder, [failed[1]], [])
        if clean.returncode not in (0, 1):
            return "error", f"cannot run {failed[1]} by itself"
        if clean.returncode == 0:
            return "found", failed[1]
        left_out.append(failed[1])


def run_tests(
    folder: Path, tests: Sequence[str], left_out: Sequence[str]
) -> subprocess.CompletedProcess[str]:
    """Run tests of the copy until one fails, without some that fail anyway."""
    deselected = [f"--deselect={name}" for name in left_out]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", *_QUIET, *deselected, *tests],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__)
    parser.add_argument("number", nargs="*", type=int, help="which faults, from 1; all if none")
    chosen = parser.parse_args(arguments).number or range(1, len(MUTANTS) + 1)
    results = []
    with tempfile.TemporaryDirectory() as folder:
        copy_of_code(Path(folder))
        for number in chosen:
            mutant = MUTANTS[number - 1]
            result, what = outcome(mutant, Path(folder))
            results.append(result)
            print(f"{number:2} {result:7}{mutant.file}: {mutant.text[:48]} {what}", flush=True)
    print(f"{results.count('found')} of {len(results)} found")
    return int(results.count("found") < len(results))


if __name__ == "__main__":
    sys.exit(main())
