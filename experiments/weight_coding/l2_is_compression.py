"""Is L2 compression? Files of LeNet-300-100 trained with L2, L1, DRR and nothing, decoded.

Every network is rounded to the coarsest step that costs at most 0.1 points of validation accuracy
(and to two coarser ones), coded under a Gaussian, a Laplace, a spike-and-slab and an empirical
prior and as a sparse file, and each file is decoded in a subprocess. 125 networks train in one
compiled program, seed by seed.

Cost: paper: 1 h 30 min on 1 core; smoke: 1 min.
Data: mnist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
from matplotlib.figure import Figure

from experiments.common import decoded_networks
from experiments.runner import experiment as ex
from experiments.runner import plots, rows
from experiments.weight_coding import penalised_files, penalised_lenets
from experiments.weight_coding.penalised_files import File, Network, Parts, Steps
from fewbits.io import datasets, read_checkpoint, write_checkpoint
from fewbits.training import networks

TARGETS_PERCENT = (98.0, 97.5)


@dataclass(frozen=True)
class Config:
    training: penalised_lenets.Config = penalised_lenets.Config()
    steps: Steps = Steps()
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)


class Smallest(NamedTuple):
    """Bytes of LeNet-300-100 at a given accuracy.

    Smallest file over penalty weights and steps, chosen on validation; mean ± standard deviation
    over the seeds that have one.
    """

    target_percent: Annotated[float, ex.Key, ex.Column("validation accuracy, % at least", "g")]
    penalty: Annotated[str, ex.Key]
    bytes: Annotated[
        int, ex.MeanOverSeeds("bytes"), ex.Column("bytes", ",.0f"),
        ex.Claim("coding.l2_is_compression.file_bytes_at_{target_percent}.{penalty}", 0.0),
    ]  # fmt: skip
    test_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("test accuracy, %")]
    seed: Annotated[int, ex.Over(len), ex.Column("seeds")]
    file: Annotated[Path, ex.Artifact]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> list[Network | File]:
    """Train a seed's networks; of each choose steps, write files, decode them, test them."""
    ((seed,),) = trials
    training = config.training
    images = data.images(training.data, "train")
    train, validation = datasets.split_validation(images, training.validation)

    def write(path: Path) -> None:
        write_checkpoint(path, penalised_lenets.train(training, seed, train))

    trained = read_checkpoint(data.cached_file(f"networks_{seed}.npz", write))
    parts = Parts(train, validation, data.images(training.data, "test"))
    by_point = {
        point: jax.tree.map(lambda leaf, i=i: leaf[i], trained)
        for i, point in enumerate(training.points)
    }
    return penalised_files.measure(config.steps, by_point, seed, parts, data)


def derive(record: ex.Record) -> list[Smallest]:
    """For each seed the smallest file whose validation accuracy reaches the target, if any."""
    found = []
    for target in TARGETS_PERCENT:
        good = [file for file in record.of(File) if file.validation_percent >= target]
        for files in rows.grouped(good, lambda file: (file.penalty, file.seed)).values():
            best = min(files, key=lambda file: file.bytes)
            size, accuracy = best.bytes, best.test_percent
            found.append(Smallest(target, best.penalty, size, accuracy, best.seed, best.file))
    return found


def recompute(config: Config, row: Smallest, data: ex.Data) -> float:
    """Decode the file in a subprocess, test it again; its bytes."""
    test = data.images(config.training.data, "test")
    net = networks.lenet_300_100(test.pixels.shape[1:])
    decoded_networks.decode_tested(row.file, net, test, row.test_percent)
    return row.file.stat().st_size


def figures(records: dict[str, ex.Record]) -> dict[str, Figure]:
    """File bytes against test accuracy; codelength at a fixed step against the penalty weight."""
    figure, (left, right) = plots.subplots(2, width=5.4)
    measured = rows.grouped(records["paper"].of(Network), lambda row: row.penalty)
    for name, mine in measured.items():
        by_weight = rows.grouped(mine, lambda row: row.weight)

        def curve(field: str, unit: float = 1.0, groups: Any = by_weight) -> np.ndarray:
            found = [rows.mean_over_seeds(group, field) for group in groups.values()]
            return np.array([(each.mean, each.std or 0.0) for each in found]).T / unit

        (x, x_spread), (y, y_spread) = curve("bytes"), curve("test_percent")
        left.errorbar(x, y, xerr=x_spread, yerr=y_spread, marker="o", label=name)
        if name == "none":  # no penalty weight to draw it over
            continue
        (bits, spread), (predicted, _) = (
            curve("fixed_step_bits", 8192),
            curve("predicted_bits", 8192),
        )
        drawn = right.errorbar(list(by_weight), bits, yerr=spread, marker="o", ls="", label=name)
        right.plot(list(by_weight), predicted, color=drawn[0].get_color())
    left.set(xscale="log", xlabel="bytes of the file", ylabel="test accuracy, %", ylim=(95, 99))
    right.set(xscale="log", xlabel="penalty weight", ylabel="Gaussian code, KiB")
    right.set_title("coded (dots), predicted from the norm (lines)", fontsize="medium")
    left.legend()
    right.legend()
    return {"bytes_and_codelength": figure}


_SMALL = penalised_lenets.Config(
    "digits", epochs=15, validation=297, l2=(1e-4, 1e-3), l1=(1e-5, 1e-4), drr=(1e-5,)
)

EXPERIMENT = ex.of_module(
    __name__,
    (Smallest, Network, File),
    {
        "paper": Config(),
        "smoke": Config(_SMALL, Steps(coarser=(1,), probe_images=200), seeds=(0, 1)),
    },
    data=lambda config: config.training.data,
    notes="bytes: a file that a subprocess decoded to the network that was tested; bits: whole "
    "files under each prior",
)  # fmt: skip
