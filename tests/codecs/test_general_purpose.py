"""General-purpose compressors: round trips, and sizes that are those of the files."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.codecs import general_purpose


@pytest.mark.parametrize("name", general_purpose.CODECS)
@settings(max_examples=20, deadline=None)
@given(data=st.binary(max_size=200))
def test_what_was_compressed_comes_back(name, data):
    codec = general_purpose.CODECS[name]
    assert codec.decompress(codec.compress(data)) == data
    assert codec.compress(data) == codec.compress(data)


def test_repetition_shrinks_under_every_compressor():
    text = b"what repeats, repeats; " * 2000
    sizes = general_purpose.sizes(text)
    assert max(sizes.values()) < len(text) / 10
    for name, codec in general_purpose.CODECS.items():
        assert sizes[name] == len(codec.compress(text))
