"""Labels as a file, given the inputs: prequential codes, and the second part of two-part codes.

A prequential code (Dawid 1984; Blier & Ollivier, arXiv:1802.07044, Sec. 3.4) sends labels in
blocks. Each block is coded with the predictions of a model that was trained on the labels before
it, and the receiver, who has those, trains the same model: no parameter is ever sent. Its length is

    sum_k -log2 p(labels of block k | inputs, labels of blocks 1 ... k-1),

and the first block is coded uniformly. Whoever decodes must repeat the training bit for bit, which
the same program does on the same machine, and hardly another.

With a single block and predictions that need no labels, the same file is the second part of a
two-part code, whose first part is a model's file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fewbits.coding import FormatError, read_archive, tables, write_archive
from fewbits.coding.entropy_coder import SymbolReader, SymbolStream, encode
from fewbits.coding.tables import FrequencyTable

KIND = "labels"
MAX_CLASSES = 1 << 12
_STREAM = "labels"
_FREE_LABELS = 1 << 16
_LABELS_PER_BYTE = 1024
_ENTRIES_AT_ONCE = 1 << 16

Predict = Callable[[np.ndarray, int, int], np.ndarray]
"""(labels seen, first, last) -> Float[last - first, classes], log probabilities in nats of the
labels first ... last - 1, by a model that was trained on the labels seen and on nothing else of
them."""


def label_limit(stream_bytes: int) -> int:
    """The most labels that a stream of so many bytes may declare: 2^16 and 1024 a byte.

    A certain label costs nothing, but a table of its own takes time.
    """
    return _FREE_LABELS + _LABELS_PER_BYTE * stream_bytes


def doubling_blocks(count: int, first: int) -> list[int]:
    """Ends of blocks of which each doubles what was seen: first, 2 first, 4 first, ..., count.

    Raises:
      ValueError: no labels, or a first block of none.
    """
    if count < 1 or first < 1:
        raise ValueError(f"need at least one label and a first block of one, not {count}, {first}")
    ends = []
    while first < count:
        ends.append(first)
        first *= 2
    return [*ends, count]


def write_labels(
    predict: Predict, labels: np.ndarray, n_classes: int, ends: Sequence[int]
) -> bytes:
    """The file of labels under predictions made block by block.

    Args:
      predict: see `Predict`; not asked for the first block, unless it is the only one.
      labels: int[n], 0 to n_classes - 1.
      n_classes: at least 2.
      ends: where each block ends, increasing, the last n.

    Raises:
      ValueError: labels out of range, more than `label_limit` allows, blocks that do not cover
        them, or predictions that are no log probabilities.
    """
    labels = np.asarray(labels)
    if (
        not 2 <= n_classes <= MAX_CLASSES
        or labels.size
        and not (0 <= labels.min() and labels.max() < n_classes)
    ):
        raise ValueError(f"labels are 0 to {n_classes - 1}, and there are 2 to {MAX_CLASSES}")
    _check_ends(ends, labels.size)
    streams = []
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        block = labels[first:last]
        if first == 0 and len(ends) > 1:
            streams.append(SymbolStream(block, tables.uniform(0, n_classes)))
            continue
        predicted = _checked(predict(labels[:first], first, last), (last - first, n_classes))
        streams.append(SymbolStream(block, _tables(predicted), np.arange(last - first)))
    data = encode(streams)
    if labels.size > label_limit(len(data)):
        raise ValueError(f"{labels.size} labels are too many for a stream of {len(data)} bytes")
    header = {"classes": n_classes, "ends": list(map(int, ends))}
    return write_archive(KIND, header, {_STREAM: data})


def read_labels(data: bytes, predict: Predict) -> np.ndarray:
    """The labels, int32[n]; `predict` repeats what it did for `write_labels`.

    Raises:
      FormatError: not an undamaged file of labels, or other predictions than the writer's, as far
        as the end of the stream shows it.
    """
    archive = read_archive(data, kind=KIND)
    return unpack(archive.header, archive.sections, predict)


def unpack(header: dict, sections: dict[str, bytes], predict: Predict) -> np.ndarray:
    """`read_labels` below the container's checksums.

    Raises:
      FormatError: as `read_labels`.
    """
    if header.keys() != {"classes", "ends"}:
        raise FormatError("a header of classes and ends is missing", "header")
    n_classes, ends = header["classes"], header["ends"]
    if type(n_classes) is not int or not 2 <= n_classes <= MAX_CLASSES:
        raise FormatError(f"{n_classes!r:.80} classes", "header")
    if not isinstance(ends, list) or not all(type(end) is int for end in ends):
        raise FormatError("blocks end at whole numbers", "header")
    if sections.keys() != {_STREAM}:
        raise FormatError("labels have one section", min(sections, default=_STREAM))
    try:
        _check_ends(ends, ends[-1] if ends else 0)
    except ValueError as error:
        raise FormatError(str(error), "header") from error
    if ends[-1] > label_limit(len(sections[_STREAM])):
        raise FormatError(f"{ends[-1]} labels do not fit in the stream", _STREAM)
    reader = SymbolReader(sections[_STREAM], _STREAM)
    labels = np.zeros(ends[-1], np.int32)
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        if first == 0 and len(ends) > 1:
            labels[:last] = reader.take(last, tables.uniform(0, n_classes))
            continue
        predicted = predict(labels[:first], first, last)
        try:
            predicted = _checked(predicted, (last - first, n_classes))
        except ValueError as error:
            raise FormatError(f"predictions of another problem: {error}", "header") from error
        # A few tables at a time: each takes a hundred times the memory of a label and more.
        size = max(1, _ENTRIES_AT_ONCE // n_classes)
        for piece in np.split(np.arange(last - first), range(size, last - first, size)):
            known = _tables(predicted[piece])
            labels[first + piece] = reader.take(piece.size, known, np.arange(piece.size))
    reader.finish()
    return labels


def ideal_bits(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """-log2 probability of labels under predictions of log probabilities in nats."""
    chosen = np.take_along_axis(np.asarray(log_probabilities), labels[:, None], axis=1)
    return float(-chosen.sum() / np.log(2))


def smoothed(log_probabilities: np.ndarray, floor: float) -> np.ndarray:
    """Predictions mixed with the uniform one, (1 - floor) p + floor / classes, as logarithms.

    A confident mistake of a network would cost the coder's 24 bits; with a floor of 1e-3 it costs
    at most 13.3 for ten classes, and every right answer 0.0014.
    """
    n_classes = log_probabilities.shape[-1]
    mixed = (1 - floor) * np.exp(np.asarray(log_probabilities, np.float64)) + floor / n_classes
    return np.log(mixed)


def _checked(predicted: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    predicted = np.asarray(predicted, np.float64)
    if predicted.shape != shape or not np.all(predicted <= 1e-4):
        raise ValueError(f"log probabilities have shape {shape}, got {predicted.shape}")
    return predicted


def _tables(predicted: np.ndarray) -> list[FrequencyTable]:
    return [tables.from_weights(np.exp(row)) for row in predicted]


def _check_ends(ends: Sequence[int], count: int) -> None:
    increasing = all(a < b for a, b in zip([0, *ends], ends, strict=False))
    if not ends or not increasing or ends[-1] != count:
        raise ValueError(f"blocks end at increasing numbers up to {count}, not at {ends!r:.200}")
