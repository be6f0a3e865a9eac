"""Last step: the card of the artifact (its README.md), rendered from the results."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectlib.model.artifacts import load_artifact
from training.config import Recipe, base_model, load_recipe
from training.data.sources import load_manifest
from training.evaluation.ablations import read_ablations
from training.evaluation.card_metadata import header
from training.evaluation.reliability import DIAGRAM, draw
from training.evaluation.tables import Table, tables

TEXT = """\
{header}
# {name} {version}

Tells **emotionally charged** from **task-oriented** chat transcripts between people and AI
assistants, and finds eleven affective cues. It is a model for affectlib, which lays out
conversations, aggregates turns and applies the thresholds, and was trained by the pipeline of that
project.

- **Reads** a user's message after up to {context} ({max_tokens} tokens in all).
- **Puts out** twelve logits: `emotional`, nine user cues, two assistant cues. The sigmoid of
  `emotional` is a calibrated probability. Those of the cues follow the mix of the dev sets, in
  which cues are far commoner than in a natural collection: decide by their thresholds.
- **Size**: {layers} layers, {hidden} wide, {vocabulary:,} pieces; started from {base}.
- **Languages**: English and French. Others written in Latin script work by chance.

## Intended use, and misuse

For research on transcripts in the aggregate: how common affective use is, how it is spread, what it
goes with. It is no diagnosis and no crisis detector. Do not use it to make decisions about a
person, to watch people without their consent, or on transcripts of minors without safeguards. The
probabilities assume that {prevalence:.0%} of conversations are emotional; `affectlib.prior_shift`
moves them to another share.

## Training data

{sources}

The corpus and the annotations were written by a large language model to the project's codebook, and
were not checked by people. Near-duplicates of evaluation data were removed from training.

## Results

Measured on the artifact with the fingerprint
`{fingerprint}`
(the SHA-256 of its `affect.json`, which holds those of its weights).

The dev conversations were never trained on. They do choose thresholds and calibration, so the
figures come from cross-fitting: each conversation is judged by a calibration fitted on the others.
They also chose between recipes, and the real ones, by kinds of errors, what some of the corpus's
conversations are about, so figures may be a little kind; those on the test split below are not.
Their labels were given by a large language model too, about half of them twice and blind, so they
are a consistent reading, not human gold. Values are followed by 95 % bootstrap intervals, for turns
over whole conversations; where all examples are alike, by those of Wilson. There are {positives}
emotional conversations among the {n} {which}: read the intervals.
{pools}
{targets}

### By source, language and length

{groups}

At each operating point:

{points}

On the corpus's dev split, `balanced`:

{corpus}

{languages}

### On conversations that chose nothing

The corpus's test split was written for this alone, by a large language model that saw the codebook
and no other conversation of the corpus, and annotated a second time, blind. It took no part in
training, calibration, thresholds or the choice of recipes; its conversations in languages other
than English and French had a say in how unknown words are read. The artifact judges it as it is.

{test}

{test_corpus}

Chats of students with each other, drawn at random from `chitchat_byu` and annotated twice and
blind, judged as if the first of the two were the user. What is said there is personal and seldom
charged. These chats took no part in training and chose nothing:

{small_talk}

### Beside other systems

On the same conversations. TF-IDF was trained on what the first table lists; MiniLM compares
each user message with descriptions of both labels and knows English alone; the thresholds for the
last columns are set on the same negatives for every system.

{baselines}

### Cues

Of whole conversations, all dev conversations together. AP is the average precision; F1 is that at
the cue's threshold, cross-fitted.

{cues}

### Calibration

![Reliability: the share of emotional conversations against their probability](reliability.svg)

Probabilities assume that {prevalence:.0%} of conversations are emotional. "Shifted" ones were moved
to the set's own share by `affectlib.prior_shift`. "Weighted" figures are of all dev conversations,
shifted to that share and with weights on the conversations: the emotional ones sum to the share,
the others to the rest, and within each class the real transcripts and the corpus weigh the same.
Resampling itself adds to this error, so the intervals lie high. In the diagram, bars are 95 %
Wilson intervals, and numbers are those of conversations.

{calibration}

### What else moves the probability

The assistant's replies swapped for warm and for cold ones, mean absolute change of the
conversation's probability{replies_remark}:

