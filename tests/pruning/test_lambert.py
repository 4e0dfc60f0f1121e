import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import lambertw

from pruning.penalties.lambert import BRANCH_POINT, lambert_w


@pytest.mark.parametrize(("x64", "tolerance"), [(False, 2e-6), (True, 1e-9)])
def test_against_scipy(x64, tolerance):
    with jax.enable_x64(x64):
        z = np.concatenate([np.linspace(BRANCH_POINT + 1e-3, 0, 2001), -np.logspace(-30, -2, 50)])
        w = np.asarray(lambert_w(jnp.asarray(z)))
        expected = lambertw(np.asarray(jnp.asarray(z), np.float64)).real
    np.testing.assert_allclose(w, expected, rtol=tolerance, atol=tolerance * 1e-2)


def test_at_and_beyond_the_ends():
    z = jnp.array([BRANCH_POINT, -1.0, 0.0, 3.0, -jnp.inf])
    np.testing.assert_allclose(lambert_w(z), [-1, -1, 0, 0, -1], atol=1e-3)


def test_near_the_branch_point():
    """W's slope is infinite there: only w exp(w) can be asked to agree with z."""
    z = BRANCH_POINT * (1 - np.logspace(-7, -2, 40))
    w = np.asarray(lambert_w(jnp.asarray(z)), np.float64)
    np.testing.assert_allclose(w * np.exp(w), z, rtol=1e-6)
