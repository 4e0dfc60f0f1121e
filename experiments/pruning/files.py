"""Pruned networks as files: what is tried at several precisions, and what is written of it."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.common import decoded_networks
from experiments.pruning.runs import File
from experiments.runner import experiment as ex
from fewbits import coding
from fewbits.io.datasets import Images
from fewbits.training import evaluation, trees
from fewbits.training.method import Params
from pruning.procedures.classifiers import Setting


class Candidate(NamedTuple):
    """An operating point at one precision, as files: one for each seed."""

    point: Any
    bits: tuple[int, int]
    """Of kernels and of biases."""
    contents: list[bytes]
    nonzeros: list[int]
    errors: list[float]
    """On validation, in percent."""

    @property
    def mean_bytes(self) -> float:
        """Of the files."""
        return float(np.mean([len(each) for each in self.contents]))

    @property
    def mean_nonzeros(self) -> float:
        """As decoded."""
        return float(np.mean(self.nonzeros))

    @property
    def mean_error(self) -> float:
        """In percent."""
        return float(np.mean(self.errors))


class Target(NamedTuple):
    """What the files of a method have to meet, on average over seeds, and which of them is best."""

    title: str
    """For tables: "150x" or "3,000 bytes"."""
    name: str
    """For names of files: "ratio150" or "bytes3000"."""
    within: Callable[[Candidate], bool]
    score: Callable[[Candidate], Any] = lambda tried: tried.mean_error
    """The least is best."""

    def best(self, tried: Sequence[Candidate]) -> Candidate | None:
        """Of those that meet it; None where none does."""
        return min(filter(self.within, tried), key=self.score, default=None)


def candidates(
    points: Sequence[Any],
    precisions: Sequence[tuple[int, int]],
    n_seeds: int,
    encode: Callable[[Any, int, tuple[int, int]], bytes],
    error: Callable[[Params], float],
) -> list[Candidate]:
    """Every point at every precision.

    Args:
      points: whatever `encode` understands.
      precisions: bits of kernels and of biases.
      n_seeds: files of each.
      encode: (point, number of the seed, bits) -> file.
      error: of a decoded network on validation, in percent.
    """
    found = []
    for point, bits in itertools.product(points, precisions):
        contents = [encode(point, number, bits) for number in range(n_seeds)]
        decoded = [coding.params_from_bytes(each) for each in contents]
        nonzeros = [int(trees.nonzeros(params)) for params in decoded]
        found.append(Candidate(point, bits, contents, nonzeros, list(map(error, decoded))))
    return found


def of_method(
    network: str,
    method: str,
    tried: Sequence[Candidate],
    targets: Sequence[Target],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    error: Callable[[Params], float],
    data: ex.Data,
) -> list[File]:
    """The best files of a method for each target that it meets, decoded in a subprocess.

    Points of candidates are numbers of settings; `error` is that of a network on the test part.
    """
    found, written = [], []
    for target in targets:
        best = target.best(tried)
        for number, seed in enumerate(seeds if best else ()):
            assert best is not None
            path = data.path(f"{network}_{method}_{target.name}_{seed}.fb")
            coding.save(path, best.contents[number])
            params = coding.params_from_bytes(best.contents[number])
            written.append((path, params))
            n, nonzeros, size = trees.size(params), best.nonzeros[number], path.stat().st_size
            labels = (network, method, target.title, seed, *settings[best.point][:2], *best.bits)
            measured = (nonzeros, n / nonzeros, size, 4 * n / size, error(params))
            found.append(File._make((*labels, *measured, best.errors[number], path)))
    if written:
        decoded_networks.check(written)
    return found


def recompute(row: Any, apply: Any, test: Images, **options: Any) -> dict[str, float]:
    """The claimed numbers of one seed, from the file as a subprocess decodes it."""
    params = decoded_networks.decode(row.file)
    return {
        "ratio": trees.size(params) / int(trees.nonzeros(params)),
        "bytes": row.file.stat().st_size,
        "test_error_percent": error_percent(apply, test, **options)(params),
    }


def error_percent(apply: Any, images: Images, **options: Any) -> Callable[[Params], float]:
    """Params -> error in percent on these images, compiled once."""
    right = jax.jit(lambda params, x, y: evaluation.accuracy(apply, params, x, y, **options))
    return lambda params: 100 * (1 - float(right(params, images.pixels, images.labels)))
