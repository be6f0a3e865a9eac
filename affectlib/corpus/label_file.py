"""Label whole collections of transcripts, conversation by conversation.

Memory use does not grow with the input, reading, labelling and writing overlap, and whatever
stops a run, what was labelled until then is kept and can be resumed. See `label_file`.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import (
    Callable,
    Collection,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field, replace
from json import dumps
from operator import length_hint
from typing import Any, Literal

from affectlib._batching import Background, ahead, text_size
from affectlib._default import Classifier, classifier_or_bundled
from affectlib._inputs import Chats, Item, Readable, Texts, require_on_error
from affectlib._progress import summary_bar
from affectlib.conversation import Conversation
from affectlib.corpus.languages import ForeignLanguages
from affectlib.corpus.manifest import Header, model_facts
from affectlib.corpus.output import StandardOutput
from affectlib.corpus.provenance import provenance, provenance_code
from affectlib.corpus.rows import Counts, Labelled, Level, RowLevel, output_schema, row_levels
from affectlib.corpus.shards import Layout, Shards, discard_unfinished, find_finished, require_new
from affectlib.corpus.source import (
    SourceFacts,
    file_among,
    inspect_source,
    require_unchanged,
    stamps_of,
    takes_up,
)
from affectlib.corpus.workers import Label, label_here, label_on_ray, label_with_processes
from affectlib.errors import (
    OptionError,
    OutputExistsError,
    SourceChangedError,
    TranscriptFormatError,
)
from affectlib.formats import ReadOptions, ReadReport, Tally, read_conversations
from affectlib.model.reference import Comparison
from affectlib.predictions import ConversationFailure

__all__ = ["LabelSummary", "label_file"]

_SHARD = 2000
_WAITING = 64


@dataclass(frozen=True, slots=True)
class LabelSummary:
    """The counts of a run of `label_file`.

    Attributes:
        conversations: Records read, those that failed included.
        emotional: Conversations labelled emotional.
        failed: Records that could not be read or labelled.
        user_messages: Messages of users in the conversations labelled.
        messages: Messages of users and assistants in them.
        truncated_tokens: Tokens that the model did not read.
        seconds: How long it took.
        path: The output, ``-`` for standard output.
        resumed: Conversations, of those above, that an earlier run had labelled.
        expected: Records of the input: an estimate, by how much of it was read, as long as the
            run goes on; None where that is unknown, as with a pipe.
        finished_before: Whether the output was there, complete, so that nothing was done.
        repaired: Files of an earlier run that were lost or altered, and made again.
        dropped: Messages and parts of messages that were left out in reading, by the reason; see
            `affectlib.formats.DROPS`.
        skipped: Files of a folder or archive that were not read, by the reason, as they have no
            known format. They are not records and not among `failed`. This and `dropped` are
            counted in reading, and empty where nothing was done.
        empty: Records in which no user wrote anything; their rows have status ``empty``. They are
            normal in exports, and not among `failed`.
        not_kept: Names in `keep` of which no record of this run had a value; empty where nothing
            was done.
        unlike: How the transcripts differ from those that the model was measured on, or None if
            they look alike or the model does not say. Based on what was read in this call.
        screened: Messages that the screen settled, so that the encoder did not read them.
        foreign: Which languages the model was not made for are among the first thousand
            conversations read in this call; None if there are none, or without the extra
            ``formats``, which tells languages apart.
    """

    conversations: int
    emotional: int
    failed: int
    user_messages: int
    messages: int
    truncated_tokens: int
    seconds: float
    path: str
    resumed: int = 0
    expected: int | None = None
    finished_before: bool = False
    repaired: tuple[str, ...] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)
    empty: int = 0
    not_kept: tuple[str, ...] = ()
    unlike: str | None = None
    screened: int = 0
    foreign: str | None = None

    @property
    def emotional_share(self) -> float:
        """Share of the labelled conversations that is emotional, 0.0 if there is none."""
        return self.emotional / self.labelled if self.labelled else 0.0

    @property
    def labelled(self) -> int:
        """Conversations that have a label."""
        return self.conversations - self.failed - self.empty

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as a dict that fits JSON, with ``emotional_share``."""
        figures = asdict(self) | {"repaired": [*self.repaired], "not_kept": [*self.not_kept]}
        return figures | {"emotional_share": self.emotional_share}


