"""Calibrating a calibrated model does not ruin it."""

from __future__ import annotations

import pytest

from tools.calibrate_twice import main


@pytest.mark.slow
def test_a_second_calibration_loses_few_charged_chats(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "1"]) == 0
    assert "seed 0: " in capsys.readouterr().out
