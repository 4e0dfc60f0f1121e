"""Tables of contexts: what followed comes first, streams share, features do not change."""

from __future__ import annotations

import numpy as np

from fewbits.codecs.text import contexts
from fewbits.codecs.text.contexts import ContextTables


def _read(text: bytes, n_streams: int = 1, slots_log2: int = 14) -> ContextTables:
    tables = ContextTables(n_streams, slots_log2)
    for byte in text:
        tables.update(np.full(n_streams, byte, np.uint8))
    return tables


def test_nothing_is_known_at_first():
    assert not ContextTables(3, 10).features().states.any()


def test_a_repeat_is_expected_by_every_order():
    words = b"the long quick brown fox jumps over the lazy dog; "
    features = _read(words + words[:-2]).features()
    seen = features.states[0, :, 0] > 0
    assert seen.all()
    # Behind "; " in a text that repeats itself comes its first letter, or its own separator.
    assert (features.candidates[0, 3:, 0] == ord(";")).all()


def test_frequent_bytes_move_to_the_front():
    features = _read(b"abababacababab" * 3 + b"a").features()
    order_1 = features.candidates[0, 2]
    assert order_1[0] == ord("b")
    assert ord("c") in order_1[1:]


def test_states_are_within_their_tables():
    random = np.random.default_rng(0).integers(97, 100, (800, 4), np.uint8)
    tables = ContextTables(4, 10)
    for byte in random:
        tables.update(byte)
        states = tables.features().states
        assert states.max() < contexts.STATES
    assert contexts.initial_logits().shape == (contexts.SHAPE.count * contexts.STATES, 1)
    assert contexts.initial_logits()[0] == 0


def test_features_do_not_change_afterwards():
    tables = _read(b"abcabcab")
    features = tables.features()
    before = features.candidates.copy(), features.states.copy()
    tables.update(np.array([ord("x")], np.uint8))
    np.testing.assert_array_equal(features.candidates, before[0])
    np.testing.assert_array_equal(features.states, before[1])


def test_streams_learn_from_one_another():
    tables = ContextTables(2, 14)
    for first, second in zip(b"abcdefgh.......", b"........abcdefg", strict=True):
        tables.update(np.array([first, second], np.uint8))
    features = tables.features()
    known = features.states[1, :, 0] > 0
    assert (features.candidates[1, known, 0] == ord("h")).any()
