"""Constraints with tables of their own: bounds, prices, derivatives, levels out of reach."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from scipy.optimize import linprog

import ratedist
from ratedist import commands
from ratedist.solvers.convex import solve_convex

HAMMING = 1.0 - np.eye(4)
LINE = np.abs(np.subtract.outer(np.arange(4.0), np.arange(4.0)))
P = np.full(4, 0.25)


def random_problem(rng, slack):
    """Constraints that a random encoder meets with some slack, over tables of several scales."""
    n, m = rng.integers(2, 9, 2)
    p, d = rng.dirichlet(np.ones(n)), rng.random((n, m))
    letter = rng.dirichlet(np.full(m, 0.3), n)
    rows = []
    for g in range(rng.integers(2, 4)):
        own = None if g == 0 and rng.random() < 0.5 else rng.random((n, m)) * 10.0 ** (3 * g - 3)
        weights = p * (rng.random(n) < 0.7) if rng.random() < 0.5 else p
        weights = weights if weights.any() else p
        level = slack * (weights[:, None] * letter * (d if own is None else own)).sum()
        rows.append(ratedist.Constraint(weights, level, own))
    return p, d, tuple(rows)


@pytest.mark.parametrize("seed", range(12))
def test_against_cvxpy(seed):
    """Rate, prices, the encoder behind the upper bound, and the certificate of the lower one."""
    p, d, rows = random_problem(np.random.default_rng(seed), 1.02)
    point, exact = ratedist.rate_point(p, d, rows), solve_convex(p, d, rows)
    assert bool(point.converged)
    assert float(point.rate_ub) == pytest.approx(exact.rate_bits, abs=3e-6)
    np.testing.assert_allclose(point.nu, exact.nu, rtol=3e-4, atol=3e-4)
    bound = ratedist.certificate(p, d, rows, point.dual, point.q)
    assert max(bound, 0.0) == pytest.approx(float(point.rate_lb), abs=1e-9)
    letter = ratedist.encoder(p, d, point, rows)
    for row, reached in zip(rows, point.distortion, strict=True):
        table = d if row.d is None else row.d
        spent = (row.weights[:, None] * letter * table).sum()
        assert spent == pytest.approx(float(reached), rel=1e-9)
        assert spent <= row.level * (1 + 1e-12)
    joint, q = p[:, None] * letter, p @ letter
    used = joint > 0
    information = (joint[used] * np.log2((letter / q)[used])).sum()
    assert information == pytest.approx(float(point.rate_ub), abs=1e-9)


def test_equal_tables_are_one_table():
    rows = (ratedist.mean_distortion(P, 0.2), ratedist.per_symbol(0, 4, 0.05))
    own = tuple(row._replace(d=LINE) for row in rows)
    shared, several = ratedist.solve_fixed(P, LINE, rows), ratedist.solve_fixed(P, HAMMING, own)
    assert float(several.rate_ub) == pytest.approx(float(shared.rate_ub), abs=2e-6)
    np.testing.assert_allclose(several.nu, shared.nu, rtol=1e-4)
    assert np.isnan(several.slope).all()
    with pytest.raises(ValueError, match="constraints"):
        ratedist.encoder(P, HAMMING, several)


def test_levels_that_exclude_each_other():
    """Reachable one by one, not together; a linear program says which are."""
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(40):
        n, m = rng.integers(2, 6, 2)
        p, tables = rng.dirichlet(np.ones(n)), rng.random((2, n, m))
        low = tables.min(axis=2) @ p
        other = np.einsum("x,xj,gxj->g", p, rng.dirichlet(np.full(m, 0.3), n), tables)
        levels = low + rng.random() * (other - low)
        flat = (p[:, None] * tables).reshape(2, -1)
        lp = linprog(
            np.append(np.zeros(n * m), 1.0),
            A_ub=np.column_stack([flat, -np.ones(2)]),
            b_ub=levels,
            A_eq=np.column_stack([np.kron(np.eye(n), np.ones(m)), np.zeros(n)]),
            b_eq=np.ones(n),
            bounds=[(0, None)] * (n * m) + [(None, None)],
        )
        rows = [ratedist.mean_distortion(p, lv, d=t) for lv, t in zip(levels, tables, strict=True)]
        point = ratedist.solve_fixed(p, tables[0], rows)
        assert bool(point.converged) == (lp.fun < 0)
        assert bool(point.infeasible.any()) == (lp.fun > 0)
        seen.add(bool(point.converged))
    assert seen == {False, True}
    one, there = np.ones(1), np.array([[0.0, 1.0]])
    rows = [ratedist.mean_distortion(one, 0.2, d=table) for table in (there, 1 - there)]
    with pytest.raises(ValueError, match="constraints 0, 1: no encoder reaches these levels tog"):
        ratedist.rate(one, 0 * there, rows)


def test_a_level_at_its_smallest_value_leaves_only_the_nearest():
    """Letter 0 exactly, the rest by Hamming distortion."""
    exact = ratedist.per_symbol(0, 4, 0.0, d=LINE)
    rows = (ratedist.mean_distortion(P, 0.3), exact)
    point = ratedist.solve_fixed(P, HAMMING, rows)
    assert bool(point.converged)
    assert np.isinf(point.nu[1])
    same = ratedist.solve_fixed(P, HAMMING, (rows[0], exact._replace(d=None)))
    assert float(point.rate_ub) == pytest.approx(float(same.rate_ub), abs=2e-6)
    assert ratedist.certificate(P, HAMMING, rows, point.dual, point.q) == pytest.approx(
        float(point.rate_lb), abs=1e-9
    )
    assert ratedist.encoder(P, HAMMING, point, rows)[0, 0] == pytest.approx(1.0)


def test_forbidden_pairs_of_any_table():
    """No letter may move by more than one: the same as inf in the problem's table."""
    near = np.where(LINE > 1, np.inf, 0.0)
    rows = (ratedist.mean_distortion(P, 0.5), ratedist.mean_distortion(P, 1.0, d=near))
    point = ratedist.solve_fixed(P, HAMMING, rows)
    same = ratedist.solve_fixed(P, np.where(LINE > 1, np.inf, HAMMING), 0.5)
    assert float(point.rate_ub) == pytest.approx(float(same.rate_ub), abs=2e-6)
    assert point.vacuous.tolist() == [False, True]


