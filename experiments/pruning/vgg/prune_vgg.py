"""VGG-16 on small colour images: how few weights stay within a point of the dense network.

The dense network, and three methods in rounds of rising strength, with mirrored and shifted
images; see `prune_vgg_rounds`. What is counted and written is the deployed network, whose
normalisation is folded into scales and shifts. A command that was interrupted goes on from its
last checkpoint.

    python -m experiments.pruning.vgg.prune_vgg gpu runs/vgg dense     # likewise drr,
    pmmp_curvature, magnitude python -m experiments prune_vgg files --config.lanes runs/vgg/lanes
    --out runs/vgg_files
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from experiments.pruning import iterative, prune_lenet, prune_runs
from experiments.pruning.iterative import Chain, Round
from experiments.pruning.prune_runs import Lanes, Training
from experiments.pruning.vgg import prune_vgg_tables
from experiments.pruning.vgg.prune_vgg_iterative import (
    DENSE,
    Config,
    Trainer,
    train_chain,
    train_dense,
)
from experiments.runner import records
from experiments.runner.records import Run, Seconds, start_run, write_record
from fewbits.io import datasets
from fewbits.training import checkpoints, vgg
from pruning.methods import METHODS

_ROUNDS = (
    Round(1.0, 60),
    *(Round(factor, 20, 10) for factor in (3.0, 6.0, 12.0, 24.0, 48.0)),
)
_STRENGTHS = {"drr": 1e-6, "pmmp_curvature": 3e-7, "magnitude": 0.1}
_SMOKE_ROUNDS = (Round(1.0, 5, 5), Round(3.0, 5, 5))

FREE_FIELDS = ("dense", "chains", "seeds", "checkpoint_epochs", "lanes", "write_files")
"""Which parts are trained in one call, and how often they are stored: a folder takes any."""

PRESETS: dict[str, tuple[str, Config]] = {
    "smoke": (
        "a narrow VGG of five convolutions, 1,000 images, files too: minutes on 2 cores",
        Config(
            width=1 / 8,
            blocks=((64,), (128,), (256,), (512,), (512,)),
            chains=(
                Chain("drr", 1e-4, _SMOKE_ROUNDS, learning_rate=1e-3),
                Chain("magnitude", 0.3, _SMOKE_ROUNDS, learning_rate=1e-3),
            ),
            training=Training(epochs=5, batch_size=50, fine_tune_rate=1e-3, shift_pixels=2),
            validation_images=500,
            calibration_images=500,
            train_images=1_000,
        ),
    ),
    "gpu": (
        "VGG-16, one method a call: made for 10 minutes each on one H100, not yet run",
        Config(
            bfloat16=True,
            chains=tuple(
                Chain(method, strength, _ROUNDS, learning_rate=1e-3)
                for method, strength in _STRENGTHS.items()
            ),
            training=Training(epochs=120, fine_tune_rate=1e-3, shift_pixels=4),
            write_files=False,
        ),
    ),
    "files": ("files from stored networks: about an hour on 2 cores", Config(dense=False)),
}


def run(config: Config, run: Run) -> None:
    """Train (or read) the dense network and the chains, record them, write the files."""
    if config.lanes is None and not (config.dense or config.chains):
        raise datasets.DataError("nothing to train: choose another preset, or give lanes")
    wanted = prune_lenet.Config(
        data=config.data,
        validation_images=config.validation_images,
        train_images=config.train_images,
    )
    parts = prune_lenet.load_parts(wanted, run.data_dir)
    folder = run.folder / "lanes" if config.lanes is None else Path(config.lanes)
    if config.lanes is None:
        _train_and_record(config, parts, run, folder)
    if config.write_files:
        from experiments.pruning.vgg import (
            prune_vgg_files,  # needs the coder, which training does not
        )

        found = {method: read_chain(folder, method) for method in METHODS}
        trained = {method: lanes for method, lanes in found.items() if lanes is not None}
        name, dense = name_of(config), read_dense(folder)
        prune_vgg_files.write(run, config, name, dense, trained, parts)


def name_of(config: Config) -> str:
    """What records and files of a run begin with: only the whole network has the paper's name."""
    return "vgg16" if config.width == 1 and config.blocks == vgg.BLOCKS else "narrow"


tables = prune_vgg_tables.tables
figures = prune_vgg_tables.figures


