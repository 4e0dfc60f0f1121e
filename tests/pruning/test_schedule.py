import jax.numpy as jnp
import numpy as np
import pytest

from pruning.penalties import drr
from pruning.schedule import CosineDecay, Ramp, Schedule, constant, scheduled


def test_factors():
    steps = jnp.array([0, 10, 15, 20, 99])
    np.testing.assert_allclose(Ramp(10, 20)(steps), [0, 0, 0.5, 1, 1])
    np.testing.assert_allclose(CosineDecay(10, 20, 0.2)(steps), [1, 1, 0.6, 0.2, 0.2], atol=1e-6)
    np.testing.assert_allclose(constant(steps), np.ones(5))


def test_scheduled_multiplies_rate_and_strength_only():
    plain = drr.Hyperparameters(*(jnp.float32(x) for x in (0.1, 0.2, 5.0, 0.3)))
    now = scheduled(plain, Schedule(CosineDecay(0, 10), Ramp(0, 10)), jnp.int32(5))
    np.testing.assert_allclose(now, [0.05, 0.1, 5.0, 0.3], rtol=1e-6)


@pytest.mark.parametrize("make", [Ramp, CosineDecay])
def test_an_empty_interval_is_refused(make):
    with pytest.raises(ValueError, match="5, 5"):
        make(5, 5)
