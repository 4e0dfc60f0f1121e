"""What one more bit is worth: shadow prices, the LP bound, the integer program, the knapsack.

The gain of a depth is the information that a pixel's best quantiser of that depth gives about the
class (`thresholds`), so gains need not be concave in the depth. The knapsack answers every budget;
the integer program and its relaxation are solved at some. Also times the knapsack of the
published size against the integer program. A minute on two cores.

    python -m experiments bitalloc_prices all
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from bitalloc.encoders import thresholds
from bitalloc.fitting import allocation, integer_program, proposals
from experiments.bit_allocation import bitalloc_data
from experiments.runner import plots, subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_record
from experiments.runner.registry import Table
from fewbits.io import datasets


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    max_bits: int = 160
    referee_bits: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 160)
    n_levels: int = 17
    n_depths: int = 5
    n_train: int = 15_000
    n_validation: int = 3_000
    seed: int = 0


PRESETS = {
    "all": ("15,000 images, every budget to 160", Config()),
    "smoke": ("300 images", Config(16, (4,), 9, 3, 300, 100)),
}


def run(config: Config, run: Run) -> None:
    """Solve all three programs, measure the speed, record."""
    began = time.perf_counter()
    train = bitalloc_data.three_classes("train", run.data_dir)
    problem = bitalloc_data.problem(
        train,
        config.seed,
        "quadrants",
        n_train=config.n_train,
        n_validation=config.n_validation,
    )
    candidates = proposals.find_candidates(problem, config.n_levels)
    histogram = thresholds.class_histograms(
        candidates.level, problem.train.labels, config.n_levels, len(problem.classes)
    )
    with jax.enable_x64(True):
        gain = jax.jit(thresholds.best_quantisers, static_argnums=1)(
            jnp.asarray(histogram, float), config.n_depths
        ).gain_bits
        solved = allocation.knapsack(gain, config.max_bits + 1)
        sensors = allocation.two_level_knapsack(
            [gain[problem.sensor_of == s] for s in range(4)], config.max_bits
        )
    gain, value = np.asarray(gain), np.asarray(solved.value)
    rows = []
    for bits in config.referee_bits:
        integer = integer_program.solve_integer_program(gain, bits)
        relaxed = integer_program.solve_relaxation(gain, bits)
        rows.append(
            {
                "bits": bits,
                "knapsack_gain_bits": float(value[bits]),
                "integer_program_gain_bits": integer.value,
                "integer_program_optimal": integer.optimal,
                "lp_bound_bits": relaxed.bound,
                "lp_price_per_bit": relaxed.shadow_price,
                "shadow_price_up": float(value[bits + 1] - value[bits]),
                "shadow_price_down": float(value[bits] - value[bits - 1]),
            }
        )
    speed = json.loads(subprocesses.python("benchmarks.knapsack", []))
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=(config.seed,),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={
            "rows": rows,
            "value_bits": value[: config.max_bits + 1],
            "price_per_bit": np.diff(value),
            "sensor_bits": np.asarray(sensors.sensor_bits),
            "speed": speed,
        },
        data=datasets.SOURCES["fashion_mnist"].note,
        notes="gains are summed as if pixels were independent, as the knapsack assumes: their sum "
        "passes the label's entropy of 1.585 bits, which is why selection measures bits jointly",
    )
    if run.preset != "smoke":
        write_claims(run, _claims(run, speed, f"bitalloc_prices/{record.name}"))
    print(f"largest difference of knapsack and integer program: {_difference(rows):.2g} bits")


def _difference(rows: list[dict[str, Any]]) -> float:
    return max(abs(r["knapsack_gain_bits"] - r["integer_program_gain_bits"]) for r in rows)


def _claims(run: Run, speed: dict[str, dict[str, float]], record: str) -> list[Claim]:
    """The slower instance's time and the smaller of the two ratios."""
    slowest = max(row["milliseconds"] for row in speed.values())
    smallest = min(row["speedup_vs_milp"] for row in speed.values())
    return [
        Claim(
            id=f"bitalloc.knapsack.{name}",
            value=value,
            std=None,
            seeds=1,
            unit=unit,
            record=record,
            command=run.command,
        )
        for name, value, unit in (
            ("milliseconds", slowest, "ms"),
            ("speedup_vs_milp", smallest, "times"),
        )
    ]


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The three programs at some budgets."""
    if "all" not in records:
        return []
    rows = [
        (
            str(r["bits"]),
            f"{r['knapsack_gain_bits']:.6f}",
            f"{r['integer_program_gain_bits']:.6f}",
            f"{r['lp_bound_bits']:.6f}",
            f"{r['shadow_price_up']:.5f} to {r['shadow_price_down']:.5f}",
            f"{r['lp_price_per_bit']:.5f}",
        )
        for r in records["all"]["metrics"]["rows"]
    ]
    return [
        Table(
            "The allocation solved three ways",
            ("bits", "knapsack", "integer program", "LP bound", "price of a bit", "LP's price"),
            rows,
            "Information about the class, in bits, summed over pixels.",
        )
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Values and prices against the budget."""
    if "all" not in records:
        return {}
    metrics = records["all"]["metrics"]
    rows, value = metrics["rows"], metrics["value_bits"]
    figure, (left, right) = plots.subplots(2)
    budgets = [row["bits"] for row in rows]
    left.plot(range(len(value)), value, color=plots.OURS, label="knapsack, every budget")
    for field, marker, label in (
        ("integer_program_gain_bits", "o", "integer program"),
        ("lp_bound_bits", "x", "LP bound"),
    ):
        left.plot(budgets, [row[field] for row in rows], marker, ls="none", label=label)
    left.set(xlabel="budget, bits", ylabel="information summed over pixels, bits")
    right.step(range(len(metrics["price_per_bit"])), metrics["price_per_bit"], color=plots.OURS,
               label="V(b+1) - V(b)")  # fmt: skip
    right.plot(budgets, [row["lp_price_per_bit"] for row in rows], "x", label="LP dual")
    right.set(xlabel="budget, bits", ylabel="price of one more bit")
    for axis in (left, right):
        axis.legend()
    return {"prices": figure}
