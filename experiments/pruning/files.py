"""Pruned networks as files: what is tried at several precisions, and what is written of it."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from experiments.common import decoded_networks
from experiments.pruning.runs import File, as_rows
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
    sizes: np.ndarray
    """In bytes."""
    nonzeros: np.ndarray
    errors: np.ndarray
    """On validation, in percent."""


class Target(NamedTuple):
    """What the files of a method have to meet, on average over seeds, and which of them is best."""

    title: str
    """For tables: "150x" or "3,000 bytes"."""
    name: str
    """For names of files: "ratio150" or "bytes3000"."""
    within: Callable[[Candidate], Any]
    score: Callable[[Candidate], Any] = lambda tried: tried.errors.mean()
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
    """Every point at every precision; `error` is that of a decoded network on validation.

    `encode` makes a file of a point, the number of a seed, and bits.
    """
    found = []
    for point, bits in itertools.product(points, precisions):
        contents = [encode(point, number, bits) for number in range(n_seeds)]
        decoded = [coding.params_from_bytes(each) for each in contents]
        sizes = np.array([len(each) for each in contents])
        nonzeros = np.array([int(trees.nonzeros(params)) for params in decoded])
        errors = np.array([error(params) for params in decoded])
        found.append(Candidate(point, bits, contents, sizes, nonzeros, errors))
    return found


def measured(
    labels: tuple[str, str],
    settings: Sequence[Setting],
    seeds: Sequence[int],
    trained: dict[str, Any],
    precisions: Sequence[tuple[int, int]],
    targets: Sequence[Target],
    encode: Callable[[Params, tuple[int, int]], bytes],
    error: dict[str, Callable[[Params], float]],
    n_parameters: int,
    data: ex.Data,
) -> ex.Measurement:
    """The runs of a method, and its best files for each target that it meets, as decoded.

    `labels` are network and method, `trained` has `params` and `metrics`, leaves [settings, seeds,
    ...], `encode` makes a file of params at bits, `error` is that of `errors_percent`.
    """

    def of_point(point: int, number: int, bits: tuple[int, int]) -> bytes:
        return encode(jax.tree.map(lambda leaf: leaf[point, number], trained["params"]), bits)

    finite = np.flatnonzero(trained["metrics"]["finite"].all(axis=1)).tolist()
    tried = candidates(finite, precisions, len(seeds), of_point, error["validation"])
    found: list[Any] = as_rows(*labels, settings, seeds, trained["metrics"], n_parameters)
    written = []
    for target in targets:
        best = target.best(tried)
        for number, seed in enumerate(seeds if best else ()):
            assert best is not None
            path = data.path("_".join([*labels, target.name, f"{seed}.fb"]))
            coding.save(path, best.contents[number])
            params = coding.params_from_bytes(best.contents[number])
            written.append((path, params))
            n, nonzeros, size = trees.size(params), int(best.nonzeros[number]), path.stat().st_size
            chosen = (target.title, seed, *settings[best.point][:2], *best.bits)
            sizes = (nonzeros, n / nonzeros, size, 4 * n / size)
            wrong = (error["test"](params), float(best.errors[number]))
            found.append(File._make((*labels, *chosen, *sizes, *wrong, path)))
    if written:
        decoded_networks.check(written)
    return ex.Measurement(found, {"parameters": n_parameters})


def recompute(row: Any, apply: Any, test: Images, **options: Any) -> dict[str, float]:
    """The claimed numbers of one seed, from the file as a subprocess decodes it."""
    params = decoded_networks.decode(row.file)
    return {
        "ratio": trees.size(params) / int(trees.nonzeros(params)),
        "bytes": row.file.stat().st_size,
        "test_error_percent": errors_percent(apply, {"test": test}, **options)["test"](params),
    }


def errors_percent(
    apply: Any, parts: dict[str, Images], **options: Any
) -> dict[str, Callable[[Params], float]]:
    """Params -> error in percent, on each part; compiled once for its shape."""
    right = jax.jit(lambda params, x, y: evaluation.accuracy(apply, params, x, y, **options))

    def of_part(images: Images) -> Callable[[Params], float]:
        return lambda params: 100 * (1 - float(right(params, images.pixels, images.labels)))

    return {name: of_part(images) for name, images in parts.items()}
