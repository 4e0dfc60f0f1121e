"""Tables and figures of `lgc_rate_curve`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from experiments.dataset_compression.lgc_mnist import PUBLISHED_PERCENT, PUBLISHED_BYTES
from experiments.runner import plots
from experiments.runner.registry import Table
from experiments.runner.statistics import OverSeeds, over_seeds
from lgc.distillation.augmentation import NONE, Augmentation

STUDENTS = {"convnet": "ConvNet", "lenet5": "LeNet-5", "report_cnn": "report's CNN"}
"""Titles; widths are in the tables' notes."""


class Distillation(NamedTuple):
    """A published set of synthetic images for one ConvNet, with one or ten of each class."""

    method: str
    source: str
    values: int
    """Numbers that are stored."""
    accuracies: dict[str, float]
    """Percent, by data set."""


_ONE, _TEN = 7_840, 78_400
DISTILLATIONS = (
    Distillation("DC", "Zhao et al. 2021", _ONE, {"mnist": 91.7, "fashion_mnist": 70.5}),
    Distillation("IDC", "Kim et al. 2022", _ONE, {"mnist": 94.2, "fashion_mnist": 81.0}),
    Distillation("RTP", "Deng and Russakovsky 2022", _ONE, {"mnist": 98.7, "fashion_mnist": 88.5}),
    Distillation("DC", "Zhao et al. 2021", _TEN, {"mnist": 97.4, "fashion_mnist": 82.3}),
    Distillation("IDC", "Kim et al. 2022", _TEN, {"mnist": 98.4, "fashion_mnist": 86.0}),
    Distillation("RTP", "Deng and Russakovsky 2022", _TEN, {"mnist": 99.3, "fashion_mnist": 90.0}),
)
"""As published, of ConvNets 128 channels wide; nothing of them was run here."""
_FLOAT_BYTES = 4


def mean_of(
    rows: list[dict[str, Any]], data: str, budget: int, arm: str, student: str
) -> OverSeeds:
    """Accuracy of one cell over the seeds that trained this student, percent."""
    return over_seeds(
        row["accuracy_percent"][student]
        for row in rows
        if (row["data"], row["budget"], row["arm"]) == (data, budget, arm)
        and student in row["accuracy_percent"]
    )


def line(row: dict[str, Any]) -> str:
    """One cell, for whoever waits."""
    accuracies = ", ".join(f"{name} {value:.2f}" for name, value in row["accuracy_percent"].items())
    return f"{row['data']}, {row['bytes']:,} bytes, {row['arm']}, seed {row['seed']}: {accuracies}"


def description(choice: dict[str, Any]) -> str:
    """What was chosen, in a few words."""
    factor, bits = choice["reduction"]["factor"], choice["reduction"]["bits"]
    side = "full side" if factor == 1 else f"1/{factor} side"
    size = "lossless" if (factor, bits) == (1, 8) else f"{side}, {bits} bit{'s'[: bits - 1]}"
    parts = [size]
    if choice["order"] != "random":
        parts.append(choice["order"])
    if choice["width"]:
        parts.append(f"upsampler of width {choice['width']}")
    if choice.get("refinement_steps"):
        parts.append("distilled")
    moves = Augmentation(*choice["moves"])
    parts.append("not augmented" if moves._replace(brightness=0) == NONE else "augmented")
    if moves.brightness:
        parts.append("brightness augmentation")
    return ", ".join(parts)


