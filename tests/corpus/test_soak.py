"""A short soak, and that it would notice what grows."""

from __future__ import annotations

import pytest

from tools.soak import Record, main, soak


@pytest.mark.slow
def test_nothing_grows_in_a_short_soak(tiny_classifier):
    record = soak(tiny_classifier, 0.2)
    assert record.conversations[-1] > 1000
    assert not {"files", "threads"} & {*record.growing()}
    # What is left of the warm-up in so short a run is little for so many conversations.
    assert record.memory[-1] - record.memory[len(record.memory) // 2] < 30


def series(memory, files=10, threads=1):
    record = Record()
    for place in range(50):
        record.conversations.append(place * 100)
        record.memory.append(memory(place))
        record.files.append(files if isinstance(files, int) else files(place))
        record.threads.append(threads if isinstance(threads, int) else threads(place))
    return record


def test_what_grows_is_noticed():
    noise = [0.3, -0.2, 0.1, -0.4, 0.2]
    assert series(lambda i: 300 + noise[i % 5]).growing() == []
    assert series(lambda i: 300 + noise[i % 5] + (i if i < 9 else 9)).growing() == []
    grown = series(lambda i: 300 + noise[i % 5] + 0.2 * i)
    assert grown.growing() == ["memory"]
    assert grown.slope()[0] == pytest.approx(2, abs=0.2)
    assert series(lambda i: 300, files=lambda i: 10 + i % 3).growing() == []
    assert series(lambda i: 300, files=lambda i: 10 + i // 5).growing() == ["files"]
    assert series(lambda i: 300, threads=lambda i: 1 + i // 20).growing() == ["threads"]


@pytest.mark.slow
def test_the_command(tiny_folder, capsys):
    # So short a run may well find that memory grows: what matters is that it says what it returns.
    status = main(["--minutes", "0.05", "--model", str(tiny_folder)])
    out = capsys.readouterr().out
    assert "MB per 1,000 conversations" in out
    assert ("growing: nothing" in out) == (status == 0)
