"""Does fine-tuning on a user's own labels help, and what does it cost elsewhere?

    python -m tools.benchmarks.finetuning --data DIR [--sizes 100,200,400,all] [--model NAME]

The chats of `studies_train` are the user's. Of their writers 70 % are in the file that
`affectlib.finetune` gets, whole or a number of its conversations drawn by writer; the others judge
base and new model, as both label by themselves. What is forgotten is measured on the shared logs,
on the studies' dev set and on our corpus's dev split.

Every number of conversations is held against the bounds below; if one is missed, a line names it
and the exit code is 1.

Only a base that has not learnt `studies_train` shows what a user would gain. affect-small has since
0.13; 0.12 has not.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from affectlib import AffectClassifier, finetune
from affectlib.conversation import Conversation
from affectlib.errors import AffectlibError
from affectlib.finetuning.labelled import LabelledConversation
from affectlib.model.artifacts import DEFAULT_MODEL
from affectlib.taxonomy import EMOTIONAL, TASK
from training.data.sources import from_gold, read_source
from training.evaluation import metrics
from training.evaluation.card import Table
from training.evaluation.judged import LOGS, STUDIES, dev_conversations

SHARE = 0.7
OWN = "user's others"

BETTER = (f"{OWN}: AUROC", f"{OWN}: specificity at recall")
"""Beginnings of the figures that must be better than the base's."""
LEAST_CHANGE = {
    f"{OWN}: charged labelled at balanced": 0.0,
    "shared logs: average precision": -0.02,
    "corpus dev: accuracy": -0.01,
}
"""What other figures may lose at most."""
MOST_SECONDS, CONVERSATIONS = 300.0, 200
"""What fine-tuning on so many conversations, or fewer, may take."""


def split(rows: Sequence[LabelledConversation]) -> tuple[list[Any], list[Any]]:
    writers = sorted({c.row["writer"] for c in rows})
    random.Random(0).shuffle(writers)
    own = {*writers[: round(SHARE * len(writers))]}
    return [c for c in rows if c.row["writer"] in own], [
        c for c in rows if c.row["writer"] not in own
    ]


def drawn(rows: Sequence[LabelledConversation], size: int | None) -> list[LabelledConversation]:
    """Return about so many conversations, all those of some writers."""
    if size is None:
        return [*rows]
    writers = sorted({c.row["writer"] for c in rows})
    random.Random(1).shuffle(writers)
    found: list[LabelledConversation] = []
    for writer in writers:
        if len(found) < size:
            found += [c for c in rows if c.row["writer"] == writer]
    return found[:size]


def write(rows: Sequence[LabelledConversation], path: Path, *, turns: bool) -> None:
    with path.open("w", encoding="utf-8") as file:
        for c in rows:
            row: dict[str, Any] = {
                "id": c.conversation.id,
                "writer": c.row["writer"],
                "messages": [
                    {"role": m.role, "content": m.content} for m in c.conversation.messages
                ],
                "label": EMOTIONAL if c.emotional else TASK,
            }
            if turns:
                row["turns"] = c.row["labels"]["turns"]
            file.write(json.dumps(row) + "\n")


class Judge:
    def __init__(self, rows: Sequence[LabelledConversation]) -> None:
        self.chats: list[Conversation] = [c.conversation for c in rows]
        self.truth = np.array([c.emotional for c in rows], int)
        self.groups = np.array(
            [str(c.row.get("writer") or c.conversation.id or n) for n, c in enumerate(rows)]
        )

    def read(self, classifier: AffectClassifier) -> tuple[Any, Any]:
        found = classifier.predict(self.chats, on_error="raise")
        return (
            np.array([p.probability for p in found]),
            np.array([p.label == EMOTIONAL for p in found]),
        )

    def compare(
        self, metric: Callable[..., float], before: Any, after: Any
    ) -> tuple[float, float, dict[str, Any]]:
        def difference(truth: Any, old: Any, new: Any) -> float:
            return metric(truth, new) - metric(truth, old)

        columns = (self.truth, before, after)
        change = metrics.estimate(difference, *columns, groups=self.groups)
        return metric(self.truth, before), metric(self.truth, after), change


def specificity(truth: Any, flags: Any) -> float:
    return metrics.recall(1 - truth, ~flags)


def specificity_at(recall: float) -> Callable[..., float]:
    def metric(truth: Any, scores: Any) -> float:
        return metrics.recall_at(1 - truth, -scores, least=recall)

    return metric


def found(truth: Any, flags: Any) -> float:
    return float(flags[truth == 1].sum())


