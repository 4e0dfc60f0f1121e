"""MNIST's 60,000 training labels, given the images: two-part and prequential files that decode.

A uniform code takes 24,914 bytes and its envelope. Two parts: a pruned LeNet-300-100 as a sparse
file and the labels under its predictions. Prequential: labels in doubling blocks, each under the
predictions of a LeNet-5 trained on the labels before it, decoded by repeating the training in a
fresh process on the same machine. Blier & Ollivier (2018) compute 4.10 kbit, 513 bytes, for a
prequential code, without a file.

    python -m experiments label_codes paper --networks runs/pruned_lenets.npz
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.runner import subprocesses
from experiments.runner.records import Claim, Run, Seconds, write_claims, write_json, write_record
from experiments.runner.registry import Table
from experiments.weight_coding import label_predictions, sparse_lenets
from experiments.weight_coding.label_predictions import Training
from fewbits.codecs import prequential
from fewbits.coding import FormatError, container, params_from_bytes
from fewbits.coding.weights import sparse_code
from fewbits.io import datasets
from fewbits.training import evaluation, networks

UNIFORM, TWO_PART, PREQUENTIAL = "uniform", "two_part", "prequential"


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    data: str = "mnist"
    labels: int = 60_000
    networks: str | None = None
    """File of pruned networks that `python -m experiments.weight_coding.sparse_lenets` wrote."""
    sparsity: int = 2
    """Which of its sparsities makes the model of the two-part code; 2 is 99 %."""
    network_seed: int = 0
    """Which of its seeds."""
    first_block: int = 64
    training: Training = Training()


PRESETS = {
    "smoke": (
        "digits, the first 600 labels",
        Config("digits", 600, training=Training(60, 4, 32, shift=0)),
    ),
    "paper": ("all 60,000 labels of MNIST", Config()),
}


def run(config: Config, run: Run) -> None:
    """Write both codes, decode both in fresh processes, record their bytes."""
    images = _images(config, run.data_dir)
    replayed = _prequential_file(config, run, images)
    sizes = {UNIFORM: _uniform_file(config, run, images), PREQUENTIAL: replayed["bytes"]}
    metrics: dict[str, Any] = {
        "bytes": sizes,
        "blocks": replayed["blocks"],
        "decode_seconds": replayed["decode_seconds"],
    }
    model = _pruned_network(config, run)
    if model is not None:
        metrics |= _two_part(config, run, images, model)
        sizes[TWO_PART] = metrics["model_bytes"] + metrics["coded_labels_bytes"]
    record = write_record(
        run,
        run.preset,
        config=config,
        seeds=(config.training.seed,),
        seconds=Seconds(0.0, replayed["write_seconds"]),
        metrics=metrics,
        data=datasets.SOURCES[config.data].note,
        notes="the prequential file decodes only where the same program trains to the same bits; "
        "seconds is writing it, decode_seconds decoding it",
    )
    for name, size in sizes.items():
        print(f"{name}: {size:,} bytes")
    if config.data == "mnist":
        claims = [_claim(run, name, sizes[name], record) for name in sizes if name != UNIFORM]
        write_claims(run, claims)


def tables(records: dict[str, dict[str, Any]]) -> list[Table]:
    """Bytes beside the uniform code."""
    if "paper" not in records:
        return []
    metrics = records["paper"]["metrics"]
    sizes = metrics["bytes"]
    rows = [
        (name.replace("_", "-"), f"{size:,}", f"{size / sizes[UNIFORM]:.3f}")
        for name, size in sorted(sizes.items(), key=lambda item: -item[1])
    ]
    note = "Whole files. "
    if "model_bytes" in metrics:
        note += (
            f"Two-part: {metrics['model_bytes']:,} bytes of model and "
            f"{metrics['coded_labels_bytes']:,} of labels. "
        )
    note += "Prequential: no parameter is sent, and the receiver repeats the training."
    return [
        Table("60,000 labels of MNIST, given the images", ("code", "bytes", "ratio"), rows, note)
    ]


def recompute(claim: Claim, record: dict[str, Any], artifact: Path, data_dir: str | None) -> float:
    """Bytes of the file; the two-part code's labels are decoded again, by its model.

    The prequential file is decoded when it is made; it need not decode on another machine.

    Raises:
      ValueError: the labels are not those of the data set.
    """
    config = _config(record["config"])
    size = artifact.stat().st_size
    if claim.id.endswith(f"{PREQUENTIAL}.bytes"):
        container.load(artifact, kind=prequential.KIND)
        return size
    images = _images(config, data_dir)
    model = artifact.with_name(f"labels_{config.data}_model.fwb")
    _check_decoded(config, [TWO_PART, artifact, model], images.labels, data_dir)
    return size + model.stat().st_size


def _config(stored: dict[str, Any]) -> Config:
    """The inverse of `asdict`."""
    return Config(**{**stored, "training": Training(**stored["training"])})


def _prequential(config: Config, images: datasets.Images) -> prequential.Predict:
    side = images.pixels.shape[1]
    net = networks.lenet_5_caffe((side, side, 1)) if side > 8 else networks.lenet_300_100((8, 8, 1))
    return label_predictions.from_labels_seen(config.training, net, images.pixels)


def _from_model(config: Config, params: Any, images: datasets.Images) -> prequential.Predict:
    net = sparse_lenets.network(sparse_lenets.Config(data=config.data))
    floor = config.training.floor
    return label_predictions.from_network(params, net, images.pixels, floor)


def _prequential_file(config: Config, run: Run, images: datasets.Images) -> dict[str, Any]:
    """Write and decode it, unless the run's folder has it from a start that was cut off."""
    note = run.folder / "prequential.json"
    if note.is_file():
        return json.loads(note.read_text())
    path = run.artifacts / f"labels_{config.data}_prequential.fwb"
    began = time.perf_counter()
    ends = prequential.doubling_blocks(len(images.labels), config.first_block)
    predict, classes = _prequential(config, images), len(images.label_names)
    container.save(path, prequential.write_labels(predict, images.labels, classes, ends))
    written = time.perf_counter()
    _check_decoded(config, [PREQUENTIAL, path], images.labels, run.data_dir)
    done = {
        "bytes": path.stat().st_size,
        "blocks": ends,
        "write_seconds": written - began,
        "decode_seconds": time.perf_counter() - written,
    }
    write_json(note, done)
    return done


