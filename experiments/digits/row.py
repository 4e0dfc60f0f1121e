"""What the methods of the main job are given and what they give back."""

from __future__ import annotations

from typing import NamedTuple

from matplotlib.figure import Figure

from experiments.runner.records import Run
from fewbits.io.datasets import Images


class Job(NamedTuple):
    """The common ground of all rows."""

    run: Run
    train: Images
    test: Images
    seed: int
    effort: float
    """Share of the normal number of training steps."""


class Picture(NamedTuple):
    """A figure of the report, with what it shows."""

    caption: str
    figure: Figure


class Row(NamedTuple):
    """One line of the main job's table."""

    method: str
    bytes: int
    """Of the file on disk."""
    bits_per_image: float
    accuracy_percent: float
    baseline_percent: float | None
    """What the plain way reaches with as many bytes; None for a baseline itself."""
    baseline: str
    pictures: tuple[Picture, ...] = ()