def area_over_subset(rows: list[dict[str, Any]], data: str, student: str) -> float | None:
    """Mean difference to the best subset over the logarithm of the bytes, points; None for one."""
    sizes = sorted({row["budget"] for row in rows if row["data"] == data})
    if len(sizes) < 2:
        return None
    ours, theirs = (
        np.array([mean_of(rows, data, size, arm, student).mean for size in sizes])
        for arm in ("ours", "subset")
    )
    logarithm = np.log(sizes)
    return float(np.trapezoid(ours - theirs, logarithm) / (logarithm[-1] - logarithm[0]))


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """One table for each data set, one row for each budget and arm."""
    record = records.get("cpu") or records.get("gpu")
    if record is None:
        return []
    rows, config = record["metrics"]["rows"], record["config"]
    names = [name for name in STUDENTS if name in config["students"]]
    found = []
    for data in config["data"]:
        body = []
        for choice in sorted(
            (c for c in record["metrics"]["choices"] if c["data"] == data),
            key=lambda c: c["budget"],
        ):
            for arm in ("ours", "subset"):
                cells = [mean_of(rows, data, choice["budget"], arm, name) for name in names]
                body.append(
                    (
                        f"{choice['budget']:,}",
                        "lgc" if arm == "ours" else "best subset",
                        description(choice[arm]),
                        *(cell.text() if cell.count else "-" for cell in cells),
                    )
                )
        areas = ", ".join(
            f"{STUDENTS[name]} {area:+.2f}"
            for name in names
            if (area := area_over_subset(rows, data, name)) is not None
        )
        found.append(
            Table(
                f"{data}: test accuracy at equal bytes, %",
                ("bytes at most", "file", "what was chosen", *(STUDENTS[n] for n in names)),
                body,
                "Mean ± standard deviation over seeds (one seed without ±); hard labels, official "
                f"test set; ConvNet of width {config['students'].get('convnet', {}).get('width')}. "
                "Choices were made on validation images. Mean difference over the logarithm of the "
                f"bytes, points: {areas}.",
            )
        )
    return [*found, _distillations(config["data"])]


def _distillations(data: list[str]) -> Table:
    """Published accuracies at the bytes that their numbers would take."""
    body = [
        (
            f"{each.method} ({each.source})",
            f"{each.values:,}",
            f"{_FLOAT_BYTES * each.values:,}",
            *(f"{each.accuracies[name]:.1f}" for name in data),
        )
        for each in DISTILLATIONS
    ]
    return Table(
        "Published dataset distillations, for comparison",
        ("method", "bytes at 8 bits", "bytes as float32", *(f"{name}, %" for name in data)),
        body,
        "As published, for a ConvNet of width 128; not run here, and no files: numbers are "
        "counted, not coded. Each set was made for the network that it is judged with.",
    )


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Accuracy against bytes, one panel for each data set."""
    record = records.get("cpu") or records.get("gpu")
    if record is None:
        return {}
    rows, config = record["metrics"]["rows"], record["config"]
    figure, axes = plots.subplots(len(config["data"]), width=8.0)
    for axis, data in zip(axes, config["data"], strict=True):
        for arm, colour in (("ours", plots.OURS), ("subset", plots.BASELINE)):
            for name, style in (("convnet", "-"), ("report_cnn", "--")):
                if name not in config["students"]:
                    continue
                sizes = sorted({row["budget"] for row in rows if row["data"] == data})
                cells = [mean_of(rows, data, size, arm, name) for size in sizes]
                axis.errorbar(
                    sizes,
                    [cell.mean for cell in cells],
                    [cell.std or 0.0 for cell in cells],
                    fmt="o" + style,
                    color=colour,
                    capsize=3,
                    label=f"{'lgc' if arm == 'ours' else 'best subset'}, {STUDENTS[name]}",
                )
        if data == "mnist":
            axis.plot(
                PUBLISHED_BYTES, PUBLISHED_PERCENT, "*", color=plots.PUBLISHED, ms=10,
                label="report",
            )  # fmt: skip
        for number, each in enumerate(DISTILLATIONS):
            span, height = (each.values, _FLOAT_BYTES * each.values), each.accuracies[data]
            label = "published distillations, 8 to 32 bits" if number == 0 else None
            axis.plot(span, (height, height), "|-", color=plots.PUBLISHED, label=label)
            axis.annotate(
                each.method, (span[0], height), (-4, 0), textcoords="offset points",
                ha="right", va="center", fontsize="x-small", color=plots.PUBLISHED,
            )  # fmt: skip
        axis.set(xscale="log", xlabel="bytes on disk", ylabel="test accuracy, %")
        axis.set_title(data, loc="left")
        axis.legend(fontsize="small")
    return {"accuracy_against_bytes": figure}
