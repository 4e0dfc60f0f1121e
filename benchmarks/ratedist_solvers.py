"""Speed of the certified solver against CVXPY with Clarabel, and against dit, in the same run.

python -m benchmarks.ratedist_solvers [--dit-python PATH] [--only PART]

Every time is the median of warm calls; only ratios can be compared between machines. dit is not a
dependency: where it is installed for another interpreter, name that one. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

import ratedist
from ratedist import sources
from ratedist.solvers.convex import solve_convex

_FIRST = """
import time
import numpy as np
import ratedist
x = np.linspace(-3, 3, 64)
p, d = np.exp(-x**2 / 2) / np.exp(-x**2 / 2).sum(), np.subtract.outer(x, x) ** 2
start = time.perf_counter()
ratedist.rate(p, d, 0.5)
print(time.perf_counter() - start)
"""

_DIT = """
import json, sys, time
import numpy as np
from dit.rate_distortion.blahut_arimoto import blahut_arimoto
p, d, beta = (np.array(v) for v in json.load(sys.stdin))
found = {}
for name, restarts, repeats in (("single", 1, 30), ("default", 100, 1)):
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        _, joint = blahut_arimoto(p, float(beta), lambda *_: d, restarts=restarts)
        seconds.append(time.perf_counter() - start)
    found[name] = float(np.median(seconds))
    if name == "single":
        q = np.asarray(joint).sum(axis=0).tolist()
        single = {"q_single": q, "fastest_single": min(seconds)}
print(json.dumps({**found, **single, "q": np.asarray(joint).sum(axis=0).tolist()}))
"""


def median_seconds(call: Callable[[], Any], repeats: int) -> float:
    """Median wall time of `repeats` calls, after one that compiles."""
    jax.block_until_ready(call())
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


def against_clarabel(repeats: int = 3) -> dict[str, float]:
    """The Gaussian on 64 x 64 at D = 0.5: both to their certificates.

    Clarabel runs at a tolerance of 1e-8; ours is asked for 1e-7 bits.
    """
    source = sources.gaussian(64)
    d = sources.squared_error(source.points, source.points)
    rule = ratedist.mean_distortion(source.p, 0.5)
    solve = ratedist.compiled(ratedist.solve_fixed)
    point = solve(source.p, d, rule, tol_bits=1e-7)
    ours = median_seconds(lambda: solve(source.p, d, rule, tol_bits=1e-7), 30)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        theirs = solve_convex(source.p, d, rule, tolerance=1e-8)
        seconds.append(time.perf_counter() - start)
    bound = ratedist.certificate(
        source.p, d, rule, np.maximum(theirs.nu, 0.0), np.maximum(theirs.q, 1e-12)
    )
    return {
        "seconds": ours,
        "clarabel_seconds": float(np.median(seconds)),
        "speedup": float(np.median(seconds)) / ours,
        "gap_bits": float(point.gap_bits),
        "clarabel_gap_bits": theirs.rate_bits - bound,
    }


def against_dit(python: str) -> dict[str, float]:
    """Blahut-Arimoto of dit, 64 x 64 at one bit per unit of distortion, to a gap no larger.

    Its default is 100 random starts of up to 100 steps, though the problem is convex; `single` is
    one start. Both stop on a small change of the distortion, at the gap that is computed here.
    """
    source, d, theirs = _dit_run(python)
    gap = _gap_bits(source.p, d, 1.0, np.array(theirs["q"]))
    solve = ratedist.compiled(ratedist.solve_slope)
    point = solve(source.p, d, 1.0, tol_bits=gap)
    ours = median_seconds(lambda: solve(source.p, d, 1.0, tol_bits=gap), 30)
    return {
        "seconds": ours,
        "dit_seconds": theirs["default"],
        "speedup": theirs["default"] / ours,
        "dit_single_start_seconds": theirs["single"],
        "speedup_single_start": theirs["single"] / ours,
        "gap_bits": float(point.gap_bits),
        "dit_gap_bits": gap,
    }


def first_call() -> dict[str, float]:
    """Seconds of the first call of a process, 64 x 64, and of a later one: nothing is compiled."""
    done = subprocess.run(
        [sys.executable, "-c", _FIRST], capture_output=True, text=True, check=True
    )
    source = sources.gaussian(64)
    d = sources.squared_error(source.points, source.points)
    seconds, point = _fastest(lambda: ratedist.rate_point(source.p, d, 0.5))
    return {
        "first_call_seconds": float(done.stdout),
        "seconds": seconds,
        "gap_bits": float(point.gap_bits),
    }


def eager_against_dit(python: str) -> dict[str, float]:
    """Plain calls against one start of dit, to a gap no larger than its gap.

    The fastest of 30 calls of each, because both take milliseconds and the machine may be busy.
    """
    source, d, theirs = _dit_run(python)
    gap = _gap_bits(source.p, d, 1.0, np.array(theirs["q_single"]))
    seconds, point = _fastest(lambda: ratedist.solve_slope(source.p, d, 1.0, tol_bits=gap))
    return {
        "seconds": seconds,
        "dit_seconds": theirs["fastest_single"],
        "speedup": theirs["fastest_single"] / seconds,
        "gap_bits": float(point.gap_bits),
        "dit_gap_bits": gap,
    }


def _fastest(call: Callable[[], Any]) -> tuple[float, Any]:
    """Wall time of the fastest of 30 calls after the first, and what it returns."""
    result, seconds = call(), []
    for _ in range(30):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds), result


def _dit_run(python: str) -> tuple[sources.Source, np.ndarray, dict[str, Any]]:
    """The Gaussian on 64 x 64, and dit's times and solutions at one bit per unit of distortion."""
    source = sources.gaussian(64)
    d = sources.squared_error(source.points, source.points)
    data = json.dumps([source.p.tolist(), d.tolist(), 1.0])
    done = subprocess.run(
        [python, "-c", _DIT], input=data, capture_output=True, text=True, check=True
    )
    return source, d, json.loads(done.stdout)


