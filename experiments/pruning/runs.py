"""Rows of the pruning experiments, and choices between them, made on the validation part.

Choices are by means over the runs of all seeds. An operating point is a method at one setting; one
of which a seed diverged is never chosen.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner.rows import grouped, mean_over_seeds
from pruning.methods import METHODS
from pruning.procedures.classifiers import Setting

_NONE: Any = None
"""Where no point keeps the limit."""

Ratio = Annotated[float, ex.Over(np.mean), ex.Column("fewer weights by", ".0f")]
Nonzeros = Annotated[int, ex.MeanOverSeeds(), ex.Column("nonzeros", ",.0f")]
Bytes = Annotated[int, ex.MeanOverSeeds("bytes"), ex.Column("bytes", ",.0f")]
TestError = Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test error, %", ".2f")]
ValidationError = Annotated[float, ex.MeanOverSeeds("%"), ex.Column("validation error, %", ".2f")]
"""Fields that several rows have."""


class Run(NamedTuple):
    """Every operating point.

    Mean ± standard deviation over seeds; biases count. In the order of the steps where a method
    prunes iteratively.
    """

    network: Annotated[str, ex.Key, ex.Panel]
    method: Annotated[str, ex.Key]
    step: int
    """Of iterative pruning, or number of the setting."""
    penalty_weight: Annotated[float, ex.Key, ex.Column(format=".2g"),
                              ex.Axis("penalty weight", "log")]  # fmt: skip
    """Of gradual magnitude pruning: the share of weights that remain."""
    tolerance: Annotated[float, ex.Key]
    """By which share the threshold may raise the validation loss."""
    learning_rate: float
    sharpness: float | None
    """DRR's beta; None is the default."""
    seed: int
    ratio: Ratio
    nonzeros: Annotated[Nonzeros, ex.Axis("nonzeros", "log", x=True)]
    test_error_percent: Annotated[TestError, ex.Axis("test error, %", "log")]
    validation_error_percent: ValidationError
    validation_loss_nats: float
    finite: bool
    nonzeros_regularised: int | None = None
    """After the first phase."""
    nonzeros_thresholded: int | None = None
    threshold: float | None = None


class Choice(NamedTuple):
    """Methods at their limits.

    Chosen on validation: of all points with so many times fewer weights, the one with the least
    error; or of all that lose so little, the one with the fewest weights. Mean ± standard deviation
    over seeds; biases count.
    """

    network: Annotated[str, ex.Key]
    method: Annotated[str, ex.Key]
    limit: Annotated[str, ex.Key]
    ratio: Ratio = _NONE
    nonzeros: Nonzeros = _NONE
    test_error_percent: TestError = _NONE
    validation_error_percent: ValidationError = _NONE
    seed: Annotated[int | None, ex.Over(len), ex.Column("seeds", ".0f")] = None


class File(NamedTuple):
    """Files.

    Operating point and precision were chosen on validation, among those that meet the target on
    average over seeds. Each file was decoded in a subprocess. Mean ± standard deviation.
    """

    network: Annotated[str, ex.Key, ex.Panel]
    method: Annotated[str, ex.Key]
    target: Annotated[str, ex.Key, ex.Axis("target")]
    """Least ratio of weights, or largest mean size, or largest loss of accuracy."""
    seed: int
    penalty_weight: float
    tolerance: float
    bits: Annotated[int, ex.Column()]
    """Of kernels."""
    bias_bits: int
    nonzeros: int
    ratio: Ratio
    bytes: Annotated[Bytes, ex.Axis("bytes of the file", "log", x=True)]
    bytes_ratio: Annotated[float, ex.Over(np.mean), ex.Column("fewer bytes by", ".0f")]
    """Four bytes for each parameter over the file's."""
    test_error_percent: Annotated[TestError, ex.Axis("test error, %", "log")]
    validation_error_percent: ValidationError
    file: Annotated[Path, ex.Artifact]


