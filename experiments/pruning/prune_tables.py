"""Tables and figures of the LeNet experiment, from its records: what was reached, at what error."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from experiments.pruning.prune_choices import (
    COMPARED_FROM_PERCENT,
    PARAMETERS,
    RATIOS,
    Choice,
    exact_over_smooth,
    least_error,
    spread,
)
from experiments.pruning.prune_runs import Lanes
from experiments.runner.registry import Table
from pruning.methods import METHODS

TITLES = {"lenet300": "LeNet-300-100", "lenet5": "LeNet-5-Caffe"}


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
        for method in METHODS:
            if method not in mine:
                continue
            for ratio in RATIOS[network]:
                lanes = mine[method]["metrics"]["lanes"]
                choice = least_error(lanes, PARAMETERS[network] / ratio)
                rows.append(_row(network, method, ratio, choice, len(mine[method]["seeds"])))
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
                        "at least",
                        "fewer weights by",
                        "nonzeros",
                        "test error, %",
                        "validation error, %",
                        "seeds",
                    ),
                    rows,
                    "Chosen on validation: of all points with so many times fewer weights, the one "
                    "with the least error. Mean ± standard deviation over seeds; biases count."
                    + _compared(mine, COMPARED_FROM_PERCENT[network]),
                )
            )
            found.append(_points_table(title, network, mine))
    return found + _file_tables(records)


def _compared(mine: dict[str, dict[str, Any]], limit: float) -> str:
    n_seeds = max(len(record["seeds"]) for record in mine.values())
    lanes = {
        method: record["metrics"]["lanes"]
        for method, record in mine.items()
        if len(record["seeds"]) == n_seeds
    }
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
        n_seeds = len(record["seeds"])
        for number, strength in enumerate(points["strength"]):
            nonzeros, test, validation = (
                spread(scale * np.asarray(lanes[name][number]))
                for name, scale in (("nonzeros", 1), ("test_error", 100), ("validation_error", 100))
            )
            rows.append(
                (
                    METHODS[method].title,
                    f"{strength:.2g}",
                    f"{PARAMETERS[network] / nonzeros[0]:.0f}",
                    _shown(nonzeros, n_seeds, ",.0f"),
                    _shown(test, n_seeds, ".2f"),
                    _shown(validation, n_seeds, ".2f"),
                )
            )
    columns = ("method", "strength", "fewer weights by", "nonzeros", "test error, %", "validation")
    return Table(f"{title}: every point", columns, rows, "In the order of the rounds, if any.")


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Pareto fronts of nonzeros and test error, and of file bytes where files were written."""
    from experiments.runner import plots  # drawing is not needed where lanes are trained

    drawn = {}
    for network, title in TITLES.items():
        mine = _of(network, records)
        if not mine:
            continue
        files = records.get(f"{network}_files")
        figure, axes = plots.subplots(1 if files is None else 2)
        colours = {"smooth": "#1b6ca8", "exact": "#2a9d5c", "control": plots.BASELINE}
        markers = iter(plots.MARKERS * 2)
        for method, record in mine.items():
            lanes = record["metrics"]["lanes"]
            nonzeros = np.mean(lanes["nonzeros"], axis=1)
            error = 100 * np.mean(lanes["test_error"], axis=1)
            axes[0].plot(
                nonzeros,
                error,
                next(markers),
                color=colours[METHODS[method].family],
                label=METHODS[method].title,
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
        top = 3 * COMPARED_FROM_PERCENT[network]
        axes[0].set(xlabel="nonzeros", ylabel="test error, %", ylim=(0.5, top))
        plots.logarithmic(axes[0])
        axes[0].set_title(f"{title}, MNIST", loc="left")
        axes[0].legend(fontsize=6)
        if files is not None:
            for row in files["metrics"]["files"]:
                axes[1].plot(
                    row["bytes"],
                    row["test_error_percent"],
                    "o",
                    color=colours[METHODS[row["method"]].family],
                )
            axes[1].set(xlabel="bytes of the file", ylabel="test error, %", ylim=(0.5, top))
            plots.logarithmic(axes[1])
        drawn[f"{network}_pareto"] = figure
    return drawn


def _of(network: str, records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records of a network's methods, in the order of `METHODS`."""
    names = {method: f"{network}_{method}" for method in METHODS}
    return {method: records[name] for method, name in names.items() if name in records}


def _row(
    network: str, method: str, ratio: int, choice: Choice | None, n_seeds: int
) -> tuple[Any, ...]:
    title = METHODS[method].title
    if choice is None:
        return (title, f"{ratio}x", "-", "-", "-", "-", n_seeds)
    return (
        title,
        f"{ratio}x",
        f"{PARAMETERS[network] / choice.nonzeros[0]:.0f}",
        _shown(choice.nonzeros, n_seeds, ",.0f"),
        _shown(choice.test_error_percent, n_seeds, ".2f"),
        f"{choice.validation_error_percent:.2f}",
        n_seeds,
    )


def _file_tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One row for each method and target: what its files are like on average."""
    found = []
    columns = (
        "method",
        "target",
        "bits",
        "fewer weights by",
        "bytes",
        "fewer bytes by",
        "test error, %",
        "validation",
        "seeds",
    )
    for network, title in TITLES.items():
        record = records.get(f"{network}_files")
        if record is None:
            continue
        files = record["metrics"]["files"]
        rows = []
        for method, target in dict.fromkeys((row["method"], row["target"]) for row in files):
            mine = [r for r in files if (r["method"], r["target"]) == (method, target)]
            nonzeros, size, test, validation = (
                spread(np.array([row[name] for row in mine]))
                for name in ("nonzeros", "bytes", "test_error_percent", "validation_error_percent")
            )
            rows.append(
                (
                    METHODS[method].title,
                    target,
                    mine[0]["bits"],
                    f"{PARAMETERS[network] / nonzeros[0]:.0f}",
                    _shown(size, len(mine), ",.0f"),
                    f"{4 * PARAMETERS[network] / size[0]:.0f}",
                    _shown(test, len(mine), ".2f"),
                    f"{validation[0]:.2f}",
                    len(mine),
                )
            )
        note = (
            "Point and precision chosen on validation, among those that meet the target on "
            "average. Each file was decoded by a fresh process before its error was measured."
        )
        found.append(Table(f"{title}: files", columns, rows, note))
    return found


def _shown(spread: tuple[float, float], n_seeds: int, form: str) -> str:
    """Mean ± standard deviation, or the one seed's value."""
    mean, deviation = (format(value, form) for value in spread)
    return f"{mean} ± {deviation}" if n_seeds > 1 else mean


def _leaves(tree: Any) -> list[Any]:
    if isinstance(tree, dict):
        return [leaf for child in tree.values() for leaf in _leaves(child)]
    return [tree]