def label_file(
    src: str | os.PathLike[str] | Texts | Chats,
    dst: str | os.PathLike[str],
    *,
    classifier: Classifier | None = None,
    level: Level = "conversation",
    options: ReadOptions | None = None,
    keep: Collection[str] = (),
    report: ReadReport | None = None,
    on_error: Literal["record", "raise"] = "record",
    output_format: Literal["parquet", "jsonl", "csv"] | None = None,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    ray: str | None = None,
    progress: bool | Callable[[LabelSummary], None] = False,
) -> LabelSummary:
    """Label every conversation of a file, or of several, and write the labels to another file.

    The output has the columns of `output_schema`, in Parquet, JSON Lines or CSV. A row is a
    conversation or, at level ``message``, a message of the user or assistant; one without text
    has no label. A record that cannot be read or labelled has one row with status ``error`` and
    the reason; one in which no user wrote anything has status ``empty``. In CSV, text that a
    spreadsheet would take for a formula (it begins with ``= + - @``, a tab or a carriage return)
    gets an apostrophe before it, which `affectlib.analysis.read_labels` removes.

    If `dst` has a suffix (``labels.parquet``) it becomes one file, which appears when it is
    complete; at level ``both`` the messages go to a second one (``labels.messages.parquet``).
    Without a suffix (``labels/``) it becomes a folder of files of 2,000 conversations each, in
    ``conversations`` and ``messages``. Either way these are written one after the other, so that
    little is lost if a run is stopped or killed or the disk is full: the same call with `resume`
    continues after the last. A manifest says what the labels are made from; if the output is
    finished and made from the same input, model and options, nothing is done. A pipe or a data set
    on the Hub cannot be compared with an earlier one, so its output is never resumed, and is
    refused if it exists. The rows do not depend on the number of workers, nor on whether the run
    was resumed.

    Args:
        src: The transcripts, ``-`` for standard input; see `affectlib.formats`. Or conversations,
            or texts, as `AffectClassifier.stream` takes them; like a pipe, they cannot be resumed.
        dst: The output; ``-`` writes JSON Lines to standard output.
        classifier: What labels them; the bundled one if None.
        level: What a row is, ``conversation`` or ``message``, or ``both`` for two tables.
        options: How `src` is read; see `affectlib.ReadOptions`.
        keep: Columns of `src`, or fields of its records or of their ``metadata``, that are carried
            through to the labels, as text; of conversations, what is in their `metadata`.
        report: Filled in while reading: what was left out, what could not be read, and where.
        on_error: ``record`` to go on after a record that fails, ``raise`` to stop at it; an empty
            one does not fail.
        output_format: The kind of files in a folder, ``parquet`` if None.
        resume: Whether to continue an unfinished output, or repair a folder whose shards were lost
            or altered, by labelling their records again.
        overwrite: Whether to start over, whatever is there of the output.
        workers: Processes that label, each with its share of the cores. With more than one, a
            script needs the usual ``if __name__ == "__main__":``. This helps with many cores; a few
            cores are used fully by one process.
        ray: ``local``, or the address of a Ray cluster, to label there with `workers` actors.
        progress: Whether to show a progress bar; or a function to call after each record with the
            figures so far.

    Raises:
        OutputExistsError: `dst` exists, and is neither finished nor to be resumed or overwritten,
            or it belongs to `src`, or it exists and `src` is a pipe or on the Hub, or another
            process is writing it.
        ResumeError: `dst` is made from another input, model or options.
        TranscriptFormatError: `src` has no known format, or a record failed and `on_error` is
            ``raise``.
        OSError: A file cannot be opened or written.
        OptionError: An option has an unknown value, such as the suffix of `dst`.
        InputTypeError: `classifier` is not a classifier.
        SourceChangedError: `src` was written to while it was read.
        WorkerError: A worker process was killed.
        MissingExtraError: `ray` was asked for and is not installed.

    Example:
        >>> summary = label_file("examples/transcripts.jsonl", "labels.parquet")
        >>> summary.conversations, summary.failed
        (40, 0)
        >>> label_file("examples/transcripts.jsonl", "labels.parquet").finished_before
        True
    """
    require_on_error(on_error)
    if workers < 1:
        raise OptionError(f"`workers` must be at least 1, got {workers}")
    if resume and overwrite:
        raise OptionError("`resume` and `overwrite` contradict each other; choose one")
    target = os.fspath(dst)
    levels = row_levels(level)
    layout = None if target == "-" else Layout.of(target, levels, output_format)
    if layout is None and (len(levels) > 1 or resume or output_format not in (None, "jsonl")):
        raise OptionError(
            "standard output takes one table of JSON Lines and cannot be resumed; name a file"
        )
    options = ReadOptions() if options is None else options
    options = replace(options, keep=(*options.keep, *keep)) if keep else options
    schemas = {each: output_schema(each, options.keep) for each in levels}
    report = ReadReport() if report is None else report
    source = _Source.of(src, layout, options, report)
    classifier = classifier_or_bundled(classifier)
    if resume and source.facts.is_stream:
        raise OptionError(f"{source.name}: a stream cannot be read again to resume; give a file")
    label = _labeller(classifier, workers, ray)
    with summary_bar(progress is True, lambda: classifier.windows_run) as bar:
        tell = bar if isinstance(progress, bool) else progress
        run = _Run(
            source,
            target,
            label,
            on_error,
            tell,
            report,
            provenance_code(classifier.artifact, classifier.operating_point),
            tuple(options.keep),
            progress is True,
        )
        run.compare_with(classifier)
        if layout is None:
            return run.to_standard_output(StandardOutput(schemas[levels[0]]), levels[0])
        made_by: dict[str, Any] = {
            "level": level,
            **options.recorded(),
            "operating_point": classifier.operating_point,
            "engine": classifier.engine,
            "output_format": layout.suffix.removeprefix("."),
        }
        if classifier.screen:  # named only then, so that earlier outputs can be resumed without
            made_by["screen"] = True
        model = model_facts(classifier.artifact)
        header: Header = {"input": asdict(source.facts), "model": model, "options": made_by}
        point = classifier.operating_point
        origin = {"affectlib": dumps({**model, **provenance(classifier.artifact, point)})}
        with layout.locked():
            if overwrite:
                discard_unfinished(layout)
            elif source.facts.is_stream:
                require_new(layout)
            elif (finished := find_finished(layout, header, resume=resume)) is not None:
                return run.summary(finished.counts(), finished_before=True)
            described = {each: schema.with_metadata(origin) for each, schema in schemas.items()}
            return run.to_shards(Shards(layout, header, described, size=_SHARD))


