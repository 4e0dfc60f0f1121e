"""Which quadrant gets how many bits as the budget grows, and which pixels at which thresholds.

Pixel mode on Fashion-MNIST's T-shirts, dresses and coats, one cut of the training images. The
joint selection of `bitalloc_curves` is compared with the two-level knapsack, which adds up what
pixels tell separately.

Cost: all: 5 min on 1 core; smoke: 1 min.
Data: fashion_mnist.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from bitalloc.encoders.encoder import PixelEncoder
from bitalloc.fitting import allocation, modes
from bitalloc.fitting.fit import Problem
from bitalloc.model import accuracy
from experiments.bit_allocation import bitalloc_data
from experiments.runner import experiment as ex
from experiments.runner import plots

TARGETS_PERCENT = (70, 80, 90)


@dataclass(frozen=True)
class Config:
    budgets: tuple[int, ...] = (1, 2, 3, 4, 6, 8, 10, 12, 16, 24, 32)
    n_levels: int = 17
    n_train: int = 15_000
    n_validation: int = 3_000
    restarts: int = 2
    seed: int = 0


Bits = Annotated[int, ex.Axis("bits of each quadrant")]


class Row(NamedTuple):
    """Bits per quadrant, chosen together."""

    bits: Annotated[int, ex.Key, ex.Axis("budget, bits"), ex.Column("bits")]
    top_left: Annotated[Bits, ex.Column("top left")]
    top_right: Annotated[Bits, ex.Column("top right")]
    bottom_left: Annotated[Bits, ex.Column("bottom left")]
    bottom_right: Annotated[Bits, ex.Column("bottom right")]
    separately: Annotated[str, ex.Column("added up separately")]
    # The tolerance allows three of 3,000 images.
    validation_percent: Annotated[
        float, ex.Over(max, "%"), ex.Column("validation, %", ".2f"),
        ex.Claim("bitalloc.sensors.validation.{bits}", 0.11, lambda row: row.bits in (2, 8)),
    ]  # fmt: skip
    pixel: tuple[int, ...]
    """One for each bit, and its threshold of 255."""
    threshold: tuple[float, ...]


class Fewest(NamedTuple):
    """Fewest bits tried for a validation accuracy."""

    target_percent: Annotated[int, ex.Key, ex.Column("validation accuracy, at least, %")]
    bits: Annotated[int | None, ex.Column("fewest bits tried")]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> ex.Measurement:
    ((bits,),) = trials
    problem = bitalloc_data.problem(config, config.seed, "quadrants", data)
    settings = replace(
        bitalloc_data.RECORDED, n_levels=config.n_levels, restarts=config.restarts, networks=False
    )
    model = modes.fit(jax.random.key(config.seed), problem, "pixel", bits, settings)
    assert isinstance(model.encoder, PixelEncoder)
    separately = data.cached("separable", lambda: _separable_split(problem, config))[bits]
    row = Row(
        bits,
        *model.sensor_bits.tolist(),
        separately="+".join(map(str, separately)),
        validation_percent=100 * accuracy(model, *problem.validation),
        pixel=tuple(model.encoder.feature.tolist()),
        threshold=tuple(model.encoder.thresholds[:, 0].tolist()),
    )
    mean_image = np.mean(problem.train.features, axis=0).reshape(28, 28).round(1)
    first = bits == config.budgets[0]
    return ex.Measurement([row], {"mean_image": mean_image} if first else {})


def _separable_split(problem: Problem, config: Config) -> np.ndarray:
    """Bits per quadrant by the two-level knapsack, for every budget; Int[B+1, 4]."""
    gain = allocation.pixel_gains(*problem.train, 3, config.n_levels, 4)
    gains = [gain[problem.sensor_of == sensor] for sensor in range(4)]
    return np.asarray(allocation.two_level_knapsack(gains, max(config.budgets)).sensor_bits)


def derive(record: ex.Record) -> Sequence[Fewest]:
    """The smallest budgets that reach the targets."""
    rows = record.of(Row)
    reached = {t: [r.bits for r in rows if r.validation_percent >= t] for t in TARGETS_PERCENT}
    return [Fewest(target, min(bits, default=None)) for target, bits in reached.items()]


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Shares of the quadrants, and the chosen pixels on the mean image."""
    record = records["all"]
    figure, (axis,) = plots.subplots()
    shown = max((row for row in record.of(Row) if row.bits <= 16), key=lambda row: row.bits)
    axis.imshow(np.array(record.extras["mean_image"]), cmap="gray")
    row, column = np.divmod(shown.pixel, 28)
    marks = axis.scatter(column, row, c=shown.threshold, cmap="autumn", s=26, vmin=0, vmax=255)
    figure.colorbar(marks, ax=axis, label="threshold, of 255")
    axis.axhline(13.5, color="white", lw=0.6)
    axis.axvline(13.5, color="white", lw=0.6)
    axis.grid(visible=False)
    axis.set_title(f"the {shown.bits} chosen pixels on the mean image", loc="left")
    return {"pixels": figure, **plots.default(EXPERIMENT, record)}


EXPERIMENT = ex.of_module(
    __name__,
    (Row, Fewest),
    {"all": Config(), "smoke": Config((1, 2), 9, 300, 100, 0)},
    grid=lambda config: ((bits,) for bits in config.budgets),
    recompute=lambda config, row, data: measure(config, [(row.bits,)], data),
    data="fashion_mnist",
    notes="accuracies are on the validation part; test accuracies are bitalloc_curves'",
)
