"""From labels to findings: how common charged use is, which users it comes from, and more.

Needs the extra ``analysis`` (``pip install 'affectlib[analysis]'``).

**What goes in.** A frame of labels as `affectlib.label_file` writes it (see
`affectlib.corpus.rows.output_schema`): a pandas or polars frame, a polars lazy frame or a pyarrow
table. `read_labels` opens the file; Parquet is read column by column. Only the columns that a
function names below must be there; others (a country, a model) can be named in ``by=``. A frame
with a column ``message`` has a row per message, any other a row per conversation; most functions
take both. Rows with status ``error`` and rows without a label are left out. Other frames (gold
labels, participants) join by id.

**Gold labels** are a sheet that a person filled in. Its columns are ``record`` (or
``conversation_id``), ``message`` if its rows are messages, ``gold`` (``emotional`` or ``task``;
empty or ``unsure`` if there is no answer) and ``weight``: how many rows of the corpus the row
stands for, the inverse of its probability of being drawn. Without ``weight``, all rows count the
same, with a warning. ``themes`` may name the themes of charged rows. If several people answered a
row, ``annotator`` tells them apart, and the majority counts. `read_gold` opens a sheet, and notices
by its column ``design`` if rows are gone.

**What comes out.** A tidy frame of the kind that went in (polars for a lazy frame; in signatures,
``Frame[IntoDataFrameT]`` is the frame whose kind is returned, and ``AnyFrame`` any other). There
is one row per figure, with ``estimate``, ``low``, ``high`` (a 95 % interval; ``confidence=``
changes that), the counts behind it (``units``, ``users``) and ``suppressed``. If a figure rests on
fewer than ``min_users`` users (by default 10; 0 turns this off), it and its counts are null and
``suppressed`` is true (`associate` raises `TableError` instead; `agreement`, `users` and `lorenz`
have no such columns).

**What goes wrong.** All functions raise `InputTypeError` for what is not a frame, `OptionError` for
an option that is not accepted, and `TableError` for a column that is missing or has invalid values.
An `AnalysisWarning` says when a result is less certain than it seems.

| function | takes | gives a row for each |
|---|---|---|
| `prevalence` | labels, gold, measured | group, method |
| `themes` | labels, gold with `themes`, measured | theme, group, method |
| `calibration` | labels, gold | bin of probability |
| `evaluate` | labels, gold | group, measure |
| `calibrate` | labels, gold, model | operating point, measure that changed |
| `disagreements` | labels, gold | row that differs from its gold label |
| `agreement` | filled sheets | measure |
| `majority` | filled sheets | row, with what most people say |
| `users` | labels | user |
| `concentration`, `lorenz` | users | share of users |
| `compare` | users, with a column of groups | outcome, group against the reference |
| `associate` | users, with survey columns | outcome, term of the regression |
| `trajectory` | labels of messages | part of the conversation, measure |
| `onset` | labels of messages | measure |
| `cue_pairs` | labels | pair of cues |
| `sample` | labels | row to label by hand |

`annotation_page` returns a page to label a sample on; `report` puts the findings together, as a
page, Markdown, JSON and a table.

Every relation found here is an association, not a cause: see `NOT_A_CAUSE`.

Example:
    >>> from affectlib.analysis import concentration, users
    >>> from tools.simulate import simulate
    >>> people = users(simulate(200, seed=1).messages)
    >>> people.height
    200
"""

from __future__ import annotations

from affectlib._extras import requires_extra

with requires_extra("analysis"):
    from affectlib.analysis._files import read_labels
    from affectlib.analysis._frames import AnalysisWarning, TableError
    from affectlib.analysis.accuracy import Accuracy, measured_accuracy
    from affectlib.analysis.agreement import agreement, majority
    from affectlib.analysis.annotate import Annotation, AnnotationError, Answer, Endpoint, annotate
    from affectlib.analysis.association import associate
    from affectlib.analysis.concentration import concentration, lorenz
    from affectlib.analysis.evaluation import calibration, disagreements, evaluate
    from affectlib.analysis.gold import read_gold
    from affectlib.analysis.groups import compare
    from affectlib.analysis.prevalence import prevalence
    from affectlib.analysis.recalibration import calibrate
    from affectlib.analysis.report import Report, report
    from affectlib.analysis.sampling import sample
    from affectlib.analysis.sheet import annotation_page
    from affectlib.analysis.themes import themes
    from affectlib.analysis.trajectory import cue_pairs, onset, trajectory
    from affectlib.analysis.users import users

__all__ = [
    "NOT_A_CAUSE",
    "Accuracy",
    "AnalysisWarning",
    "Annotation",
    "AnnotationError",
    "Answer",
    "Endpoint",
    "Report",
    "TableError",
    "agreement",
    "annotate",
    "annotation_page",
    "associate",
    "calibrate",
    "calibration",
    "compare",
    "concentration",
    "cue_pairs",
    "disagreements",
    "evaluate",
    "lorenz",
    "majority",
    "measured_accuracy",
    "onset",
    "prevalence",
    "read_gold",
    "read_labels",
    "report",
    "sample",
    "themes",
    "trajectory",
    "users",
]

NOT_A_CAUSE = (
    "These figures describe associations. They do not show that one thing causes the other: "
    "who uses an assistant how, and how they fare, may share causes that were not measured."
)
"""The caveat of every text about relations between figures."""
