"""Patches of Fashion-MNIST: rate and distortion of real data, with the foreground kept faithful.

The source is the empirical distribution of 2 x 2 patches. Hundreds of thousands of them are rounded
to a few hundred groups; how much that can change R(D) is known on both sides
(`ratedist.solvers.rounded_source`), so the rates printed hold for all the patches. The fidelity
subset is the foreground: patches with a pixel that is not nearly black. Its mean distortion is
halved, and the constraint has a price. Two real codes stand beside the bound as files.

    python -m experiments rd_patches paper
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure

import ratedist
from experiments.rate_distortion.rd_codes_files import check
from experiments.runner import plots
from experiments.runner.records import Run, Seconds, write_record
from experiments.runner.registry import Table
from fewbits.coding import container
from fewbits.io import datasets
from ratedist import sources
from ratedist.codes import code_file, design
from ratedist.solvers import rounded_source

SIDE = 2


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

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


PRESETS = {
    "paper": ("1,000 images, 512 groups, five distortions", Config()),
    "smoke": (
        "digits, 48 groups, two distortions",
        Config("digits", 60, 40, 8, levels=(0.01, 0.02)),
    ),
}


class Patches(NamedTuple):
    """Rounded patches.

    Attributes:
      source: centroids of the groups.
      foreground: Bool[n].
      spread: mean squared distance of a patch to its centroid; all patches.
      foreground_spread: the same within the foreground.
    """

    source: sources.Source
    foreground: np.ndarray
    spread: float
    foreground_spread: float


def run(config: Config, run: Run) -> None:
    """Round the patches, solve with and without the foreground, write the codes, record."""
    began = time.perf_counter()
    pixels = datasets.load(config.data, "train", data_dir=run.data_dir).pixels
    patches = _cut(pixels[: config.images, :, :, 0] / 255.0)
    rounded = _round(config, patches)
    share = 100 * rounded.source.p[rounded.foreground].sum()
    print(
        f"{len(patches):,} patches, {len(rounded.source.p)} groups, {share:.1f} % foreground",
        flush=True,
    )
    rows = [_at(config, rounded, level) for level in config.levels]
    codes = []
    for level in config.levels[1::2]:
        for name in ("pixels", "patches"):
            codes.append(_code(run, patches, level, name))
    write_record(
        run,
        run.preset,
        config=config,
        seeds=(0,),
        seconds=Seconds(0.0, time.perf_counter() - began),
        metrics={
            "patches": len(patches),
            "groups": len(rounded.source.p),
            "foreground_probability": float(rounded.source.p[rounded.foreground].sum()),
            "spread_per_pixel": rounded.spread / SIDE**2,
            "levels": rows,
            "codes": codes,
        },
        data=datasets.SOURCES[config.data].note,
        notes="the first images of the training split; rates in bits per pixel; bounds hold for "
        "memoryless coding of these patches with any reconstruction among the groups' centroids",
    )
    for row in rows:
        print(f"D = {row['level']:g}: {row['lower']:.4f} to {row['upper']:.4f} bits per pixel, "
              f"foreground halved: {row['lower_foreground']:.4f} to "
              f"{row['upper_foreground']:.4f}")  # fmt: skip


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Bounds with and without the foreground, and the files."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    bounds = [
        (
            f"{row['level']:g}",
            f"{row['lower']:.4f} .. {row['upper']:.4f}",
            f"{row['rate']:.5f}",
            f"{row['rate_foreground']:.5f}",
            f"{row['gap_bits']:.0e}",
            f"{row['foreground_distortion']:.4f}",
            f"{row['price']:.1f}",
            f"{row['price_foreground']:.1f}",
        )
        for row in metrics["levels"]
    ]
    codes = [
        (
            row["code"],
            f"{row['level']:g}",
            f"{row['distortion']:.5f}",
            f"{row['bytes']:,}",
            f"{row['bits']:.4f}",
        )
        for row in metrics["codes"]
    ]
    return [
        Table(
            "2 x 2 patches of Fashion-MNIST: certified rates",
            (
                "D per pixel",
                "all patches",
                "groups",
                "foreground halved",
                "gap",
                "its distortion before",
                "price of D",
                "price of the foreground",
            ),
            bounds,
            "Bits per pixel; prices in bits per pixel and unit of squared error. 'All patches' "
            "brackets R(D) of every patch, 'groups' is R(D) of their centroids.",
        ),
        Table(
            "The same patches as files",
            ("code", "D asked", "D measured", "bytes", "bits per pixel"),
            codes,
            "All bytes of a file count; each was decoded in a fresh process.",
        ),
    ]


def figures(records: dict[str, dict[str, Any]]) -> dict[str, Figure]:
    """Bounds, the foreground's cost, and the codes."""
    if "paper" not in records:
        return {}
    metrics = records["paper"]["metrics"]
    rows = metrics["levels"]
    figure, (axis,) = plots.subplots(width=5.4)
    x = [row["level"] for row in rows]
    axis.fill_between(x, [r["lower"] for r in rows], [r["upper"] for r in rows],
                      color=plots.OURS, alpha=0.3, label="R(D), both sides certified")  # fmt: skip
    axis.plot(x, [r["rate_foreground"] for r in rows], "--", label="foreground halved (groups)")
    for name, marker in (("pixels", "s"), ("patches", "o")):
        found = [row for row in metrics["codes"] if row["code"] == name]
        axis.plot([r["distortion"] for r in found], [r["bits"] for r in found], marker, ls="none",
                  label=f"file, {name}")  # fmt: skip
    axis.set(xlabel="mean squared error of a pixel", ylabel="bits per pixel", xscale="log")
    axis.legend()
    return {"patches": figure}


