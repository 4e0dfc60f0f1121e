"""Texts learned under a penalty: every method is known to the decoder, and cuts weights."""

from __future__ import annotations

import pytest

from fewbits.codecs.text import archive, offline, offline_training, online
from fewbits.training import trees
from fewbits.training.models.transformer import TransformerConfig
from pruning import text_learners
from pruning.methods import METHODS

TEXT = b"what repeats, repeats; what does not, does not. " * 40
SHAPE = TransformerConfig(8, 1, 1, window=16)


def test_every_method_learns_online_and_offline():
    assert set(online.METHODS) < set(text_learners.ONLINE)
    assert set(text_learners.ONLINE) - set(online.METHODS) <= set(METHODS)


@pytest.mark.slow
def test_a_pruned_network_in_a_file_gives_the_text():
    plan = text_learners.Training(60, 20, batch_size=8, length=64, tolerance=0.05)
    found = text_learners.train(SHAPE, TEXT, TEXT[:500], method="drr", weight=1e-4, plan=plan)
    assert found.nonzeros == int(trees.nonzeros(found.params)) < trees.size(found.params)
    assert found.formula_bytes == pytest.approx(
        4 * found.nonzeros + found.loss_nats * len(TEXT) / 5.545177, rel=1e-6
    )
    network, _ = offline_training.smallest_network(SHAPE, found.params, TEXT)
    assert archive.decompress(offline.compress(TEXT, SHAPE, network)) == TEXT