def _labeller(classifier: Classifier, workers: int, ray: str | None) -> Label:
    """Return what labels, here or in other processes."""
    if ray is not None:
        return label_on_ray(classifier, workers, ray)
    if workers > 1:
        return label_with_processes(classifier, workers)
    return label_here(classifier)


@dataclass(frozen=True, slots=True)
class _Source:
    """What is labelled.

    Attributes:
        name: What errors call it.
        items: The conversations.
        facts: What tells whether it is still the same.
        count: How many there are, or None if that is not known.
        stamps: What changes with its files when somebody writes to them.
    """

    name: str
    items: Iterable[Item]
    facts: SourceFacts
    count: int | None = None
    stamps: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        src: str | os.PathLike[str] | Texts | Chats,
        layout: Layout | None,
        options: ReadOptions,
        report: ReadReport,
    ) -> _Source:
        """Open a file, or check a stream of conversations as it comes."""
        if not isinstance(src, str | os.PathLike):
            return cls(
                "conversations", Readable(src), SourceFacts(0, 0, None), length_hint(src) or None
            )
        name = os.fspath(src)
        _refuse_source(name, layout)
        stamps = stamps_of(name)
        read = read_conversations(name, options, report=report)
        return cls(name, read, inspect_source(name), stamps=stamps)

    def require_unchanged(self) -> None:
        """Refuse a file that was written to while it was read; see `SourceChangedError`."""
        if self.stamps:
            require_unchanged(self.name, self.stamps)