class Selected(NamedTuple):
    """The best method for each target.

    Chosen on validation, of the methods with all seeds; the test error was read after that. Mean ±
    standard deviation over seeds.
    """

    network: Annotated[str, ex.Key]
    target: Annotated[str, ex.Key]
    method: Annotated[str, ex.Column()]
    ratio: Annotated[
        float, ex.MeanOverSeeds("x"), ex.Column("fewer weights by", ".0f"),
        ex.Claim("pruning.{network}.{at_target}.ratio", tolerance=0.0,
                 when=lambda row: not row.target.endswith("bytes")),
    ]  # fmt: skip
    bytes: Annotated[
        Bytes,
        ex.Claim("pruning.{network}.{at_target}.bytes", tolerance=0.0,
                 when=lambda row: row.target.endswith("bytes")),
    ]  # fmt: skip
    test_error_percent: Annotated[
        TestError, ex.Claim("pruning.{network}.{at_target}.test_error_percent", tolerance=0.05)
    ]
    validation_error_percent: ValidationError
    seed: int
    file: Annotated[Path, ex.Artifact]

    @property
    def at_target(self) -> str:
        """For ids: `at_3000_bytes`."""
        return "at_" + self.target.replace(",", "").replace(" ", "_").replace("-", "_")


def as_rows(
    network: str,
    method: str,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    metrics: dict[str, np.ndarray],
    n_parameters: int,
) -> list[Run]:
    """Metrics [settings, seeds] as rows."""
    found = []
    for (step, setting), (number, seed) in itertools.product(enumerate(settings), enumerate(seeds)):
        one = {name: values[step, number].item() for name, values in metrics.items()}
        for part in ("validation", "test"):
            one[f"{part}_error_percent"] = 100 * one.pop(f"{part}_error")
        ratio: Any = n_parameters / one["nonzeros"] if one["nonzeros"] else None
        found.append(Run(network, method, step, *setting, seed, ratio, **one))
    return found


def best(measured: Iterable[Run], field: str, **limit: float) -> list[Run]:
    """The operating point with the least mean of a field; [] where none is within the limit.

    Args:
      measured: runs of any methods.
      field: what should be small.
      limit: another field, and the most that its mean may be.
    """
    ((limited, most),) = limit.items()
    points = grouped(measured, lambda run: (run.method, run.step)).values()
    allowed = [point for point in points if all(run.finite for run in point)]
    allowed = [point for point in allowed if mean_over_seeds(point, limited).mean <= most]
    return min(allowed, key=lambda point: mean_over_seeds(point, field).mean, default=[])


def with_all_seeds(measured: Sequence[Any]) -> list[Any]:
    """Rows of methods that ran with as many seeds as any: luck would favour the others."""
    by_method = grouped(measured, lambda row: row.method)
    seeds = {method: len({row.seed for row in same}) for method, same in by_method.items()}
    return [row for row in measured if seeds[row.method] == max(seeds.values())]


def exact_over_drr(measured: Sequence[Run], limit_percent: float) -> tuple[float, float] | None:
    """Weights of the best exact method over those of the best DRR, and the limit that both keep.

    The limit of the validation error is the least from `limit_percent` on, in steps of 0.1; one
    point above it is the last.
    """
    exact = [run for run in measured if METHODS[run.method].family == "exact"]
    drr = [run for run in measured if run.method.startswith("drr")]
    for tenths in range(11):
        limit = limit_percent + tenths / 10
        both = [best(runs, "nonzeros", validation_error_percent=limit) for runs in (exact, drr)]
        if all(both):
            ours, theirs = (mean_over_seeds(point, "nonzeros").mean for point in both)
            return ours / theirs, limit
    return None


def selected(
    files: Sequence[File],
    score: Callable[[File], float] = lambda row: row.validation_error_percent,
) -> list[Selected]:
    """For every target the files of one method, that of the least mean score."""
    found = []
    for same in grouped(with_all_seeds(files), lambda row: row.target).values():
        methods = grouped(same, lambda row: row.method).values()
        chosen = min(methods, key=lambda method: np.mean([score(row) for row in method]))
        found += [Selected(**{name: getattr(row, name) for name in Selected._fields})
                  for row in chosen]  # fmt: skip
    return found
