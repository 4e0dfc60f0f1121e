"""Codewords for classes whose first bits are messages of their own.

A codeword of L = ceil(log2 J) bits names one of J classes. Its first b bits name a group of them,
and the receiver answers with the class that this group most often comes from. Groups are formed
from single classes upwards: the half of the groups that are answered rightly most often absorb the
other half, each the one with which it loses least (a linear assignment problem).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ClassCode(NamedTuple):
    """Codewords and what each prefix says.

    Attributes:
      code: Int[J], the codeword of each class that is sent, as a number of L bits.
      answer: answer[b], Int[2^b], is the class answered to each prefix of b bits, b = 0..L.
      right: right[b] is how many of the counted examples are answered rightly from b bits.
    """

    code: np.ndarray
    answer: tuple[np.ndarray, ...]
    right: tuple[int, ...]


def nested_code(
    counts: np.ndarray, sent: np.ndarray, expected: np.ndarray | None = None
) -> ClassCode:
    """Codewords of the classes that are sent.

    Args:
      counts: Int[K, J], how many examples of class k were taken for the j-th class that is sent.
      sent: Int[J], which classes those are.
      expected: Float[K, J], the same counts as the classifier expects them, by its probabilities:
        few examples do not show which classes are taken for one another. Added with half weight.

    Example:
      >>> import numpy as np
      >>> code = nested_code(np.diag([5, 9, 7]), np.arange(3))
      >>> [answer.tolist() for answer in code.answer[:2]], code.right
      ([[1], [1, 2]], (9, 16, 21))
    """
    from scipy.optimize import linear_sum_assignment

    n_sent = counts.shape[1]
    n_bits = max(1, (n_sent - 1).bit_length())
    empty = (1 << n_bits) - n_sent
    groups: list[list[int]] = [[j] for j in range(n_sent)] + [[-1] for _ in range(empty)]
    # The last column is that of no class. Half an example says that a class means itself, which
    # decides where nothing was counted.
    columns = np.concatenate([counts, np.zeros((len(counts), 1))], axis=1)
    columns[sent, np.arange(n_sent)] += 0.5
    if expected is not None:
        columns[:, :n_sent] += 0.5 * expected

    for _ in range(n_bits):
        total = np.stack([columns[:, members].sum(axis=1) for members in groups])
        order = np.argsort(-total.max(axis=1), kind="stable")
        groups, total, half = [groups[i] for i in order], total[order], len(groups) // 2
        gain = np.stack([(one + total[half:]).max(axis=1) for one in total[:half]])
        _, partner = linear_sum_assignment(gain, maximize=True)
        groups = [groups[i] + groups[half + int(partner[i])] for i in range(half)]
    slots = np.array(groups[0])
    code = np.zeros(n_sent, np.int32)
    code[slots[slots >= 0]] = np.flatnonzero(slots >= 0)
    answer, n_right = [], []
    for bits in range(n_bits + 1):
        total = columns[:, slots].reshape(len(counts), 1 << bits, -1).sum(axis=2)
        answer.append(np.argmax(total, axis=0).astype(np.int32))
        group = code >> (n_bits - bits)
        n_right.append(int(counts[answer[bits][group], np.arange(n_sent)].sum()))
    return ClassCode(code, tuple(answer), tuple(n_right))
