"""Largest errors at the edges: prices near D = 0, second derivatives, gaps of certified bounds.

Prices are compared with the closed form of Hamming distortion below the least probability,
log2((1 - D) (n - 1) / D); Hessians of R with central differences of its gradient.

Cost: paper: 2 min on 1 core; smoke: 30 s.
Data: none.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ratedist
from experiments.runner import experiment as ex


@dataclass(frozen=True)
class Config:
    price_sources: int = 200
    channels: int = 500
    hessians: int = 10
    programs: int = 100
    seed: int = 0


class Row(NamedTuple):
    """The largest error over random cases."""

    quantity: Annotated[str, ex.Key]
    cases: Annotated[int, ex.Column("cases")]
    largest: Annotated[
        float, ex.Over(max, ""), ex.Column("largest", ".2e"),
        ex.Claim("ratedist.{quantity}", tolerance=1e-5),
    ]  # fmt: skip


def grid(config: Config) -> Iterator[tuple[str]]:
    return ((name,) for name in _CASES)


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Row]:
    ((name,),) = trials
    error, count = _CASES[name]
    cases = getattr(config, count)
    rng = np.random.default_rng(config.seed)
    return [Row(name, cases, max(float(error(rng, number)) for number in range(cases)))]


def _price(rng: np.random.Generator, number: int) -> float:
    n = int(rng.integers(2, 9))
    p = 0.7 * rng.dirichlet(np.ones(n)) + 0.3 / n
    level = float(10 ** rng.uniform(-12, -3))
    point = ratedist.rate_point(p, 1.0 - np.eye(n), level)
    exact = np.log2((1 - level) * (n - 1) / level)
    price = float(np.ravel(point.nu)[0])
    return 0.0 if np.isnan(price) else abs(price / exact - 1)


def _capacity(rng: np.random.Generator, number: int) -> float:
    n, m = rng.integers(2, 33, 2)
    w = rng.dirichlet(np.full(m, rng.choice([0.05, 0.5, 3.0])), n)
    cost = rng.uniform(size=n) if number % 2 else None
    budget = None if cost is None else float(rng.uniform(cost.min(), cost.max()))
    return ratedist.capacity_point(w, cost, budget).gap_bits


def _perception(rng: np.random.Generator, number: int) -> float:
    n = int(rng.integers(2, 13))
    p, x = rng.dirichlet(np.ones(n)), rng.normal(size=n)
    level = float(rng.uniform(0.1, 0.8)) * float(p @ (x - p @ x) ** 2)
    closeness = 0.0 if number % 5 == 0 else float(10 ** rng.uniform(-3, -1))
    kind = "kl" if number % 2 else "tv"
    d = np.subtract.outer(x, x) ** 2
    return ratedist.perception_point(p, d, level, closeness, divergence=kind).gap_bits


def _conditional(rng: np.random.Generator, number: int) -> float:
    n, k = rng.integers(2, 9, 2)
    joint = rng.dirichlet(np.ones(n * k)).reshape(k, n)
    d = rng.uniform(size=(n, n)) * (1 - np.eye(n))
    return ratedist.conditional_rate_point(joint, d, rng.uniform(0.01, 0.2)).gap_bits


def _wyner_ziv(rng: np.random.Generator, number: int) -> float:
    n, k, m = rng.integers(2, 5, 3)
    joint, d = rng.dirichlet(np.ones(n * k)).reshape(k, n), rng.random((n, m))
    decoders = np.array(list(itertools.product(range(m), repeat=k)))
    cost = np.sum([joint[y][:, None] * d[:, decoders[:, y]] for y in range(k)], axis=0)
    share = float(rng.uniform(0.05, 0.95))
    level = share * cost.sum(axis=0).min() + (1 - share) * cost.min(axis=1).sum()
    return ratedist.wyner_ziv_point(joint, d, level).gap_bits


def _hessian(rng: np.random.Generator, number: int) -> float:
    p = rng.dirichlet(np.full(4, 5.0))
    with jax.enable_x64(True):
        d = jnp.asarray(1.0 - np.eye(4) + 0.1 * rng.uniform(size=(4, 4)))
        level = 0.5 * float(p.min()) + float((p * np.diag(d)).sum())
        slope = jax.grad(lambda t: ratedist.rate(p, d, t))
        second = float(jax.grad(slope)(jnp.asarray(level)))
        h = 1e-4 * level
        around = [float(slope(jnp.asarray(level + k * h))) for k in (-2, -1, 1, 2)]
    numeric = (around[0] - 8 * around[1] + 8 * around[2] - around[3]) / (12 * h)
    return abs(second / numeric - 1)


_CASES: dict[str, tuple[Callable[[np.random.Generator, int], float], str]] = {
    "price.max_relative_error": (_price, "price_sources"),
    "capacity.max_gap_bits": (_capacity, "channels"),
    "conditional.max_gap_bits": (_conditional, "programs"),
    "perception.max_gap_bits": (_perception, "programs"),
    "wyner_ziv.max_gap_bits": (_wyner_ziv, "programs"),
    "hessian.max_error": (_hessian, "hessians"),
}
"""(random numbers, number of the case) -> error; the configuration's field with how many."""

EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"paper": Config(), "smoke": Config(price_sources=5, channels=10, hessians=1, programs=2)},
    recompute=lambda config, row, data: measure(config, [(row.quantity,)], data),
    data="synthetic sources and channels",
)
