"""Tables and figures of the VGG experiment, from its records: what was reached within a point."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.pruning.prune_choices import fewest_weights
from experiments.pruning.prune_tables import Anchor
from experiments.pruning.vgg.prune_vgg_iterative import DENSE
from experiments.runner.registry import Table
from pruning.methods import METHODS

PARAMETERS = 15_253_578
"""Of the whole network, for 32 x 32 x 3 and ten classes."""

POINTS_LOST = 1.0
"""Of accuracy against the dense networks of the same seeds, in percent."""

ANCHORS = (
    Anchor("SNIP", 33, 8.0),
    Anchor("BC-GHS", 18, 9.0),
)
"""Published for VGG-like networks on CIFAR-10 itself."""


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The whole network's rounds within the limit, and its files; none before it was trained."""
    dense, methods = records.get(f"vgg16_{DENSE}"), _methods(records)
    if dense is None or not methods:
        return []
    validation, test = (_mean_percent(dense, part) for part in ("validation", "test"))
    rows: list[tuple[Any, ...]] = [
        ("dense", "1", f"{PARAMETERS:,}", f"{test:.2f}", f"{validation:.2f}", len(dense["seeds"]))
    ]
    for method, record in methods.items():
        choice = fewest_weights(record["metrics"]["lanes"], validation + POINTS_LOST)
        cells = ("-", "-", "-", "-")
        if choice is not None:
            cells = (
                f"{PARAMETERS / choice.nonzeros[0]:.0f}",
                f"{choice.nonzeros[0]:,.0f} ± {choice.nonzeros[1]:.0f}",
                f"{choice.test_error_percent[0]:.2f} ± {choice.test_error_percent[1]:.2f}",
                f"{choice.validation_error_percent:.2f}",
            )
        rows.append((METHODS[method].title, *cells, len(record["seeds"])))
    rows += [
        (f"{one.title} (published)", f"{one.ratio:.0f}", "", f"{one.error_percent:.2f}", "", "")
        for one in ANCHORS
    ]
    columns = ("method", "fewer weights by", "nonzeros", "test error, %", "validation error, %")
    note = (
        "The fewest weights within one point of the dense network on validation; scales, shifts "
        f"and biases count. Ours: {dense['data']}."
    )
    found = [Table("VGG-16", (*columns, "seeds"), rows, note)]
    files = records.get("vgg16_files")
    if files is not None:
        found.append(_file_table(files))
    return found


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Nonzeros and test error of every method's rounds, beside the dense network's error."""
    dense, methods = records.get(f"vgg16_{DENSE}"), _methods(records)
    if dense is None or not methods:
        return {}
    from experiments.runner import plots  # drawing is not needed where networks are trained

    figure, (axes,) = plots.subplots(1)
    colours = {"smooth": plots.OURS, "exact": "#2a9d5c", "control": plots.BASELINE}
    for method, record in methods.items():
        lanes = record["metrics"]["lanes"]
        axes.plot(
            np.mean(lanes["nonzeros"], axis=1),
            100 * np.mean(lanes["test_error"], axis=1),
            "o-",
            color=colours[METHODS[method].family],
            label=METHODS[method].title,
        )
    axes.axhline(_mean_percent(dense, "test"), color="black", lw=0.8, ls=":", label="dense")
    for one in ANCHORS:
        spot = (PARAMETERS / one.ratio, one.error_percent)
        axes.plot(*spot, "x", color=plots.PUBLISHED)
        axes.annotate(one.title, spot, color=plots.PUBLISHED, fontsize=7)
    axes.set(xscale="log", xlabel="nonzeros", ylabel="test error, %")
    axes.legend()
    return {"vgg16_front": figure}


def _methods(records: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The records of the whole network's methods, in the order of `METHODS`."""
    return {m: records[f"vgg16_{m}"] for m in METHODS if f"vgg16_{m}" in records}


def _mean_percent(dense: dict[str, Any], part: str) -> float:
    return 100 * float(np.mean(dense["metrics"][f"{part}_error"]))


def _file_table(record: dict[str, Any]) -> Table:
    rows = [
        (
            METHODS[row["method"]].title,
            row["seed"],
            row["bits"],
            f"{row['nonzeros']:,}",
            f"{row['parameters'] / row['nonzeros']:.0f}",
            f"{row['bytes']:,}",
            f"{4 * row['parameters'] / row['bytes']:.0f}",
            f"{row['test_error_percent']:.2f}",
        )
        for row in record["metrics"]["files"]
    ]
    columns = ("method", "seed", "bits", "nonzeros", "fewer weights by", "bytes", "bytes ratio")
    note = "Each file was decoded by a fresh process before its error was measured."
    return Table("VGG-16: files", (*columns, "test error, %"), rows, note)
