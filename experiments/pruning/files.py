"""Pruned networks as files: their rows, and the precision, chosen on validation."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np

from experiments.common import decoded_networks
from experiments.pruning.operating_points import mean, with_all_seeds
from experiments.pruning.runs import Problem, Ratio, TestError, ValidationError
from experiments.runner import experiment as ex
from experiments.runner import rows
from fewbits import coding
from fewbits.coding.weights.sparse import sparse_code
from fewbits.io.datasets import Images
from fewbits.training import evaluation, trees
from fewbits.training.method import Params
from pruning.procedures.classifiers import Setting

PRECISIONS: tuple[tuple[int, int], ...] = ((3, 5), (4, 6), (5, 8), (6, 8), (8, 10))
"""Bits of kernels and of biases."""


class File(NamedTuple):
    """Files.

    Operating point and precision were chosen on validation, among those that meet the target on
    average over seeds. Each file was decoded in a subprocess. Mean ± standard deviation.
    """

    network: Annotated[str, ex.Key]
    method: Annotated[str, ex.Key]
    target: Annotated[str, ex.Key]
    """Least ratio of weights, or largest mean size, or largest loss of accuracy."""
    seed: int
    penalty_weight: float
    tolerance: float
    bits: Annotated[int, ex.Column()]
    """Of kernels."""
    bias_bits: int
    nonzeros: int
    ratio: Ratio
    bytes: Annotated[int, ex.MeanOverSeeds("bytes"), ex.Column("bytes", ",.0f")]
    bytes_ratio: Annotated[float, ex.Over(np.mean), ex.Column("fewer bytes by", ".0f")]
    """Four bytes for each parameter over the file's."""
    test_error_percent: TestError
    validation_error_percent: ValidationError
    file: Annotated[Path, ex.Artifact]


class Selected(NamedTuple):
    """The best method for each target.

    Chosen on validation, of the methods with all seeds; the test error was read after that. Mean ±
    standard deviation over seeds.
    """

    network: Annotated[str, ex.Key]
    target: Annotated[str, ex.Key]
    method: Annotated[str, ex.Column()]
    ratio: Annotated[
        float, ex.MeanOverSeeds("x"), ex.Column("fewer weights by", ".0f"),
        ex.Claim("pruning.{network}.{at_target}.ratio", tolerance=0.0,
                 when=lambda row: not row.target.endswith("bytes")),
    ]  # fmt: skip
    bytes: Annotated[
        int, ex.MeanOverSeeds("bytes"), ex.Column("bytes", ",.0f"),
        ex.Claim("pruning.{network}.{at_target}.bytes", tolerance=0.0,
                 when=lambda row: row.target.endswith("bytes")),
    ]  # fmt: skip
    test_error_percent: Annotated[
        TestError, ex.Claim("pruning.{network}.{at_target}.test_error_percent", tolerance=0.05)
    ]
    validation_error_percent: ValidationError
    seed: int
    file: Annotated[Path, ex.Artifact]

    @property
    def at_target(self) -> str:
        """For ids: `at_3000_bytes`."""
        return "at_" + self.target.replace(",", "").replace(" ", "_").replace("-", "_")


class Target(NamedTuple):
    """What the files of a method have to meet, on average over seeds."""

    kind: str
    """`ratio`, at least so many times fewer weights, or `bytes`, at most so many."""
    value: int

    @property
    def title(self) -> str:
        """For tables: "150x" or "3,000 bytes"."""
        return f"{self.value}x" if self.kind == "ratio" else f"{self.value:,} bytes"


class _Candidate(NamedTuple):
    """An operating point at one precision, with means over seeds."""

    point: int
    bits: tuple[int, int]
    bytes: float
    nonzeros: float
    validation_error_percent: float


