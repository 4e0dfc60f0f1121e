"""An array as bytes and back, in one call each."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist
from fewbits.coding import FormatError
from fewbits.coding.units import entropy_bits
from ratedist import sources


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"dimension": 2}, marks=pytest.mark.slow),
        pytest.param({"code": "trellis"}, marks=pytest.mark.slow),
    ],
    ids=["scalar", "pairs", "trellis"],
)
def test_round_trip(options):
    x = np.random.default_rng(0).normal(size=(40, 50))
    data = ratedist.encode(x, 0.2, **options)
    back = ratedist.decode(data)
    assert back.shape == x.shape
    assert back.dtype == np.float32
    assert 0.1 < ((back - x) ** 2).mean() <= 0.2
    assert len(data) < x.nbytes / 20


@pytest.mark.parametrize(
    ("values", "level", "options", "said"),
    [
        ([1.0, np.nan], 0.1, {}, "1 values are NaN"),
        ([], 0.1, {}, "shape"),
        (["a"], 0.1, {}, "real numbers"),
        ([1.0, 2.0], 0.0, {}, "positive"),
        ([1.0, 2.0], np.nan, {}, "positive"),
        ([1.0, 2.0], 0.1, {"dimension": 5}, "1 to 4"),
        ([1.0, 2.0, 3.0], 0.1, {"dimension": 2}, "multiple"),
        ([1.0, 2.0], 0.1, {"code": "trellis", "dimension": 2}, "single numbers"),
        ([1.0, 2.0], 0.1, {"code": "other"}, "'scalar' or 'trellis'"),
    ],
)
def test_bad_arguments_are_named(values, level, options, said):
    with pytest.raises(ValueError, match=said):
        ratedist.encode(values, level, **options)


def test_bytes_of_another_kind():
    with pytest.raises(FormatError):
        ratedist.decode(b"something else")


@pytest.mark.parametrize("level", [30.0, 40.0, 55.0, 100.0])
def test_the_scalar_code_spends_the_distortion_that_was_asked_for(level):
    """Optimal codes exist for some errors only: 40 asked used to give 32."""
    rng = np.random.default_rng(0)
    x = np.clip(rng.normal(100, 40, size=4_000), 0, 255).round()
    data = ratedist.encode(x, level, code="scalar")
    error = np.mean((ratedist.decode(data) - x) ** 2)
    assert 0.99 * level <= error <= level
    source = sources.from_samples(x)
    hull = ratedist.quantizers.scalar_code_at(source.p, source.points[:, 0], level)
    used = np.bincount(np.asarray(hull.cell), source.p)
    assert len(data) <= len(x) * entropy_bits(used[used > 0]) / 8 + 200
