from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import units


def test_a_nat_is_log2_e_bits():
    assert units.nats_to_bits(1.0) == pytest.approx(1.4426950408889634, rel=1e-15)
    assert units.bits_to_nats(units.nats_to_bits(0.3)) == pytest.approx(0.3, rel=1e-15)


@pytest.mark.parametrize(("bits", "expected"), [(0, 0), (0.1, 1), (8, 1), (8.01, 2), (4096, 512)])
def test_bits_are_rounded_up_to_bytes(bits, expected):
    assert units.bits_to_bytes(bits) == expected


def test_entropies_in_closed_form():
    assert units.entropy_bits([0.5, 0.25, 0.125, 0.125]) == pytest.approx(1.75, rel=1e-15)
    assert units.entropy_bits([1.0, 0.0]) == 0
    assert units.binary_entropy_bits(0.5) == pytest.approx(1.0, rel=1e-15)
    assert units.binary_entropy_bits(0.0) == units.binary_entropy_bits(1.0) == 0
    assert units.empirical_entropy_bits([3, 3, 0, 6]) == pytest.approx(1.5, rel=1e-15)
    assert units.empirical_entropy_bits([0, 0]) == 0
    assert units.divergence_bits([0.5, 0.5], [0.25, 0.75]) == pytest.approx(
        0.5 * np.log2(2) + 0.5 * np.log2(2 / 3), rel=1e-14
    )
    assert units.divergence_bits([0.5, 0.5], [1.0, 0.0]) == np.inf
    assert units.divergence_bits([1.0, 0.0], [1.0, 0.0]) == 0


def test_jax_arrays_stay_jax_arrays_and_have_finite_gradients_at_zero():
    probabilities = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    entropy = jax.jit(units.entropy_bits)(probabilities)
    assert isinstance(entropy, jax.Array)
    np.testing.assert_allclose(entropy, [1.0, 0.0], atol=1e-6)
    gradient = jax.grad(lambda p: units.entropy_bits(p).sum())(probabilities)
    assert np.isfinite(gradient).all()
    divergence = jax.jit(units.divergence_bits)(probabilities, probabilities)
    np.testing.assert_allclose(divergence, 0.0, atol=1e-6)


def test_integer_counts_of_jax_and_a_chosen_axis():
    counts = jnp.array([[1, 0], [1, 4]])
    np.testing.assert_allclose(units.empirical_entropy_bits(counts, axis=0), [1.0, 0.0], atol=1e-6)
