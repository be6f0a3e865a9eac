"""Make the pictures of the documentation anew, with a headless Chromium.

    python -m tools.pictures

They show a simulated population and the texts of ``examples``. Pillow, which matplotlib brings,
makes them small.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from pathlib import Path

from tests.chromium import PROGRAM, Page, chromium

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs" / "images"
COLOURS = 128
"""A palette of so many keeps a picture of a page small."""


def report() -> str:
    from affectlib.analysis import sample
    from tools.simulate import simulate

    people = simulate(2000, seed=1, prevalence=0.03)
    drawn = sample(people.conversations, 400, seed=1).drop("gold", "themes")
    gold = drawn.join(people.gold_conversations, on=["record", "conversation_id"])
    return report(
        people.conversations,
        messages=people.messages,
        participants=people.participants,
        gold=gold,
        by="gender",
        made_on=date(2025, 6, 1),
        title="Affective use in a simulated population",
    ).html()


def sheet() -> str:
    from affectlib import read_conversations
    from affectlib.analysis import annotation_page, read_labels, sample
    from affectlib.corpus.label_file import label_file

    transcripts = ROOT / "examples" / "transcripts.jsonl"
    with tempfile.TemporaryDirectory() as folder:
        labels = Path(folder) / "labels.parquet"
        label_file(transcripts, labels)
        drawn = sample(read_labels(labels).collect(), 20, seed=3)
    return annotation_page(drawn, read_conversations(transcripts))


def notebook() -> str:
    """A prediction as a notebook shows it, below the line that made it."""
    import affectlib

    messages = [
        {"role": "user", "content": "Can you fix the grammar in my cover letter?"},
        {"role": "assistant", "content": "Of course, please paste it here."},
        {"role": "user", "content": "forget it. they fired me and I can't stop crying"},
        {"role": "assistant", "content": "I'm so sorry. That must hurt a lot."},
        {"role": "user", "content": "thanks. can you at least look at the first paragraph?"},
    ]
    shown = affectlib.AffectClassifier.from_pretrained().explain(messages)._repr_html_()
    return (
        '<!doctype html><meta charset="utf-8"><style>body{margin:16px;font:14px system-ui,'
        '"DejaVu Sans",sans-serif}pre{background:#f4f5f7;padding:8px 10px;border-radius:4px}'
        "table{font-size:13px}</style><pre>classifier.explain(messages)</pre>" + shown
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture shows: a page from the top of an element on, so wide and so high."""

    page: Callable[[], str]
    width: int
    height: int
    start: str = "body"


PICTURES: Mapping[str, Picture] = {
    "report": Picture(report, 820, 1340, "#short"),
    "sheet": Picture(sheet, 1100, 760),
    "notebook": Picture(notebook, 760, 165),
}


def draw(tab: Page, picture: Picture, folder: Path) -> bytes:
    from PIL import Image

    page, taken = folder / "page.html", folder / "page.png"
    page.write_text(picture.page(), encoding="utf-8")
    tab.send("Emulation.setScrollbarsHidden", hidden=True)
    tab.open(page, width=picture.width, height=picture.height)
    top = tab.value(f"document.querySelector('{picture.start}').getBoundingClientRect().top")
    tab.picture(taken)
    with Image.open(taken) as whole:
        upper = int(max(top, 0))
        box = (0, upper, picture.width, min(upper + picture.height, whole.height))
        part = whole.convert("RGB").crop(box)
    small = BytesIO()
    part.quantize(COLOURS, dither=Image.Dither.NONE).save(small, "png", optimize=True)
    return small.getvalue()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.pictures", description=__doc__)
    parser.add_argument("name", nargs="*", help="which ones; all if left out", default=[*PICTURES])
    names = parser.parse_args(arguments).name
    if PROGRAM is None:
        parser.error("no Chromium was found; install one, for example: apt-get install chromium")
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium(Path(folder)) as tab:
        for name in names:
            picture = draw(tab, PICTURES[name], Path(folder))
            (IMAGES / f"{name}.png").write_bytes(picture)
            print(f"{name}.png  {len(picture):,} bytes")


if __name__ == "__main__":
    main()
