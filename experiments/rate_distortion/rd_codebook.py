"""Codebooks refined through the convex step: 64 random codewords down to a handful.

The report's refinement (trimodal source, D = 0.6), with every rate certified, by three gradients:
envelope, implicit differentiation, and cvxpylayers on the m-dimensional program. On the rate they
agree and do the same. Where the envelope theorem does not apply (what an entropy coder pays for the
encoder's output as it stands, and after rounding to a deterministic encoder) the derivative of the
optimum does work that no centroid step does.

    python -m experiments rd_codebook paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.rate_distortion.rd_gradients import (
    Gradient,
    disagreement,
    layer_marginal,
    through_host,
    through_jax,
)
from experiments.runner import plots
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from ratedist import sources
from ratedist.codebooks import codebook, functionals, merging
from ratedist.codebooks.merging import Codebook
from ratedist.solvers import implicit


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    distortion: float = 0.6
    codewords: int = 64
    steps: int = 30
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    layer_seeds: int = 1
    """How many of the seeds go through cvxpylayers, which is slow."""
    sizes: tuple[tuple[int, int], ...] = ((20, 8), (64, 16))
    """Where the gradients are compared."""
    descent_steps: int = 60
    descent_rate: float = 0.2


PRESETS = {
    "paper": ("64 codewords, 30 steps, five seeds", Config()),
    "smoke": (
        "12 codewords, 4 steps, one seed",
        Config(codewords=12, steps=4, seeds=(4,), sizes=((20, 8),), descent_steps=3),
    ),
}


def run(config: Config, run: Run) -> None:
    """Refine, compare gradients, descend on the other functionals, record."""
    began = time.perf_counter()
    source = sources.trimodal()
    agreement = [disagreement(n, m) for n, m in config.sizes]
    worst = max(row["relative"] for row in agreement)
    print(f"largest disagreement of the gradients: {worst:.1e}", flush=True)
    paths = []
    for number, seed in enumerate(config.seeds):
        rng = np.random.default_rng(seed)
        start = rng.uniform(-8.0, 8.0, config.codewords)
        for name, marginal in (("envelope", codebook.envelope),
                               ("implicit", implicit.optimal_marginal)):  # fmt: skip
            paths.append(_refined(config, source, start, name, seed, through_jax(source, marginal)))
        if number < config.layer_seeds:
            through = layer_marginal(source.p, config.codewords)
            gradient = through_host(source, through)
            paths.append(_refined(config, source, start, "cvxpylayers", seed, gradient))
        row = paths[-1]
        print(f"seed {seed}: {row['rate_ub'][0]:.4f} -> {row['rate_ub'][-1]:.4f} bits, "
              f"{row['codewords'][-1]} codewords", flush=True)  # fmt: skip
    descents = [_descent(config, source, name) for name in ("coded", "rounded")]
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=config.seeds,
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={"agreement": agreement, "paths": paths, "descents": descents},
        data="the report's trimodal source",
        notes="a codebook is charged before its step, as the report does; disagreement is the "
        "largest difference over the largest entry",
    )
    if run.preset == "paper":
        claim = Claim(
            id="ratedist.codebook.gradient_disagreement",
            value=worst,
            std=None,
            seeds=1,
            unit="relative",
            record=f"rd_codebook/{record.name}",
            command=run.command,
        )
        write_claims(run, [claim])


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Where the refinement ends, how far the gradients differ, and what the others gain."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    ends = []
    for name in dict.fromkeys(path["gradient"] for path in metrics["paths"]):
        rows = [path for path in metrics["paths"] if path["gradient"] == name]
        ends.append(
            (
                name,
                len(rows),
                f"{np.mean([r['rate_ub'][0] for r in rows]):.4f}",
                f"{np.mean([r['rate_ub'][-1] for r in rows]):.5f}",
                f"{max(max(r['gap_bits']) for r in rows):.1e}",
                f"{np.mean([r['codewords'][0] for r in rows]):.0f}",
                f"{np.mean([r['codewords'][-1] for r in rows]):.1f}",
            )
        )
    agreement = [
        (
            f"{r['letters']} x {r['codewords']}",
            r["functional"],
            r["between"],
            f"{r['relative']:.1e}",
        )
        for r in metrics["agreement"]
    ]
    descents = [
        (
            d["functional"],
            f"{d['start_bits']:.4f}",
            f"{d['end_bits']:.4f}",
            f"{d['rounded_start_bits']:.4f}",
            f"{d['rounded_end_bits']:.4f}",
        )
        for d in metrics["descents"]
    ]
    return [
        Table(
            "Refinement at D = 0.6 by three gradients",
            ("gradient", "seeds", "rate, first", "rate, last", "largest gap", "codewords", "last"),
            ends,
            "Bits per letter; R(0.6) over all codebooks is at least 1.6771.",
        ),
        Table(
            "Disagreement of the gradients",
            ("letters x codewords", "functional", "between", "relative"),
            agreement,
        ),
        Table(
            "Functionals that the envelope theorem does not cover",
            ("descended on", "before", "after", "H + s D rounded, before", "after"),
            descents,
            "H + s D in bits, from the codebook refined for the rate; rounded means the likeliest "
            "codeword is sent.",
        ),
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Rate and number of codewords per step."""
    if "paper" not in records:
        return {}
    figure, (left, right) = plots.subplots(2)
    colours = {"envelope": plots.OURS, "implicit": plots.PUBLISHED, "cvxpylayers": plots.BASELINE}
    seen = set()
    for path in records["paper"]["metrics"]["paths"]:
        name = path["gradient"]
        label = None if name in seen else name
        seen.add(name)
        style = {"color": colours[name], "label": label, "ls": "-" if name == "envelope" else ":"}
        left.plot(path["rate_ub"], **style)
        right.plot(path["codewords"], **style)
    left.set(xlabel="step", ylabel="certified rate at D = 0.6, bits")
    right.set(xlabel="step", ylabel="codewords", yscale="log")
    left.legend()
    return {"refinement": figure}


