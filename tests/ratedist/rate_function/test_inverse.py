"""D(R) against closed forms and against R(D)."""

from __future__ import annotations

import numpy as np
import pytest

import ratedist


@pytest.mark.parametrize("level", [0.02, 0.11, 0.3])
def test_of_a_fair_coin(level: float) -> None:
    rate = 1 + level * np.log2(level) + (1 - level) * np.log2(1 - level)
    found = ratedist.distortion([0.5, 0.5], 1.0 - np.eye(2), rate)
    assert found == pytest.approx(level, abs=1e-6)


def test_ends() -> None:
    p, d = np.array([0.7, 0.3]), np.array([[0.1, 1.0], [1.0, 0.2]])
    assert ratedist.distortion(p, d, 0.0) == pytest.approx(float((p @ d).min()), abs=1e-6)
    assert ratedist.distortion(p, d, 5.0) == pytest.approx(0.7 * 0.1 + 0.3 * 0.2)
    with pytest.raises(ValueError, match="not negative"):
        ratedist.distortion(p, d, -1.0)
