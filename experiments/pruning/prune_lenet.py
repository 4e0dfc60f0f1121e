"""LeNet-300-100 and LeNet-5-Caffe pruned by every method, down to decoded files.

266,610 and 431,080 parameters, MNIST; all methods, equal epochs; choices on 5,000 validation
images, official test set. Networks are pruned iteratively, each step trains what is left, with
images moved by up to a pixel, which the publications did not.

Cost: cpu300, cpu5: 3 h on one core each; smoke: 1 min.
Data: mnist.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

from experiments.pruning import files, runs, training
from experiments.pruning.files import Target
from experiments.pruning.runs import Choice, File, Run, Selected
from experiments.pruning.training import Iterative, PruningStep, Training
from experiments.runner import experiment as ex
from fewbits.coding.weights.sparse import sparse_code
from fewbits.training import trees
from pruning.methods import METHODS

PRECISIONS = ((3, 5), (4, 6), (5, 8), (6, 8), (8, 10))
"""Bits of kernels and of biases."""


@dataclass(frozen=True)
class Config:
    network: Literal["lenet300", "lenet5"] = "lenet300"
    data: str = "mnist"
    iterative: tuple[Iterative, ...] = ()
    training: Training = Training()
    """Its epochs are those of each step."""
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    validation_images: int = 5_000
    ratios: tuple[int, ...] = (150, 92)
    """Of weights, that files have to reach on average over seeds."""
    file_bytes: tuple[int, ...] = (3_000, 5_000)
    """That files may have on average."""
    compared_from_percent: float = 1.9
    """Least validation error at which the exact methods are compared with DRR."""


class Comparison(NamedTuple):
    """Weights of the best exact method over those of the best DRR.

    At the least validation error, in steps of 0.1 %, that both keep.
    """

    network: Annotated[str, ex.Key]
    validation_percent: Annotated[float, ex.Column("validation error, %", ".1f")]
    ratio: Annotated[
        float, ex.Over(max), ex.Column("ratio of nonzeros", ".2f"),
        ex.Claim("pruning.{network}.pmmp_over_drr_nonzeros"),
    ]  # fmt: skip
    seeds: Annotated[int, ex.Column()]


Trial = tuple[str, tuple[int, ...]]
"""A method with all its seeds."""

PUBLISHED = [
    Choice(network, f"{title} (published)", "", ratio, test_error_percent=error)
    for network, title, ratio, error in (
        ("lenet300", "Sparse VD", 68, 1.92), ("lenet300", "DNS", 56, 1.99),
        ("lenet300", "SWS", 23, 1.94), ("lenet300", "SNIP", 50, 2.4),
        ("lenet5", "Sparse VD", 280, 0.75), ("lenet5", "DNS", 111, 0.91),
        ("lenet5", "SWS", 200, 0.97), ("lenet5", "SNIP", 100, 1.1),
    )
]  # fmt: skip


def grid(config: Config) -> list[Trial]:
    return [(each.method, config.seeds[: each.seeds]) for each in config.iterative]


def measure(config: Config, trials: list[Trial], data: ex.Data) -> ex.Measurement:
    """Train a method, choose its files and write them."""
    ((method, seeds),) = trials
    plan = next(each for each in config.iterative if each.method == method)
    parts = training.parts_of(data, config.data, config.validation_images)
    trained = training.train_lenet(config.network, plan, config.training, parts, seeds, data)
    n_parameters = trees.size(trained["params"]) // trained["metrics"]["finite"].size
    return files.measured(
        (config.network, method), plan.settings(), seeds, trained, PRECISIONS,
        _targets(config, n_parameters),
        lambda params, bits: sparse_code.write_sparse(params, {"*/bias": bits[1], "*": bits[0]}),
        files.errors_percent(training.lenet(config.network, parts["train"]).apply, parts),
        n_parameters, data,
    )  # fmt: skip


def _targets(config: Config, n_parameters: int) -> list[Target]:
    """The least validation error of all with so many times fewer weights, or of so few bytes."""
    return [
        *(Target(f"{ratio}x", f"ratio{ratio}",
                 lambda one, ratio=ratio: one.nonzeros.mean() * ratio <= n_parameters)
          for ratio in config.ratios),
        *(Target(f"{most:,} bytes", f"bytes{most}", lambda one, most=most: one.sizes.mean() <= most)
          for most in config.file_bytes),
    ]  # fmt: skip


def derive(record: ex.Record) -> list[Any]:
    """Choices on validation: each method at each ratio, the best method for each size."""
    config, measured, found = record.config, record.of(Run), []
    for method in METHODS:
        mine = [run for run in measured if run.method == method]
        for ratio in config.ratios if mine else ():
            most = record.extras["parameters"] / ratio
            best = runs.best(mine, "validation_error_percent", nonzeros=most)
            empty = Choice(config.network, method, f"{ratio}x")
            found += [
                empty._replace(**{name: getattr(run, name) for name in Choice._fields[3:]})
                for run in best
            ] or [empty]
    compared = runs.with_all_seeds(measured)
    against = runs.exact_over_drr(compared, config.compared_from_percent)
    if against is not None:
        found.append(Comparison(config.network, against[1], against[0], len(config.seeds)))
    return [*found, *runs.selected(record.of(File))]


def recompute(config: Config, row: Any, data: ex.Data) -> dict[str, float] | None:
    """From the file of one seed; nothing where the claim is about trained networks."""
    if not isinstance(row, Selected):
        return None
    test = data.images(config.data, "test")
    return files.recompute(row, training.lenet(config.network, test).apply, test)


def _steps(epochs: tuple[tuple[int, int], ...], *factors: float) -> tuple[PruningStep, ...]:
    return tuple(PruningStep(f, *each) for f, each in zip(factors, epochs, strict=True))


_STEPS = _steps(
    ((20, 0), (30, 0), (50, 20), (50, 20), (50, 20), (50, 20), (60, 30), (60, 30)),
    1.0, 1.7, 3.3, 6.0, 10.0, 15.0, 20.0, 28.0,
)  # fmt: skip
"""A gentle start: what the first steps prune too much, no later one brings back."""
_FEW = ((3, 0), (3, 0), (6, 2), (10, 5), (12, 6), (12, 8), (12, 8))
"""For convolutional networks, whose epochs are dear until channels have died."""
_FIRST_WEIGHTS = {
    "pmmp_curvature": 5e-6, "drr": 1e-5, "drr_proximal": 0.01, "pmmp_admm": 0.01,
    "rl1_proximal": 0.03, "magnitude": 0.1,
}  # fmt: skip
_SEVERAL_SEEDS = ("drr", "pmmp_curvature")

EXPERIMENT = ex.of_module(
    __name__,
    (Selected, Choice, Comparison, File, Run),
    {
        "cpu300": Config(
            iterative=tuple(
                Iterative(name, weight, _STEPS, seeds=None if name in _SEVERAL_SEEDS else 1)
                for name, weight in _FIRST_WEIGHTS.items()
            ),
            training=Training(shift_pixels=1),
        ),
        "cpu5": Config(
            "lenet5",
            iterative=(
                Iterative("drr", 2e-5, _steps(_FEW, 1.0, 3.0, 5.0, 8.0, 11.0, 15.0, 20.0)),
                # Zeros of this method are exact from the first step on.
                Iterative(
                    "pmmp_curvature", 4e-6, _steps(_FEW, 1.0, 4.0, 10.0, 20.0, 30.0, 42.0, 56.0)
                ),
            ),
            training=Training(batch_size=125, shift_pixels=1),
            seeds=(0, 1, 2), ratios=(500, 342), file_bytes=(1_200, 3_000),
            compared_from_percent=1.0,
        ),
        "smoke": Config(
            data="digits",
            iterative=(
                Iterative("magnitude", 0.3, (PruningStep(1.0, 5), PruningStep(3.0, 5, 5))),
                Iterative("drr", 3e-4, (PruningStep(1.0, 10, 5),)),
            ),
            training=Training(batch_size=100),
            seeds=(0,), validation_images=297, ratios=(4,), file_bytes=(20_000,),
        ),
    },
    published=PUBLISHED,
    notes="bits of files are those of kernels and of biases",
    together=True,
)  # fmt: skip
