"""Pictures and sounds at equal error: bytes against JPEG, WebP, and uniform quantisation with xz.

Name a file of signals that `benchmarks/reference_signals.py` made (`--signals FILE.npz`):
two-dimensional uint8 arrays are pictures, int16 arrays sounds.

Cost: paper: 5 min on 1 core; smoke: 1 min.
Data: `--signals`; without it, a synthetic picture and sound.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

import ratedist
from experiments.rate_distortion import rd_codes_files as files
from experiments.runner import experiment as ex
from ratedist.codes import rivals


@dataclass(frozen=True)
class Config:
    signals: str | None = None
    """An .npz file."""
    errors: tuple[float, ...] = (25.0, 40.0, 100.0)
    """Mean squared errors of pictures."""
    decibels: tuple[float, ...] = (35.0, 50.0)
    """Signal-to-noise ratios of sounds."""


Trial = tuple[str, float]


class Row(NamedTuple):
    """Bytes of whole files at equal mean squared error, as a share of what others take.

    JPEG (optimised Huffman tables) and WebP (method 6) are Pillow's, interpolated in the logarithms
    of bytes and error between the two qualities around our error. xz (preset 9) packs the indices
    of uniform quantisation with our error, in the smallest integer type. Each file of ours was
    decoded in a subprocess.
    """

    signal: Annotated[str, ex.Key]
    asked: Annotated[float, ex.Key, ex.Column("asked", "g")]
    """Squared error of a picture, dB of a sound."""
    bytes: Annotated[int, ex.Column("bytes", ",")]
    error: Annotated[float, ex.Column("squared error", ".4g")]
    file: Annotated[Path, ex.Artifact]
    over_jpeg: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over JPEG", ".3f"),
        ex.Claim("ratedist.image.over_jpeg", 1e-9),
    ] = None  # fmt: skip
    over_webp: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over WebP", ".3f"),
        ex.Claim("ratedist.image.over_webp", 1e-9),
    ] = None  # fmt: skip
    over_xz: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over xz", ".3f"),
        ex.Claim("ratedist.audio.over_xz", 1e-9),
    ] = None  # fmt: skip


def _signals(config: Config) -> dict[str, np.ndarray]:
    if config.signals is None:
        return synthetic()
    with np.load(config.signals) as stored:
        return {name: stored[name] for name in stored.files}


def grid(config: Config) -> Iterator[Trial]:
    """Every signal at every error of its kind."""
    for name, values in _signals(config).items():
        levels = config.errors if values.dtype == np.uint8 else config.decibels
        yield from ((name, level) for level in levels)


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Row]:
    """Write a file, have it decoded, and let the others reach the same error."""
    ((name, asked),) = trials
    values = _signals(config)[name]
    picture = values.dtype == np.uint8
    level = asked if picture else float(values.astype(float).var() / 10 ** (asked / 10))
    path = data.path(f"rd_signal_{name.replace(' ', '_')}_{asked:g}.fwb")
    size, _, error = files.write(path, ratedist.encode(values, level, block="auto"), values)
    return [Row(name, asked, size, error, path, **_shares(size, values, error))]


def _shares(size: int, values: np.ndarray, error: float) -> dict[str, float]:
    """Of what each of the others that reaches the error takes."""
    found = rivals.sizes(values, error)
    return {f"over_{name.lower()}": size / other for name, other in found.items()}


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float] | None:
    """Count and decode again, and compare with the others again, where the signals are there."""
    if config.signals is not None and not Path(config.signals).is_file():
        return None
    values = _signals(config)[row.signal]
    size, _, error = files.check(row.file, values)
    return _shares(size, values, error)


def synthetic() -> dict[str, np.ndarray]:
    """A picture and a sound without a file: sums of noise, from 0 to 250 and to 25,000."""
    rng = np.random.default_rng(0)
    picture = rng.normal(size=(96, 128)).cumsum(axis=0).cumsum(axis=1)
    sound = rng.normal(size=(8000, 1)).cumsum(axis=0)
    picture, sound = ((each - each.min()) / np.ptp(each) for each in (picture, sound))
    return {"picture": (250 * picture).astype(np.uint8), "sound": (25_000 * sound).astype(np.int16)}


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"paper": Config(), "smoke": Config(errors=(40.0,), decibels=(35.0,))},
    data="scikit-image's camera, astronaut and coffee; two 16-bit sounds",
    notes="worst case over signals and errors",
)
