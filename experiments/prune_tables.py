"""Tables and figures of the LeNet experiment, from its records: what was reached, at what error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments.prune_lanes import Lanes
from experiments.registry import Table
from pruning.recipes import RECIPES

PARAMETERS = {"lenet300": 266_610, "lenet5": 431_080}
TITLES = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5-Caffe"}
LIMITS_PERCENT = {"lenet300": (1.8, 1.9), "lenet5": (0.8, 1.0)}
"""Errors at which the ratio is reported: the goal's and the floor's."""


class Anchor(NamedTuple):
    """A published result: ratio of weights, test error in percent."""

    title: str
    ratio: float
    error_percent: float


ANCHORS = {
    "lenet300": (
        Anchor("Sparse VD", 68, 1.92),
        Anchor("DNS", 56, 1.99),
        Anchor("SWS", 23, 1.94),
        Anchor("SNIP", 50, 2.4),
    ),
    "lenet5": (
        Anchor("Sparse VD", 280, 0.75),
        Anchor("DNS", 111, 0.91),
        Anchor("SWS", 200, 0.97),
        Anchor("SNIP", 100, 1.1),
    ),
}


class Choice(NamedTuple):
    """The point of a method with the fewest weights whose mean validation error is in a limit.

    Attributes:
      point: its number.
      nonzeros: mean and standard deviation over seeds.
      test_error_percent: mean and standard deviation over seeds.
      validation_error_percent: mean over seeds.
    """

    point: int
    nonzeros: tuple[float, float]
    test_error_percent: tuple[float, float]
    validation_error_percent: float


def choose(metrics: dict[str, Any], limit_percent: float) -> Choice | None:
    """The choice at an error limit, made on the validation part; None where no point keeps it.

    Args:
      metrics: name -> [H][S], as in `Lanes.metrics` or a record's `lanes`.
      limit_percent: largest mean validation error.
    """
    validation = 100 * np.asarray(metrics["validation_error"])
    test, nonzeros = 100 * np.asarray(metrics["test_error"]), np.asarray(metrics["nonzeros"])
    finite = np.asarray(metrics["finite"]).all(axis=1)
    means = np.where(finite, validation.mean(axis=1), np.inf)
    allowed = np.flatnonzero(means <= limit_percent)
    if not len(allowed):
        return None
    point = int(allowed[np.argmin(nonzeros.mean(axis=1)[allowed])])
    return Choice(point, _spread(nonzeros[point]), _spread(test[point]), float(means[point]))


class Comparison(NamedTuple):
    """Weights of the best exact method over those of the best DRR.

    Attributes:
      value: the ratio of mean nonzeros.
      limit_percent: mean validation error that both keep.
    """

    value: float
    limit_percent: float


def exact_over_smooth(lanes: dict[str, dict[str, Any]], limit_percent: float) -> Comparison | None:
    """The exact family against DRR at the least limit, in steps of 0.1, that both keep.

    Args:
      lanes: method -> metrics, as `choose` takes them.
      limit_percent: the first limit tried; one point above it is the last.
    """
    for steps in range(11):
        limit = limit_percent + steps / 10
        found = {method: choose(metrics, limit) for method, metrics in lanes.items()}
        sizes = {method: c.nonzeros[0] for method, c in found.items() if c is not None}
        exact = [sizes[m] for m in sizes if RECIPES[m].family == "exact"]
        drr = [sizes[m] for m in sizes if m.startswith("drr")]
        if exact and drr:
            return Comparison(min(exact) / min(drr), limit)
    return None


def best_line(method: str, lanes: Lanes) -> str:
    """One line for the terminal: the front of a method, ratio @ validation / test error."""
    nonzeros = lanes.metrics["nonzeros"].mean(axis=1)
    size = sum(leaf[0, 0].size for leaf in _leaves(lanes.params))
    validation = 100 * lanes.metrics["validation_error"].mean(axis=1)
    test = 100 * lanes.metrics["test_error"].mean(axis=1)
    order = [i for i in np.argsort(nonzeros) if np.isfinite(validation[i]) and nonzeros[i] > 0]
    front, lowest = [], np.inf
    for i in order:
        if validation[i] < lowest:
            lowest = validation[i]
            strength, tolerance = lanes.points["strength"][i], lanes.points["tolerance"][i]
            front.append(
                f"{size / nonzeros[i]:.0f}x {validation[i]:.2f}/{test[i]:.2f} "
                f"({strength:.1e}, {tolerance:g})"
            )
    return f"{method}: " + "; ".join(front)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """For each network: ratio and error of every method at the error limits; files beside it."""
    found = []
    for network, title in TITLES.items():
        mine = _of(network, records)
        rows: list[tuple[Any, ...]] = []
        for method in RECIPES:
            if method not in mine:
                continue
            for limit in LIMITS_PERCENT[network]:
                choice = choose(mine[method]["metrics"]["lanes"], limit)
                rows.append(_row(network, method, limit, choice, len(mine[method]["seeds"])))
        for anchor in ANCHORS[network]:
            error = f"{anchor.error_percent:.2f}"
            rows.append(
                (f"{anchor.title} (published)", "", f"{anchor.ratio:.0f}", "", error, "", "")
            )
        if mine:
            found.append(
                Table(
                    f"{title} on MNIST",
                    (
                        "method",
                        "validation limit, %",
                        "fewer weights by",
                        "nonzeros",
                        "test error, %",
                        "validation error, %",
                        "seeds",
                    ),
                    rows,
                    "Chosen on validation: the point with the fewest weights whose mean validation "
                    "error is in the limit. Mean ± standard deviation over seeds; biases count."
                    + _compared(mine, LIMITS_PERCENT[network][1]),
                )
            )
            found.append(_points_table(title, network, mine))
    return found + _file_tables(records)


def _compared(mine: dict[str, dict[str, Any]], limit: float) -> str:
    lanes = {method: record["metrics"]["lanes"] for method, record in mine.items()}
    ratio = exact_over_smooth(lanes, limit)
    if ratio is None:
        return ""
    return (
        f" At a validation error of {ratio.limit_percent:.1f} % the best exact method keeps "
        f"{ratio.value:.2f} times the weights of the best DRR."
    )


def _points_table(title: str, network: str, mine: dict[str, dict[str, Any]]) -> Table:
    """Every strength or round of every method, whatever its error."""
    rows = []
    for method, record in mine.items():
        points, lanes = record["metrics"]["points"], record["metrics"]["lanes"]
        for number, strength in enumerate(points["strength"]):
            nonzeros, test, validation = (
                _spread(scale * np.asarray(lanes[name][number]))
                for name, scale in (("nonzeros", 1), ("test_error", 100), ("validation_error", 100))
            )
            rows.append(
                (
                    RECIPES[method].title,
                    f"{strength:.2g}",
                    f"{PARAMETERS[network] / nonzeros[0]:.0f}",
                    f"{nonzeros[0]:,.0f} ± {nonzeros[1]:.0f}",
                    f"{test[0]:.2f} ± {test[1]:.2f}",
                    f"{validation[0]:.2f} ± {validation[1]:.2f}",
                )
            )
    columns = ("method", "strength", "fewer weights by", "nonzeros", "test error, %", "validation")
    return Table(f"{title}: every point", columns, rows, "In the order of the rounds, if any.")


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Pareto fronts of nonzeros and test error, and of file bytes where files were written."""
    from experiments import plots  # drawing is not needed where lanes are trained

    drawn = {}
    for network, title in TITLES.items():
        mine = _of(network, records)
        if not mine:
            continue
        files = records.get(f"{network}_files")
        figure, axes = plots.subplots(1 if files is None else 2)
        colours = {"smooth": "#1b6ca8", "exact": "#2a9d5c", "control": plots.BASELINE}
        markers = iter("osD^vP*XhH" * 2)
        for method, record in mine.items():
            lanes = record["metrics"]["lanes"]
            nonzeros = np.mean(lanes["nonzeros"], axis=1)
            error = 100 * np.mean(lanes["test_error"], axis=1)
            axes[0].plot(
                nonzeros,
                error,
                next(markers),
                color=colours[RECIPES[method].family],
                label=RECIPES[method].title,
                alpha=0.8,
            )
        for anchor in ANCHORS[network]:
            axes[0].plot(
                PARAMETERS[network] / anchor.ratio, anchor.error_percent, "x", color=plots.PUBLISHED
            )
            axes[0].annotate(
                anchor.title,
                (PARAMETERS[network] / anchor.ratio, anchor.error_percent),
                color=plots.PUBLISHED,
                fontsize=7,
            )
        top = 3 * LIMITS_PERCENT[network][1]
        axes[0].set(xscale="log", xlabel="nonzeros", ylabel="test error, %", ylim=(0.5, top))
        axes[0].set_title(f"{title}, MNIST", loc="left")
        axes[0].legend(fontsize=6)
        if files is not None:
            for row in files["metrics"]["files"]:
                axes[1].plot(
                    row["bytes"],
                    row["test_error_percent"],
                    "o",
                    color=colours[RECIPES[row["method"]].family],
                )
            axes[1].set(xscale="log", xlabel="bytes of the file", ylabel="test error, %")
        drawn[f"{network}_pareto"] = figure
    return drawn


