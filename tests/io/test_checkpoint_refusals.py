"""Checkpoints that cannot be read or written end in a line with a remedy."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits.io import InputError, read_checkpoint, write_checkpoint


def test_a_stream_is_no_checkpoint():
    with pytest.raises(InputError, match="name one"):
        read_checkpoint("-")


def test_orbax_holds_no_empty_arrays(tmp_path):
    with pytest.raises(InputError, match=r"b, which is empty; write \.npz or \.safetensors"):
        write_checkpoint(tmp_path / "net.orbax", {"a": np.ones(2), "b": np.ones((0, 3))})
