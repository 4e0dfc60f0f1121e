"""Capacity against closed forms, an independent Blahut-Arimoto, and the certificate itself."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ratedist


def h(p: float) -> float:
    """Binary entropy, bits."""
    return float(-sum(t * np.log2(t) for t in (p, 1 - p) if t > 0))


@pytest.mark.parametrize("e", [0.0, 0.01, 0.11, 0.3, 0.5])
def test_binary_symmetric(e: float) -> None:
    point = ratedist.capacity_point([[1 - e, e], [e, 1 - e]])
    assert point.capacity_lb <= 1 - h(e) + 1e-12
    assert point.capacity_ub >= 1 - h(e) - 1e-12
    assert point.gap_bits <= 1e-9


@pytest.mark.parametrize("e", [0.1, 0.5, 0.9])
def test_binary_erasure(e: float) -> None:
    assert ratedist.capacity([[1 - e, e, 0], [0, e, 1 - e]]) == pytest.approx(1 - e, abs=1e-9)


@pytest.mark.parametrize("e", [0.1, 0.5, 0.9])
def test_z_channel(e: float) -> None:
    exact = np.log2(1 + (1 - e) * e ** (e / (1 - e)))
    point = ratedist.capacity_point([[1, 0], [e, 1 - e]])
    assert point.capacity_lb == pytest.approx(exact, abs=1e-9)
    assert point.converged


def test_noiseless_useless_and_duplicate_inputs() -> None:
    assert ratedist.capacity(np.eye(8)) == pytest.approx(3, abs=1e-9)
    assert ratedist.capacity(np.full((4, 3), 1 / 3)) == pytest.approx(0, abs=1e-9)
    doubled = np.repeat(np.eye(4), 2, axis=0)
    assert ratedist.capacity(doubled) == pytest.approx(2, abs=1e-9)


@pytest.mark.parametrize("budget", [0.0, 0.05, 0.2, 0.5, 0.9])
def test_binary_symmetric_with_a_cost_of_ones(budget: float) -> None:
    e = 0.1
    point = ratedist.capacity_point([[1 - e, e], [e, 1 - e]], [0, 1], budget)
    p = min(budget, 0.5)
    exact = h(p * (1 - e) + (1 - p) * e) - h(e)
    assert point.capacity_lb == pytest.approx(exact, abs=1e-8)
    assert point.gap_bits <= 1e-8
    assert point.cost <= budget + 1e-12
    if 0 < budget < 0.5:
        q = p * (1 - e) + (1 - p) * e
        assert point.price == pytest.approx((1 - 2 * e) * np.log2((1 - q) / q), abs=1e-5)


def _blahut_arimoto(w: np.ndarray, steps: int = 20_000) -> float:
    p = np.full(len(w), 1 / len(w))
    for _ in range(steps):
        with np.errstate(divide="ignore", invalid="ignore"):
            d = np.where(w > 0, w * np.log2(w / (p @ w)), 0).sum(axis=1)
        p = p * 2**d
        p /= p.sum()
    return float(p @ d)


@pytest.mark.parametrize("shape", [(3, 5), (12, 4), (16, 16)])
def test_agrees_with_blahut_arimoto(shape: tuple[int, int]) -> None:
    w = np.random.default_rng(0).dirichlet(np.full(shape[1], 0.3), shape[0])
    point = ratedist.capacity_point(w)
    assert point.gap_bits <= 1e-9
    assert _blahut_arimoto(w) == pytest.approx(point.capacity_lb, abs=2e-5)
    assert _blahut_arimoto(w) <= point.capacity_ub + 1e-12


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_the_gap_is_always_small(seed: int, n: int, m: int, priced: bool) -> None:
    rng = np.random.default_rng(seed)
    w = rng.dirichlet(np.full(m, rng.choice([0.05, 0.5, 3.0])), n)
    w = np.where(w < 1e-12, 0, w)
    w /= w.sum(axis=1, keepdims=True)
    cost = rng.integers(0, 4, n).astype(float) if priced else None
    budget = None if cost is None else float(rng.uniform(cost.min(), cost.max() + 0.1))
    point = ratedist.capacity_point(w, cost, budget)
    assert -1e-12 <= point.gap_bits <= 1e-6
    assert point.p.sum() == pytest.approx(1)
    assert (point.p >= 0).all()
    if cost is not None and budget is not None:
        assert point.p @ cost <= budget + 1e-9


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.5, 0.5],), "one row"),
        (([[0.5, 0.4]],), "sums to 0.9"),
        (([[1.5, -0.5]],), "not negative"),
        (([[1.0, np.nan]],), "finite"),
        ((np.eye(2), [1, 2]), "together"),
        ((np.eye(2), [1, 2], 0.5), "cheapest"),
        ((np.eye(2), [1], 0.5), "2 finite numbers"),
    ],
)
def test_mistakes_are_named(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratedist.capacity(*arguments)


def test_the_command_prints_both_bounds(tmp_path, capsys) -> None:
    from ratedist import commands

    path = tmp_path / "channel.npz"
    np.savez(path, channel=[[0.9, 0.1], [0.1, 0.9]], cost=[0.0, 1.0])
    assert commands.main(["capacity", str(path)]) == 0
    assert "0.531004" in capsys.readouterr().out
    assert commands.main(["capacity", str(path), "--budget", "0.2"]) == 0
    assert "price" in capsys.readouterr().out
    np.savez(path, channel=[[0.9, 0.2]])
    assert commands.main(["capacity", str(path)]) == 2
    assert "row 0 sums to 1.1" in capsys.readouterr().err
