"""Every pruning method on the LeNets: weights, error, and bytes of a file that is decoded.

LeNet-300-100 (266,610 parameters) and LeNet-5-Caffe (431,080) on MNIST; all methods, equal
epochs; choices on 5,000 validation images, official test set. The CPU presets train in rounds on
shrunken networks (see `prune_rounds`), with images moved by up to a pixel, which the publications
did not; a run that was cut off goes on. The GPU presets train all lanes of a method, strengths on a
log grid, in one program and store them; `files` writes the files on any machine.

    python -m experiments prune_lenet gpu300 --out runs/lenet300
    python -m experiments prune_lenet files --config.lanes runs/lenet300/lanes --out runs/files
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import jax

from experiments.pruning import iterative, prune_runs, prune_tables
from experiments.pruning.iterative import FEWER_EPOCHS, FROM_WEAKER, Chain
from experiments.pruning.prune_runs import Grid, Lanes, Training
from experiments.runner.records import Run, Seconds, start_run, write_record
from fewbits.io import datasets
from fewbits.io.progress import Bar
from fewbits.training import networks


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    network: Literal["lenet300", "lenet5"] = "lenet300"
    data: str = "mnist"
    grids: tuple[Grid, ...] = ()
    """Trained all at once; see `prune_lanes`."""
    chains: tuple[Chain, ...] = ()
    """Trained in rounds, one after another; see `prune_rounds`."""
    training: Training = field(default_factory=Training)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    validation_images: int = 5_000
    train_images: int | None = None
    """The first so many training images; all if not given."""
    lanes: str | None = None
    """Folder of lanes trained before; nothing is trained then."""
    write_files: bool = True
    """Whether the chosen lanes become files, which needs the coder."""


def _grids(scale: dict[str, tuple[float, float, int]], **settings: Any) -> tuple[Grid, ...]:
    """One grid for each method: strengths from low to high, equally spaced in the logarithm."""
    return tuple(
        Grid(
            name,
            tuple(low * (high / low) ** (i / max(count - 1, 1)) for i in range(count)),
            **settings,
        )
        for name, (low, high, count) in scale.items()
    )


STRENGTHS = {
    "pmmp_curvature": (1e-5, 2e-4, 8),
    "drr": (3e-5, 1e-3, 8),
    "drr_proximal": (5e-2, 0.5, 8),
    "rl1_proximal": (0.1, 1.5, 8),
    "pmmp_admm": (2e-2, 0.4, 8),
    "magnitude": (3e-3, 2e-2, 6),
    "pmmp": (1e-3, 0.3, 6),
    "rl1": (2e-5, 1e-3, 8),
    "hard_concrete": (1e-6, 1e-4, 6),
    "fpp": (1e-3, 0.3, 6),
}
"""Lowest and highest strength, and how many: found on short runs of LeNet-300-100."""

FIRST_STRENGTHS = {
    "lenet300": {
        "pmmp_curvature": 5e-6,
        "drr": 1e-5,
        "drr_proximal": 0.01,
        "pmmp_admm": 0.01,
        "rl1_proximal": 0.03,
        "magnitude": 0.1,
    },
    "lenet5": {
        "drr": 2e-5,
        "pmmp_curvature": 4e-6,
    },
}
"""Of the first round of a chain."""

PRESETS: dict[str, tuple[str, Config]] = {
    "smoke": (
        "digits, LeNet-300-100, four methods for a few epochs, files too: two minutes on 2 cores",
        Config(
            data="digits",
            grids=_grids(
                {
                    name: (*STRENGTHS[name][:2], 2)
                    for name in ("pmmp_curvature", "drr", "pmmp", "magnitude")
                }
            ),
            training=Training(epochs=40, fine_tune_epochs=20, batch_size=100),
            seeds=(0,),
            validation_images=297,
        ),
    ),
    "cpu300": (
        "LeNet-300-100 on MNIST, DRR and curvature PMMP in rounds, five seeds; four others, one",
        Config(
            chains=tuple(
                Chain(method, strength, seeds=None if method in ("drr", "pmmp_curvature") else 1)
                for method, strength in FIRST_STRENGTHS["lenet300"].items()
            ),
            training=Training(shift_pixels=1),
        ),
    ),
    "cpu5": (
        "LeNet-5-Caffe on MNIST, DRR and curvature PMMP in rounds, three seeds",
        Config(
            network="lenet5",
            chains=tuple(
                Chain(method, strength, FEWER_EPOCHS if method == "drr" else FROM_WEAKER)
                for method, strength in FIRST_STRENGTHS["lenet5"].items()
            ),
            training=Training(batch_size=125, shift_pixels=1),
            seeds=(0, 1, 2),
        ),
    ),
    "gpu300": (
        "LeNet-300-100 on MNIST, all methods, five seeds: under 10 minutes on one H100",
        Config(grids=_grids(STRENGTHS), write_files=False),
    ),
    "gpu5": (
        "LeNet-5-Caffe on MNIST, all methods, five seeds: under 10 minutes on one H100",
        Config(
            network="lenet5",
            grids=_grids(STRENGTHS, tolerances=(0.3,)),
            training=Training(epochs=50, fine_tune_epochs=25),
            write_files=False,
        ),
    ),
    "files": ("files and tables from stored lanes: minutes on 2 cores", Config()),
}


def run(config: Config, run: Run) -> None:
    """Train (or read) the lanes of every method, record them, write the files at the goal lines."""
    parts = load_parts(config, run.data_dir)
    if config.lanes is not None:
        folder = Path(config.lanes)
        names = [path.stem for path in sorted(folder.glob("*.npz"))]
        if not names:
            raise datasets.DataError(f"no lanes (*.npz) in {folder}")
        trained = {name: (prune_runs.load(folder / f"{name}.npz"), None) for name in names}
    else:
        if not (config.grids or config.chains):
            raise datasets.DataError("nothing to train: choose another preset, or give lanes")
        trained = {}
        for work in (*config.grids, *config.chains):
            if isinstance(work, Grid):
                lanes, seconds = train_grid(config, work, parts)
            else:
                lanes, seconds = train_chain(config, work, parts, run.folder / "chains")
            prune_runs.save(run.folder / "lanes" / f"{work.method}.npz", lanes)
            trained[work.method] = (lanes, seconds)
            name = f"{config.network}_{work.method}"
            record(run, name, config, work.method, lanes, seconds, config.data)
            took = f"{seconds.compile:.0f} s to compile, {seconds.run:.0f} s to run"
            print(f"{prune_tables.best_line(work.method, lanes)} [{took}]", flush=True)
    if config.write_files:
        from experiments.pruning import prune_files  # needs the coder, which training does not

        prune_files.write(
            run,
            config.network,
            {name: lanes for name, (lanes, _) in trained.items()},
            network_for(config, parts),
            parts,
            config,
        )


def load_parts(config: Config, data_dir: str | None) -> dict[str, datasets.Images]:
    """`train`, `validation` (cut off the training set) and `test`."""
    train = datasets.load(config.data, "train", data_dir=data_dir)
    train, validation = datasets.split_validation(train, config.validation_images)
    train = train.first(config.train_images)
    test = datasets.load(config.data, "test", data_dir=data_dir)
    return {"train": train, "validation": validation, "test": test}


def network_for(config: Config, parts: dict[str, datasets.Images]) -> networks.Network:
    """The network of a run, for the shape and the classes of its images."""
    train = parts["train"]
    return prune_runs.NETWORKS[config.network][0](train.pixels.shape[1:], len(train.label_names))


def train_grid(
    config: Config, grid: Grid, parts: dict[str, datasets.Images]
) -> tuple[Lanes, Seconds]:
    """All lanes of one grid, and how long they took."""
    network = network_for(config, parts)
    began, compiled = time.perf_counter(), [0.0]

    def progress(done: int, total: int) -> None:
        if done == 0:
            compiled[0] = time.perf_counter() - began
        bar(done, total)

    with Bar(grid.method) as bar:
        simplify = iterative.simplifier(config.network, parts["train"].pixels.shape[1:])
        lanes = prune_runs.train(
            grid, config.training, network, simplify, parts, config.seeds, progress
        )
    seconds = time.perf_counter() - began
    return lanes, Seconds(compiled[0], seconds - compiled[0])


def train_chain(
    config: Config, chain: Chain, parts: dict[str, datasets.Images], folder: Path
) -> tuple[Lanes, Seconds]:
    """The chain of every seed; those in `folder` go on where they stopped."""
    network, began, lanes = network_for(config, parts), time.perf_counter(), []
    for seed in config.seeds[: chain.seeds]:
        path = folder / f"{config.network}_{chain.method}_{seed}.npz"
        with Bar(f"{chain.method}, seed {seed}") as bar:
            lanes.append(
                iterative.train(
                    chain, config.training, config.network, network, parts, seed, path, bar
                )
            )
        print(prune_tables.best_line(f"{chain.method}, seed {seed}", lanes[-1]), flush=True)
    # Every round compiles its own program; the two are not told apart.
    return iterative.side_by_side(lanes), Seconds(0.0, time.perf_counter() - began)


def record(
    run: Run, name: str, config: Any, method: str, lanes: Lanes, seconds: Seconds, data: str
) -> None:
    """Write the record of one method's lanes."""
    points = {name: values.tolist() for name, values in lanes.points.items()}
    metrics = {name: values.tolist() for name, values in lanes.metrics.items()}
    write_record(
        run,
        name,
        config=config,
        seeds=lanes.seeds.tolist(),
        seconds=seconds,
        metrics={"method": method, "points": points, "lanes": metrics},
        data=datasets.SOURCES[data].note,
        notes="points[name][h], lanes[name][h][s]: point h, seed s; errors are shares, "
        "validation and test",
    )


