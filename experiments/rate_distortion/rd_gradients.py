"""The three gradients of a functional of the optimum, ready to call, and how far they differ."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import ratedist
from ratedist import sources
from ratedist.codebooks import codebook, functionals, merging
from ratedist.codebooks.merging import Codebook
from ratedist.solvers import implicit

Gradient = Callable[[functionals.Functional, Codebook, Any], tuple[Any, Any]]
"""(functional, codebook, price) -> value in bits, Float[m, k]."""


def through_jax(source: sources.Source, marginal: codebook.Marginal) -> Gradient:
    """Compiled, once for each functional."""
    programs: dict[Any, Any] = {}

    def gradient(functional: functionals.Functional, book: Codebook, s: Any) -> tuple[Any, Any]:
        if functional not in programs:
            programs[functional] = ratedist.compiled(
                lambda b, price: codebook.value_and_gradient(
                    functional, marginal, source.p, source.points, b, price
                )
            )
        return programs[functional](book, s)

    return gradient


def through_host(source: sources.Source, marginal: codebook.Marginal) -> Gradient:
    """Eager, for a marginal that cannot be traced."""
    return lambda functional, book, s: codebook.value_and_gradient(
        functional, marginal, source.p, source.points, book, s
    )


def layer_marginal(p: np.ndarray, codewords: int) -> codebook.Marginal:
    """The optimum through cvxpylayers, for one source and codebook size."""
    from ratedist.codebooks.convex_layer import ConvexLayer

    with jax.enable_x64(True):
        layer = ConvexLayer(p, codewords)
    return lambda _, d, s, mask: layer(d, s, mask)


def disagreement(n: int, m: int) -> dict[str, Any]:
    """The worst pair of gradients over three functionals on the Gaussian, price 2 nats."""
    source = sources.gaussian(n)
    book = merging.codebook(np.linspace(-2.6, 2.6, m) + 0.05 * np.sin(np.arange(m)))
    s = 2.0 / np.log(2.0)
    exact = through_jax(source, implicit.optimal_marginal)
    held, layered = (
        through_jax(source, codebook.envelope),
        through_host(source, layer_marginal(source.p, m)),
    )
    worst: dict[str, Any] = {"relative": -1.0}
    for name, functional in (
        ("rate", functionals.lagrangian),
        ("coded", functionals.coded),
        ("rounded", functionals.rounded(0.3)),
    ):
        reference = np.asarray(exact(functional, book, s)[1])
        others = {"implicit and cvxpylayers": layered}
        if name == "rate":
            others["implicit and envelope"] = held
        for between, gradient in others.items():
            found = np.asarray(gradient(functional, book, s)[1])
            relative = float(np.abs(found - reference).max() / np.abs(reference).max())
            if relative > worst["relative"]:
                worst: dict[str, Any] = {
                    "letters": n,
                    "codewords": m,
                    "functional": name,
                    "between": between,
                    "relative": relative,
                }
    return worst
