"""Bits back with ANS (BB-ANS): MNIST's test images losslessly, bits per dimension.

Townsend et al. (2019) published 1.41 bits per dimension for raw 8-bit MNIST, and 1.42 for bz2. Here
the model, a variational autoencoder, is counted as well, and gzip, bz2, xz and PNG stand beside it.

Cost: paper: 1 h on 1 core, most of it the training of three models; smoke: 1 min.
Data: mnist.
"""

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from fewbits.codecs import general_purpose
from fewbits.codecs.latent_images import image_file, image_vae, integer_vae
from fewbits.coding import container
from fewbits.io.datasets import Images

IMAGES, FILE, ELBO = (
    "bits back, images",
    "bits back, whole file with its model",
    "negative ELBO of the float model",
)


@dataclass(frozen=True)
class Config:
    vae: image_vae.Config = image_vae.Config()
    data: str = "mnist"
    seeds: tuple[int, ...] = (0, 1, 2)
    kernel_bits: int = 7
    n_streams: int = 50
    """Images side by side; each stream has to borrow for its first image."""
    test_images: int = 10_000


class Row(NamedTuple):
    """MNIST test images, lossless.

    Mean ± standard deviation over models; the images' bytes hold their labels as well. Every file
    was decoded to the same pixels and labels, ours in a subprocess.
    """

    coded_by: Annotated[str, ex.Key, ex.Column("coded by")]
    bytes: Annotated[int | None, ex.MeanOverSeeds(), ex.Column("bytes", ",.0f")]
    bits_per_dimension: Annotated[
        float, ex.MeanOverSeeds("bits per dimension"), ex.Column("bits per dimension", ".3f"),
        ex.Claim("coding.bits_back.mnist.bits_per_dim", 1e-9, lambda row: row.coded_by == IMAGES),
    ]  # fmt: skip
    seed: int | None = None
    training_seconds: float | None = None
    encode_seconds: float | None = None
    file: Annotated[Path | None, ex.Artifact] = None


def measure(config: Config, trials: list[tuple[int | None]], data: ex.Data) -> list[Row]:
    """Train a model, code the test images, decode them in a subprocess."""
    ((seed,),) = trials
    test = _test(config, data)
    if seed is None:
        sizes = general_purpose.image_sizes(test.pixels)
        return [Row(name, size, 8 * size / test.pixels.size) for name, size in sizes.items()]
    trained = _trained(config, seed, data)
    began = time.perf_counter()
    model = integer_vae.quantise(trained.params, config.kernel_bits)
    content = image_file.write(model, test.pixels, test.labels, config.n_streams)
    seconds = time.perf_counter() - began
    path = data.path(f"bits_back_{config.data}_seed{seed}.fwb")
    container.save(path, content)
    bits = _decoded_bits(path, test)
    whole = path.stat().st_size
    return [
        Row(IMAGES, image_file.sizes(content).images, bits, seed, trained.seconds, seconds, path),
        Row(FILE, whole, 8 * whole / test.pixels.size, seed),
        Row(ELBO, None, trained.test_bits_per_dimension, seed),
    ]


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Decode the file in a subprocess, compare with the data set, count again."""
    assert row.file is not None
    return _decoded_bits(row.file, _test(config, data))


def _trained(config: Config, seed: int, data: ex.Data) -> image_vae.Trained:
    def train(path: Path) -> None:
        own, other = (data.images(config.data, split).pixels for split in ("train", "test"))
        with tempfile.TemporaryDirectory() as folder:
            (model,) = image_vae.train_seeds(config.vae, (seed,), own, other, Path(folder), print)
        image_vae.save(path, model)

    return image_vae.load(data.cached_file(f"model_{seed}.npz", train))


def _decoded_bits(path: Path, test: Images) -> float:
    """Bits per dimension of the images in the file, once a subprocess has decoded them.

    Raises:
      ValueError: to others.
    """
    pixels, labels = subprocesses.call(image_file.read, container.load_bytes(path))
    if not (np.array_equal(pixels, test.pixels) and np.array_equal(labels, test.labels)):
        raise ValueError(f"{path.name} does not decode to the images it was made from")
    return 8 * image_file.sizes(path.read_bytes()).images / test.pixels.size


def _test(config: Config, data: ex.Data) -> Images:
    return data.images(config.data, "test").first(config.test_images)


_SMALL = image_vae.Config(n_latents=8, n_shades=6, wide=8, medium=8, narrow=4, epochs=4)

EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "smoke": Config(_SMALL, "greek_letters", seeds=(0,), n_streams=4, test_images=200),
    },
    grid=lambda config: ((seed,) for seed in (None, *config.seeds)),
    published=[Row("BB-ANS, as published (model not counted)", None, 1.41)],
    notes="the bytes of the images contain their labels, which are the payload that comes back",
)  # fmt: skip