def _of(network: str, records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records of a network's methods, in the order of `RECIPES`."""
    names = {method: f"{network}_{method}" for method in RECIPES}
    return {method: records[name] for method, name in names.items() if name in records}


def _row(
    network: str, method: str, limit: float, choice: Choice | None, n_seeds: int
) -> tuple[Any, ...]:
    title = RECIPES[method].title
    if choice is None:
        return (title, limit, "-", "-", "-", "-", n_seeds)
    mean, spread = choice.nonzeros
    error, error_spread = choice.test_error_percent
    return (
        title,
        limit,
        f"{PARAMETERS[network] / mean:.0f}",
        f"{mean:,.0f} ± {spread:.0f}",
        f"{error:.2f} ± {error_spread:.2f}",
        f"{choice.validation_error_percent:.2f}",
        n_seeds,
    )


def _file_tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    found = []
    columns = ("method", "seed", "bits", "nonzeros", "bytes", "bytes ratio", "test error, %")
    for network, title in TITLES.items():
        record = records.get(f"{network}_files")
        if record is None:
            continue
        rows = [
            (
                RECIPES[row["method"]].title,
                row["seed"],
                row["bits"],
                f"{row['nonzeros']:,}",
                f"{row['bytes']:,}",
                f"{4 * PARAMETERS[network] / row['bytes']:.0f}",
                f"{row['test_error_percent']:.2f}",
            )
            for row in record["metrics"]["files"]
        ]
        note = "Each file was decoded by a fresh process before its error was measured."
        found.append(Table(f"{title}: files", columns, rows, note))
    return found


def _spread(values: np.ndarray) -> tuple[float, float]:
    return float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in _leaves(child)]
    return [tree]