def _uniform_file(config: Config, run: Run, images: datasets.Images) -> int:
    path = run.folder / f"labels_{config.data}_uniform.fwb"
    classes, count = len(images.label_names), len(images.labels)
    predict = _know_nothing(classes)
    container.save(path, prequential.write_labels(predict, images.labels, classes, [count]))
    _check_decoded(config, [UNIFORM, path], images.labels, run.data_dir)
    return path.stat().st_size


def _know_nothing(n_classes: int) -> prequential.Predict:
    return lambda seen, first, last: np.full((last - first, n_classes), -np.log(n_classes))


def _two_part(config: Config, run: Run, images: datasets.Images, params: Any) -> dict[str, Any]:
    model = run.artifacts / f"labels_{config.data}_model.fwb"
    coded = run.artifacts / f"labels_{config.data}_two_part.fwb"
    container.save(model, sparse_code.write_sparse(params, sparse_lenets.BITS))
    decoded = sparse_code.quantise_sparse(params, sparse_lenets.BITS)
    predict = _from_model(config, decoded, images)
    classes, count = len(images.label_names), len(images.labels)
    container.save(coded, prequential.write_labels(predict, images.labels, classes, [count]))
    _check_decoded(config, [TWO_PART, coded, model], images.labels, run.data_dir)
    net = sparse_lenets.network(sparse_lenets.Config(data=config.data))
    data = (jnp.asarray(images.pixels), jnp.asarray(images.labels))
    accuracy = evaluation.accuracy(net.apply, decoded, *data)
    return {
        "model_bytes": model.stat().st_size,
        "coded_labels_bytes": coded.stat().st_size,
        "model_train_accuracy_percent": 100 * float(accuracy),
    }


def _pruned_network(config: Config, run: Run) -> Any:
    """The two-part code's model; on digits one is trained, elsewhere it comes from a file."""
    if config.networks is not None:
        params = sparse_lenets.load(Path(config.networks))
        return jax.tree.map(
            lambda leaf: np.asarray(leaf[config.sparsity, config.network_seed]), params
        )
    if config.data == "mnist":
        print("no --networks: the two-part code is left out")
        return None
    smoke = sparse_lenets.PRESETS["smoke"][1]
    params = sparse_lenets.train(smoke, datasets.load(config.data, "train", data_dir=run.data_dir))
    return jax.tree.map(lambda leaf: np.asarray(leaf[0, 0]), params)


def _check_decoded(
    config: Config, arguments: list[Any], expected: np.ndarray, data_dir: str | None
) -> None:
    """Decode in a fresh process.

    Raises:
      ValueError: to other labels.
    """
    if not np.array_equal(_in_fresh_process(config, arguments, data_dir), expected):
        raise ValueError(f"{arguments[1]} does not decode to the labels it was made from")


def _in_fresh_process(config: Config, arguments: list[Any], data_dir: str | None) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        out, settings = Path(folder) / "labels.npy", Path(folder) / "config.json"
        settings.write_text(json.dumps(asdict(config)))
        where = [] if data_dir is None else [data_dir]
        subprocesses.python(
            "experiments.weight_coding.label_codes", [out, settings, *arguments, *where]
        )
        return np.load(out)


def _images(config: Config, data_dir: str | None) -> datasets.Images:
    images = datasets.load(config.data, "train", data_dir=data_dir)
    return images._replace(
        pixels=images.pixels[: config.labels], labels=images.labels[: config.labels]
    )


def _claim(run: Run, name: str, size: int, record: Path) -> Claim:
    artifact = f"labels_mnist_{name}.fwb"
    return Claim(
        id=f"coding.labels.mnist.{name}.bytes",
        value=float(size),
        std=None,
        seeds=1,
        unit="bytes",
        record=f"{run.experiment}/{record.name}",
        command=run.command,
        tolerance=0.0,
        bytes=(run.artifacts / artifact).stat().st_size,
        artifact=artifact,
    )


def main(arguments: list[str]) -> int:
    """`OUT.npy CONFIG.json (uniform|prequential|two_part) LABELS [MODEL] [DATA_DIR]`: decode."""
    out, settings, kind, coded, *rest = arguments
    config = _config(json.loads(Path(settings).read_text()))
    model = rest.pop(0) if kind == TWO_PART else None
    images = _images(config, rest[0] if rest else None)
    if kind == UNIFORM:
        predict = _know_nothing(len(images.label_names))
    elif model is None:
        predict = _prequential(config, images)
    else:
        params = params_from_bytes(container.load_bytes(model))
        predict = _from_model(config, params, images)
    try:
        labels = prequential.read_labels(container.load_bytes(coded), predict)
    except (FormatError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    np.save(out, labels)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
