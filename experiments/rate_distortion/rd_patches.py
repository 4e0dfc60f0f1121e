"""2 x 2 patches of Fashion-MNIST with a faithful foreground: bounds and files.

The source is the empirical distribution of 2 x 2 patches. Hundreds of thousands of them are rounded
to a few hundred groups; how much that can change R(D) is known on both sides
(`ratedist.solvers.rounded_source`), so the rates printed hold for all the patches. The fidelity
subset is the foreground: patches with a pixel that is not nearly black. Its mean distortion is
halved, and the constraint has a price. Two real codes are beside the bound as files.

Cost: paper: 5 min on 1 core; smoke (digits): 1 min.
Data: fashion_mnist.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, NamedTuple

import numpy as np

import ratedist
from experiments.rate_distortion import rd_codes_files as files
from experiments.runner import experiment as ex
from ratedist import sources
from ratedist.solvers import rounded_source

SIDE, PIXELS = 2, 4


@dataclass(frozen=True)
class Config:
    data: str = "fashion_mnist"
    images: int = 1_000
    foreground_groups: int = 448
    background_groups: int = 64
    threshold: float = 0.1
    """A patch with a pixel brighter than this belongs to the foreground; white is 1."""
    levels: tuple[float, ...] = (0.003, 0.005, 0.008, 0.013, 0.02)
    """Mean squared error of a pixel."""
    foreground_share: float = 0.5
    """Of the distortion that the foreground has without a constraint of its own."""


Trial = tuple[str, float]
"""`bounds`, which are solved together, or a file of `pixels` or `patches`; the level."""


Error = ex.Axis("mean squared error of a pixel", "log")
Rate = ex.Axis("bits per pixel")


class Bounds(NamedTuple):
    """2 x 2 patches of Fashion-MNIST: certified rates.

    Bits per pixel; prices in bits per pixel and unit of squared error. R(D) of every patch is
    between "at least" and "at most"; "groups" is R(D) of their centroids.
    """

    level: Annotated[float, ex.Key, Error, ex.Column("D per pixel", "g")]
    lower: Annotated[
        float, ex.Over(max, "bits"), Rate, ex.Column("at least", ".4f"),
        ex.Claim("ratedist.patches.lower_bound.at_{level:g}", tolerance=2e-6),
    ]  # fmt: skip
    upper: Annotated[float, Rate, ex.Column("at most", ".4f")]
    rate: Annotated[float, ex.Column("groups", ".5f")]
    rate_foreground: Annotated[float, Rate, ex.Column("groups, foreground halved", ".5f")]
    gap_bits: Annotated[float, ex.Column("gap", ".0e")]
    foreground_distortion: Annotated[float, ex.Column("foreground's D before", ".4f")]
    price: Annotated[float, ex.Column("price of D", ".1f")]
    price_foreground: Annotated[float, ex.Column("price of the foreground", ".1f")]


class Code(NamedTuple):
    """The same patches as files.

    All bytes of a file count; each was decoded in a subprocess.
    """

    code: Annotated[str, ex.Key]
    level: Annotated[float, ex.Key, ex.Axis("D asked"), ex.Column("D asked", "g")]
    distortion: Annotated[float, Error._replace(x=True), ex.Column("D measured", ".5f")]
    bytes: Annotated[int, ex.Column("bytes", ",")]
    bits: Annotated[float, Rate, ex.Column("bits per pixel", ".4f")]


def grid(config: Config) -> Iterator[Trial]:
    """Bounds at every level, files at every second."""
    yield from (("bounds", level) for level in config.levels)
    yield from ((n, level) for level in config.levels[1::2] for n in ("pixels", "patches"))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Bounds] | list[Code]:
    """Solve with and without the foreground's constraint, or write a file."""
    patches = _patches(config, data)
    if trials[0][0] == "bounds":
        rounded, foreground = _round(config, patches)
        return [_bounds(config, rounded, foreground, level) for _, level in trials]
    ((name, level),) = trials
    flat = patches.reshape(-1)
    content = ratedist.encode(flat, level, dimension=1 if name == "pixels" else PIXELS)
    # Too large to publish, and nothing is claimed for it.
    path = data.path(f"rd_patches_{name}_{level:g}.fwb")
    size, bits, distortion = files.write(path, content, flat)
    return [Code(name, level, distortion, size, bits)]


def _patches(config: Config, data: ex.Data) -> np.ndarray:
    """Float[N, 4]: non-overlapping patches of the first images."""
    images = data.images(config.data, "train").pixels[: config.images, :, :, 0] / 255.0
    return sources.patches(images, SIDE)


def _round(config: Config, patches: np.ndarray) -> tuple[rounded_source.Rounded, np.ndarray]:
    """Foreground and background in groups of their own, and which groups are foreground."""
    background = patches.max(axis=1) <= config.threshold
    groups = (config.foreground_groups, config.background_groups)
    rounded = rounded_source.round_kinds(patches, background, groups)
    foreground = np.ones(len(rounded.source.p), bool)
    foreground[rounded.group[background]] = False
    return rounded, foreground


def _bounds(
    config: Config, rounded: rounded_source.Rounded, foreground: np.ndarray, pixel_level: float
) -> Bounds:
    (points, p), level = rounded.source, PIXELS * pixel_level
    d = sources.squared_error(points, points)
    mean = ratedist.mean_distortion(p, level)
    free = ratedist.solve_fixed(p, d, mean)
    reached = ((np.asarray(ratedist.encoder(p, d, free)) * d).sum(axis=1) * p)[foreground].sum()
    reached = float(reached / p[foreground].sum())
    inner = ratedist.subset_mean(p, foreground, config.foreground_share * reached)
    both = ratedist.solve_fixed(p, d, (mean, inner))
    whole = rounded_source.bound(rounded, level)
    gap = max(float(free.gap_bits), float(both.gap_bits))
    return Bounds(
        pixel_level, whole.rate_bits / PIXELS, whole.upper_bits / PIXELS,
        float(free.rate_ub) / PIXELS, float(both.rate_ub) / PIXELS, gap, reached / PIXELS,
        float(free.nu[0]), float(both.nu[1]),
    )  # fmt: skip


def recompute(config: Config, row: Bounds, data: ex.Data) -> float:
    """Round the patches again, and bound the rate."""
    rounded, _ = _round(config, _patches(config, data))
    return rounded_source.bound(rounded, PIXELS * row.level).rate_bits / PIXELS


EXPERIMENT = ex.of_module(
    __name__,
    (Bounds, Code),
    {"paper": Config(), "smoke": Config("digits", 60, 40, 8, levels=(0.01, 0.02))},
    batch=lambda trial: "bounds" if trial[0] == "bounds" else trial,
    notes="the first images of the training split; rates in bits per pixel; bounds hold for "
    "memoryless coding of these patches with any reconstruction among the groups' centroids",
)
