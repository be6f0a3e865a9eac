from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("sklearn", reason="training needs affectlib[train]")
pytest.importorskip("evaluate", reason="training needs affectlib[train]")

from training.evaluation.agreement import agreement, main


def row(charge: int, second: int | None) -> dict[str, Any]:
    return {"labels": {"charge": charge, "second_charge": second}}


def test_rows_that_were_annotated_once_do_not_count() -> None:
    found = agreement([row(3, 2), row(0, 0), row(2, 0), row(1, 0), row(0, None)])
    assert found["label"].n == 4
    # Three of four agree (0.75); by chance two would (0.5).
    assert found["label"].value == pytest.approx(0.5)


def test_our_annotations_are_stable(capsys: pytest.CaptureFixture[str]) -> None:
    main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        *["corpus"] * 2,
        *["sharegpt_unlabelled"] * 2,
        *["chitchat_byu"] * 2,
        *["goemotions"] * 2,
        *["xed"] * 2,
        *["counselchat"] * 2,
        *["real"] * 2,
        *["small"] * 2,
    ]
    kappas = [float(line.split("of the label")[1].split()[0]) for line in lines[::2]]
    for place, n in enumerate([4027, 170, 720, 7072, 3236, 328]):
        assert f"n={n}" in lines[2 * place]
    # In small talk that was sought out, many turns lie between a passing touch and a charge.
    assert kappas.pop(2) > 0.7
    assert all(kappa > 0.8 for kappa in kappas)
