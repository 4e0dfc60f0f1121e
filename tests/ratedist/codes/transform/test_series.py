"""Series, vectors and numbers without a transform: round trips, exact types, known rates."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

import ratedist
from fewbits.coding import FormatError, InputError
from ratedist.codes.transform import bases, signal_file, signals
from ratedist.codes.transform.search import step_for
from ratedist.codes.transform.series import frames


def _error(values: np.ndarray, data: bytes) -> float:
    restored = ratedist.decode(data)
    assert restored.dtype == values.dtype
    assert restored.shape == values.shape
    return float(np.mean((restored.astype(float) - values.astype(float)) ** 2))


@pytest.mark.parametrize("n", [4, 8, 64])
def test_cosine_bases_are_orthonormal(n: int) -> None:
    table = bases.dct(n, 20) / 2.0**20
    np.testing.assert_allclose(table @ table.T, np.eye(n), atol=1e-5)
    k, place = np.arange(1, n)[:, None], np.arange(n)[None]
    exact = np.sqrt(2 / n) * np.cos(np.pi * k * (2 * place + 1) / (2 * n))
    np.testing.assert_allclose(table[1:], exact, atol=2.0**-20)


@pytest.mark.parametrize("kind", ["none", "dct", "lapped", "klt"])
def test_coefficients_restore_a_series(kind: str) -> None:
    x = np.random.default_rng(0).normal(size=(1, 1000))
    block = 1 if kind == "none" else 16
    using = frames.learned(x, block) if kind == "klt" else frames.basis(kind, block)
    fine = np.rint(frames.analyse(x, using) * 64 * 1000).astype(np.int64)
    restored = frames.synthesise(fine, using, 1000) / 64 / 1000
    np.testing.assert_allclose(restored, x, atol=2e-4)


@pytest.mark.slow
def test_white_gaussian_numbers_cost_what_uniform_quantisation_costs() -> None:
    x = np.random.default_rng(0).normal(size=20_000)
    data = ratedist.encode(x, 0.01, block=1)
    assert 0.0099 < _error(x, data) <= 0.01
    # R(D) + 0.2546 bits is uniform scalar quantisation at high rate (Gish and Pierce 1968).
    assert 8 * len(data) / x.size < 0.5 * np.log2(100) + 0.2546 + 0.08


def test_an_outlier_and_an_offset_are_no_obstacle() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=5000)
    plain = len(ratedist.encode(x, 0.1, block=1))
    x[77] = 1e6
    data = ratedist.encode(x, 0.1, block=1)
    assert _error(x, data) <= 0.1
    assert len(data) < plain + 100
    far = 1e9 + rng.normal(size=5000)
    data = ratedist.encode(far, 0.1, block=1)
    assert _error(far, data) <= 0.1
    assert len(data) < plain + 100


def test_memory_is_used() -> None:
    rng = np.random.default_rng(2)
    x = np.zeros(6000)
    for i in range(1, x.size):
        x[i] = 0.98 * x[i - 1] + rng.normal()
    x = np.rint(100 * x).astype(np.int16)
    distortion = 100.0**2 / 10
    data = ratedist.encode(x, distortion, block="auto")
    assert 0.99 * distortion <= _error(x, data) <= distortion
    alone = len(ratedist.encode(x, distortion, block=1))
    assert len(data) < 0.97 * alone
    # Reverse water-filling of the spectral density of this process, to which files come close.
    w = np.linspace(0, np.pi, 20001)
    density = 1e4 / (1 + 0.98**2 - 2 * 0.98 * np.cos(w))
    bound = signals.reverse_water_filling(density, distortion)
    assert bound < 8 * len(data) / x.size < bound + 0.6


@pytest.mark.slow
def test_vectors_of_low_rank_use_a_learned_basis() -> None:
    rng = np.random.default_rng(3)
    x = (rng.normal(size=(1500, 2)) @ rng.normal(size=(2, 16))).astype(np.float32)
    made = signals.encode_signal(x, 0.01)
    assert made.transform.startswith("klt")
    assert _error(x, made.data) <= 0.01
    assert len(made.data) < 0.7 * len(ratedist.encode(x, 0.01, block=1))


def test_water_filling_matches_its_closed_form() -> None:
    variances = np.array([4.0, 1.0, 0.25])
    # Level 0.5: distortions 0.5, 0.5, 0.25.
    expected = (0.5 * np.log2(8) + 0.5 * np.log2(2)) / 3
    assert signals.reverse_water_filling(variances, 1.25 / 3) == pytest.approx(expected)
    assert signals.reverse_water_filling(variances, 2.0) == 0.0


@pytest.mark.parametrize("dtype", ["?", "u1", "i2", "i8", "f2", "f4", "f8"])
def test_types_come_back(dtype: str) -> None:
    x = (np.arange(40).reshape(20, 2) % 7 > 3).astype(dtype)
    assert _error(x, ratedist.encode(x, 0.05, block=1)) <= 0.05


@pytest.mark.slow
def test_interpreted_and_compiled_decoders_agree() -> None:
    x = np.cumsum(np.random.default_rng(4).normal(size=(300, 2)), axis=0)
    data = ratedist.encode(x, 0.05, block=16, transform="lapped")
    program = (
        "import sys, ratedist\n"
        "from ratedist.codes.transform import bits\n"
        "sys.stdout.buffer.write(ratedist.decode(sys.stdin.buffer.read()).tobytes())"
    )
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=data,
        capture_output=True,
        env=environment,
        check=True,
    )
    assert done.stdout == ratedist.decode(data).tobytes()


def test_damage_is_found() -> None:
    data = ratedist.encode(np.arange(200.0), 0.05, block=8)
    for place in range(0, len(data), 7):
        with pytest.raises(FormatError):
            ratedist.decode(data[:place] + bytes([data[place] ^ 5]) + data[place + 1 :])
    with pytest.raises(FormatError):
        signal_file.read(ratedist.encode(np.arange(8.0), 0.05))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": "7x7"}, "4x4, 8x8"),
        ({"block": "x"}, "a number such as 64"),
        ({"block": 0}, "1 to"),
        ({"block": 64, "transform": "none"}, "block 1"),
        ({"block": 128, "transform": "klt"}, "2 to 64"),
        ({"block": (8, 8), "transform": "klt"}, "square blocks"),
        ({"block": 8, "transform": "wavelet"}, "one of"),
        ({"transform": "dct"}, "needs a block"),
        ({"block": 8, "dimension": 2}, "leave code and dimension"),
    ],
)
def test_mistakes_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        ratedist.encode(np.zeros((16, 16)), 1.0, **arguments)


def test_a_step_is_found_for_errors_that_jump() -> None:
    step, result, error = step_for(lambda s: (s, float(np.floor(s))), 3.0, 1e-3)
    assert result == step
    assert error <= 3.0
    assert step > 2.0


@pytest.mark.slow
@pytest.mark.parametrize("offset", [1e9, 0.0])
def test_the_plain_call_takes_offsets_and_outliers(offset: float) -> None:
    values = offset + np.random.default_rng(0).normal(size=5_000)
    values[7] += 1e6 if offset == 0 else 0
    found = ratedist.decode(ratedist.encode(values, 0.1))
    assert np.mean((found - values) ** 2) <= 0.1