@pytest.mark.slow
def test_the_program_agrees_and_derivatives_against_differences():
    """First in every argument, second in the level, of two tables."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet(np.full(4, 4.0))
    d, e = rng.random((2, 4, 4)) + 0.2
    np.fill_diagonal(d, 0.0)
    np.fill_diagonal(e, 0.0)
    rows = (ratedist.Constraint(p, 0.12), ratedist.Constraint(np.array([0, 1.0, 1, 0]), 0.14, e))
    program = ratedist.compiled(ratedist.solve_fixed)(p, d, rows)
    plain = ratedist.solve_fixed(p, d, rows)
    assert float(program.rate_ub) == pytest.approx(float(plain.rate_ub), abs=1e-9)
    np.testing.assert_allclose(program.nu, plain.nu, rtol=1e-6)

    gradient = ratedist.compiled(jax.grad(ratedist.rate, argnums=(0, 1, 2)))
    step = rng.normal(size=4)
    moves = (
        step - step.mean(),
        rng.normal(size=(4, 4)),
        tuple(
            ratedist.Constraint(rng.random(4) * (row.weights > 0), rng.normal(), own)
            for row, own in zip(rows, (None, rng.normal(size=(4, 4))), strict=True)
        ),
    )

    def moved(h):
        return jax.tree.map(lambda x, v: x + h * v, (p, d, rows), moves)

    h = 1e-4
    values = [float(ratedist.rate(*moved(k * h))) for k in (-2, -1, 1, 2)]
    slope = (values[0] - 8 * values[1] + 8 * values[2] - values[3]) / (12 * h)
    found = jax.tree.map(lambda g, v: float(np.sum(g * v)), gradient(p, d, rows), moves)
    assert sum(jax.tree.leaves(found)) == pytest.approx(slope, rel=1e-6)

    def price(level):
        return gradient(p, d, (rows[0], rows[1]._replace(level=level)))[2][1].level

    def inner(level):
        return ratedist.rate(p, d, (rows[0], rows[1]._replace(level=level)))

    second = ratedist.compiled(jax.grad(jax.grad(inner)))(0.14)
    assert float(second) == pytest.approx((price(0.1401) - price(0.1399)) / 2e-4, rel=1e-5)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (ratedist.Constraint(P, 0.1, LINE[:, :3]), r"\(4, 3\) beside \(4, 4\)"),
        (ratedist.Constraint(P, 0.1, LINE * np.nan), "NaN"),
        (ratedist.Constraint(P, 0.1, LINE - np.inf), "-inf"),
    ],
)
def test_bad_tables_are_named(rule, said):
    for call in (ratedist.rate, ratedist.rate_point, ratedist.solve_fixed):
        with pytest.raises(ValueError, match=said):
            call(P, HAMMING, [rule])


def test_the_command(tmp_path, capsys):
    path = tmp_path / "source.npz"
    np.savez(path, points=np.arange(4.0), p=P, wrong=HAMMING, odd=LINE[:, :2])

    def run(*arguments):
        status = commands.main(["bound", str(path), *arguments])
        return status, *capsys.readouterr()

    status, out, _ = run("--distortion", "0.5", "--constraint", "wrong=0.2", "--json")
    found = json.loads(out)
    assert status == 0
    rows = (ratedist.mean_distortion(P, 0.5), ratedist.mean_distortion(P, 0.2, d=HAMMING))
    exact = solve_convex(P, LINE**2, rows).rate_bits
    assert found["rate_upper_bits"] == pytest.approx(exact, abs=3e-6)
    assert [row["name"] for row in found["constraints"]] == ["mean distortion", "mean wrong"]
    assert run("--constraint", "wrong=0.2")[0] == 0
    for arguments, said in [
        ((), "nothing is bounded"),
        (("--constraint", "right=0.1"), "no array 'right'"),
        (("--constraint", "odd=0.1"), "(4, 4)"),
        (("--constraint", "wrong=-1"), "--constraint wrong: no encoder"),
    ]:
        status, out, error = run(*arguments)
        assert (status, out) == (2, "")
        assert said in error
        assert error.count("\n") == 1
    for text in ("wrong", "wrong=much", "wrong=inf", "=1"):
        with pytest.raises(SystemExit) as stopped:
            run("--constraint", text)
        assert stopped.value.code == 2
        assert repr(text) in capsys.readouterr().err
