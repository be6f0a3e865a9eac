"""How long it takes to analyse many labelled messages, and how much memory.

``python -m tools.benchmarks.analysis`` writes 10 million labels of messages of 194,000 users to a
temporary Parquet file and gives them to `users`, `prevalence` and `trajectory`, each in a process
of its own; the aim is at most 15 s and 2.5 GB for each on two cores.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from pyarrow.parquet import ParquetWriter

from affectlib.corpus.rows import output_schema
from affectlib.taxonomy import CUES, THEME_COLUMNS

MESSAGES_A_CONVERSATION = 10
CONVERSATIONS_A_PART = 50_000
SECONDS, GIGABYTES = 15, 2.5
FUNCTIONS = ("users", "prevalence", "trajectory")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000_000)
    parser.add_argument("--users", type=int, default=194_000)
    parser.add_argument("--of", choices=FUNCTIONS, nargs="+", default=FUNCTIONS)
    parser.add_argument("--labels", type=Path, help="a file written before")
    parser.add_argument("--here", action="store_true", help="analyse in this process")
    arguments = parser.parse_args()
    if arguments.here:
        return _measure(arguments.labels, arguments.of[0])
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.labels or Path(folder) / "labels.parquet"
        if not path.exists():
            # In a process of its own: what it takes would count as the memory of those below.
            own = (path, arguments.messages, arguments.users)
            writer = multiprocessing.get_context("spawn").Process(target=write_labels, args=own)
            writer.start()
            writer.join()
        command = [sys.executable, "-m", "tools.benchmarks.analysis", "--here"]
        options = ["--labels", str(path), "--of"]
        missed = [
            subprocess.run([*command, *options, name], check=False).returncode
            for name in arguments.of
        ]
    return 1 if any(missed) else 0


def _measure(path: Path, name: str) -> int:
    from affectlib import analysis

    start = time.monotonic()
    labels = analysis.read_labels(path)
    found = getattr(analysis, name)(labels)
    seconds = time.monotonic() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name:<12} {seconds:5.1f} s, peak memory {memory:.2f} GB, {found.height:,} rows",
        flush=True,
    )
    return 0 if seconds <= SECONDS and memory <= GIGABYTES else 1


def write_labels(path: Path, messages: int, users: int) -> None:
    """Write labels of messages of users of very unequal activity, part by part."""
    rng = np.random.default_rng(0)
    conversations = messages // MESSAGES_A_CONVERSATION
    owners = np.sort((users * rng.random(conversations) ** 2).astype(np.int64))
    schema = output_schema("message")
    with ParquetWriter(path, schema) as writer:
        for start in range(0, conversations, CONVERSATIONS_A_PART):
            part = _part(rng, start, owners[start : start + CONVERSATIONS_A_PART])
            writer.write_table(part.select(schema.names).to_arrow().cast(schema))


def _part(rng: np.random.Generator, start: int, owners: np.ndarray) -> pl.DataFrame:
    size = len(owners) * MESSAGES_A_CONVERSATION
    of_user = ("probability", "intensity", *THEME_COLUMNS.values())
    conversation = np.repeat(np.arange(start, start + len(owners)), MESSAGES_A_CONVERSATION)
    place = np.tile(np.arange(MESSAGES_A_CONVERSATION), len(owners))
    begun = np.repeat(rng.integers(0, 84 * 86_400, len(owners)), MESSAGES_A_CONVERSATION)
    is_user = pl.col("role") == "user"
    return (
        pl.DataFrame(
            {
                "record": conversation,
                "user": np.repeat(owners, MESSAGES_A_CONVERSATION),
                "message": place,
                "seconds": 1_740_000_000 + begun + 20 * place,
                "probability": rng.random(size) ** 4,
                "intensity": 3 * rng.random(size),
                **{name: rng.random(size) for name in (*CUES, *THEME_COLUMNS.values())},
            }
        )
        .with_columns(
            pl.col("record").cast(pl.String).alias("conversation_id"),
            pl.col("user").cast(pl.String).alias("user_id"),
            role=pl.when(pl.col("message") % 2 == 0)
            .then(pl.lit("user"))
            .otherwise(pl.lit("assistant")),
            timestamp=(pl.col("seconds") * 1_000_000)
            .cast(pl.Datetime("us"))
            .dt.replace_time_zone("UTC"),
            status=pl.lit("ok"),
            error=pl.lit(None, pl.String),
            truncated_tokens=pl.lit(0, pl.Int64),
            screened=pl.lit(value=False),
        )
        .with_columns(
            *(pl.when(is_user).then(name).alias(name) for name in of_user),
            *(
                pl.when(is_user == (cue.unit == "user")).then(name).alias(name)
                for name, cue in CUES.items()
            ),
            label=pl.when(is_user).then(
                pl.when(pl.col("probability") > 0.6)
                .then(pl.lit("emotional"))
                .otherwise(pl.lit("task"))
            ),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