@dataclass(slots=True)
class _Run:
    """A run of `label_file`, after its options were checked."""

    source: _Source
    target: str
    label: Label
    on_error: Literal["record", "raise"]
    progress: Callable[[LabelSummary], None] | None
    report: ReadReport
    provenance: str
    keep: tuple[str, ...] = ()
    has_bar: bool = False
    kept: set[str] = field(default_factory=set)
    started: float = field(default_factory=time.monotonic)
    resumed: int = 0
    repaired: tuple[str, ...] = ()
    comparison: Comparison | None = None
    languages: ForeignLanguages | None = None

    def compare_with(self, classifier: Classifier) -> None:
        self.comparison = Comparison.of(classifier.artifact)
        self.languages = ForeignLanguages.of(classifier.artifact)

    def to_standard_output(self, output: StandardOutput, level: RowLevel) -> LabelSummary:
        counts = self._begin(Counts())
        try:
            for labelled in self._labelled([]):
                output.add(labelled.rows(level))
                counts = self._count(counts, labelled)
        finally:
            output.flush()
        self.source.require_unchanged()
        return self.summary(counts, done=True)

    def to_shards(self, shards: Shards) -> LabelSummary:
        counts = shards.counts
        self.resumed, self.repaired = counts.conversations, shards.repaired
        self._begin(counts)
        writer = Background(shards.add, _WAITING)
        try:
            with closing(self._labelled(shards.done())) as stream:
                for labelled in stream:
                    writer.put(labelled)
                    counts = self._count(counts, labelled)
            writer.close()
            self.source.require_unchanged()
            shards.finish()
        except BaseException as error:
            with suppress(Exception):
                writer.close()
            lost = self.source.facts.is_stream or isinstance(error, SourceChangedError)
            if (note := shards.abandon(resumable=not lost)) is not None:
                error.add_note(note)
            raise
        return self.summary(counts, done=True)

    def summary(
        self, counts: Counts, *, finished_before: bool = False, done: bool = False
    ) -> LabelSummary:
        missed = () if finished_before else (name for name in self.keep if name not in self.kept)
        return LabelSummary(
            counts.conversations,
            counts.emotional,
            counts.failed,
            counts.user_messages,
            counts.messages,
            counts.truncated_tokens,
            time.monotonic() - self.started,
            self.target,
            counts.conversations if finished_before else self.resumed,
            self._expected(),
            finished_before,
            self.repaired,
            _counts(self.report.dropped),
            _counts(self.report.skipped),
            counts.empty,
            tuple(missed),
            self.comparison.line() if self.comparison is not None and done else None,
            counts.screened,
            self.languages.line() if self.languages is not None and done else None,
        )

    def _expected(self) -> int | None:
        if self.source.count is not None:
            return self.source.count
        share = self.report.share
        return round((self.report.conversations + self.report.failures) / share) if share else None

    def _count(self, counts: Counts, labelled: Labelled) -> Counts:
        if labelled.conversation is not None:
            self.kept |= labelled.conversation.metadata.keys() & {*self.keep}
        if self.languages is not None and labelled.conversation is not None:
            self.languages.add(labelled.conversation)
        if self.comparison is not None and labelled.conversation is not None:
            found = getattr(labelled.outcome, "probability", None)
            self.comparison.histogram.add(labelled.conversation, found)
        return self._tell(counts + labelled.counts())

    def _begin(self, counts: Counts) -> Counts:
        """Let the bar know when the work began, and what an earlier run had done."""
        return self._tell(counts) if self.has_bar else counts

    def _tell(self, counts: Counts) -> Counts:
        if self.progress is not None:
            self.progress(self.summary(counts))
        return counts

    def _labelled(self, done: Sequence[tuple[int, int]]) -> Generator[Labelled]:
        """Label the records that are not done, in order."""
        waiting: deque[tuple[int, Conversation | None]] = deque()
        items = _undone(self.source.items, done)
        if not self.source.facts.is_stream:  # a thread that waits for a pipe could not be stopped
            items = ahead(items, _size)
        with closing(items), closing(self.label(_remembered(items, waiting))) as outcomes:
            for outcome in outcomes:
                record, conversation = waiting.popleft()
                failed = isinstance(outcome, ConversationFailure) and outcome.status == "error"
                if self.on_error == "raise" and failed:
                    place = _place(record, outcome)
                    raise TranscriptFormatError(place, path=self.source.name)
                yield Labelled(record, conversation, outcome, self.keep, self.provenance)


def _counts(tallies: dict[str, Tally]) -> dict[str, int]:
    """Return only the counts; the thread that reads may add a reason meanwhile."""
    return {reason: tally.count for reason, tally in tallies.copy().items()}


def _undone(items: Iterable[Item], done: Sequence[tuple[int, int]]) -> Generator[tuple[int, Item]]:
    """Number the records and leave out those that are done."""
    ranges = deque(done)
    try:
        for record, item in enumerate(items):
            while ranges and ranges[0][1] <= record:
                ranges.popleft()
            if not ranges or record < ranges[0][0]:
                yield record, item
    finally:
        if isinstance(items, Generator):
            items.close()  # its files now, and not whenever it is collected


def _remembered(
    records: Iterable[tuple[int, Item]], waiting: deque[tuple[int, Conversation | None]]
) -> Iterator[Item]:
    """Hand conversations on, keeping of each what its row will need."""
    for record, item in records:
        waiting.append((record, item if isinstance(item, Conversation) else None))
        yield item


def _size(record: tuple[int, Item]) -> int:
    return text_size(record[1])


def _place(record: int, failure: Any) -> str:
    name = "" if failure.id is None else f" (id {failure.id!r})"
    return f"record {record}{name}: {failure.error}"


def _refuse_source(source: str, layout: Layout | None) -> None:
    """Refuse an output that would replace its own input, or that would be read as one."""
    if layout is None:
        return
    if (target := file_among(source, layout.written)) is not None:
        raise OutputExistsError(f"{target}: this is the input; name another output")
    if any(takes_up(source, path) for path in layout.written):
        raise OutputExistsError(
            f"{layout.target}: it lies in the input, or files written there match its pattern; "
            "name an output elsewhere"
        )
