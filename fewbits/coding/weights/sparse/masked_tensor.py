"""Zeros and signs of one tensor as a stream: a mask row by row, then the signs of what is left.

The encoder tries the predictions that `fewbits.coding.weights.sparse.context_mask` offers and names
its choice in a `MaskPlan`; the decoder repeats the predictions from what it has decoded so far.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fewbits.coding import adaptive_bits
from fewbits.coding.entropy_coder import SymbolReader, SymbolStream
from fewbits.coding.varint import ByteReader, varint
from fewbits.coding.weights.sparse import context_mask
from fewbits.coding.weights.sparse.context_mask import (
    GAINS,
    KIND_SETS,
    Geometry,
    MaskModel,
    SignModel,
)
from fewbits.io.errors import FormatError

_MAX_ROWS = 1 << 13
_MOST_KEPT = 1 << 21
"""Entries up to which evidence is held, rather than made again, to save time."""
_MAX_ROWS_PER_COLUMN = 256


class MaskPlan(NamedTuple):
    """How the mask and the signs of a tensor are predicted; all that a decoder must be told.

    Attributes:
      ones: nonzero symbols. With none, or no others, the mask costs nothing.
      geometry: which rows are near.
      kinds: index into `context_mask.KIND_SETS`.
      gain: index into `context_mask.GAINS`.
      signs_near: whether signs are predicted from neighbours.
    """

    ones: int
    geometry: Geometry = Geometry(1, 1)
    kinds: int = 0
    gain: int = 0
    signs_near: bool = False

    def to_bytes(self) -> bytes:
        """The plan in a header."""
        if self.ones == 0:
            return varint(0)
        choice = 2 * (self.kinds * len(GAINS) + self.gain) + self.signs_near
        return varint(self.ones) + b"".join(map(varint, self.geometry)) + bytes([choice])


class Coded(NamedTuple):
    """A tensor's zeros and signs, ready for the coder.

    Attributes:
      plan: for the header.
      mask: one stream a row, or none.
      signs: one stream a row with a nonzero.
    """

    plan: MaskPlan
    mask: list[SymbolStream]
    signs: list[SymbolStream]


class _Prediction(NamedTuple):
    cost_bits: float
    geometry: Geometry
    kinds: int = 0
    gain: int = 0


def matrix_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of the matrix that a tensor is coded as.

    The last axis makes the columns. A tensor of very many rows has several side by side, so that
    the time to code it stays in proportion to its size.
    """
    size = math.prod(shape)
    if len(shape) < 2 or size == 0:
        return (1, size)
    n_rows, n_columns = size // shape[-1], shape[-1]
    most = min(_MAX_ROWS, _MAX_ROWS_PER_COLUMN * n_columns)
    least_fold = -(-n_rows // most)
    fold = next((k for k in range(least_fold, 64 * least_fold) if n_rows % k == 0), n_rows)
    return (n_rows // fold, n_columns * fold)


def code(symbols: np.ndarray, shape: tuple[int, ...], inputs: np.ndarray) -> Coded:
    """The predictions that make mask and signs shortest, and what is coded with them.

    Args:
      symbols: int[rows, columns], of `matrix_shape(shape)`.
      shape: the tensor's.
      inputs: int[...], `column_counts` of the tensor before; empty for the first.
    """
    mask = symbols != 0
    ones = int(np.count_nonzero(mask))
    if ones == 0:
        return Coded(MaskPlan(0), [], [])
    geometries = context_mask.geometries(shape, inputs.size)
    tables = adaptive_bits.level_tables()
    best = _Prediction(0.0, geometries[0])
    mask_streams = []
    if ones < mask.size:
        row_inputs = _row_inputs(inputs, mask.shape[0], shape)
        predictions = (_predict_mask(mask, one, row_inputs) for one in geometries)
        best = min(predictions, key=lambda one: one.cost_bits)
        rows = zip(mask.view(np.uint8), _levels(mask, best, row_inputs), strict=True)
        mask_streams = [SymbolStream(row, tables, levels) for row, levels in rows]
    positive = (symbols[mask] > 0).view(np.uint8)
    options = [context_mask.sign_levels(symbols, one) for one in (None, best.geometry)]
    near = _cost_bits(options[1], positive) < _cost_bits(options[0], positive)
    ends = np.cumsum(np.count_nonzero(mask, axis=1))[:-1]
    rows = zip(np.split(positive, ends), np.split(options[near], ends), strict=True)
    sign_streams = [SymbolStream(signs, tables, levels) for signs, levels in rows if signs.size]
    plan = MaskPlan(ones, best.geometry, best.kinds, best.gain, near)
    return Coded(plan, mask_streams, sign_streams)


def read_plan(reader: ByteReader, shape: tuple[int, ...]) -> MaskPlan:
    """The plan of a tensor of this shape.

    Raises:
      FormatError: not a plan.
    """
    ones = reader.varint(math.prod(shape), "number of nonzeros")
    if ones == 0:
        return MaskPlan(0)
    most = max(2, matrix_shape(shape)[0])
    geometry = Geometry(*(reader.varint(most, "distance of rows") for _ in range(2)))
    choice, signs_near = divmod(reader.byte(), 2)
    kinds, gain = divmod(choice, len(GAINS))
    if min(geometry) < 1 or kinds >= len(KIND_SETS):
        raise reader.error(f"a mask with neighbours {tuple(geometry)} and contexts {kinds}")
    return MaskPlan(ones, geometry, kinds, gain, bool(signs_near))


def read_signs(
    reader: SymbolReader, plan: MaskPlan, shape: tuple[int, ...], inputs: np.ndarray, section: str
) -> np.ndarray:
    """-1, 0 and 1, int32 of `matrix_shape(shape)`; the inverse of `code`.

    Raises:
      FormatError: the mask has another number of ones than the plan says.
    """
    signs = np.zeros(matrix_shape(shape), np.int32)
    if plan.ones == 0:
        return signs
    tables = adaptive_bits.level_tables()
    mask = np.ones(signs.shape, bool)
    if plan.ones < mask.size:
        row_inputs = _row_inputs(inputs, mask.shape[0], shape)
        model = MaskModel(mask.shape, plan.ones, plan.geometry, row_inputs)
        kinds, gain = KIND_SETS[plan.kinds], GAINS[plan.gain]
        for row in mask:
            contexts = model.contexts()
            evidence = model.bits.evidence(contexts)
            levels = context_mask.mask_levels(model.bits.base, evidence, kinds, gain)
            row[:] = reader.take(row.size, tables, levels)
            model.learn(contexts, row)
        if np.count_nonzero(mask) != plan.ones:
            raise FormatError(f"a mask has not {plan.ones} nonzeros", section)
    model = SignModel(mask.shape, plan.geometry if plan.signs_near else None)
    for row, row_signs in zip(mask, signs, strict=True):
        columns = np.flatnonzero(row)
        contexts = model.contexts(columns)
        positive = reader.take(columns.size, tables, model.levels(contexts)).astype(bool)
        row_signs[columns] = np.where(positive, 1, -1)
        model.learn(contexts, columns, positive)
    return signs


def column_counts(symbols: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """int64[last axis]: nonzero symbols by the tensor's last axis, the inputs that units have."""
    if symbols.size == 0:
        return np.zeros(0, np.int64)
    return np.count_nonzero(symbols.reshape(-1, shape[-1]), axis=0)


def ideal_bits(streams: list[SymbolStream]) -> float:
    """Ideal length of the streams of a `Coded`."""
    return sum(_cost_bits(np.asarray(choice), symbols) for symbols, _, choice in streams)


def _predict_mask(mask: np.ndarray, geometry: Geometry, row_inputs: np.ndarray) -> _Prediction:
    """The best kinds and gain for a mask, given which rows are near."""
    kept = None
    if mask.size <= _MOST_KEPT:
        kept = list(context_mask.mask_evidence(mask, geometry, row_inputs))

    def attempts(choices: list[tuple[int, int]]) -> list[_Prediction]:
        counts = np.zeros((len(choices), adaptive_bits.level_costs().size), np.int64)
        for rows, base, evidence in kept or context_mask.mask_evidence(mask, geometry, row_inputs):
            bits = mask[rows].ravel()
            for count, (kinds, gain) in zip(counts, choices, strict=True):
                levels = context_mask.mask_levels(base, evidence, KIND_SETS[kinds], GAINS[gain])
                count += _occurrences(levels, bits)
        costs = counts @ adaptive_bits.level_costs().ravel()
        found = zip(costs.tolist(), choices, strict=True)
        return [_Prediction(cost, geometry, *choice) for cost, choice in found]

    middle = len(GAINS) // 2
    tried = attempts([(kinds, middle) for kinds in range(len(KIND_SETS))])
    best = min(tried, key=lambda one: one.cost_bits)
    tried = attempts([(best.kinds, gain) for gain in range(len(GAINS)) if gain != middle])
    return min([best, *tried], key=lambda one: one.cost_bits)


def _levels(mask: np.ndarray, chosen: _Prediction, row_inputs: np.ndarray) -> np.ndarray:
    """uint8[rows, columns]: the levels that a prediction gives."""
    found = np.empty(mask.shape, np.uint8)
    kinds, gain = KIND_SETS[chosen.kinds], GAINS[chosen.gain]
    for rows, base, evidence in context_mask.mask_evidence(mask, chosen.geometry, row_inputs):
        levels = context_mask.mask_levels(base, evidence, kinds, gain)
        found[rows] = levels.reshape(found[rows].shape)
    return found


def _cost_bits(levels: np.ndarray, bits: np.ndarray) -> float:
    return float(_occurrences(levels, bits) @ adaptive_bits.level_costs().ravel())


def _occurrences(levels: np.ndarray, bits: np.ndarray) -> np.ndarray:
    """How often tails and heads come at each level."""
    return np.bincount(2 * levels + bits, minlength=adaptive_bits.level_costs().size)


def _row_inputs(inputs: np.ndarray, n_rows: int, shape: tuple[int, ...]) -> np.ndarray:
    """The inputs of each row's unit; zeros where the tensor before does not fit this one.

    Units come last among a layer's rows, after a flattened convolution too.
    """
    whole_rows = n_rows * shape[-1] == math.prod(shape)
    if not whole_rows or inputs.size == 0 or n_rows % inputs.size:
        return np.zeros(n_rows, np.int64)
    return np.tile(inputs, n_rows // inputs.size)
