"""Shadow price per bit, LP bound, integer program and knapsack on one plot.

The gain of a depth is the information that a pixel's best quantiser of that depth gives about the
class (`thresholds`), so gains need not be concave in the depth. The knapsack answers every budget;
the integer program and its relaxation are solved at some. Also times the knapsack of the
published size against the integer program (`benchmarks.knapsack`).

Cost: all: 1 min; smoke: 1 min.
Data: fashion_mnist.
"""

import json
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from bitalloc.fitting import allocation, integer_program
from experiments.bit_allocation import bitalloc_data
from experiments.runner import experiment as ex
from experiments.runner import plots, subprocesses


@dataclass(frozen=True)
class Config:
    max_bits: int = 160
    integer_program_bits: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 160)
    n_levels: int = 17
    n_depths: int = 5
    n_train: int = 15_000
    n_validation: int = 3_000
    seed: int = 0


class Budget(NamedTuple):
    """The allocation solved three ways.

    Information about the class, in bits, summed over pixels. The price of a bit is that of one
    more, V(b+1) - V(b), and of the last one, V(b) - V(b-1).
    """

    bits: Annotated[int, ex.Key]
    knapsack_gain_bits: Annotated[float, ex.Column("knapsack", ".6f")]
    integer_program_gain_bits: Annotated[float, ex.Column("integer program", ".6f")]
    integer_program_optimal: bool
    lp_bound_bits: Annotated[float, ex.Column("LP bound", ".6f")]
    shadow_price_up: Annotated[float, ex.Column("price of one more", ".5f")]
    shadow_price_down: Annotated[float, ex.Column("of the last", ".5f")]
    lp_price_per_bit: Annotated[float, ex.Column("LP's price", ".5f")]


class Speed(NamedTuple):
    """The knapsack of the published size against the integer program.

    784 features, 9 depths; the knapsack answers every budget to 160 bits, the integer program one.
    """

    instance: Annotated[str, ex.Key, ex.Column("gains")]
    milliseconds: Annotated[
        float, ex.Over(max, "ms"), ex.Column("knapsack, ms", ".2f"),
        # verify measures again, perhaps while the machine is busy
        ex.Claim("bitalloc.knapsack.milliseconds", tolerance=60.0),
    ]  # fmt: skip
    milp_milliseconds: Annotated[float, ex.Column("integer program, ms", ".0f")]
    speedup_vs_milp: Annotated[
        float, ex.Over(min, "times"), ex.Column("times as fast", ".0f"),
        ex.Claim("bitalloc.knapsack.speedup_vs_milp", tolerance=15.0),
    ]  # fmt: skip
    value_difference: Annotated[float, ex.Column("difference of the values", ".0e")]


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> ex.Measurement:
    """Solve all three programs, or measure the speed."""
    if trials == [("speed",)]:
        measured = json.loads(subprocesses.python("benchmarks.knapsack", []))
        return ex.Measurement([Speed(name, **row) for name, row in measured.items()])
    problem = bitalloc_data.problem(config, config.seed, "quadrants", data)
    with jax.enable_x64(True):
        gain = bitalloc_data.gains(problem, config.n_levels, config.n_depths)
        solved = allocation.knapsack(gain, config.max_bits + 1)
        sensors = allocation.two_level_knapsack(
            [gain[problem.sensor_of == s] for s in range(4)], config.max_bits
        )
    gain, value = np.asarray(gain), np.asarray(solved.value)
    rows = []
    for bits in config.integer_program_bits:
        integer = integer_program.solve_integer_program(gain, bits)
        relaxed = integer_program.solve_relaxation(gain, bits)
        up, down = value[bits + 1] - value[bits], value[bits] - value[bits - 1]
        rows.append(Budget(bits, float(value[bits]), integer.value, integer.optimal, relaxed.bound,
                           float(up), float(down), relaxed.shadow_price))  # fmt: skip
    extras = {"value_bits": value[: config.max_bits + 1], "price_per_bit": np.diff(value)}
    return ex.Measurement(rows, extras | {"sensor_bits": np.asarray(sensors.sensor_bits)})


def recompute(config: Config, row: Speed, data: ex.Data) -> dict[str, float]:
    again = next(r for r in measure(config, [("speed",)], data).rows if r.instance == row.instance)
    # A busy machine slows the other down more: only a smaller ratio speaks against the claim.
    return again._asdict() | {"speedup_vs_milp": min(again.speedup_vs_milp, row.speedup_vs_milp)}


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Values and prices against the budget."""
    record = records["all"]
    rows, value = record.of(Budget), record.extras["value_bits"]
    price = record.extras["price_per_bit"]
    figure, (left, right) = plots.subplots(2)
    budgets = [row.bits for row in rows]
    left.plot(range(len(value)), value, color=plots.OURS, label="knapsack, every budget")
    for field, marker, label in (
        ("integer_program_gain_bits", "o", "integer program"),
        ("lp_bound_bits", "x", "LP bound"),
    ):
        left.plot(budgets, [getattr(row, field) for row in rows], marker, ls="none", label=label)
    left.set(xlabel="budget, bits", ylabel="information summed over pixels, bits")
    right.step(range(len(price)), price, color=plots.OURS, label="V(b+1) - V(b)")
    right.plot(budgets, [row.lp_price_per_bit for row in rows], "x", label="LP dual")
    right.set(xlabel="budget, bits", ylabel="price of one more bit")
    for axis in (left, right):
        axis.legend()
    return {"prices": figure}


EXPERIMENT = ex.of_module(
    __name__,
    (Budget, Speed),
    {"all": Config(), "smoke": Config(16, (4,), 9, 3, 300, 100)},
    grid=lambda config: (("programs",), ("speed",)),
    data="fashion_mnist",
    notes="gains are summed as if pixels were independent, as the knapsack assumes: their sum "
    "passes the label's entropy of 1.585 bits, which is why selection measures bits jointly",
)
