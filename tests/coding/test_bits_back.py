from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fewbits.coding import FormatError
from fewbits.coding.bits_back import bits_back
from fewbits.coding.bits_back.integer_normal import NormalBins
from fewbits.coding.bits_back.stream_stack import PRECISION, StreamStack
from tests.coding.families import DETERMINISTIC

N, STREAMS, SIGMA = 20_000, 500, 0.05


def posterior_parameters(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.minimum(np.exp(rng.normal(np.log(0.02), 0.4, N)), SIGMA)
    return rng.normal(0, 1, N) * np.sqrt(SIGMA**2 - scale**2), scale


def exchange(step: float, mean: np.ndarray, scale: np.ndarray, seed: int = 0):
    """Sends all weights and takes them back; the ledger."""
    rng = np.random.default_rng(seed)
    payload = rng.bytes(8 * N)
    stack = StreamStack(STREAMS, payload)
    before = stack.to_bytes()
    edges = bits_back.grid(step, 8 * SIGMA)
    prior = bits_back.normal_on_grid(edges, step, np.zeros(STREAMS), SIGMA)
    rows = np.split(np.arange(N), N // STREAMS)
    posteriors = [bits_back.normal_on_grid(edges, step, mean[r], scale[r]) for r in rows]
    bins, ledger = bits_back.send(stack, posteriors, prior)
    # Only bytes cross: the receiver starts from them.
    received = StreamStack.from_bytes(stack.to_bytes(), STREAMS)
    back = bits_back.receive(received, posteriors, prior)
    np.testing.assert_array_equal(np.concatenate(back), np.concatenate(bins))
    assert received.to_bytes() == before
    assert received.payload() == payload
    return ledger


@pytest.mark.parametrize("fineness", [5, 20, 100])
def test_identity_6_the_net_cost_is_the_divergence_at_any_fine_step(fineness):
    mean, scale = posterior_parameters()
    divergence = bits_back.divergence_bits(mean, scale, SIGMA)
    ledger = exchange(np.median(scale) / fineness, mean, scale)
    # Sampling moves the net cost as well: three standard errors, or 1 %.
    spread = np.sqrt(np.sum(0.5 * (1 - (scale / SIGMA) ** 2) ** 2 + (mean * scale / SIGMA**2) ** 2))
    allowed = max(0.01 * divergence.sum(), 3 * spread / np.log(2))
    assert abs(ledger.net_bits - divergence.sum()) < allowed
    assert ledger.sent_bits - ledger.net_bits == pytest.approx(ledger.borrowed_bits)


def test_a_finer_grid_is_gross_dearer_and_net_alike():
    mean, scale = posterior_parameters()
    coarse, fine = (exchange(np.median(scale) / f, mean, scale) for f in (10, 100))
    per_weight = (fine.sent_bits - coarse.sent_bits) / N
    assert per_weight == pytest.approx(np.log2(10), rel=0.02)
    rows, payload = (-1, STREAMS), np.random.default_rng(0).bytes(8 * N)
    numbers = (mean.reshape(rows), scale.reshape(rows))
    assert coarse == bits_back.exchange(*numbers, SIGMA, np.median(scale) / 10, payload)
    assert fine.net_bits == pytest.approx(coarse.net_bits, rel=0.025)


def test_identity_7_a_posterior_that_is_the_prior_costs_nothing():
    nothing = np.zeros(N)
    ledgers = [exchange(SIGMA / 8, nothing, np.full(N, SIGMA), seed) for seed in range(4)]
    for ledger in ledgers:
        assert abs(ledger.net_bits) <= 64
    assert ledgers[0].borrowed_bits > 3 * N


def test_the_divergence_is_that_of_gaussians():
    assert bits_back.divergence_bits(np.zeros(1), np.ones(1), 1.0)[0] == 0
    found = bits_back.divergence_bits(np.array([1.0]), np.array([0.5]), 2.0)[0]
    assert found * np.log(2) == pytest.approx(np.log(4) + (0.25 + 1) / 8 - 0.5)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 40))