def _cut(images: np.ndarray) -> np.ndarray:
    """Float[N, 4]: non-overlapping 2 x 2 patches of Float[n, H, W]."""
    n, height, width = images.shape
    cut = images.reshape(n, height // SIDE, SIDE, width // SIDE, SIDE)
    return cut.transpose(0, 1, 3, 2, 4).reshape(-1, SIDE**2)


def _round(config: Config, patches: np.ndarray) -> Patches:
    """Foreground and background in groups of their own, so that the subset is one of groups."""
    bright = patches.max(axis=1) > config.threshold
    share = bright.mean()
    front = rounded_source.round_samples(patches[bright], config.foreground_groups)
    back = rounded_source.round_samples(patches[~bright], config.background_groups)
    points = np.concatenate([front.source.points, back.source.points])
    p = np.concatenate([share * front.source.p, (1.0 - share) * back.source.p])
    foreground = np.arange(len(p)) < len(front.source.p)
    spread = share * front.spread + (1.0 - share) * back.spread
    return Patches(sources.Source(points, p / p.sum()), foreground, spread, front.spread)


def _at(config: Config, rounded: Patches, level: float) -> dict[str, float]:
    """Rates at one distortion per pixel, in bits per pixel."""
    k = SIDE**2
    p, points = rounded.source.p, rounded.source.points
    d = sources.squared_error(points, points)
    free = _solve(p, d, (ratedist.mean_distortion(p, k * level),))
    letter = np.asarray(ratedist.encoder(p, d, free))
    inside = rounded.foreground
    reached = float((p[inside] @ (letter[inside] * d[inside]).sum(axis=1)) / p[inside].sum())
    inner = config.foreground_share * reached
    both = _both(rounded, d, k * level, inner)
    outer, outer_inner = (
        (np.sqrt(value) + np.sqrt(spread)) ** 2
        for value, spread in ((k * level, rounded.spread), (inner, rounded.foreground_spread))
    )
    tight, tight_inner = k * level - rounded.spread, inner - rounded.foreground_spread
    lower = _solve(p, d, (ratedist.mean_distortion(p, outer),))
    upper = _solve(p, d, (ratedist.mean_distortion(p, max(tight, 0.0)),))
    lower_both = _both(rounded, d, outer, outer_inner)
    upper_both = _both(rounded, d, max(tight, 0.0), max(tight_inner, 0.0))
    return {
        "level": level,
        "rate": float(free.rate_ub) / k,
        "gap_bits": max(float(one.gap_bits) for one in (free, both, lower, lower_both)),
        "lower": float(lower.rate_lb) / k,
        "upper": float(upper.rate_ub) / k,
        "price": float(free.nu[0]),
        "foreground_distortion": reached / k,
        "rate_foreground": float(both.rate_ub) / k,
        "lower_foreground": float(lower_both.rate_lb) / k,
        "upper_foreground": float(upper_both.rate_ub) / k,
        "price_with_foreground": float(both.nu[0]),
        "price_foreground": float(both.nu[1]),
        "foreground_vacuous": bool(both.vacuous[1]),
    }


_SOLVE = ratedist.compiled(ratedist.solve_fixed)


def _solve(p: np.ndarray, d: np.ndarray, rules: Any) -> ratedist.RDPoint:
    return _SOLVE(p, d, rules)


def _both(rounded: Patches, d: np.ndarray, level: float, inner: float) -> ratedist.RDPoint:
    p = rounded.source.p
    rules = (
        ratedist.mean_distortion(p, level),
        ratedist.subset_mean(p, rounded.foreground, inner),
    )
    return _solve(p, d, rules)


def _code(run: Run, patches: np.ndarray, level: float, name: str) -> dict[str, Any]:
    """One file: every pixel by the optimal scalar code, or every patch by a vector code."""
    flat = patches.reshape(-1)
    if name == "pixels":
        quantised = design.scalar(flat, level)
    else:
        quantised = design.vector(flat, level, SIDE**2)
    # Too large to publish: nothing is claimed for it, and the run's folder keeps it.
    path = run.folder / f"rd_patches_{name}_{level:g}.fwb"
    container.save(path, code_file.write(quantised))
    measured = check(path, flat)
    return {"code": name, "level": level, **measured._asdict()}