def _refined(
    config: Config,
    source: sources.Source,
    start: np.ndarray,
    name: str,
    seed: int,
    gradient: Gradient,
) -> dict[str, Any]:
    """`ratedist.refine_codebook` step by step, for a gradient that may be taken on the host."""
    rule = ratedist.mean_distortion(source.p, config.distortion)
    solve, move = ratedist.compiled(codebook.convex_step), ratedist.compiled(codebook.move)
    shrink = ratedist.compiled(lambda b, q: merging.merge(b, q, least_distance=1e-2))
    book, points, counts = merging.codebook(start), [], []
    for step in range(config.steps + 1):
        point = solve(source.p, source.points, book, rule)
        if point.infeasible[0]:
            raise ValueError(f"the codebook of seed {seed} does not reach {config.distortion}")
        points.append(point)
        counts.append(int(np.asarray(book.mask).sum()))
        if step == config.steps:
            break
        # One price for all letters: the constraint is a mean.
        s = point.nu[0]
        _, found = gradient(functionals.lagrangian, book, s)
        book = move(source.p, source.points, book, point.q, s, np.asarray(found))
        book, _ = shrink(book, point.q)
    return {
        "gradient": name,
        "seed": seed,
        "rate_lb": [float(p.rate_lb) for p in points],
        "rate_ub": [float(p.rate_ub) for p in points],
        "gap_bits": [float(p.gap_bits) for p in points],
        "codewords": counts,
        "points": np.asarray(book.points)[np.asarray(book.mask), 0],
    }


def _descent(config: Config, source: sources.Source, name: str) -> dict[str, Any]:
    """Gradient steps on H + s D of the encoder as it is, or nearly rounded; the best is kept."""
    functional = functionals.coded if name == "coded" else functionals.rounded(0.1)
    s = 1.0
    start = merging.codebook(np.array([-7.0, -5.0, -1.0, 2.5, 5.0, 7.0]))
    centred, _ = ratedist.refine_codebook(
        source.p, source.points, start, config.distortion, steps=config.steps
    )
    gradient = through_jax(source, implicit.optimal_marginal)
    solve, move = ratedist.compiled(ratedist.solve_slope), ratedist.compiled(codebook.move)
    book, best, values = centred, centred, []
    for _ in range(config.descent_steps):
        value, found = gradient(functional, book, s)
        values.append(float(value))
        if values[-1] == min(values):
            best = book
        d = sources.squared_error(source.points, book.points)
        q = solve(source.p, d, s, mask=book.mask).q
        book = move(source.p, source.points, book, q, s, np.asarray(found), config.descent_rate)
    return {
        "functional": name,
        "price": s,
        "values_bits": values,
        "start_bits": values[0],
        "end_bits": min(values),
        "rounded_start_bits": _rounded(source, centred, s),
        "rounded_end_bits": _rounded(source, best, s),
    }


def _rounded(source: sources.Source, book: Codebook, s: float) -> float:
    """H + s D where every letter goes to its likeliest codeword under the convex encoder."""
    d = sources.squared_error(source.points, book.points)
    point = ratedist.compiled(ratedist.solve_slope)(source.p, d, s, mask=book.mask)
    cell = np.argmax(np.asarray(ratedist.encoder(source.p, d, point)), axis=1)
    mass = np.bincount(cell, source.p, d.shape[1])
    used = mass > 0
    entropy = -(mass[used] @ np.log2(mass[used]))
    return float(entropy + s * (source.p @ d[np.arange(len(source.p)), cell]))
