"""States of coding in files: what stops goes on, and another state is refused."""

from __future__ import annotations

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.codecs.text import resumable, streams
from tests.codecs.text.test_streams import Counting


def test_states_come_back(tmp_path: Path):
    half = np.asarray(jnp.arange(6, dtype=jnp.bfloat16).reshape(2, 3))
    state = {
        "half": half,
        "words": np.array([1 << 63], np.uint64),
        "scalar": np.array(7),
        "flags": np.array([True]),
        "nothing": None,
    }
    resumable.save(tmp_path / "state", state)
    found = resumable.load(tmp_path / "state", state)
    assert found["half"].dtype == half.dtype
    for name in ("half", "words", "scalar", "flags"):
        np.testing.assert_array_equal(found[name], state[name])
    with pytest.raises(ValueError, match="something else"):
        resumable.load(tmp_path / "state", {**state, "scalar": np.zeros(2)})
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_coding_goes_on_from_its_file(tmp_path: Path):
    text, path = bytes(range(200)) * 20, tmp_path / "part"
    coded = streams.encode(Counting(4), text, 4)
    stopped = streams.Encoder(Counting(4), text, 4)
    stopped.advance(300)
    resumable.save(path, stopped.state())
    seen = []

    class Watched(Counting):
        def observe(self, byte: np.ndarray) -> None:
            seen.append(1)
            super().observe(byte)

    # Every chunk of steps is saved, and the file goes at the end.
    run = resumable.resumable(path, every_seconds=0.0)
    assert streams.encode(Watched(4), text, 4, run) == coded
    assert len(seen) == 1000 - 300
    assert not path.exists()
    assert streams.decode(Counting(4), coded, len(text), 4, run) == text
