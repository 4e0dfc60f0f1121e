"""LeNet-300-100 under no penalty, L2, L1 and DRR: every strength and seed in one compiled program.

    mean cross-entropy + l2 ||theta||^2 + l1 ||theta||_1 + drr sum_i (1 - exp(-5 |theta_i|))

over all parameters. It is the training half of `experiments.weight_coding.l2_is_compression`, by
itself because it needs no coder: `python -m experiments.weight_coding.penalised_lenets FOLDER` runs
on a machine that has only JAX, flax and optax, and leaves one file of networks for each seed.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fewbits.io import datasets
from fewbits.training import gradient_descent, loop, losses, networks, sweep
from pruning.penalties import drr

PENALTIES = ("l2", "l1", "drr")
STEP = 2.0**-12
"""Networks are kept in whole multiples of this, far finer than any step they are coded with."""
_RECORD = "networks.json"


@dataclass(frozen=True)
class Config:
    """What is trained."""

    data: str = "mnist"
    epochs: int = 12
    batch_size: int = 128
    learning_rate: float = 1e-3
    """Of Adam at the start; a cosine takes it to zero."""
    validation: int = 5_000
    """Images cut off the training set, on which the coding step is chosen."""
    l2: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 3e-4, 6e-4, 1e-3, 2e-3, 4e-3)
    l1: tuple[float, ...] = (3e-6, 1e-5, 3e-5, 6e-5, 1e-4, 1.7e-4, 3e-4, 6e-4)
    drr: tuple[float, ...] = (1e-6, 3e-6, 1e-5, 2e-5, 3e-5, 6e-5, 1e-4, 2e-4)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    lanes_per_chunk: int | None = 1
    """Networks side by side; one is fastest on a CPU, None is as many as fit in memory."""

    @property
    def points(self) -> list[tuple[str, float]]:
        """Penalty and strength of every point of the sweep."""
        listed = [(name, strength) for name in PENALTIES for strength in getattr(self, name)]
        return [("none", 0.0), *listed]


SMOKE = Config(
    data="digits",
    epochs=15,
    validation=297,
    l2=(1e-4, 1e-3),
    l1=(1e-5, 1e-4),
    drr=(1e-5,),
    seeds=(0, 1),
)


class Strengths(NamedTuple):
    """What differs between lanes."""

    l2: Any
    l1: Any
    drr: Any


class Networks(NamedTuple):
    """All networks of one seed.

    Attributes:
      penalty: name per network.
      strength: float per network.
      params: list of trees, float32, multiples of `STEP`.
    """

    penalty: list[str]
    strength: list[float]
    params: list[Any]


def network(config: Config) -> networks.Network:
    """LeNet-300-100 for the config's images."""
    sides = {"digits": 8, "mnist": 28, "fashion_mnist": 28}
    if config.data not in sides:
        raise datasets.DataError(f"data is one of {', '.join(sides)}, not {config.data!r}")
    return networks.lenet_300_100((sides[config.data], sides[config.data], 1))


