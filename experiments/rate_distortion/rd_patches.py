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
from matplotlib.figure import Figure

import ratedist
from experiments.rate_distortion import rd_codes_files as files
from experiments.runner import experiment as ex
from experiments.runner import plots
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


class Bounds(NamedTuple):
    """2 x 2 patches of Fashion-MNIST: certified rates.

    Bits per pixel; prices in bits per pixel and unit of squared error. R(D) of every patch is
    between "at least" and "at most"; "groups" is R(D) of their centroids.
    """

    level: Annotated[float, ex.Key, ex.Column("D per pixel", "g")]
    lower: Annotated[
        float, ex.Over(max, "bits"), ex.Column("at least", ".4f"),
        ex.Claim("ratedist.patches.lower_bound.at_{level:g}", tolerance=2e-6),
    ]  # fmt: skip
    upper: Annotated[float, ex.Column("at most", ".4f")]
    rate: Annotated[float, ex.Column("groups", ".5f")]
    rate_foreground: Annotated[float, ex.Column("groups, foreground halved", ".5f")]
    gap_bits: Annotated[float, ex.Column("gap", ".0e")]
    foreground_distortion: Annotated[float, ex.Column("foreground's D before", ".4f")]
    price: Annotated[float, ex.Column("price of D", ".1f")]
    price_foreground: Annotated[float, ex.Column("price of the foreground", ".1f")]
    lower_foreground: float
    upper_foreground: float
    price_with_foreground: float
    foreground_vacuous: bool


class Code(NamedTuple):
    """The same patches as files.

    All bytes of a file count; each was decoded in a subprocess.
    """

    code: Annotated[str, ex.Key]
    level: Annotated[float, ex.Key, ex.Column("D asked", "g")]
    distortion: Annotated[float, ex.Column("D measured", ".5f")]
    bytes: Annotated[int, ex.Column("bytes", ",")]
    bits: Annotated[float, ex.Column("bits per pixel", ".4f")]


class Rounded(NamedTuple):
    """Patches rounded to centroids of groups.

    Spreads are mean squared distances of a patch to its centroid.
    """

    source: sources.Source
    foreground: np.ndarray
    """Bool[n]."""
    spread: float
    foreground_spread: float


def grid(config: Config) -> Iterator[Trial]:
    """Bounds at every level, files at every second."""
    yield from (("bounds", level) for level in config.levels)
    yield from ((n, level) for level in config.levels[1::2] for n in ("pixels", "patches"))


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Code] | ex.Measurement:
    """Round the patches and solve with and without the foreground, or write a file."""
    patches = _patches(config, data)
    if trials[0][0] == "bounds":
        rounded = _round(config, patches)
        extras = {
            "patches": len(patches),
            "groups": len(rounded.source.p),
            "foreground_probability": float(rounded.source.p[rounded.foreground].sum()),
            "spread_per_pixel": rounded.spread / PIXELS,
        }
        return ex.Measurement([_at(config, rounded, level) for _, level in trials], extras)
    ((name, level),) = trials
    flat = patches.reshape(-1)
    content = ratedist.encode(flat, level, dimension=1 if name == "pixels" else PIXELS)
    # Too large to publish, and nothing is claimed for it.
    size, bits, distortion = files.write(
        data.path(f"rd_patches_{name}_{level:g}.fwb"), content, flat
    )
    return [Code(name, level, distortion, size, bits)]


