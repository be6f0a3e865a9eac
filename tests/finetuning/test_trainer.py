"""The order in which windows are learnt, also after a stop."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch", reason="training needs affectlib[train]")
pytest.importorskip("datasets", reason="training needs affectlib[train]")
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from affectlib.finetuning import trainer as module
from affectlib.finetuning.settings import TrainSettings
from affectlib.finetuning.trainer import (
    BatchSampler,
    ModelEngine,
    fit,
    mix_targets,
    multi_task_loss,
)
from affectlib.model.encoding import NO_TURN
from affectlib.taxonomy import EMOTIONAL, OUTPUTS
from tests.conftest import tiny_bert

BATCH = 4


@given(st.lists(st.integers(1, 90), min_size=1, max_size=700), st.integers(1, 9))
def test_each_window_is_drawn_once_in_an_epoch(lengths: list[int], size: int) -> None:
    assert sorted(BatchSampler(lengths, size, seed=1)) == [*range(len(lengths))]


def test_windows_of_a_batch_are_of_like_length_and_batches_in_no_order_of_length() -> None:
    lengths = np.random.default_rng(0).integers(5, 250, 5000)
    drawn = lengths[[*BatchSampler(lengths.tolist(), 25, seed=1)]].reshape(-1, 25)
    assert np.median(np.ptp(drawn, axis=1)) < 10
    means = drawn.mean(axis=1)
    assert abs(np.corrcoef(means[1:], means[:-1])[0, 1]) < 0.3


def test_each_epoch_and_seed_has_its_order() -> None:
    def drawn(seed: int, epoch: int) -> list[int]:
        sampler = BatchSampler([*range(100)], BATCH, seed)
        sampler.set_epoch(epoch)
        return [*sampler]

    orders = [drawn(seed, epoch) for seed in (1, 2) for epoch in (0, 1)]
    assert len({*map(tuple, orders)}) == 4
    assert drawn(1, 0) == orders[0]


def model() -> Any:
    return tiny_bert(
        vocab_size=50, hidden_size=8, num_hidden_layers=1, intermediate_size=8, pad_token_id=0
    )


def windows(count: int = 42) -> Dataset:
    """Windows that their weights tell apart."""
    ids = [[1 + number % 40] * (3 + number % 7) for number in range(count)]
    return Dataset.from_dict(
        {
            "input_ids": ids,
            "turns": [[NO_TURN, *[0] * (len(own) - 2), NO_TURN] for own in ids],
            "targets": [[[float(number % 2)] * len(OUTPUTS)] * 2 for number in range(count)],
            "weight": [1 + number / 1000 for number in range(count)],
            "length": [*map(len, ids)],
        }
    )


def test_a_stopped_training_goes_on_with_the_windows_that_it_had_not_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches: list[tuple[float, ...]] = []
    plain, stop = module._Collator.__call__, [False]

    def noted(self: Any, rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        if stop[0] and len(batches) == 18:
            raise KeyboardInterrupt
        batches.append(tuple(row["weight"] for row in rows))
        return plain(self, rows)

    monkeypatch.setattr(module._Collator, "__call__", noted)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"[PAD]": 0}, unk_token="[PAD]")),
        pad_token="[PAD]",
    )
    settings = TrainSettings(epochs=3, batch_size=BATCH, save_steps=5)

    def learn(folder: Path) -> list[tuple[float, ...]]:
        batches.clear()
        fit(model(), tokenizer, windows(), folder, settings, seed=1)
        return [*batches]

    whole = learn(tmp_path / "whole")
    assert len(whole) == 3 * 11
    stop[0] = True
    with pytest.raises(KeyboardInterrupt):
        learn(tmp_path / "stopped")  # in the second epoch
    stop[0] = False
    assert learn(tmp_path / "stopped") == whole[15:]


NAN = float("nan")


def loss(logits: list[Any], targets: list[Any]) -> float:
    one = torch.tensor([logits]).unsqueeze(-1), torch.tensor([targets]).unsqueeze(-1)
    return multi_task_loss(*one, torch.ones(1), 0.0, [EMOTIONAL]).item()


def test_a_window_counts_as_much_as_all_its_messages_together() -> None:
    whole, message = loss([2.0, 9.0], [1.0, NAN]), loss([9.0, 2.0], [NAN, 1.0])
    assert whole == pytest.approx(message)
    assert loss([2.0] * 4, [1.0] * 4) == pytest.approx(whole + message)


def test_what_is_not_known_teaches_nothing() -> None:
    assert loss([3.0, -4.0], [NAN, NAN]) == 0
    assert loss([2.0, 5.0, 2.0], [NAN, NAN, 1.0]) == pytest.approx(loss([9.0, 2.0], [NAN, 1.0]))


def test_padding_of_a_batch_changes_no_loss() -> None:
    rows = [
        {
            "input_ids": [1, 4, *[5] * size, 2],
            "turns": [NO_TURN, *[0] * (size + 1), NO_TURN],
            "targets": [[1.0] * len(OUTPUTS)] * 2,
            "weight": 1.0,
        }
        for size in (2, 23)
    ]
    trained = model()
    collate = module._Collator(0)

    def logits(some: list[dict[str, Any]]) -> np.ndarray[Any, Any]:
        batch = collate(some)
        assert batch["input_ids"].shape[1] % module.MULTIPLE == 0
        names = ("input_ids", "attention_mask", "turns")
        return ModelEngine(trained).logits(*(batch[name].numpy() for name in names))

    together = logits(rows)
    for place, row in enumerate(rows):
        np.testing.assert_allclose(together[place], logits([row])[0], atol=0.02)


def test_where_nothing_is_labelled_the_teacher_decides_alone() -> None:
    labels, soft = np.array([1.0, NAN, 0.0, NAN]), np.array([0.5, 0.25, NAN, NAN])
    np.testing.assert_allclose(mix_targets(labels, soft, 0.2), [0.9, 0.25, 0.0, NAN])