def recompute(claim: Any, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The claimed ratio again, from the file alone; see `prune_vgg_files.recompute`."""
    from experiments.pruning.vgg import prune_vgg_files

    return prune_vgg_files.recompute(claim, record, artifact, data_dir)


def read_dense(folder: Path) -> dict[str, list[float]]:
    """Metrics of the dense networks in a folder of lanes: name -> [seeds].

    Raises:
      DataError: none there.
    """
    found = [json.loads(path.read_text()) for path in sorted(folder.glob(f"{DENSE}_*.json"))]
    if not found:
        raise datasets.DataError(
            f"no dense network ({DENSE}_SEED.json) in {folder}; train it first, see --help"
        )
    return {name: [one[name] for one in found] for name in found[0]}


def read_chain(folder: Path, method: str) -> Lanes | None:
    """All rounds and seeds of a method in a folder of lanes; None where there are none."""
    seeds = []
    stems = [path.stem.removesuffix("_0") for path in folder.glob(f"{method}_[0-9]*_0.npz")]
    # A seed that was interrupted has fewer rounds; all are compared by those they share.
    n_rounds = min((len(list(folder.glob(f"{stem}_[0-9]*.npz"))) for stem in stems), default=0)
    for stem in sorted(stems):
        rounds = [prune_runs.load(folder / f"{stem}_{number}.npz") for number in range(n_rounds)]
        together = jax.tree.map(lambda *leaves: np.concatenate(leaves), *rounds)
        seeds.append(together._replace(seeds=rounds[0].seeds))
    return iterative.side_by_side(seeds) if seeds else None


def claim_folder(folder: Path, config: Config, chain: Chain | None) -> Path:
    """The folder, made for this run, or found to be of the same one; else `records.RunError`."""
    settings = {**dataclasses.asdict(config), "chain": chain}
    return records.claim_folder(folder, settings, FREE_FIELDS)


def _train_and_record(config: Config, parts: Any, run: Run, folder: Path) -> None:
    trainer, note = Trainer(config, parts), datasets.SOURCES[config.data].note
    if config.dense:
        began = time.perf_counter()
        for seed in config.seeds:
            path = folder / f"{DENSE}_{seed}.json"
            part = claim_folder(run.folder / "checkpoints" / f"{DENSE}_{seed}", config, None)
            records.kept(path, partial(train_dense, trainer, seed, part))
            checkpoints.discard(part / DENSE)
        metrics = {"method": DENSE, **read_dense(folder)}
        seconds = Seconds(0.0, time.perf_counter() - began)
        print(f"dense: {100 * np.mean(metrics['validation_error']):.2f} % on validation")
        write_record(
            run,
            f"{name_of(config)}_{DENSE}",
            config=config,
            seeds=config.seeds,
            seconds=seconds,
            metrics=metrics,
            data=note,
            notes="one entry for each seed; errors are shares, validation and test",
        )
    for chain in config.chains:
        began = time.perf_counter()
        for seed in config.seeds:
            name = f"{chain.method}_{seed}"
            part = claim_folder(run.folder / "checkpoints" / name, config, chain)
            train_chain(trainer, chain, seed, folder, part)
        lanes = read_chain(folder, chain.method)
        assert lanes is not None
        seconds = Seconds(0.0, time.perf_counter() - began)
        name = f"{name_of(config)}_{chain.method}"
        prune_lenet.record(run, name, config, chain.method, lanes, seconds, config.data)


def main(arguments: list[str]) -> int:
    """Train parts of a preset where the command line's own needs are not installed.

    python -m experiments.pruning.vgg.prune_vgg PRESET FOLDER [dense] [METHOD ...]
    """
    preset, folder, *names = [*arguments, "", ""] if len(arguments) < 2 else arguments
    config = PRESETS[preset][1] if preset in PRESETS else Config()
    known = [DENSE, *(chain.method for chain in config.chains)]
    unknown = [name for name in names if name not in known]
    if preset not in PRESETS or not folder or unknown:
        print(
            f"usage: python -m experiments.pruning.vgg.prune_vgg {{{','.join(PRESETS)}}} "
            "FOLDER [NAME ...]\n"
            f"names: {', '.join(known)}; all of them if none is given",
            file=sys.stderr,
        )
        return 2
    if names:
        chains = tuple(chain for chain in config.chains if chain.method in names)
        config = replace(config, dense=DENSE in names, chains=chains)
    command = f"python -m experiments prune_vgg {preset}"
    print(jax.devices(), flush=True)
    try:
        run(config, start_run("prune_vgg", preset, command, out=folder, data_dir=None))
    except datasets.DataError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