def _gap_bits(p: np.ndarray, d: np.ndarray, s: float, q: np.ndarray) -> float:
    """Certified gap of a marginal at a slope: log max c - sum q c log c, in bits."""
    table = np.exp2(-s * d)
    ratio = (p / (table @ q)) @ table
    marginal = q * ratio
    return float(np.log2(ratio.max()) - marginal @ np.log2(np.maximum(ratio, 1e-300)))


def thousand() -> dict[str, float]:
    """1000 letters, 1000 codewords, D = 0.5."""
    source = sources.gaussian(1000)
    d = sources.squared_error(source.points, source.points)
    rule = ratedist.mean_distortion(source.p, 0.5)
    solve = ratedist.compiled(ratedist.solve_fixed)
    point = solve(source.p, d, rule, tol_bits=1e-6)
    seconds = median_seconds(lambda: solve(source.p, d, rule, tol_bits=1e-6), 3)
    return {"seconds": seconds, "gap_bits": float(point.gap_bits)}


def sweep() -> dict[str, float]:
    """32 slopes at once, 256 x 256."""
    source = sources.gaussian(256)
    d = sources.squared_error(source.points, source.points)
    slopes = np.geomspace(0.8, 11.5, 32)
    solve = ratedist.compiled(ratedist.sweep)
    points = solve(source.p, d, slopes)
    seconds = median_seconds(lambda: solve(source.p, d, slopes), 3)
    return {
        "seconds": seconds,
        "gap_bits": float(np.max(points.gap_bits)),
        "converged": float(np.mean(points.converged)),
    }


def run(dit_python: str | None = None, only: str | None = None) -> dict[str, Any]:
    """All parts or one; dit is None where there is no interpreter that has it."""
    parts: dict[str, Callable[[], dict[str, float] | None]] = {
        "clarabel_64": against_clarabel,
        "dit_64": lambda: None if dit_python is None else against_dit(dit_python),
        "first_64": first_call,
        "eager_64": lambda: None if dit_python is None else eager_against_dit(dit_python),
        "1000x1000": thousand,
        "sweep32_256": sweep,
    }
    return {name: part() for name, part in parts.items() if only in (None, name)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dit-python", help="interpreter that can import dit")
    parser.add_argument("--only", metavar="PART", help="one part of the result, by its name")
    options = parser.parse_args()
    json.dump(run(options.dit_python, options.only), sys.stdout, indent=2)
