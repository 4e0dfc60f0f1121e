"""Bit allocation: accuracy against 1 to 160 bits, the published figure redrawn.

Fashion-MNIST's T-shirts, dresses and coats; 15,000 images to fit on, 3,000 to choose on, the
official 3,000 to test on, once per row; three seeds, each with its own cut of the training images.
Every accuracy is that of labels decoded in a subprocess from B bits per image.

Cost: goals: 1 h on 2 cores; smoke: 2 min.
Data: fashion_mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, NamedTuple

import jax

import bitalloc
from bitalloc.fitting import modes, proposals
from bitalloc.fitting.fit import FitConfig
from bitalloc.model import accuracy
from experiments.bit_allocation import bitalloc_data
from experiments.runner import experiment as ex
from fewbits import coding

Condition = tuple[str, str, int]
"""(mode, view, bits)."""

_ALL: tuple[Condition, ...] = (
    *(("pixel", view, b) for b in (1, 2, 4, 8, 16, 32, 160) for view in ("central", "quadrants")),
    *(("projection", "central", b) for b in (1, 2, 3, 4, 8, 16, 160)),
    *(("projection", "quadrants", b) for b in (4, 8, 16, 32, 160)),
    ("decision", "central", 2),
)
_BEYOND: tuple[Condition, ...] = tuple(
    ("decision", view, b) for view in ("central", "quadrants") for b in (4, 16, 160)
)
"""With two bits a network at one sensor says all it knows; these show what is lost elsewhere."""
_SMOKE: tuple[Condition, ...] = (("pixel", "central", 2), ("projection", "quadrants", 4))


@dataclass(frozen=True)
class Config:
    conditions: tuple[Condition, ...] = _ALL
    first_seed_conditions: tuple[Condition, ...] = _BEYOND
    """Measured with the first seed only, in `decision_epochs_beyond` epochs."""
    seeds: tuple[int, ...] = (0, 1, 2)
    n_train: int = 15_000
    n_validation: int = 3_000
    restarts: int = 5
    starts: int = 3
    """Trainings of 8 signs or fewer; the best on validation is taken."""
    projection_epochs: int = 25
    decision_epochs: int = 60
    decision_epochs_beyond: int = 15
    decision_width: int = 32


class Trial(NamedTuple):
    """One model to fit."""

    mode: str
    view: str
    bits: int
    seed: int
    beyond: bool
    """Whether it is one of `first_seed_conditions`."""


class Row(NamedTuple):
    """Accuracy from a handful of bits, Fashion-MNIST's T-shirts, dresses and coats.

    Mean ± standard deviation over three seeds (one seed where no deviation is given); 15,000
    training and 3,000 validation images, official test images. The published system: 800 training
    images, tested on 500; uncompressed 89.8.
    """

    mode: Annotated[str, ex.Key]
    view: Annotated[str, ex.Key, ex.Panel]
    bits: Annotated[int, ex.Key, ex.Axis("bits per image", scale="log2")]
    # The tolerance allows three of 3,000 images to change where a network rounds otherwise.
    test_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Axis("test accuracy, %"),
        ex.Claim("bitalloc.{mode}.{view}.{bits}", tolerance=0.04),
    ]  # fmt: skip
    decoder: Annotated[str, ex.Column()]
    seed: int | None = None
    sensor_bits: tuple[int, ...] = ()
    validation_percent: float | None = None
    model_bytes: int | None = None
    # Four networks of two megabytes together would be too much for the repository.
    model: Annotated[Path | None, ex.Artifact(
        lambda row: row.bits in (2, 4, 16, 160) and row[:2] != ("decision", "quadrants")
    )] = None  # fmt: skip


def grid(config: Config) -> Iterator[Trial]:
    for seed in config.seeds:
        yield from (Trial(*condition, seed, False) for condition in config.conditions)
        if seed == config.seeds[0]:
            yield from (Trial(*each, seed, True) for each in config.first_seed_conditions)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Fit a model, write it, have its messages decoded in a subprocess."""
    (trial,) = trials
    mode, view, bits, seed, _ = trial
    problem = bitalloc_data.problem(config, seed, view, data)
    model = modes.fit(jax.random.key(seed), problem, mode, bits, _fit_config(config, trial))
    path = data.path(f"bitalloc_{mode}_{view}_{bits}{f'_seed{seed}' if seed else ''}.model")
    coding.save(path, bitalloc.to_bytes(model))
    test = bitalloc_data.three_classes("test", data.data_dir)
    percent, bits_of = bitalloc_data.measure(path, test), tuple(model.sensor_bits.tolist())
    validation, size = 100 * accuracy(model, *problem.validation), path.stat().st_size
    return [Row(mode, view, bits, percent, model.decoder_kind, seed, bits_of, validation, size,
                path)]  # fmt: skip


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Encode the test set with the first seed's file, decode it in a subprocess."""
    assert row.model is not None
    return bitalloc_data.measure(row.model, bitalloc_data.three_classes("test", data.data_dir))


def _fit_config(config: Config, trial: Trial) -> FitConfig:
    settings = proposals.default_bottleneck(trial.mode, trial.bits)
    settings = replace(settings, epochs=config.projection_epochs, **bitalloc_data.EPOCHS_ALONE)
    network = trial.mode == "decision"
    if network:
        epochs = config.decision_epochs_beyond if trial.beyond else config.decision_epochs
        settings = replace(settings, epochs=epochs, sensor_width=config.decision_width,
                           weight_decay=0.02, flip=True)  # fmt: skip
    # Few signs may all end alike; a network that sends its decision is trained once, and longest.
    once = trial.bits > 8 or trial.mode == "pixel" or (network and not trial.beyond)
    return replace(bitalloc_data.RECORDED, restarts=config.restarts, bottleneck=settings,
                   starts=1 if once else config.starts)  # fmt: skip


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "goals": Config(),
        "smoke": Config(_SMOKE, (), (0, 1), 1_000, 200, restarts=0, starts=1, projection_epochs=5),
    },
    published=[Row("published", *at, value, "linear")
               for at, value in bitalloc_data.PUBLISHED.items()],
    figures=lambda records: bitalloc_data.against_published(EXPERIMENT, records["goals"]),
    data="fashion_mnist",
    free=("seeds", "conditions", "first_seed_conditions"),
    headline="bitalloc.decision.central.2",
)  # fmt: skip
