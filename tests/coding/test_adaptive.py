"""Adaptive files: round trips, a second decoder, damage, the error that was asked for, sizes."""

from __future__ import annotations

import hashlib
import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.coding import binary_coder, params_from_bytes, params_to_bytes, read_archive
from fewbits.coding.adaptive import (
    adaptive_file,
    level_code,
    pruned_scan,
    quantiser,
    reading,
    steps,
    tensor_coder,
    tensor_scan,
    trellis,
)
from fewbits.coding.adaptive.tensor_coder import Decoder, Encoder
from fewbits.coding.weights import model_file, prior_file
from fewbits.coding.weights.sparse import sparse_code
from fewbits.coding.weights.trees import parameter_tree
from tests.coding.plain_adaptive import PlainDecoder
from tests.coding.plain_pruned import PlainPrunedDecoder

shapes = st.lists(st.integers(0, 6), max_size=4).map(tuple)


def network(seed=0, density=1.0):
    """Rows and columns of different scales, a smooth kernel, biases, a norm's scale."""
    rng = np.random.default_rng(seed)
    scale = np.exp(rng.normal(size=(40, 1))) * np.exp(rng.normal(size=(1, 50)))
    dense = rng.normal(size=(40, 50)) * scale * (rng.random((40, 50)) < density)
    conv = np.cumsum(rng.normal(size=(8, 6, 3, 3)), axis=3) * (rng.random((8, 6, 3, 3)) < density)
    return {
        "conv": {"kernel": conv.astype(np.float32), "bias": np.zeros(8, np.float32)},
        "dense": {
            "kernel": dense.astype(np.float32),
            "bias": rng.normal(size=50).astype(np.float32),
            "scale": (1 + 0.1 * rng.normal(size=50)).astype(np.float32),
        },
    }


def leaves(tree):
    return [tensor for _, tensor in parameter_tree.tensors(tree)]


def squared_errors(one, other):
    pairs = zip(leaves(one), leaves(other), strict=True)
    return sum(float(np.sum((a.astype(float) - b) ** 2)) for a, b in pairs)


@st.composite
def numbers(draw):
    shape = draw(shapes)
    states = draw(st.sampled_from([0, *range(2, trellis.MOST_STATES + 1)]))
    seed, scale = draw(st.integers(0, 99)), draw(st.sampled_from([0.3, 3, 300, 3e5, 3e8]))
    rng = np.random.default_rng(seed)
    levels = rng.laplace(size=shape) * scale * (rng.random(shape) < draw(st.floats(0, 1)))
    levels = np.clip(np.rint(levels), -(2**29) + 1, 2**29 - 1).astype(np.int32)
    return on_path(levels, states), shape, states


def on_path(levels, states):
    """The values of some levels, whose parities lead through a trellis."""
    if not states:
        return levels.ravel()
    values, state, after = [], 0, trellis.next_states(states)
    for level in levels.ravel().tolist():
        values.append(int(np.sign(level)) * max(2 * abs(level) - state % 2, 0))
        state = after[state, level % 2]
    return np.array(values, np.int32)


@settings(max_examples=20, deadline=None)
@given(st.lists(numbers(), max_size=4))
def test_any_numbers_come_back(tensors):
    encoder = Encoder()
    for values, shape, states in tensors:
        encoder.add(values, shape, states)
    data = encoder.finish()
    decoder = Decoder(data, "symbols")
    for values, shape, states in tensors:
        np.testing.assert_array_equal(decoder.take(shape, states), values)
    decoder.finish()


@settings(max_examples=15, deadline=None)
@given(st.lists(numbers().filter(lambda one: one[0].size < 150), max_size=3), st.booleans())
def test_a_decoder_written_from_the_format_agrees(tensors, pruned):
    encoder = Encoder(pruned)
    for values, shape, states in tensors:
        encoder.add(values, shape, states)
    plain = (PlainPrunedDecoder if pruned else PlainDecoder)(encoder.finish())
    for values, shape, states in tensors:
        assert plain.take(shape, states) == values.tolist()


def test_the_pruned_form_of_a_whole_network_is_read_by_the_plain_decoder():
    # A chain: columns of one kernel are rows of the next, places of convolutions, dead units.
    rng = np.random.default_rng(4)
    shapes = [(3, 3, 1, 4), (4,), (3, 3, 4, 5), (20, 6), (6,), (6, 3)]
    tensors = [
        (np.int32(rng.integers(-3, 4, s) * (rng.random(s) < 0.2) * (rng.random(s[-1]) < 0.7)), s)
        for s in shapes
    ]
    encoder = Encoder(pruned=True)
    for values, shape in tensors:
        encoder.add(values, shape, 0)
    plain = PlainPrunedDecoder(encoder.finish())
    for values, shape in tensors:
        assert plain.take(shape, 0) == values.ravel().tolist()


