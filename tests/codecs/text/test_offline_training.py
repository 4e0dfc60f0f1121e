"""Training a network for an offline text: pieces, their loss, the precision of the file."""

from __future__ import annotations

import jax
import numpy as np
import pytest

from fewbits.codecs.text import offline, offline_training
from fewbits.training.models import transformer

SHAPE = transformer.TransformerConfig(width=8, layers=1, heads=1, window=16)
TEXT = bytes(range(97, 117)) * 30


def test_pieces_are_the_text_and_the_bytes_after_it():
    read, after = offline_training.pieces(b"abcdefgh", 3)
    assert [bytes(row.tolist()) for row in np.asarray(read)] == [b"abc", b"def"]
    assert [bytes(row.tolist()) for row in np.asarray(after)] == [b"bcd", b"efg"]
    assert offline_training.pieces(b"abc", 100)[0].shape == (1, 2)
    with pytest.raises(ValueError, match="at least 2"):
        offline_training.pieces(b"a", 3)


@pytest.mark.slow
def test_the_best_precision_is_the_least_of_network_and_text():
    params = transformer.init(SHAPE, jax.random.key(0))
    data = offline_training.pieces(TEXT, 4 * SHAPE.window)
    network, bits = offline_training.smallest_network(SHAPE, params, TEXT)

    def total(bits: int) -> float:
        coded = offline.network_file(params, bits)
        decoded = offline.sparse_code.read_sparse(coded)
        nats = offline_training.mean_nats(SHAPE, decoded, data)
        return len(coded) + nats * len(TEXT) / (8 * np.log(2))

    assert network == offline.network_file(params, bits)
    assert total(bits) == pytest.approx(min(map(total, offline_training.PRECISIONS)))


@pytest.mark.slow
def test_an_untrained_network_costs_about_a_byte_a_byte():
    params = transformer.init(SHAPE, jax.random.key(0))
    nats = offline_training.mean_nats(SHAPE, params, offline_training.pieces(TEXT, 64))
    assert nats == pytest.approx(np.log(256), rel=0.2)
