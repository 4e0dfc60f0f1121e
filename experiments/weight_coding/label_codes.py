"""Labels of MNIST, given the images: two-part and prequential codes as files that decode.

A uniform code takes 24,914 bytes and its envelope. Two parts: a pruned LeNet-300-100 as a sparse
file and the labels under its predictions. Prequential: labels in doubling blocks, each under the
predictions of a LeNet-5 trained on the labels before it, decoded by repeating the training in a
subprocess on the same machine. Blier & Ollivier (2018) compute 4.10 kbit, 513 bytes, for a
prequential code, without a file.

Cost: paper: 15 min on 1 core; smoke: 1 min.
Data: mnist.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from experiments.weight_coding import sparse_lenets
from fewbits.codecs import label_predictions, prequential
from fewbits.codecs.label_predictions import Training
from fewbits.coding import container, params_from_bytes
from fewbits.coding.weights.sparse import sparse_code
from fewbits.training import networks

UNIFORM, TWO_PART, PREQUENTIAL = "uniform", "two_part", "prequential"


@dataclass(frozen=True)
class Config:
    data: str = "mnist"
    labels: int = 60_000
    model: sparse_lenets.Config = sparse_lenets.Config(sparsities=(0.99,), seeds=(0,))
    """Of the two-part code, its first sparsity and seed."""
    first_block: int = 64
    training: Training = Training()


class Row(NamedTuple):
    """Labels of MNIST's training set, given the images.

    Whole files. Prequential: no parameter is sent, and the receiver repeats the training.
    """

    code: Annotated[str, ex.Key]
    bytes: Annotated[
        int, ex.Over(np.mean, "bytes"), ex.Column("bytes", ",.0f"),
        ex.Claim("coding.labels.mnist.{code}.bytes", 0.0, lambda row: row.code != UNIFORM),
    ]  # fmt: skip
    of_uniform: Annotated[float, ex.Over(np.mean), ex.Column("of the uniform code", ".3f")]
    labels_bytes: Annotated[int, ex.Column("labels, bytes", ",.0f")]
    model_bytes: Annotated[int | None, ex.Column("model, bytes", ",.0f")]
    file: Annotated[Path, ex.Artifact]
    model: Annotated[Path | None, ex.Artifact] = None


def measure(config: Config, trials: list[tuple[str]], data: ex.Data) -> list[Row]:
    """Write a code, decode it in a subprocess, count its bytes."""
    ((code,),) = trials
    images = data.images(config.data, "train")
    labels, model, ends = images.labels[: config.labels], None, [config.labels]
    if code == TWO_PART:
        trained, model = config.model, data.path(f"labels_{config.data}_model.fwb")
        params = sparse_lenets.train(trained, trained.sparsities[0], trained.seeds[0], images)
        container.save(model, sparse_code.write_sparse(params, sparse_lenets.BITS))
    if code == PREQUENTIAL:
        ends = prequential.doubling_blocks(config.labels, config.first_block)

    def content(code: str, ends: list[int]) -> bytes:
        predict = _predict(config, code, images.pixels[: config.labels], model)
        return prequential.write_labels(predict, labels, 10, ends)

    path = data.path(f"labels_{config.data}_{code}.fwb")
    container.save(path, content(code, ends))
    _check_decoded(config, code, path, model, data)
    of_labels, of_model = path.stat().st_size, None if model is None else model.stat().st_size
    size = of_labels + (of_model or 0)
    of_uniform = size / len(content(UNIFORM, [config.labels]))
    return [Row(code, size, of_uniform, of_labels, of_model, path, model)]


def recompute(config: Config, row: Row, data: ex.Data) -> float:
    """Bytes of the file; the two-part code's labels are decoded again, by its model.

    The prequential file is decoded when it is made; it need not decode on another machine.
    """
    if row.model is None:
        container.load(row.file, kind=prequential.KIND)
        return row.file.stat().st_size
    _check_decoded(config, row.code, row.file, row.model, data)
    return row.file.stat().st_size + row.model.stat().st_size


def _check_decoded(
    config: Config, code: str, path: Path, model: Path | None, data: ex.Data
) -> None:
    """Decode in a subprocess.

    Raises:
      ValueError: to other labels.
    """
    images = data.images(config.data, "train")
    arguments = (config, code, path, model, images.pixels[: config.labels])
    found = subprocesses.call(decode, *arguments, same_device=True)
    if not np.array_equal(found, images.labels[: config.labels]):
        raise ValueError(f"{path} does not decode to the labels it was made from")


def decode(
    config: Config, code: str, path: Path, model: Path | None, pixels: np.ndarray
) -> np.ndarray:
    """The labels in a file."""
    return prequential.read_labels(
        container.load_bytes(path), _predict(config, code, pixels, model)
    )


def _predict(
    config: Config, code: str, pixels: np.ndarray, model: Path | None
) -> prequential.Predict:
    shape = pixels.shape[1:]
    if code == UNIFORM:
        return lambda seen, first, last: np.full((last - first, 10), -np.log(10))
    if code == TWO_PART and model is not None:
        net, params = networks.lenet_300_100(shape), params_from_bytes(container.load_bytes(model))
        return label_predictions.from_network(params, net, pixels, config.training.floor)
    net = (networks.lenet_5_caffe if shape[0] > 8 else networks.lenet_300_100)(shape)
    return label_predictions.from_labels_seen(config.training, net, pixels)


EXPERIMENT = ex.of_module(
    __name__,
    Row,
    {
        "paper": Config(),
        "smoke": Config("digits", 600, sparse_lenets.SMOKE, training=Training(60, 4, 32, shift=0)),
    },
    grid=lambda config: ((code,) for code in (UNIFORM, TWO_PART, PREQUENTIAL)),
    notes="the prequential file decodes only where the same program trains to the same bits",
)  # fmt: skip