def test_kernels_with_outputs_first_cost_what_they_cost_with_outputs_last():
    rng = np.random.default_rng(5)
    first = [rng.normal(size=s) * (rng.random(s) < 0.1) for s in ((40, 25), (30, 40), (10, 30))]
    files = {}
    for name, turn in (("outputs last", np.transpose), ("outputs first", np.asarray)):
        tree = {str(i): np.float32(turn(kernel)) for i, kernel in enumerate(first)}
        files[name] = adaptive_file.write_trellis(tree)
        back = reading.read_adaptive(files[name])
        assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in tree.items()}
        assert squared_errors(tree, back) < 0.01 * squared_errors(
            tree, {k: 0 * v for k, v in tree.items()}
        )
        grid = reading.read_adaptive(adaptive_file.write_grid(tree, 6))
        for one, other in zip(leaves(grid), leaves(model_file.quantise(tree, 6)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert abs(len(files["outputs last"]) - len(files["outputs first"])) <= 3


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_the_same_loops_without_numba_give_the_same_bytes(monkeypatch, density):
    kernel = network(density=density)["dense"]["kernel"][:8, :12]
    tree = {"kernel": kernel}
    expected = adaptive_file.write_grid(tree, 5)
    monkeypatch.setattr(binary_coder, "code", binary_coder.code.py_func)
    shared = ("log_class", "sign", "expected_magnitudes", "next_value", "count_magnitude")
    for module, names in (
        (tensor_scan, (*shared, "clipped", "code_level", "scan_tensor")),
        (pruned_scan, (*shared, "code_level", "scan_pruned")),
        (level_code, ("code_bit",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, getattr(module, name).py_func)
    assert adaptive_file.write_grid(tree, 5) == expected
    np.testing.assert_array_equal(
        reading.read_adaptive(expected)["kernel"], model_file.quantise(tree, 5)["kernel"]
    )


@pytest.mark.slow
def test_one_core_and_two_read_and_write_the_same():
    program = (
        "import sys, numpy as np, hashlib; from fewbits import coding\n"
        "tree = {'a': np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)}\n"
        "data = coding.params_to_bytes(tree)\n"
        "back = coding.params_from_bytes(data)['a']\n"
        "print(hashlib.sha256(data + back.tobytes()).hexdigest())"
    )
    run = [sys.executable, "-c", program]
    outputs = [
        subprocess.run([*prefix, *run], check=True, capture_output=True).stdout
        for prefix in ([], ["taskset", "-c", "0"])
    ]
    assert outputs[0] == outputs[1]


@pytest.mark.parametrize("bits", [2, 5, 16, {"*/bias": "float16", "*": 4}, {"*kernel": 3}])
def test_bits_give_the_values_of_the_uniform_grid(bits):
    data = adaptive_file.write_grid(network(), bits)
    for one, other in zip(
        leaves(reading.read_adaptive(data)),
        leaves(model_file.quantise(network(), bits)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_a_step_gives_multiples():
    data = adaptive_file.write_grid(network(), step=0.1)
    expected = leaves(prior_file.quantise_coded(network(), 0.1))
    for one, other in zip(leaves(reading.read_adaptive(data)), expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("density", [1.0, 0.1])
def test_shorter_than_other_codes_for_the_same_numbers(density):
    tree = network(density=density)
    ours = len(adaptive_file.write_grid(tree, 6))
    assert ours < 0.98 * len(model_file.write_model(tree, bits=6))
    assert ours < 0.98 * len(sparse_code.write_sparse(tree, 6))


@pytest.mark.parametrize("states", range(2, trellis.MOST_STATES + 1))
def test_a_trellis_is_a_permutation_of_its_branches(states):
    after = trellis.next_states(states)
    assert np.bincount(after.ravel()).tolist() == [2] * (1 << states)
    assert all(one != two for one, two in after.tolist())


def test_a_trellis_beats_rounding_by_a_decibel():
    # Gaussian numbers at 5 bits: the granular gain of 256 states is 1.33 dB (Ungerboeck's code,
    # Marcellin and Fischer 1990), 0.22 bits; of 4 states 0.99 dB. Rate and error count together.
    tensor = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    bits = {}
    for states, step in ((0, 0.05), (2, 0.03), (8, 0.03)):
        if states:
            found = quantiser.quantise([tensor], [step], states)
            values, [error] = found.values[0], found.squared_errors
        else:
            values = np.rint(tensor / step).astype(np.int32)
            error = float(np.sum((values * step - tensor) ** 2))
        encoder = Encoder()
        encoder.add(values, tensor.shape, states)
        # Six decibels a bit: what the size would be at one error.
        rate = 8 * len(encoder.finish()) / tensor.size
        bits[states] = rate + 0.5 * np.log2(error / tensor.size)
    assert 0.13 < bits[0] - bits[2] < 0.19
    assert 0.18 < bits[0] - bits[8] < 0.25


def test_the_search_is_the_best_path():
    # Against all paths of four states over a few numbers.
    rng = np.random.default_rng(3)
    for _ in range(5):
        tensor = np.clip(rng.normal(size=5) * 2, -6, 6).astype(np.float32)
        found = quantiser.quantise([tensor], [1.0], 2)
        costs = []
        after = trellis.next_states(2)
        for levels in itertools.product(range(6), repeat=5):
            state, error = 0, 0.0
            for x, level in zip(np.abs(tensor), levels, strict=True):
                error += (x - max(2 * level - state % 2, 0)) ** 2
                state = after[state, level % 2]
            costs.append(error)
        # The rate counts too, so the error is no less than the least and not far from it.
        assert min(costs) - 1e-5 <= found.squared_errors[0] <= min(costs) + quantiser.PENALTY * 20
        back = np.sum((found.values[0] - tensor) ** 2)
        assert back == pytest.approx(found.squared_errors[0], rel=1e-5)


def test_long_tensors_are_searched_in_blocks(monkeypatch):
    tensor = np.random.default_rng(1).normal(size=(200, 210)).astype(np.float32)
    found = quantiser.quantise([tensor], [0.3], 4)
    values = found.values[0].reshape(tensor.shape) * np.float32(0.3)
    assert float(np.sum((values - tensor) ** 2)) == pytest.approx(found.squared_errors[0], rel=1e-4)
    encoder = Encoder()
    encoder.add(found.values[0], tensor.shape, 4)
    decoded = Decoder(encoder.finish(), "symbols").take(tensor.shape, 4)
    np.testing.assert_array_equal(decoded, found.values[0])


@pytest.mark.parametrize("max_mse", [1e-1, 1e-3, 1e-6])
@pytest.mark.parametrize("density", [1.0, 0.1])
def test_the_largest_error_is_kept_to_and_used(max_mse, density):
    tree = network(density=density)
    back = params_from_bytes(params_to_bytes(tree, max_mse=max_mse))
    count = sum(tensor.size for tensor in leaves(tree))
    assert 0.9 * max_mse < squared_errors(tree, back) / count <= max_mse


def test_the_default_error_is_a_256th_and_less_for_vectors():
    tree = network()
    back = params_from_bytes(params_to_bytes(tree))
    kernels = [{"a": one["conv"]["kernel"], "b": one["dense"]["kernel"]} for one in (tree, back)]
    energy = squared_errors(kernels[0], {k: 0 * v for k, v in kernels[0].items()})
    assert 0.5 / 256 < squared_errors(*kernels) / energy < 1.05 / 256
    for name in ("bias", "scale"):
        one, other = tree["dense"][name], back["dense"][name]
        assert np.std(one - other) < 0.02 * np.std(one)


def test_small_tensors_beside_large_ones_survive():
    rng = np.random.default_rng(0)
    tree = {"large": rng.normal(size=(150, 150)), "small": rng.normal(size=(20, 20)) * 1e-6}
    for arguments in ({}, {"max_mse": 1e-3}):
        back = params_from_bytes(params_to_bytes(tree, **arguments))
        assert np.std(back["small"] - tree["small"]) < 0.2e-6


def test_outliers_do_not_decide_the_step():
    tensor = np.random.default_rng(0).normal(size=(100, 100))
    tensor[3, 4] = 1e6
    back = params_from_bytes(params_to_bytes({"a": tensor}))["a"]
    assert np.std((back - tensor)[tensor < 1e5]) < 0.1
    assert back[3, 4] == pytest.approx(1e6, rel=1e-6)


def test_pruned_weights_stay_zero_and_constants_are_exact():
    tree = network(density=0.2)
    tree["ones"] = np.ones((30, 40), np.float32)
    tree["largest"] = np.array([[1, -1], [0.5, 0.1]], np.float32) * np.finfo(np.float32).max
    back = params_from_bytes(params_to_bytes(tree))
    assert not np.any(back["dense"]["kernel"][tree["dense"]["kernel"] == 0])
    np.testing.assert_array_equal(back["ones"], tree["ones"])
    np.testing.assert_allclose(back["largest"], tree["largest"], rtol=0.1, atol=3e36)


@pytest.mark.parametrize(
    "tree",
    [
        {},
        {"a": np.zeros((0, 3), np.float32), "b": np.zeros(0, np.float32)},
        {"a": np.float32(2.5)},
        {"a": np.zeros((3, 1, 1, 2), np.float32)},
        {"a": np.full((4, 4), 1e-42, np.float32) * np.arange(4, dtype=np.float32)},
        [np.float32(1), (np.ones((2, 2), np.float32),)],
    ],
)
def test_odd_trees(tree):
    for arguments in ({}, {"bits": 5}, {"max_mse": 1e-12}):
        back = params_from_bytes(params_to_bytes(tree, **arguments))
        for one, other in zip(leaves(tree), leaves(back), strict=True):
            assert one.shape == other.shape
            np.testing.assert_allclose(one, other, rtol=0.2, atol=2e-6)


@pytest.mark.parametrize("max_mse", [0.0, -1.0, float("nan"), float("inf"), 1e-30])
def test_refuses_errors_that_cannot_be(max_mse):
    with pytest.raises(ValueError, match="mean squared error|take a coarser"):
        params_to_bytes({"a": np.arange(9.0).reshape(3, 3)}, max_mse=max_mse)


def test_large_empty_layers_and_few_nonzeros():
    assert len(params_to_bytes({"a": np.zeros((1100, 1100), np.float32)})) < 70
    kernel = np.zeros((512, 512), np.float32)
    rng = np.random.default_rng(0)
    kernel[rng.integers(0, 512, 60), rng.integers(0, 512, 60)] = rng.normal(size=60)
    data = params_to_bytes({"a": kernel}, bits=5)
    assert len(data) < 250
    np.testing.assert_array_equal(
        params_from_bytes(data)["a"], model_file.quantise({"a": kernel}, 5)["a"]
    )


@pytest.mark.slow
@pytest.mark.nightly
def test_a_kernel_of_sixteen_million_with_a_thousand_nonzeros():
    kernel = np.zeros((4096, 4096), np.float32)
    rng = np.random.default_rng(0)
    kernel.ravel()[rng.integers(0, kernel.size, 1000)] = rng.normal(size=1000)
    data = params_to_bytes({"a": kernel}, bits=5)
    assert len(data) < 2600
    assert np.count_nonzero(params_from_bytes(data)["a"]) > 850


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((), (1, 1, 1)),
        ((5,), (1, 1, 5)),
        ((1, 5, 1), (1, 1, 5)),
        ((4, 5), (4, 1, 5)),
        ((4, 1, 5), (4, 1, 5)),
        ((3, 3, 16, 32), (9, 16, 32)),
        ((32, 16, 3, 3), (32, 16, 9)),
        ((0, 3), (0, 1, 3)),
    ],
)
def test_axes(shape, expected):
    assert tensor_coder.axes(shape) == expected


def test_golden_file():
    data = (Path(__file__).parent / "golden" / "v1.adaptive").read_bytes()
    back = params_from_bytes(data)
    assert back.keys() == {"conv", "dense"}
    assert squared_errors(network(), back) / sum(t.size for t in leaves(back)) < 1.01e-3


@pytest.mark.parametrize("version", [1, 2])
def test_golden_files_of_the_pruned_form(version):
    data = (Path(__file__).parent / "golden" / f"v{version}.adaptive_pruned").read_bytes()
    assert read_archive(data).version == version
    back = leaves(params_from_bytes(data))
    values = b"".join(np.ascontiguousarray(tensor, "<f4").tobytes() for tensor in back)
    assert hashlib.sha256(values).hexdigest() == (
        "0a158bb2155838d1b26581407128d9592ac3022c6e75115842ee9c82faf9c79c"
    )


def test_steps_are_positive_numbers_of_float32():
    tensors = [np.zeros((3, 4)), np.full(3, 1e-45), np.ones((2, 2)) * 3e38, np.zeros(0)]
    tensors = [tensor.astype(np.float32) for tensor in tensors]
    for step in steps.tensor_steps(tensors, steps.measure(tensors), 1e-60):
        assert step > 0
        assert step == np.float32(step)