tables = prune_tables.tables
figures = prune_tables.figures


def recompute(claim: Any, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """The claimed number again, from the file alone; see `prune_files.recompute`."""
    from experiments.pruning import prune_files

    return prune_files.recompute(claim, record, artifact, data_dir)


def main(arguments: list[str]) -> int:
    """Train the lanes of a preset where the command line's own needs are not installed.

    python -m experiments.pruning.prune_lenet PRESET FOLDER [METHOD ...]
    """
    preset, folder, *methods = [*arguments, "", ""] if len(arguments) < 2 else arguments
    unknown = [name for name in methods if name and name not in STRENGTHS]
    if preset not in PRESETS or not folder or unknown:
        print(
            f"usage: python -m experiments.pruning.prune_lenet {{{','.join(PRESETS)}}} "
            "FOLDER [METHOD ...]"
            f"\nmethods: {', '.join(STRENGTHS)}",
            file=sys.stderr,
        )
        return 2
    config = PRESETS[preset][1]
    if methods:
        grids = tuple(grid for grid in config.grids if grid.method in methods)
        chains = tuple(chain for chain in config.chains if chain.method in methods)
        config = replace(config, grids=grids, chains=chains)
    command = f"python -m experiments prune_lenet {preset}"
    print(jax.devices(), flush=True)
    run(config, start_run("prune_lenet", preset, command, out=folder, data_dir=None))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