def measure(judges: dict[str, Judge], before: Any, after: Any) -> dict[str, Any]:
    """Return each figure: base, new model, and the difference."""
    (_, flags) = before[OWN]
    recall = metrics.recall(judges[OWN].truth, flags)
    wanted: dict[str, tuple[str, Callable[..., float], int]] = {
        f"{OWN}: AUROC": (OWN, metrics.auroc, 0),
        f"{OWN}: specificity at recall {recall:.3f}": (OWN, specificity_at(recall), 0),
        f"{OWN}: charged labelled at balanced": (OWN, found, 1),
        f"{OWN}: specificity at balanced": (OWN, specificity, 1),
        "shared logs: average precision": ("shared logs", metrics.average_precision, 0),
        "studies' dev set: AUROC": ("studies", metrics.auroc, 0),
        "corpus dev: accuracy": ("corpus dev", metrics.accuracy, 1),
    }
    figures = {}
    for name, (of, metric, which) in wanted.items():
        if of in judges:
            columns = before[of][which], after[of][which]
            old, new, change = judges[of].compare(metric, *columns)
            figures[name] = {"base": old, "new": new, "change": change}
    return figures


def missed(figures: dict[str, Any], conversations: int, seconds: float) -> Iterator[str]:
    for name, values in figures.items():
        change = values["change"]["value"]
        if name.startswith(BETTER) and not change > 0:
            yield f"{name}: {change:+.3f}, which is no better than the base"
        if name in LEAST_CHANGE and not change >= LEAST_CHANGE[name]:
            yield f"{name}: {change:+.3f}, less than {LEAST_CHANGE[name]:+.3f}"
    if conversations <= CONVERSATIONS and seconds > MOST_SECONDS:
        yield f"{conversations:,} conversations: {seconds:.0f} s, more than {MOST_SECONDS:.0f} s"


def table(title: str, figures: dict[str, Any]) -> Table:
    rows = []
    for name, values in figures.items():
        change = values["change"]
        shown = f"{change['value']:+.3f} ({change['low']:+.3f} to {change['high']:+.3f})"
        rows.append([name, f"{values['base']:.3f}", f"{values['new']:.3f}", shown, change["n"]])
    return Table(title, ["", "base", "new", "difference, 95 % interval", "n"], rows)


def load(model: str | Path) -> AffectClassifier:
    return AffectClassifier.from_pretrained(str(model), engine="onnx", device="cpu")


def run(
    data: Path, sizes: Sequence[int | None], model: str, *, turns: bool, forgotten: bool
) -> dict[str, Any]:
    """Fine-tune on each number of conversations, and measure; tables are printed on the way."""
    rows = [from_gold(row, "studies_train") for row in read_source("studies_train", data)]
    own, others = split(rows)
    judges = {OWN: Judge(others)}
    if forgotten:
        dev = [*dev_conversations(True, data)]
        judges["shared logs"] = Judge([c for c in dev if c.source in LOGS])
        judges["studies"] = Judge([c for c in dev if c.source == STUDIES])
        judges["corpus dev"] = Judge([c for c in dev if c.source == "corpus"])
    classifier = load(model)
    before = {name: judge.read(classifier) for name, judge in judges.items()}
    results = {}
    for size in sizes:
        taken = drawn(own, size)
        with tempfile.TemporaryDirectory() as folder:
            file, target = Path(folder, "mine.jsonl"), Path(folder, "model")
            write(taken, file, turns=turns)
            began = time.monotonic()
            made = finetune(file, target, model=model, group="writer")
            seconds = time.monotonic() - began
            new = load(target)
            after = {name: judge.read(new) for name, judge in judges.items()}
        figures = measure(judges, before, after)
        title = (
            f"{made.base}, {made.conversations} conversations ({made.emotional} charged), of "
            f"which {made.held_out} ({made.held_out_emotional}) held out: share {made.share:g}, "
            f"{'thresholds fitted' if made.fitted else 'thresholds of the base'}, {seconds:.0f} s"
        )
        print(f"\n{table(title, figures).text()}", flush=True)
        for note in made.notes:
            print(f"note: {note}", flush=True)
        lines = [*missed(figures, made.conversations, seconds)]
        for line in lines:
            print(f"missed: {line}", flush=True)
        results[str(size or "all")] = {
            "share": made.share,
            "fitted": made.fitted,
            "seconds": seconds,
            "figures": figures,
            "missed": lines,
        }
    return results


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.benchmarks.finetuning")
    parser.add_argument("--data", type=Path, required=True, help="folder of the public sets")
    parser.add_argument("--sizes", default="100,200,400,all", help="conversations in the file")
    parser.add_argument("--model", default=DEFAULT_MODEL, help="what is fine-tuned")
    parser.add_argument("--no-turns", action="store_true", help="leave the charged turns out")
    parser.add_argument(
        "--own-only", action="store_true", help="do not measure what is forgotten, which is faster"
    )
    parser.add_argument("--json", type=Path, help="also write the results here")
    options = parser.parse_args(arguments)
    sizes = [None if size == "all" else int(size) for size in options.sizes.split(",")]
    try:
        results = run(
            options.data,
            sizes,
            options.model,
            turns=not options.no_turns,
            forgotten=not options.own_only,
        )
    except (AffectlibError, FileNotFoundError, ValueError) as error:
        print(f"tools.benchmarks.finetuning: {error}", file=sys.stderr)
        return 2
    if options.json:
        options.json.write_text(json.dumps(results, indent=1), encoding="utf-8")
    return int(any(found["missed"] for found in results.values()))


if __name__ == "__main__":
    raise SystemExit(main())