{replies}

The source guessed from the probability alone, within one class, AUROC (0.5 is chance):

{source}

The user's first-person pronouns masked, accuracy on the corpus's dev split
(`balanced`){pronouns_remark}:

{pronouns}

Rank correlation of the probability and the number of user turns, on uncharged conversations:

{drift}

A charged turn of the corpus as the last but one of a chat whose other turns are uncharged ones of
other conversations, share found (`balanced`); the last column has one of these in its place. The
turns around it are those of real transcripts (random pool), or of tasks of the corpus, of which
many were written to look charged, so that false alarms add up:

{late}

### Weights

{engines}

Time on the windows of the dev transcripts, beside a random encoder of six layers, 384 wide, that
was made int8 in the same way:

{speed}

{sizes}

### Measured variants

Decisions are those at `balanced`. The function of conversations was not yet drawn towards the
highest message in the variants that came before 0.10.0.

{ablations}

### Probes

A fixed list of messages on which models of this kind are known to go wrong.

{probes}

### Other genres

Share labelled emotional (`balanced`) in public sets that have no labels of ours:

{public}

## Limits

- Emotional conversations are rare in real transcripts, and so are they in the dev sets: the
  intervals are wide.
- The turns of a conversation are labelled one by one, with little context; what is only said
  between the lines of many turns is missed.
- Of a very long message at most four windows are read; what is not read is counted in
  `truncated_tokens`.