def train(
    config: Config,
    pixels: np.ndarray,
    labels: np.ndarray,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Any, np.ndarray]:
    """Every network of the sweep.

    Returns:
      Tree of float32 [points, seeds, ...], and whether each run stayed finite, bool[points, seeds].
    """
    net = network(config)
    steps = config.epochs * (len(labels) // config.batch_size)
    plan = loop.Plan(steps, config.batch_size)
    decay = optax.cosine_decay_schedule(1.0, steps)
    rate = gradient_descent.Hyperparameters(config.learning_rate)

    def optimizer(learning_rate: Any) -> optax.GradientTransformation:
        return optax.chain(optax.adam(learning_rate), optax.scale_by_schedule(decay))

    def lane(key: jax.Array, hyperparameters: Strengths, data: Any) -> Any:
        key_params, key_run = jax.random.split(key)
        method = gradient_descent.build(
            gradient_descent.GradientDescentConfig(rate),
            penalised(losses.cross_entropy(net.apply), hyperparameters),
            optimizer,
        )
        result = loop.run(method, plan, key_run, net.init(key_params), data)
        return result.params, result.finite

    points = config.points
    strengths = Strengths(
        *(np.array([s * (name == one) for name, s in points], np.float32) for one in PENALTIES)
    )
    return sweep(
        lane,
        strengths,
        config.seeds,
        (pixels, labels),
        runs_per_chunk=config.lanes_per_chunk,
        progress=progress,
    )


def penalised(loss: Any, strengths: Strengths) -> Any:
    """The loss with the three penalties added; see the module's docstring."""
    relaxation = drr.Hyperparameters(strength=strengths.drr)

    def total(key: jax.Array, params: Any, batch: Any):
        loss_nats, aux = loss(key, params, batch)
        penalty = sum(
            strengths.l2 * jnp.square(leaf).sum()
            + strengths.l1 * jnp.abs(leaf).sum()
            + drr.value(relaxation, leaf).sum()
            for leaf in jax.tree.leaves(params)
        )
        return loss_nats + penalty, aux

    return total


def save(folder: Path, seed: int, params: Any) -> None:
    """One seed's networks, leaves float32 [points, ...], as whole multiples of `STEP`."""
    arrays = {}
    for layer, tensors in params.items():
        for name, values in tensors.items():
            whole = np.rint(np.asarray(values) / STEP)
            if np.abs(whole).max() > np.iinfo(np.int16).max:
                raise ValueError(f"{layer}/{name} of seed {seed} reaches {whole.max() * STEP}")
            arrays[f"{layer}.{name}"] = whole.astype(np.int16)
    # Under another name first: a half-written file must not count as done.
    unfinished = folder / "unfinished.npz"
    np.savez_compressed(unfinished, **arrays)
    unfinished.rename(folder / f"seed{seed}.npz")


def load(folder: Path, seed: int) -> Networks:
    """The networks that `save` wrote for one seed.

    Raises:
      DataError: no such files.
    """
    config = trained_config(folder)
    try:
        with np.load(folder / f"seed{seed}.npz", allow_pickle=False) as stored:
            arrays = {name: stored[name].astype(np.float32) * np.float32(STEP) for name in stored}
    except OSError as error:
        raise datasets.DataError(f"no networks of seed {seed} in {folder}: {error}") from error
    params: list[Any] = []
    for number in range(len(config.points)):
        tree: dict[str, dict[str, np.ndarray]] = {}
        for name, values in arrays.items():
            layer, _, leaf = name.partition(".")
            tree.setdefault(layer, {})[leaf] = values[number]
        params.append(tree)
    return Networks([p for p, _ in config.points], [s for _, s in config.points], params)


def trained_config(folder: Path) -> Config:
    """The config that the networks in a folder were trained with.

    Raises:
      DataError: no networks there.
    """
    try:
        stored = training_record(folder)["config"]
    except OSError as error:
        raise datasets.DataError(f"{folder} holds no trained networks: {error}") from error
    fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in stored.items()}
    return Config(**fields)


def training_record(folder: Path) -> dict[str, Any]:
    """What `save` noted about the training: config, finite, seconds, device."""
    return json.loads((folder / _RECORD).read_text())


def run(config: Config, folder: Path, data_dir: str | None, progress: Any = None) -> None:
    """Load the data, train all networks seed by seed, save them; go on where a run was cut off.

    Raises:
      DataError: the folder holds networks of another config.
    """
    images = datasets.load(config.data, "train", data_dir=data_dir)
    kept, _ = datasets.split_validation(images, config.validation)
    folder.mkdir(parents=True, exist_ok=True)
    note: dict[str, Any] = {"config": asdict(config), "finite": True, "seconds": 0.0}
    if (folder / _RECORD).exists():
        if trained_config(folder) != config:
            raise datasets.DataError(f"{folder} holds networks of another config: name a new one")
        note = training_record(folder)
    for seed in config.seeds:
        if (folder / f"seed{seed}.npz").exists():
            continue
        began = time.perf_counter()
        one = replace(config, seeds=(seed,))
        params, finite = train(one, kept.pixels, kept.labels, progress)
        note["finite"] = note["finite"] and bool(np.all(finite))
        note["seconds"] += time.perf_counter() - began
        note |= {"device": jax.devices()[0].device_kind, "jax": jax.__version__}
        (folder / _RECORD).write_text(json.dumps(note, indent=1) + "\n")
        save(folder, seed, jax.tree.map(lambda leaf: leaf[:, 0], params))


def main(arguments: list[str]) -> int:
    """`FOLDER [--preset smoke]`."""
    parser = argparse.ArgumentParser(prog="python -m experiments.weight_coding.penalised_lenets")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--preset", choices=("paper", "smoke"), default="paper")
    parser.add_argument("--data-dir")
    options = parser.parse_args(arguments)
    config = Config() if options.preset == "paper" else SMOKE

    def progress(done: int, lanes: int) -> None:
        print(f"{done} of {lanes} networks", flush=True)

    try:
        run(config, options.folder, options.data_dir, progress)
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