@DETERMINISTIC
def test_pushes_and_pops_are_inverse_in_either_order(seed, n_streams, steps):
    rng = np.random.default_rng(seed)
    stack = StreamStack(n_streams, rng.bytes(4 * n_streams + 400))
    done = []
    start_bytes = stack.to_bytes()
    for _ in range(steps):
        streams = int(rng.integers(1, n_streams + 1))
        count = np.maximum((rng.random(streams) ** 6 * ((1 << PRECISION) - 1)).astype(np.int64), 1)
        if rng.random() < 0.5:
            start = (rng.random(streams) * ((1 << PRECISION) - count)).astype(np.int64)
            stack.push(start, count)
            done.append(("push", start, count))
        else:
            # An interval around wherever the state happens to be.
            place = stack.peek(streams)
            start = np.maximum(place - count + 1, 0)
            count = np.minimum(count, (1 << PRECISION) - start)
            stack.pop(start, count)
            done.append(("pop", start, count))
    middle = stack.to_bytes()
    assert StreamStack.from_bytes(middle, n_streams).to_bytes() == middle
    for action, start, count in reversed(done):
        if action == "push":
            place = stack.peek(start.size)
            assert ((start <= place) & (place < start + count)).all()
            stack.pop(start, count)
        else:
            stack.push(start, count)
    assert stack.to_bytes() == start_bytes


def test_a_symbol_costs_its_information():
    rng = np.random.default_rng(0)
    stack = StreamStack(10, rng.bytes(400))
    edges = np.array([-(1 << 16), 0, 1 << 15])
    bins = NormalBins(edges, 0, 1 << 16)
    cumulative = bins.cumulative(np.arange(5), PRECISION)
    assert cumulative[0] == 0
    assert cumulative[-1] == 1 << PRECISION
    share = np.diff(cumulative) / (1 << PRECISION)
    symbols = rng.choice(4, size=(4000, 10), p=share)
    before = stack.size_bits
    for row in symbols:
        stack.push_indices(lambda index: bins.cumulative(index, PRECISION), row)
    ideal = -np.log2(share[symbols]).sum()
    assert stack.size_bits - before == pytest.approx(ideal, rel=1e-4)


def test_popping_samples_the_distribution():
    rng = np.random.default_rng(1)
    stack = StreamStack(1000, rng.bytes(40_000))
    bins = NormalBins(np.array([0, 1 << 16]), np.zeros(1000, np.int64), np.full(1000, 1 << 16))
    found = np.concatenate([bits_back.choose(stack, bins) for _ in range(5)])
    np.testing.assert_allclose(np.bincount(found) / 5000, [0.5, 0.3413, 0.1587], atol=0.025)


@pytest.mark.parametrize("size", [1, 2, 5, 4096])
def test_every_bin_can_be_coded_however_far_away(size):
    edges = np.sort(np.random.default_rng(0).integers(-(1 << 30), 1 << 30, size - 1))
    for inverse in (1, 1 << 16, 1 << 30):
        cumulative = NormalBins(edges, 1 << 20, inverse).cumulative(np.arange(size + 1), PRECISION)
        assert (np.diff(cumulative) >= 1).all()
        assert (cumulative[0], cumulative[-1]) == (0, 1 << PRECISION)


def test_exhaustion_and_damage_are_format_errors():
    stack = StreamStack(3, bytes(range(12)))
    with pytest.raises(FormatError, match="exhausted"):
        stack.pop(stack.peek(3), np.ones(3, np.int64))
    for data, streams in ((b"", 1), (bytes(8), 1), (bytes(13), 1), (bytes(64), 9), (bytes(64), 0)):
        with pytest.raises(FormatError):
            StreamStack.from_bytes(data, streams)
    unfinished = StreamStack(2, bytes(8))
    unfinished.push(np.zeros(2, np.int64), np.ones(2, np.int64))
    with pytest.raises(FormatError, match="does not end"):
        unfinished.payload()


@pytest.mark.parametrize(("streams", "payload"), [(0, b""), (2, bytes(4)), (1, bytes(5))])
def test_stacks_that_cannot_be(streams, payload):
    with pytest.raises(ValueError, match="streams|payload"):
        StreamStack(streams, payload)
