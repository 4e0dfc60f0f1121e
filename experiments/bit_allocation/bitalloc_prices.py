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

from bitalloc.fitting import allocation, integer_program
from experiments.bit_allocation import bitalloc_data
from experiments.runner import experiment as ex
from experiments.runner import subprocesses


@dataclass(frozen=True)
class Config:
    integer_program_bits: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128, 160)
    n_levels: int = 17
    n_depths: int = 5
    n_train: int = 15_000
    n_validation: int = 3_000
    seed: int = 0


Gain = Annotated[float, ex.Axis("information summed over pixels, bits")]
Price = Annotated[float, ex.Axis("price of one more bit")]


class Budget(NamedTuple):
    """The allocation solved three ways.

    Information about the class, in bits, summed over pixels. The price of a bit is that of one
    more, V(b+1) - V(b), and of the last one, V(b) - V(b-1).
    """

    bits: Annotated[int, ex.Key, ex.Axis("budget, bits", "log2"), ex.Column("bits")]
    knapsack_gain_bits: Annotated[Gain, ex.Column("knapsack", ".6f")]
    integer_program_gain_bits: Annotated[Gain, ex.Column("integer program", ".6f")]
    integer_program_optimal: bool
    lp_bound_bits: Annotated[Gain, ex.Column("LP bound", ".6f")]
    shadow_price_up: Annotated[Price, ex.Column("price of one more", ".5f")]
    shadow_price_down: Annotated[Price, ex.Column("of the last", ".5f")]
    lp_price_per_bit: Annotated[Price, ex.Column("LP's price", ".5f")]


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


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Budget] | list[Speed]:
    """Solve all three programs, or measure the speed."""
    if trials == [("speed",)]:
        return _speeds()
    train = bitalloc_data.problem(config, config.seed, "quadrants", data).train
    with jax.enable_x64(True):
        gain = allocation.pixel_gains(*train, 3, config.n_levels, config.n_depths)
        value = allocation.knapsack(gain, max(config.integer_program_bits) + 1).value
    gain, rows = np.asarray(gain), []
    for bits in config.integer_program_bits:
        integer = integer_program.solve_integer_program(gain, bits)
        relaxed = integer_program.solve_relaxation(gain, bits)
        before, here, after = map(float, value[bits - 1 : bits + 2])
        rows.append(Budget(bits, here, integer.value, integer.optimal, relaxed.bound,
                           after - here, here - before, relaxed.shadow_price))  # fmt: skip
    return rows


def _speeds() -> list[Speed]:
    measured = json.loads(subprocesses.python("benchmarks.knapsack", []))
    return [Speed(name, **row) for name, row in measured.items()]


def recompute(config: Config, row: Speed, data: ex.Data) -> dict[str, float]:
    again = {one.instance: one for one in _speeds()}[row.instance]
    # A busy machine slows the other down more: only a smaller ratio speaks against the claim.
    return again._asdict() | {"speedup_vs_milp": min(again.speedup_vs_milp, row.speedup_vs_milp)}


EXPERIMENT = ex.of_module(
    __name__,
    (Budget, Speed),
    {"all": Config(), "smoke": Config((4,), 9, 3, 300, 100)},
    grid=lambda config: (("programs",), ("speed",)),
    data="fashion_mnist",
    notes="gains are summed as if pixels were independent, as the knapsack assumes: their sum "
    "passes the label's entropy of 1.585 bits, which is why selection measures bits jointly",
)
