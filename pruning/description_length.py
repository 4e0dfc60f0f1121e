"""How many bytes model and data take together: as published, and as files are.

Offline description length: first the model, then the labels given the model. The paper counts
4 bytes for each nonzero weight (which weights those are costs nothing), and the mean loss times
the number of symbols. A file also says where the weights are, and labels take the bits that an
entropy coder writes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fewbits.coding import entropy_coder, tables, units
from fewbits.coding.entropy_coder import StreamPlan, SymbolStream

BYTES_PER_NONZERO = 4
"""Bytes that Barth & von Petersenn (arXiv 2505.17469) charge for a weight: scipy stores four."""

STEP_NATS, LEAST_NATS = 0.25, -16.0
"""Grid on which labels are coded: ln p below its largest, in steps down to an end."""


class DescriptionLength(NamedTuple):
    """A model and data in bytes.

    Attributes:
      model_bytes: the model's share.
      data_bytes: the labels' share, given the model.
    """

    model_bytes: float
    data_bytes: float

    @property
    def total_bytes(self) -> float:
        """Both together."""
        return self.model_bytes + self.data_bytes


def as_published(n_nonzero: int, mean_loss_nats: float, n_labels: int) -> DescriptionLength:
    """4 bytes x nonzeros + mean loss x labels / (8 ln 2), as the authors' program computes it.

    Args:
      n_nonzero: weights that differ from zero.
      mean_loss_nats: mean of -ln p(label) over the labels.
      n_labels: how many labels are described.
    """
    return DescriptionLength(
        float(BYTES_PER_NONZERO * n_nonzero), units.nats_to_bits(mean_loss_nats) * n_labels / 8
    )


def with_positions(
    n_nonzero: int, n_weights: int, bits_per_value: float, mean_loss_nats: float, n_labels: int
) -> DescriptionLength:
    """An ideal code: N h(k / N) bits say which k of N weights are there, then their values.

    Args:
      n_nonzero: k.
      n_weights: N.
      bits_per_value: of each nonzero weight.
      mean_loss_nats: mean of -ln p(label).
      n_labels: how many labels are described.
    """
    positions_bits = n_weights * float(units.binary_entropy_bits(n_nonzero / n_weights))
    model_bits = positions_bits + n_nonzero * bits_per_value
    return DescriptionLength(model_bits / 8, units.nats_to_bits(mean_loss_nats) * n_labels / 8)


def as_files(
    model_file: bytes, log_probabilities: np.ndarray, labels: np.ndarray
) -> tuple[DescriptionLength, bytes]:
    """The model's file and the labels' own, both in bytes that exist.

    Args:
      model_file: contents of the model's file.
      log_probabilities: Float[n, classes], ln p(class) from the *decoded* model.
      labels: Int[n].

    Returns:
      The description length, and the labels' bytes, which `read_labels` reads.
    """
    coded = write_labels(log_probabilities, labels)
    return DescriptionLength(float(len(model_file)), float(len(coded))), coded


def write_labels(log_probabilities: np.ndarray, labels: np.ndarray) -> bytes:
    """Labels, entropy-coded under the model's probabilities.

    Reader and writer make the same integer tables from ln p rounded to `STEP_NATS`. They need the
    same rounded numbers: decode where the model computes as it did when the labels were written.

    Args:
      log_probabilities: Float[n, classes].
      labels: Int[n].

    Returns:
      The bytes of the stream.

    Raises:
      ValueError: labels outside the classes, or arrays that do not fit together.
    """
    log_probabilities, labels = np.asarray(log_probabilities), np.asarray(labels)
    if log_probabilities.ndim != 2 or labels.shape != log_probabilities.shape[:1]:
        raise ValueError(
            f"{labels.shape} labels do not fit probabilities of shape {log_probabilities.shape}"
        )
    some, choice = _tables(log_probabilities)
    return entropy_coder.encode([SymbolStream(labels.astype(np.int32), some, choice)])


def read_labels(data: bytes, log_probabilities: np.ndarray) -> np.ndarray:
    """The inverse of `write_labels`, for the same probabilities.

    Raises:
      FormatError: not what `write_labels` gave for these probabilities.
    """
    some, choice = _tables(np.asarray(log_probabilities))
    return entropy_coder.decode(data, [StreamPlan(len(choice), some, choice)])[0]


def _tables(log_probabilities: np.ndarray) -> tuple[list[tables.FrequencyTable], np.ndarray]:
    """Tables, and which of them each label has. A sure model may be wrong: no count is zero."""
    below = log_probabilities - log_probabilities.max(axis=1, keepdims=True)
    steps = np.rint(np.maximum(below, LEAST_NATS) / STEP_NATS).astype(np.int32)
    rows, choice = np.unique(steps, axis=0, return_inverse=True)
    weights = np.exp(rows * STEP_NATS)
    return [tables.from_weights(row, minimum=0) for row in weights], choice.reshape(-1)
