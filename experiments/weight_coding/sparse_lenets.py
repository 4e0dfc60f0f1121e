"""Pruned LeNets-300-100 as files: bits per nonzero weight, gain over xz.

Gradual magnitude pruning to 97, 98 and 99 % zeros, five seeds; kernels and biases on 5-bit grids,
the whole file counted and decoded in a subprocess.

Cost: paper: 17 min on 1 core; smoke: 30 s.
Data: mnist.
"""

from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.common import decoded_networks, plain_files
from experiments.runner import experiment as ex
from fewbits.coding import container
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io import datasets
from fewbits.training import loop, losses, networks, sweep
from pruning import methods
from pruning.controls import gradual_magnitude

BITS = 5


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    sparsities: tuple[float, ...] = (0.97, 0.98, 0.99)
    """Shares of all weights that are zero."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 40
    batch_size: int = 128
    learning_rate: float = 1.5e-3


SMOKE = Config("digits", (0.9,), seeds=(0,), epochs=20, batch_size=32)


class Row(NamedTuple):
    """Files of pruned LeNets-300-100.

    5-bit values and biases, whole file; mean ± standard deviation over seeds.
    """

    zeros_percent: Annotated[int, ex.Key, ex.Column("zeros, %")]
    seed: int
    accuracy_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test accuracy, %")]
    float_accuracy_percent: float
    bytes: Annotated[int, ex.MeanOverSeeds("bytes"), ex.Column("bytes on disk", ",.0f")]
    nonzeros: int
    bits_per_nonzero: Annotated[
        float, ex.MeanOverSeeds("bits per nonzero"), ex.Column("bits per nonzero"),
        ex.Claim("coding.sparse.lenet300.{zeros_percent}.bits_per_nonzero", 1e-6),
    ]  # fmt: skip
    xz_bytes: Annotated[int, ex.MeanOverSeeds(), ex.Column("xz -9e of int8, bytes", ",.0f")]
    # Another version of xz may need a byte or two more or less.
    gain_percent: Annotated[
        float, ex.MeanOverSeeds("%"), ex.Column("smaller by, %", ".1f"),
        ex.Claim("coding.sparse.lenet300.{zeros_percent}.gain_vs_xz", 0.01),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]


def measure(config: Config, trials: list[tuple[float, int]], data: ex.Data) -> list[Row]:
    """Train a network, write its file, decode it in a subprocess, test it."""
    ((sparsity, seed),) = trials
    test = data.images(config.data, "test")
    net = networks.lenet_300_100(test.pixels.shape[1:])
    params = train(config, sparsity, seed, data.images(config.data, "train"))
    path = data.path(f"sparse_{config.data}_{round(100 * sparsity)}_seed{seed}.fwb")
    container.save(path, sparse_code.write_sparse(params, BITS))
    quantised = sparse_code.quantise_sparse(params, BITS)
    decoded_networks.check([(path, quantised)])
    plain = (path.with_suffix(".xz"), plain_files.symbols(quantised))
    xz_bytes = plain_files.save(*plain)
    plain_files.check([plain])
    size, nonzeros = path.stat().st_size, sparse_code.count_nonzeros(quantised)
    accuracy, unquantised = (
        decoded_networks.accuracy_percent(net, each, test) for each in (quantised, params)
    )
    ratios = (8 * size / nonzeros, xz_bytes, 100 * (1 - size / xz_bytes))
    row = (round(100 * sparsity), seed, accuracy, unquantised, size, nonzeros, *ratios)
    return [Row(*row, path)]


def train(config: Config, sparsity: float, seed: int, images: datasets.Images) -> Any:
    """The parameters of one pruned network."""
    steps = config.epochs * (len(images.labels) // config.batch_size)
    remaining = 1 - jnp.float32(sparsity)
    return pruned(images, seed, remaining, steps, config.batch_size, config.learning_rate)


def pruned(
    images: datasets.Images, seed: int, remaining: Any, steps: int, batch_size: int, rate: float
) -> Any:
    """LeNet-300-100 of these images, by gradual magnitude pruning to a share of the weights."""
    net = networks.lenet_300_100(images.pixels.shape[1:])
    plan = loop.Plan(steps, batch_size)
    method = methods.METHODS["magnitude"].build(losses.cross_entropy(net.apply), steps)

    def run(key: jax.Array, hyperparameters: Any, data: Any) -> Any:
        key_params, key_run = jax.random.split(key)
        return loop.run(method, plan, key_run, net.init(key_params), data, hyperparameters).params

    point = gradual_magnitude.Hyperparameters(rate, jnp.atleast_1d(remaining))
    found = sweep(run, point, [seed], (images.pixels, images.labels), runs_per_chunk=1)
    return jax.tree.map(lambda leaf: np.asarray(leaf[0, 0]), found)


def recompute(config: Config, row: Row, data: ex.Data) -> dict[str, float]:
    """Decode in a subprocess, test again, count again."""
    test = data.images(config.data, "test")
    net = networks.lenet_300_100(test.pixels.shape[1:])
    params = decoded_networks.decode_tested(row.file, net, test, row.accuracy_percent)
    size = row.file.stat().st_size
    plain = plain_files.CODECS[".xz"].compress(plain_files.symbols(params))
    return {
        "bits_per_nonzero": 8 * size / sparse_code.count_nonzeros(params),
        "gain_percent": 100 * (1 - size / len(plain)),
    }


EXPERIMENT = ex.of_module(
    __name__, Row, {"paper": Config(), "smoke": SMOKE},
    grid=lambda config: product(config.sparsities, config.seeds),
    free=("seeds", "sparsities"),
    notes="xz_bytes is `xz -9e` of all tensors of the file as int8",
)  # fmt: skip
