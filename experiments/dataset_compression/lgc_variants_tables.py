"""Tables of `lgc_variants`."""

from __future__ import annotations

from typing import Any

import numpy as np

from experiments.dataset_compression.lgc_variants_figures import PUBLISHED
from experiments.runner.registry import Table
from experiments.runner.statistics import over_seeds

COLUMNS = (
    "variant",
    "components",
    "float64, bytes",
    "file, bytes",
    "accuracy, %",
    "published, bytes",
    "published, %",
)


def summaries(rows: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """A row of `COLUMNS` for each variant, over its seeds."""
    found = []
    for name in dict.fromkeys(row["variant"] for row in rows):
        mine = [row for row in rows if row["variant"] == name]
        size, accuracy = PUBLISHED.get(name, (None, None))
        found.append(
            (
                name.replace("_", " "),
                f"{np.mean([sum(row['components']) for row in mine]):.0f}",
                f"{np.mean([row['report_bytes'] for row in mine]):,.0f}",
                f"{np.mean([row['bytes'] for row in mine]):,.0f}",
                over_seeds(row["accuracy_percent"] for row in mine).text(),
                "" if size is None else f"{size:,}",
                "" if accuracy is None else f"{accuracy:.2f}",
            )
        )
    return found


_AGAIN = (
    (
        "convolutional",
        "A convolutional VAE measured likewise",
        "As above; not among the report's variants. One seed.",
    ),
    (
        "finer",
        "The same at 12 bits a parameter",
        "The seeds of the table above: a finer grid for the same parameters.",
    ),
    (
        "longer",
        "The variational ones from the report's images, with its classifier's epochs",
        "The first 50,000 training images and 50 epochs of the classifier, as the report had; "
        "above 60,000 and 15. One seed.",
    ),
    (
        "reported",
        "All five begun as the report's, from its images, with its epochs",
        "50,000 images and 50 epochs again, the autoencoders begun as PyTorch begins them; 12 bits "
        "a parameter, so that the grid plays no part. One seed.",
    ),
)
"""Presets that measure some variants otherwise: title and note of each one's table."""


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """The report's table with true bytes beside it."""
    found = []
    if "paper" in records:
        found.append(
            Table(
                "The report's autoencoders, re-coded",
                COLUMNS,
                summaries(records["paper"]["metrics"]["rows"]),
                "Mean ± standard deviation over seeds; official test set. `float64`: the report's "
                "own accounting of our models; `file`: 8 bits a parameter, decoded by a fresh "
                "process. Published: one run each, on held-out training images.",
            )
        )
    for preset, title, note in _AGAIN:
        if preset in records:
            rows = records[preset]["metrics"]["rows"]
            found.append(Table(title, COLUMNS, summaries(rows), note))
    return found