- Cues are rarer than the label; look at their figures above before you use one.
- Registers that the corpus lacks (dialects, teenagers' slang) are untested, as are languages that
  are not listed above.

## Reproduce

```
{commands}
```
{part_before}"""

POOLS = """
Of the real ones, those of the group "real: random pool" were drawn at random. The others were
chosen for being like emotional ones, and hold nearly all that are: on them false alarms are
commoner than in a natural collection, for which the random pool's specificity is the better guess.
The precision here is that of no natural collection. Prevalences (`affectlib prevalence`) are
corrected by the random pool's false alarms.
"""

PART_BEFORE = """
The commands are run in turn. The part before the last made {before},
which this model went on from. What a part was trained on stands above if it was
run along with the last one, and else in the card of the artifact that it made. The head with which
training went on holds that one's calibration: two numbers an output, fitted on dev conversations.
Run anew, the earlier parts learn from today's corpus and annotations, and their weights will
differ.
"""

AVERAGED = """
The weights are the average of what the last part learned, which counts {share:.0%}, and of those
of earlier artifacts, in equal shares: {others}.
"""


def write_card(recipe: Recipe) -> Path:
    """Render the card from ``results.json`` and write it into the artifact, with its diagram.

    Returns:
        Its path.

    Raises:
        ValueError: The results are those of another artifact.
    """
    folder = recipe.folder / "artifact"
    results = json.loads((recipe.folder / "results.json").read_text(encoding="utf-8"))
    measured, found = results["artifact"]["fingerprint"], load_artifact(folder).fingerprint
    if measured != found:
        raise ValueError(
            f"{recipe.folder / 'results.json'}: results of the artifact {measured[:8]}, but "
            f"{folder} is {found[:8]}; measure it with --start evaluate"
        )
    report = json.loads((recipe.folder / "prepare" / "report.json").read_text(encoding="utf-8"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    draw(results["calibration"]["bins"], folder / DIAGRAM)
    path = folder / "README.md"
    path.write_text(render(recipe, results, report, config), encoding="utf-8")
    return path


def render(
    recipe: Recipe, results: dict[str, Any], report: dict[str, Any], config: dict[str, Any]
) -> str:
    """Return the card's text."""
    groups = results["groups"]
    main = groups["real transcripts"] if recipe.real_dev else groups["corpus dev"]
    return TEXT.format(
        header=header(recipe, groups),
        name=recipe.name,
        version=recipe.version,
        fingerprint=results["artifact"]["fingerprint"],
        context=_context(recipe),
        max_tokens=recipe.windows.max_tokens,
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        vocabulary=config["vocab_size"],
        base=_bases(recipe),
        commands="\n".join(_commands(recipe)),
        pools=POOLS if recipe.real_dev else "",
        part_before=_describe_part_before(recipe),
        **_remarks(recipe),
        prevalence=recipe.calibrate.prevalence,
        sources=_training_data(recipe, report),
        positives=main["emotional"],
        n=main["n"],
        which="real ones" if recipe.real_dev else "of the corpus",
        **{name: t.markdown() for name, t in tables(results, read_ablations()).items()},
    )


def _context(recipe: Recipe) -> str:
    users_alone = recipe.windows.assistant_context_tokens == 0
    whose = "earlier ones of the same user" if users_alone else "earlier messages"
    return f"{recipe.windows.context_messages} {whose}"


def _remarks(recipe: Recipe) -> dict[str, str]:
    """Return what is to be said of figures that the recipe makes easy."""
    blind = recipe.windows.assistant_context_tokens == 0
    masked = recipe.augment.impersonal > 0
    return {
        "replies_remark": " (it does not read them, so there can be none)" if blind else "",
        "pronouns_remark": ", as in a part of the training windows" if masked else "",
    }


def _bases(recipe: Recipe) -> str:
    base = base_model(recipe.encoder.path) or recipe.encoder.path
    earlier = _earlier(recipe)
    learnt = [
        f"`{base_model(teacher.path) or teacher.path}`" if teacher.path else "itself"
        for part in (*earlier, recipe)
        for teacher in part.teachers
    ]
    return (
        f"`{base}`"
        + (" by way of " + ", then ".join(f"`{part.name}`" for part in earlier) if earlier else "")
        + (f", taught by {' and '.join(learnt)}" if learnt else "")
    )


def _describe_part_before(recipe: Recipe) -> str:
    if not _earlier(recipe):
        return ""
    text = PART_BEFORE.format(before=_name(recipe.encoder.path))
    if recipe.train.average < 1:
        others = recipe.train.average_with or (recipe.encoder.path,)
        text += AVERAGED.format(share=recipe.train.average, others=" and ".join(map(_name, others)))
    return text


def _name(path: str) -> str:
    artifact = load_artifact(path)
    return f"{artifact.name} {artifact.version} (fingerprint\n`{artifact.fingerprint}`)"


def _earlier(recipe: Recipe) -> list[Recipe]:
    """Return the recipes whose artifacts it goes on from or is averaged with, in turn."""
    parts: dict[str, Recipe] = {}
    for path in (*recipe.train.average_with, recipe.encoder.path):
        if match := re.fullmatch(r"runs/([\w-]+)/artifact", path):
            before = load_recipe(f"configs/{match[1]}.yaml")
            parts.update((part.name, part) for part in (*_earlier(before), before))
    return [*parts.values()]


def _commands(recipe: Recipe) -> Iterator[str]:
    for part in (*_earlier(recipe), recipe):
        command = f"python -m training.run --config configs/{part.name}.yaml --data DIR"
        files = (i for i, source in enumerate(part.sources) if source.path is not None)
        yield command + "".join(f" --set sources.{i}.path=FILE" for i in files)
    yield f"python -m training.evaluate --config configs/{recipe.name}.yaml --data DIR"


def _training_data(recipe: Recipe, report: dict[str, Any]) -> str:
    """Return the table of the recipe's data, then of the earlier parts that were run here."""
    text = _sources(report)
    for part in reversed(_earlier(recipe)):
        file = part.folder / "prepare" / "report.json"
        if file.is_file():
            earlier = _sources(json.loads(file.read_text(encoding="utf-8")))
            text += f"\n\nBefore it, `{part.name}` was trained on:\n\n{earlier}"
    return text


def _sources(report: dict[str, Any]) -> str:
    manifest = load_manifest()
    rows = []
    for name, counts in report.items():
        source = manifest.get(name.removesuffix("_wrapped").removesuffix("_annotated"))
        if source is not None:
            licence, origin = source.licence, source.repository
        else:
            licence, origin = "Apache-2.0", "this project, written by a large language model"
        rows.append(
            [
                name,
                counts.get("conversations", 0),
                counts.get("windows", 0),
                counts.get("emotional", 0),
                counts.get("near_duplicates", 0),
                origin,
                licence,
            ]
        )
    head = [
        "source",
        "conversations",
        "windows",
        "emotional",
        "near-duplicates removed",
        "origin",
        "licence",
    ]
    return Table("Training data", head, rows).markdown()