def _patches(config: Config, data: ex.Data) -> np.ndarray:
    """Float[N, 4]: non-overlapping patches of the first images."""
    images = data.images(config.data, "train").pixels[: config.images, :, :, 0] / 255.0
    n, height, width = images.shape
    cut = images.reshape(n, height // SIDE, SIDE, width // SIDE, SIDE)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, PIXELS)


def _round(config: Config, patches: np.ndarray) -> Rounded:
    """Foreground and background in groups of their own, so that the subset is one of groups."""
    bright = patches.max(axis=1) > config.threshold
    share = bright.mean()
    front = rounded_source.round_samples(patches[bright], config.foreground_groups)
    back = rounded_source.round_samples(patches[~bright], config.background_groups)
    points = np.concatenate([front.source.points, back.source.points])
    p = np.concatenate([share * front.source.p, (1.0 - share) * back.source.p])
    foreground = np.arange(len(p)) < len(front.source.p)
    spread = share * front.spread + (1.0 - share) * back.spread
    return Rounded(sources.Source(points, p / p.sum()), foreground, spread, front.spread)


def _solve(rounded: Rounded, level: float, inner: float | None = None) -> ratedist.RDPoint:
    """At a distortion of a patch, and of the foreground's if given."""
    points, p = rounded.source
    rules = [ratedist.mean_distortion(p, level)]
    if inner is not None:
        rules.append(ratedist.subset_mean(p, rounded.foreground, inner))
    return ratedist.solve_fixed(p, sources.squared_error(points, points), tuple(rules))


def _outer(level: float, spread: float) -> float:
    """What the centroids have at least where the patches have `level`."""
    return float((np.sqrt(level) + np.sqrt(spread)) ** 2)


def _at(config: Config, rounded: Rounded, pixel_level: float) -> Bounds:
    points, p = rounded.source
    d = sources.squared_error(points, points)
    level, inside = PIXELS * pixel_level, rounded.foreground
    free = _solve(rounded, level)
    letter = np.asarray(ratedist.encoder(p, d, free))
    reached = float((p[inside] @ (letter[inside] * d[inside]).sum(axis=1)) / p[inside].sum())
    inner = config.foreground_share * reached
    both = _solve(rounded, level, inner)
    outer, outer_inner = _outer(level, rounded.spread), _outer(inner, rounded.foreground_spread)
    tight = max(level - rounded.spread, 0.0)
    tight_inner = max(inner - rounded.foreground_spread, 0.0)
    lower, upper = _solve(rounded, outer), _solve(rounded, tight)
    lower_both = _solve(rounded, outer, outer_inner)
    upper_both = _solve(rounded, tight, tight_inner)
    gap = max(float(point.gap_bits) for point in (free, both, lower, lower_both))
    return Bounds(
        pixel_level, float(lower.rate_lb) / PIXELS, float(upper.rate_ub) / PIXELS,
        float(free.rate_ub) / PIXELS, float(both.rate_ub) / PIXELS, gap, reached / PIXELS,
        float(free.nu[0]), float(both.nu[1]), float(lower_both.rate_lb) / PIXELS,
        float(upper_both.rate_ub) / PIXELS, float(both.nu[0]), bool(both.vacuous[1]),
    )  # fmt: skip


def recompute(config: Config, row: Bounds, data: ex.Data) -> float:
    """Round the patches again, and solve for the lower bound alone."""
    rounded = _round(config, _patches(config, data))
    outer = _outer(PIXELS * row.level, rounded.spread)
    return float(_solve(rounded, outer).rate_lb) / PIXELS


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """Bounds, the foreground's cost, and the codes."""
    rows, codes = records["paper"].of(Bounds), records["paper"].of(Code)
    figure, (axis,) = plots.subplots(width=5.4)
    x = [row.level for row in rows]
    axis.fill_between(x, [r.lower for r in rows], [r.upper for r in rows],
                      color=plots.OURS, alpha=0.3, label="R(D), both sides certified")  # fmt: skip
    axis.plot(x, [r.rate_foreground for r in rows], "--", label="foreground halved (groups)")
    for name, marker in (("pixels", "s"), ("patches", "o")):
        found = [row for row in codes if row.code == name]
        axis.plot([r.distortion for r in found], [r.bits for r in found], marker, ls="none",
                  label=f"file, {name}")  # fmt: skip
    axis.set(xlabel="mean squared error of a pixel", ylabel="bits per pixel", xscale="log")
    axis.legend()
    return {"patches": figure}


EXPERIMENT = ex.of_module(
    __name__,
    (Bounds, Code),
    {"paper": Config(), "smoke": Config("digits", 60, 40, 8, levels=(0.01, 0.02))},
    batch=lambda trial: "bounds" if trial[0] == "bounds" else trial,
    notes="the first images of the training split; rates in bits per pixel; bounds hold for "
    "memoryless coding of these patches with any reconstruction among the groups' centroids",
)
