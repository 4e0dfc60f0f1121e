"""The identities of weights in bits; numbers refer to the list in the design."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError, container, tables
from fewbits.coding.bits_back.integer_normal import UNIT_BITS, VALUE_BITS, phi, quantiles
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights import gaussian_code, prior_file, step_size
from fewbits.coding.weights.gaussian_code import codelength_bits, predicted_bits
from fewbits.coding.weights.trees import parameter_tree
from tests.coding.families import DETERMINISTIC
from tests.coding.mutants import Outcomes, campaign

N, SIGMA = 100_000, 0.05


def gaussian_weights(scale: float = SIGMA, count: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, scale, count)


def test_phi_is_phi():
    t = np.linspace(-6.5, 6.5, 2001)
    exact = np.array([0.5 * math.erfc(-x / math.sqrt(2)) for x in t])
    found = phi(np.rint(t * 2**UNIT_BITS).astype(np.int64)) / 2**VALUE_BITS
    np.testing.assert_allclose(found, exact, atol=4e-6)
    every = phi(np.arange(-(8 << UNIT_BITS), 8 << UNIT_BITS))
    assert (np.diff(every) >= 0).all()
    assert every[0] == 0
    assert every[-1] >= (1 << VALUE_BITS) - 1


def test_quantiles_invert_phi():
    share = np.arange(1, 64)
    found = phi(quantiles(share, 64)) / 2**VALUE_BITS
    np.testing.assert_allclose(found, share / 64, atol=1e-5)


@pytest.mark.parametrize("ratio", [4, 8, 32, 256])
def test_identity_4_the_length_is_the_squared_norm(ratio):
    step = SIGMA / ratio
    weights = gaussian_weights()
    norm_bits = np.sum(weights**2) / (2 * SIGMA**2 * math.log(2))
    formula = norm_bits + N * math.log2(SIGMA * math.sqrt(2 * math.pi) / step)
    assert codelength_bits(weights, step, SIGMA) == pytest.approx(formula, rel=0.005)


@pytest.mark.parametrize("ratio", [4, 16])
def test_a_laplace_prior_counts_the_absolute_norm(ratio):
    weights = np.random.default_rng(1).laplace(0, SIGMA, N)
    step = SIGMA / ratio
    formula = np.abs(weights).sum() / SIGMA / math.log(2) + N * math.log2(2 * SIGMA / step)
    length = codelength_bits(weights, step, SIGMA, gaussian_code.LAPLACE)
    assert length == pytest.approx(formula, rel=0.005)


def test_identity_3_a_bit_a_halving_and_two_a_quadrupling():
    weights = gaussian_weights()
    coarse = codelength_bits(weights, SIGMA / 8, SIGMA)
    assert codelength_bits(weights, SIGMA / 16, SIGMA) - coarse == pytest.approx(N, rel=0.005)
    wide = codelength_bits(4 * weights, SIGMA / 8, 4 * SIGMA)
    assert wide - coarse == pytest.approx(2 * N, rel=0.005)


@given(st.floats(0.05, 0.98), st.floats(2, 64))
@DETERMINISTIC
def test_identity_5_smaller_weights_are_shorter(factor, ratio):
    weights = gaussian_weights(count=2000)
    step = SIGMA / ratio
    smaller = codelength_bits(factor * weights, step, SIGMA)
    assert smaller < codelength_bits(weights, step, SIGMA)


def test_identity_9_a_wrong_scale_costs_the_divergence():
    weights = gaussian_weights()
    weights *= SIGMA / np.sqrt(np.mean(weights**2))  # or the sample's own spread would count too
    wrong = math.sqrt(2) * SIGMA  # a scale that can be sent exactly
    ratio = SIGMA / wrong
    divergence_bits = (0.5 * (ratio**2 - 1) - math.log(ratio)) / math.log(2)
    step = SIGMA / 32
    excess = codelength_bits(weights, step, wrong) - codelength_bits(weights, step, SIGMA)
    assert excess == pytest.approx(N * divergence_bits, rel=0.02)


def test_the_fitted_length_is_the_logarithm_of_the_norm():
    for scale in (0.2, 0.05, 0.0125):
        weights = gaussian_weights(scale)
        step = 2.0**-9
        _, occurrences = tables.histogram(np.rint(weights / step).astype(np.int64))
        length = codelength_bits(weights, step, float(np.sqrt(np.mean(weights**2))))
        assert length == pytest.approx(predicted_bits(np.sum(weights**2), N, step), rel=0.005)
        assert occurrences.sum() == N


def test_identity_8_precision_pays_until_half_a_nat_a_weight():
    """A quadratic model: weights under a known Hessian, rounded, as in linear regression."""
    rng = np.random.default_rng(0)
    count, examples = 400, 4000
    curvature = examples * rng.gamma(5, 0.2, count)
    weights = rng.normal(0, 1, count)
    trace = float(curvature.sum())
    best = float(step_size.best_step(count, trace))
    steps = best * 2.0 ** (np.arange(-8, 9) / 4)

    def total_bits(step: float) -> float:
        excess = []
        for shift in rng.random(64):
            rounded = step * (np.rint(weights / step + shift) - shift)
            excess.append(0.5 * np.sum(curvature * (rounded - weights) ** 2))
        return float(np.mean(excess)) / math.log(2) + codelength_bits(weights, step, 1.0)

    totals = [total_bits(step) for step in steps]
    assert abs(math.log2(steps[int(np.argmin(totals))] / best)) <= 0.5
    predicted = float(step_size.excess_nats(best, trace)) / math.log(2)
    assert predicted == pytest.approx(count / (2 * math.log(2)))
    excess = total_bits(best) - codelength_bits(weights, best, 1.0)
    assert excess == pytest.approx(0.7213 * count, rel=0.05)


def test_hutchinson_finds_the_trace():
    matrix = np.random.default_rng(0).normal(size=(30, 30))
    hessian = jnp.asarray(matrix @ matrix.T, jnp.float32)

    def loss(params):
        vector = jnp.concatenate([params["a"].ravel(), params["b"]])
        return 0.5 * vector @ hessian @ vector + jnp.sum(params["b"])

    params = {"a": jnp.ones((4, 5)), "b": jnp.zeros(10)}
    trace, error = jax.jit(lambda key: step_size.hutchinson_trace(key, loss, params, 200))(
        jax.random.key(0)
    )
    assert abs(float(trace) - float(jnp.trace(hessian))) < 4 * float(error)
    assert float(error) < 0.1 * float(trace)
    with pytest.raises(ValueError, match="2 probes"):
        step_size.hutchinson_trace(jax.random.key(0), loss, params, 1)


def test_diagonal_hessians_need_no_second_probe():
    scales = jnp.arange(1.0, 8.0)
    trace, error = step_size.hutchinson_trace(
        jax.random.key(1), lambda x: 0.5 * jnp.sum(scales * x**2), jnp.ones(7), 2
    )
    assert float(trace) == pytest.approx(28)
    assert float(error) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(("limit", "start"), [(0.3, 0.01), (0.3, 5.0), (0.0, 0.1), (99.0, 0.1)])
def test_the_coarsest_acceptable_step(limit, start):
    found = step_size.coarsest(lambda step: step <= limit, start, 1e-3, 1.0)
    assert found <= max(limit, 1e-3)
    if 1e-3 < limit < 1.0:
        assert found * step_size.HALF_OCTAVE > limit


def tree(seed: int = 0):
    rng = np.random.default_rng(seed)
    return {
        "a": rng.normal(0, 0.1, (40, 30)),
        "b": [rng.laplace(0, 0.1, 300), np.zeros(50), np.float32(-3.0)],
        "spiky": rng.normal(size=(60, 10)) * (rng.random((60, 10)) < 0.05),
        "empty": np.zeros((0, 3)),
        "far": 5 + rng.normal(0, 0.01, 20),
    }


@pytest.mark.parametrize("family", prior_file.FAMILIES)
@pytest.mark.parametrize("step", [0.7, 0.02, 0.0005])
def test_what_comes_back_is_what_quantise_says(family, step):
    data = prior_file.write_coded(tree(), step, family)
    back, expected = prior_file.read_coded(data), prior_file.quantise_coded(tree(), step)
    assert jax.tree.structure(back) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(back), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(one, other)
    assert back["a"] == pytest.approx(tree()["a"], abs=step / 2 * 1.001)


@pytest.mark.parametrize("family", gaussian_code.FAMILIES)
def test_identity_1_real_streams_come_close_to_their_ideal(family):
    rng = np.random.default_rng(2)
    weights = {
        "gaussian": rng.normal(0, 0.05, N),
        "laplace": rng.laplace(0, 0.05, N),
        "spike": rng.normal(0, 0.05, N) * (rng.random(N) < 0.1),
    }[family]
    data = prior_file.write_coded([weights], 0.01, family)
    minimum, occurrences = tables.histogram(
        np.rint(weights / np.float64(np.float32(0.01))).astype(int)
    )
    prior = gaussian_code.fit(family, minimum, occurrences)
    table = gaussian_code.table(prior, minimum, minimum + occurrences.size - 1)
    ideal = float(occurrences @ table.cost_bits)
    stream = container.read_archive(data).sections["symbols"]
    assert ideal - 1 <= 8 * len(stream) <= 1.001 * ideal + 64
    others = [len(prior_file.write_coded([weights], 0.01, one)) for one in prior_file.FAMILIES]
    # Its own family is best, but that a spike beside the slab may fit zero a little better.
    assert len(data) <= min(others) + 40


def test_the_empirical_prior_is_never_much_worse():
    weights = [np.random.default_rng(3).standard_t(2, 20_000) * 0.05]
    sizes = {one: len(prior_file.write_coded(weights, 0.01, one)) for one in prior_file.FAMILIES}
    assert sizes["empirical"] == min(sizes.values())


@given(
    st.sampled_from(gaussian_code.FAMILIES),
    st.integers(-1280, 1280),
    st.integers(1, 65535),
    st.integers(-300, 10),
    st.integers(0, 300),
)
@DETERMINISTIC
def test_priors_are_read_back(family, scale, share, minimum, span):
    prior = gaussian_code.Prior(family, scale, share if family == "spike" else 0)
    code = gaussian_code.to_bytes(prior, minimum, minimum + span)
    reader = ByteReader(code, "priors")
    assert gaussian_code.read(reader) == gaussian_code.table(prior, minimum, minimum + span)
    reader.finish()


def test_steps_may_differ_by_tensor():
    params = {"a": np.ones(3), "b": {"c": np.full(2, 0.3)}}
    by_path = prior_file.quantise_coded(params, {"a": 0.3, "b/c": 0.25})
    by_function = prior_file.quantise_coded(params, lambda path, _: 0.3 if path == "a" else 0.25)
    for one in (by_path, by_function):
        assert one["a"] == pytest.approx(np.full(3, 0.9))
        assert one["b"]["c"] == pytest.approx(np.full(2, 0.25))


@pytest.mark.parametrize(
    ("steps", "family", "message"),
    [
        (0.0, "gaussian", "a: a step is a number from 1e-45"),
        (1e-6, "gaussian", "a: a step of 1e-06 makes symbols"),
        ({"b": 1.0}, "gaussian", "no step for a"),
        (0.1, "cauchy", "'cauchy'"),
    ],
)
def test_mistakes_are_named(steps, family, message):
    with pytest.raises(ValueError, match=message):
        prior_file.write_coded({"a": np.ones(3)}, steps, family)


def declared_shapes(archive: container.Archive) -> list[tuple[int, ...]]:
    leaves = []
    described = parameter_tree.from_header(archive.header["tree"])
    parameter_tree.map_leaves(
        described, lambda _, code: leaves.append(parameter_tree.read_leaf(code))
    )
    return [leaf.shape for leaf in leaves]


def mutants(count: int) -> Outcomes:
    """Damage below the checksums ends in FormatError or in arrays of the declared shapes."""
    small = {"a": tree()["a"][:4, :5], "b": [np.zeros(3), np.float32(1)], "c": np.zeros((0, 2))}
    return campaign(
        count,
        [prior_file.write_coded(small, 0.05, one) for one in prior_file.FAMILIES],
        prior_file.read_coded,
        declared_shapes,
        lambda back: [np.shape(leaf) for leaf in jax.tree.leaves(back)],
        ["symbols", "symbols", "priors", "header"],
    )


def test_damage_below_the_checksum_ends_in_a_format_error():
    assert mutants(300).refused > 240


@pytest.mark.slow
def test_ten_thousand_damaged_streams():
    outcomes = mutants(10_000)
    assert outcomes.refused > 8000


def test_priors_that_would_take_for_ever_are_refused():
    """One symbol far from zero costs as much to expand as all symbols between."""
    far = gaussian_code.Prior("laplace", 0)
    code = b"\1" + gaussian_code.to_bytes(far, -(1 << 15), -(1 << 15))
    leaf = parameter_tree.Leaf(parameter_tree.GRID, (0,), 5, 0, 1.0).to_bytes()
    header = {"tree": [0, *[leaf] * 1000], "priors": code * 1000}
    with pytest.raises(FormatError, match="reach over"):
        prior_file.unpack(header, {"symbols": b"\x17\xfb"})
    distant = [np.full(1, 32767.0)] * 65
    with pytest.raises(ValueError, match="coarser steps"):
        prior_file.write_coded(distant, 1.0)
