"""A teacher in a file of any kind of this package; FORMAT.md beside this file describes it."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import FormatError, container, params_from_bytes, params_to_bytes
from fewbits.training.method import Params
from lgc.distillation.augmentation import LIMITS, NONE, Augmentation
from lgc.teachers import mixing, network
from lgc.teachers.mixing import Mixing

ENTRY = "teacher"
"""Of the header, and name of the section."""
BITS = 4
_NUMBERS = len(NONE) + 1
"""Of heavy augmentation without blur."""
_BIAS_BITS = 8
_AT_ONCE = 500


class Teacher(NamedTuple):
    """A small classifier that labels images.

    Attributes:
      params: weights of `network`, as they are stored.
      mixing: heavy augmentation of images that it labels.
    """

    params: Params
    mixing: Mixing

    def probabilities(self, images: np.ndarray) -> np.ndarray:
        """Float32[n, classes] of images uint8[n, height, width, channels]."""
        return softened(self.logits(images))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """The same before the softmax."""
        count = len(images)
        n_classes = self.params["output"]["bias"].size
        found = np.empty((count, n_classes), np.float32)
        # All parts have one size, so that one compiled program serves them.
        size = min(_AT_ONCE, count)
        for first in range(0, count, size or 1):
            rows = np.arange(first, min(first + size, count))
            part = images[np.resize(rows, size)]
            found[rows] = np.asarray(_logits(self.params, part))[: len(rows)]
        return found


@jax.jit
def _logits(params: Params, images: jax.Array) -> jax.Array:
    return network.logits(params, images.astype(jnp.float32))


def softened(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """The softmax of logits [n, classes] divided by a temperature, float32.

    Hinton, Vinyals and Dean (2015), "Distilling the knowledge in a neural network", eq. 1.
    """
    below = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):  # a temperature next to 0 gives the most probable class
        shares = np.exp(below / temperature)
    return (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)


def bits(path: str, tensor: Any = None) -> int:
    """Of a tensor's grid."""
    del tensor
    return _BIAS_BITS if path.endswith("bias") else BITS


def section(params: Params) -> bytes:
    """The weights as they stand in a file."""
    return params_to_bytes(jax.tree.map(np.asarray, params), bits=bits)


def stored(data: bytes) -> Params:
    """The weights of a section."""
    return params_from_bytes(data)


def attach(data: bytes, weights: bytes, heavy: Mixing) -> bytes:
    """A file with a teacher.

    Args:
      data: a file without one.
      weights: from `section`.
      heavy: see `Teacher`.

    Raises:
      ValueError: a range out of its limits.
    """
    mixing.check(heavy)
    archive = container.read_archive(data)
    *before, blur = heavy.ranges
    numbers = [*before, heavy.mixup_percent, heavy.cutmix_percent, *([blur] if blur else [])]
    return container.write_archive(
        archive.kind, {**archive.header, ENTRY: numbers}, {**archive.sections, ENTRY: weights}
    )


def reserve(weights: bytes) -> int:
    """Bytes by which `attach` makes a file longer, at most."""
    empty = container.write_archive("empty", {}, {})
    longest = Mixing(LIMITS, 50, 50)
    return len(attach(empty, weights, longest)) - len(empty) + 2


def split(data: bytes) -> tuple[bytes, Teacher | None]:
    """The file without its teacher, and the teacher, if it has one.

    Raises:
      FormatError: not an undamaged file, or a teacher that does not fit its images and classes.
    """
    archive = container.read_archive(data)
    header, sections = dict(archive.header), dict(archive.sections)
    if ENTRY not in header and ENTRY not in sections:
        return data, None
    try:
        teacher = _read(header.pop(ENTRY), sections.pop(ENTRY))
        shape, labels = header["shape"], header["labels"]
        network.check(teacher.params, tuple(shape), len(labels))
    except FormatError as error:
        raise FormatError(str(error), ENTRY) from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise FormatError(f"no teacher: {error}"[:200], ENTRY) from error
    return container.write_archive(archive.kind, header, sections), teacher


def _read(numbers: Any, weights: bytes) -> Teacher:
    if not isinstance(numbers, list) or len(numbers) not in (_NUMBERS, _NUMBERS + 1):
        raise ValueError("not nine or ten numbers of heavy augmentation")
    if not all(type(number) is int for number in numbers):
        raise ValueError("heavy augmentation is not in whole numbers")
    # Blur came last, and is left out where there is none.
    ranges = Augmentation(*numbers[: _NUMBERS - 2], *numbers[_NUMBERS:])
    heavy = Mixing(ranges, *numbers[_NUMBERS - 2 : _NUMBERS])
    mixing.check(heavy)
    return Teacher(stored(weights), heavy)