def of_method(
    problem: Problem,
    method: str,
    settings: Sequence[Setting],
    seeds: Sequence[int],
    trained: dict[str, Any],
    targets: Sequence[Target],
    data: ex.Data,
) -> list[File]:
    """The files of a method for every target that it meets; `trained` as `runs.train_grid`."""

    def encode(point: int, number: int, bits: tuple[int, int]) -> bytes:
        params = jax.tree.map(lambda leaf: leaf[point, number], trained["params"])
        return sparse_code.write_sparse(params, {"*/bias": bits[1], "*": bits[0]})

    error = error_percent(problem.network.apply)
    candidates = []
    for point in map(int, np.flatnonzero(trained["metrics"]["finite"].all(axis=1))):
        for bits in PRECISIONS:
            coded = [encode(point, number, bits) for number in range(len(seeds))]
            decoded = [sparse_code.read_sparse(each) for each in coded]
            found = (
                float(np.mean([len(each) for each in coded])),
                float(np.mean([int(trees.nonzeros(params)) for params in decoded])),
                float(np.mean([error(p, problem.parts["validation"]) for p in decoded])),
            )
            candidates.append(_Candidate(point, bits, *found))
    written = []
    for target in targets:
        chosen = choose(candidates, target, problem.n_parameters)
        for number, seed in enumerate(seeds if chosen else ()):
            assert chosen is not None
            coded = encode(chosen.point, number, chosen.bits)
            name = f"{problem.name}_{method}_{target.kind}{target.value}_{seed}.fb"
            labels = (problem.name, method, target.title, seed, *settings[chosen.point][:2])
            written.append(write(data.path(name), coded, labels, chosen.bits, error, problem.parts))
    check([row.file for row in written])
    return written


def choose(
    candidates: Sequence[_Candidate], target: Target, n_parameters: int
) -> _Candidate | None:
    """The least validation error among those that meet the target; None where none does."""
    if target.kind == "ratio":
        meet = [c for c in candidates if c.nonzeros * target.value <= n_parameters]
    else:
        meet = [c for c in candidates if c.bytes <= target.value]
    return min(meet, key=lambda c: c.validation_error_percent, default=None)


def write(
    path: Path,
    coded: bytes,
    labels: tuple[Any, ...],
    bits: tuple[int, int],
    error: Callable[[Params, Images], float],
    parts: dict[str, Images],
) -> File:
    """Write one file, and measure what it decodes to; `check` it afterwards."""
    coding.save(path, coded)
    params = sparse_code.read_sparse(coded)
    nonzeros, size = int(trees.nonzeros(params)), path.stat().st_size
    ratios = trees.size(params) / nonzeros, 4 * trees.size(params) / size
    errors = error(params, parts["test"]), error(params, parts["validation"])
    return File._make([*labels, *bits, nonzeros, ratios[0], size, ratios[1], *errors, path])


def check(paths: Sequence[Path]) -> None:
    """Raises ValueError unless a subprocess decodes all files to what they decode to here."""
    if paths:
        decoded_networks.check([(p, sparse_code.read_sparse(p.read_bytes())) for p in paths])


def _validation_error(same: Sequence[File]) -> float:
    return mean(same, "validation_error_percent")


def selected(
    files: Sequence[File], score: Callable[[list[File]], float] = _validation_error
) -> list[Selected]:
    """For every target the files of one method, that of the least score."""
    found = []
    for same in rows.grouped(with_all_seeds(files), lambda row: row.target).values():
        methods = rows.grouped(same, lambda row: row.method).values()
        best = min(methods, key=score)
        wanted = [name for name in Selected._fields if name in File._fields]
        found += [Selected(**{name: getattr(row, name) for name in wanted}) for row in best]
    return found


def recompute(row: Selected, apply: Any, test: Images, **options: Any) -> dict[str, float]:
    """The claimed numbers of one seed, from the file as a subprocess decodes it."""
    params = decoded_networks.decode(row.file)
    return {
        "ratio": trees.size(params) / int(trees.nonzeros(params)),
        "bytes": row.file.stat().st_size,
        "test_error_percent": error_percent(apply, **options)(params, test),
    }


def error_percent(apply: Any, **options: Any) -> Callable[[Params, Images], float]:
    """(params, images) -> error in percent, compiled once for each part's shape."""
    accuracy = jax.jit(lambda params, x, y: evaluation.accuracy(apply, params, x, y, **options))
    return lambda params, images: 100 * (1 - float(accuracy(params, images.pixels, images.labels)))
