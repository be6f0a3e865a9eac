"""``affectlib evaluate --agreement``: compare the answers of people who labelled the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from affectlib.cli._labels import analysis_of, figure, print_findings
from affectlib.cli._reading import refuse_inputs
from affectlib.cli._terminal import DONE


def compare(
    sheets: Sequence[str],
    output: str | None,
    *,
    overwrite: bool,
    column: str,
    confidence: float,
    missing_at_random: bool,
    as_json: bool,
) -> int:
    """Measure how well sheets agree; also write their majority to a file if one is named."""
    from affectlib.analysis import agreement, majority, read_gold, read_labels
    from affectlib.analysis._pages import check_output
    from affectlib.corpus.output import write_rows

    if len(sheets) < 2:
        raise click.UsageError("--agreement takes two sheets or more")
    target = None if output is None else Path(output)
    if target is not None:
        check_output(target, ".csv", overwrite)
        refuse_inputs([target], *sheets)
    names = ["first sheet", "second sheet", *(f"sheet {n + 1}" for n in range(2, len(sheets)))]
    with analysis_of(dict(zip(names, sheets, strict=True))) as notes:
        tables = [
            read_gold(path, missing_at_random=True) if missing_at_random else read_labels(path)
            for path in sheets
        ]
        rows = agreement(*tables, column=column, confidence=confidence).to_dicts()
        if target is not None:
            merged = majority(*tables, column=column)
            write_rows(target, merged.to_dicts(), merged.to_arrow().schema)
    who = "both" if len(sheets) == 2 else "two or more"
    lines = [f"{rows[0]['units']:,} rows answered by {who}"]
    lines += [f"  {row['measure']:<24} {figure(row, confidence)}" for row in rows]
    print_findings(rows, lines, notes, as_json=as_json)
    return DONE
