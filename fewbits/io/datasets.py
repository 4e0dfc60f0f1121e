"""Image data sets as plain arrays: some embedded, others prepared by TensorFlow Datasets.

`load(name, split)` is the one way in. Prepared folders are read with `tfds.data_source`, which
needs no TensorFlow. Decoding 60,000 PNGs takes about twenty seconds, so decoded arrays are stored
in the user's cache folder, keyed by data set, version and origin, and checked by hash when read.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

from fewbits.io.image_sets import embedded, idx
from fewbits.io.outputs import open_output

_DIGIT_NAMES = tuple("0123456789")
_CIFAR_NAMES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


_PARTS = ("pixels", "labels")


class Source(NamedTuple):
    """What `load` knows about a data set.

    Attributes:
      version: of the prepared TFDS folder; None for embedded data.
      label_names: name of each class.
      note: what has to be said wherever a number from this data set is reported.
    """

    version: str | None
    label_names: tuple[str, ...]
    note: str


SOURCES = {
    "digits": Source(None, _DIGIT_NAMES, "scikit-learn's 8x8 digits, last 500 images as test set"),
    "greek_letters": Source(
        None,
        tuple(embedded.LETTERS),
        "ten Greek letters in the fonts of matplotlib, 2,500/2,000 images; pixels depend on its "
        "version and Pillow's",
    ),
    "mnist": Source("3.0.1", _DIGIT_NAMES, "original MNIST, official 60,000/10,000 split"),
    "fashion_mnist": Source(
        "3.0.1",
        (
            "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
            "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
        ),
        "original Fashion-MNIST, official 60,000/10,000 split",
    ),
    "cifar10": Source("3.0.2", _CIFAR_NAMES, "original CIFAR-10, official 50,000/10,000 split"),
    "cifar10_jpeg": Source(
        "1.0.0",
        _CIFAR_NAMES,
        "CIFAR-10's labels and splits with JPEG-compressed pixels: accuracies are not directly "
        "comparable with published ones, and these pixels are never an 'original size'",
    ),
}  # fmt: skip


class Images(NamedTuple):
    """A labelled image set.

    Attributes:
      pixels: grey levels or colours, 0 to 255.
      labels: class of each image.
      label_names: name of each class.
    """

    pixels: UInt8[np.ndarray, "n height width channels"]
    labels: Int32[np.ndarray, " n"]
    label_names: tuple[str, ...]

    def first(self, count: int | None) -> Images:
        """The first so many images, or all of them."""
        return Images(self.pixels[:count], self.labels[:count], self.label_names)


class DataError(ValueError):
    """The data cannot be had; the message says what to do."""


def load(name: str, split: str, *, data_dir: str | Path | None = None) -> Images:
    """The `split` ("train" or "test") of the data set `name`, in its official order.

    Args:
      name: a key of `SOURCES`.
      split: "train" or "test".
      data_dir: folder that holds prepared TFDS data sets. By default `$TFDS_DATA_DIR`, then
        `../shared/tfds` beside the working directory, then `~/tensorflow_datasets`.

    Raises:
      DataError: unknown name or split, or data that is not prepared; names the remedies.
    """
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}; known are {', '.join(SOURCES)}")
    if split not in ("train", "test"):
        raise DataError(f"unknown split {split!r}; use 'train' or 'test'")
    source = SOURCES[name]
    if name in embedded.LOADERS:
        return Images(*embedded.LOADERS[name](split), source.label_names)
    folder = _prepared_folder(name, str(source.version), data_dir)
    cached = _cache_file(name, source.version, split, folder)
    arrays = _read_cache(cached)
    if arrays is None:
        if folder is None:
            raise DataError(_how_to_prepare(name, source.version, data_dir))
        arrays = _decode_prepared(name, str(source.version), split, folder)
        _write_cache(cached, arrays)
    return Images(arrays["pixels"], arrays["labels"], source.label_names)


def split_validation(images: Images, count: int, seed: int = 0) -> tuple[Images, Images]:
    """Cut `count` images off a training set at random: (the rest, the validation part).

    Every choice is made on such a part; the test set is read once per reported row.
    """
    if not 0 < count < len(images.labels):
        raise DataError(f"a validation part of {count} from {len(images.labels)} images")
    order = np.random.default_rng(seed).permutation(len(images.labels))
    held, rest = np.sort(order[:count]), np.sort(order[count:])
    return (
        Images(images.pixels[rest], images.labels[rest], images.label_names),
        Images(images.pixels[held], images.labels[held], images.label_names),
    )


def prepare_from_idx(name: str, folder: str | Path, *, accept_other: bool = False) -> list[str]:
    """Put the four IDX files of an MNIST-like data set into the cache that `load` reads.

    The files are those of the original distribution, plain or gzipped, as in Debian's package
    `dataset-fashion-mnist`. Nothing is written unless all four are sound.

    Args:
      name: "mnist" or "fashion_mnist".
      folder: where the files are.
      accept_other: take files that are not the original ones, by their MD5.

    Returns:
      One line for each split, saying whether its files are the original ones.

    Raises:
      DataError: a data set that has no IDX form, or files that are missing, damaged or others.
    """
    if name not in idx.ORIGINAL_MD5:
        raise DataError(f"{name!r} has no IDX form; use one of {', '.join(idx.ORIGINAL_MD5)}")
    try:
        splits = {split: idx.read_split(Path(folder), split) for split in ("train", "test")}
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error
    for split, (_, labels, digests) in splits.items():
        if digests != idx.ORIGINAL_MD5[name][split] and not accept_other:
            raise DataError(
                f"the {split} files in {folder} are not {name}'s (their MD5 differ); "
                "add --accept-other to use them under this name all the same"
            )
        if labels.max(initial=0) >= len(SOURCES[name].label_names):
            raise DataError(f"label {labels.max()} in the {split} labels of {folder}; expected 0-9")
    lines = []
    for split, (pixels, labels, digests) in splits.items():
        arrays = {"pixels": pixels, "labels": labels}
        _write_cache(_cache_file(name, SOURCES[name].version, split, None), arrays)
        original = digests == idx.ORIGINAL_MD5[name][split]
        verdict = "original files" if original else "NOT the original files (MD5 differs)"
        lines.append(f"{name} {split}: {len(labels):,} images, {verdict}")
    return lines


def prepare_with_tfds(name: str, data_dir: str | Path | None = None) -> None:
    """Download and prepare a data set with TensorFlow Datasets, which needs TensorFlow for it.

    Raises:
      DataError: TFDS cannot; the message carries its reason and the other ways.
    """
    if name not in SOURCES or SOURCES[name].version is None:
        raise DataError(f"{name!r} is not a data set that can be prepared")
    try:
        import tensorflow_datasets as tfds

        builder = tfds.builder(
            f"{name}:{SOURCES[name].version}",
            data_dir=None if data_dir is None else str(data_dir),
            file_format="array_record",
        )
        builder.download_and_prepare()
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        remedies = _how_to_prepare(name, SOURCES[name].version, data_dir)
        raise DataError(f"TFDS could not prepare {name} ({reason}).\n{remedies}") from error


def _prepared_folder(name: str, version: str, data_dir: str | Path | None) -> Path | None:
    """The data directory that holds `name/version`, or None."""
    if data_dir is not None:
        candidates = [Path(data_dir)]
    else:
        candidates = [Path("../shared/tfds"), Path.home() / "tensorflow_datasets"]
        if os.environ.get("TFDS_DATA_DIR"):
            candidates.insert(0, Path(os.environ["TFDS_DATA_DIR"]))
    for folder in candidates:
        if (folder / name / version / "dataset_info.json").is_file():
            return folder.resolve()
    return None


def _decode_prepared(name: str, version: str, split: str, folder: Path) -> dict[str, np.ndarray]:
    import logging

    logging.getLogger("absl").setLevel(logging.ERROR)  # it recommends OpenCV at every start
    import tensorflow_datasets as tfds
    from tqdm import tqdm

    builder: Any = tfds.builder_from_directory(folder / name / version)
    source = builder.as_data_source(split=split)
    count = len(source)
    shape = builder.info.features["image"].shape
    pixels = np.empty((count, *shape), np.uint8)
    labels = np.empty(count, np.int32)
    rows = tqdm(range(count), f"decoding {name} {split}", unit=" images", leave=False, disable=None)
    for row in rows:
        example = source[row]
        pixels[row], labels[row] = example["image"], example["label"]
    return {"pixels": pixels, "labels": labels}


def cache_folder() -> Path:
    """The user's cache folder for decoded data: `$FEWBITS_CACHE` or the system's own place."""
    if os.environ.get("FEWBITS_CACHE"):
        return Path(os.environ["FEWBITS_CACHE"])
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "fewbits"


def _cache_file(name: str, version: str | None, split: str, folder: Path | None) -> Path:
    """One file for each origin, so that two prepared folders never answer for one another."""
    if folder is None:
        origin = "idx"
    else:
        info = (folder / name / str(version) / "dataset_info.json").read_bytes()
        origin = hashlib.sha256(info).hexdigest()[:12]
    return cache_folder() / f"{name}-{version}-{split}-{origin}.npy"


def _read_cache(path: Path) -> dict[str, np.ndarray] | None:
    """The cached arrays, or None where there are none or they fail their hash."""
    digest_path = path.with_suffix(".json")
    try:
        expected = json.loads(digest_path.read_text())["sha256"]
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                return None
            file.seek(0)
            return {part: np.load(file, allow_pickle=False) for part in _PARTS}
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _write_cache(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays, then their hash; a reader that comes between sees no valid cache."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open_output(path, force=True) as file:
        for part in _PARTS:  # two plain arrays one after the other: no zip, no second checksum
            np.save(file, arrays[part], allow_pickle=False)
        file.seek(0)
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    with open_output(path.with_suffix(".json"), force=True) as file:
        file.write((json.dumps({"sha256": digest}) + "\n").encode())


def _how_to_prepare(name: str, version: str | None, data_dir: str | Path | None) -> str:
    where = f"in {data_dir}" if data_dir is not None else "in $TFDS_DATA_DIR or the usual places"
    lines = [
        f"{name}/{version} is not prepared {where}. Three ways to get it:",
        f"  1. point --data-dir or TFDS_DATA_DIR at a folder that holds {name}/{version} as "
        "prepared by TensorFlow Datasets;",
        f"  2. in Python, fewbits.io.datasets.prepare_with_tfds({name!r})   (downloads; TFDS needs "
        "TensorFlow installed for this step only);",
    ]
    if name in idx.ORIGINAL_MD5:
        lines.append(
            f"  3. fewbits.io.datasets.prepare_from_idx({name!r}, DIR)   (the four plain or "
            "gzipped IDX files, no TensorFlow; Debian's dataset-fashion-mnist ships such files)."
        )
    else:
        lines.append(
            f"  3. on a machine with TensorFlow, prepare {name} there and copy the folder "
            f"{name}/{version} over."
        )
    return "\n".join(lines)
