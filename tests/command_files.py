"""Small inputs of every command, sound ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np

ARTIFACTS = Path(__file__).resolve().parents[1] / "results" / "artifacts"


def write(folder: Path) -> None:
    """Writes them into a folder; messages of bitalloc are made by its command."""
    rng = np.random.default_rng(0)
    np.savez(folder / "net.npz", **{"a/kernel": rng.normal(size=(9, 5)).astype(np.float32)})
    labels = np.arange(60) % 3
    pixels = rng.integers(0, 80, size=(60, 8, 8)) + 60 * labels[:, None, None]
    np.savez(folder / "images.npz", images=pixels.astype(np.uint8), labels=labels)
    np.savez(folder / "samples.npz", samples=rng.normal(size=64))
    np.savez(folder / "channel.npz", channel=[[0.9, 0.1], [0.2, 0.8]])
    np.savez(folder / "mnist.npz", images=rng.integers(0, 256, (20, 28, 28)).astype(np.uint8))
    (folder / "text").write_bytes(b"")
    for name, source in (
        ("lgc", "fashion_mnist_1000_ours_0.lgc"),
        ("pruned", "lenet5_drr_bytes1200_0.fb"),
        ("quantised", "rd_trimodal_scalar.fwb"),
        ("model", "bitalloc_pixel_central_4.model"),
    ):
        (folder / name).write_bytes((ARTIFACTS / source).read_bytes())
