"""Pictures and sounds at equal error: bytes against JPEG, WebP, and uniform quantisation with xz.

Name a file of signals that `benchmarks/reference_signals.py` made (`--signals FILE.npz`):
two-dimensional uint8 arrays are pictures, int16 arrays sounds.

Cost: paper: 5 min on 1 core; smoke: 1 min.
Data: `--signals`; without it, a synthetic picture and sound.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from experiments.rate_distortion import rd_signals_others as others
from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from fewbits import coding


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
    over_jpeg: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over JPEG", ".3f"),
        ex.Claim("ratedist.image.over_jpeg", 1e-9, lambda row: row.over_jpeg is not None),
    ]  # fmt: skip
    over_webp: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over WebP", ".3f"),
        ex.Claim("ratedist.image.over_webp", 1e-9, lambda row: row.over_webp is not None),
    ]  # fmt: skip
    over_xz: Annotated[
        float | None, ex.Over(max, "times"), ex.Column("over xz", ".3f"),
        ex.Claim("ratedist.audio.over_xz", 1e-9, lambda row: row.over_xz is not None),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]


def _signals(config: Config) -> dict[str, np.ndarray]:
    if config.signals is None:
        return others.synthetic()
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
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source.npz"
        np.savez(source, samples=values)
        command = ["encode", source, path, "--distortion", repr(level), "--block", "auto"]
        subprocesses.python("ratedist", [*command, "--force"])
    size, error = _decoded(path, values)
    jpeg = webp = xz = None
    if picture:
        jpeg, webp = (others.picture_bytes(values, error, kind) for kind in ("JPEG", "WEBP"))
    else:
        xz = others.uniform_xz_bytes(values, error)
    shares = [None if other is None else size / other for other in (jpeg, webp, xz)]
    over_jpeg, over_webp, over_xz = shares
    return [Row(name, asked, size, error, over_jpeg, over_webp, over_xz, path)]


def _decoded(path: Path, values: np.ndarray) -> tuple[int, float]:
    """Bytes of a file and the error of what a subprocess decodes from it."""
    with tempfile.TemporaryDirectory() as folder:
        decoded = Path(folder) / "decoded.npz"
        subprocesses.python("ratedist", ["decode", path, decoded])
        with np.load(decoded) as back:
            restored = back["values"]
    if restored.shape != values.shape or restored.dtype != values.dtype:
        raise coding.FormatError(f"decodes to {restored.dtype} of {restored.shape}", path.name)
    return path.stat().st_size, float(((restored.astype(float) - values) ** 2).mean())


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float] | None:
    """Count and decode again, and compare with the others again, where the signals are there."""
    if config.signals is not None and not Path(config.signals).is_file():
        return None
    values = _signals(config)[row.signal]
    size, error = _decoded(row.file, values)
    if row.over_xz is not None:
        return {"over_xz": size / others.uniform_xz_bytes(values, error)}
    return {
        "over_jpeg": size / others.picture_bytes(values, error, "JPEG"),
        "over_webp": size / others.picture_bytes(values, error, "WEBP"),
    }


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {"paper": Config(), "smoke": Config(errors=(40.0,), decibels=(35.0,))},
    data="scikit-image's camera, astronaut and coffee; two 16-bit sounds",
    notes="worst case over signals and errors",
)
