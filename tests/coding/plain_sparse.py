"""A reader of sparse files written from `fewbits/coding/FORMAT.md` alone: plain integers, slow.

It takes the container's word for the header and shares nothing else with `coding`. It reads honest
files only, and trusts them.
"""

from __future__ import annotations

import decimal
import math
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

from fewbits.coding import container

GAINS = (4, 6, 8, 10, 13, 16)
KIND_SETS = ((0, 1, 2), (0, 1, 2, 3), (0, 3), (0,))
OCTAVE = (256, 267, 279, 291, 304, 317, 331, 346, 362, 378, 394, 412, 430, 449, 469, 490)
LOGARITHMS = [math.floor(256 * math.log2(1 + m / 256)) for m in range(256)]
Numbers = Iterator[int]


class Table(NamedTuple):
    minimum: int
    counts: list[int]
    precision: int = 24


class Plain(NamedTuple):
    """A tensor: its shape and its values in C order."""

    shape: tuple[int, ...]
    values: list[float]


def read(data: bytes) -> dict[str, Plain]:
    """Every tensor by its path."""
    archive = container.read_archive(data, kind="sparse")
    codes = iter(archive.header["tables"])
    known = []
    while (kind := next(codes, None)) is not None:
        known.append(table(kind, codes))
    plans = iter(archive.header["masks"])
    stream = Stream(archive.sections["symbols"])
    inputs: list[int] = []
    found = {}
    for path, description in leaves(archive.header["tree"]):
        code = iter(description)
        rank, width = divmod(next(code), 32)
        shape = tuple(varint(code) for _ in range(rank))
        number = varint(code)
        step = float32(code)
        zero = float32(code) if width > 16 else 0.0
        if rank < 2:
            symbols = stream.run(math.prod(shape), known[number])
        else:
            symbols, inputs = matrix(stream, plans, shape, inputs, known[number])
        rounded = [struct.unpack("<f", struct.pack("<f", zero + q * step))[0] for q in symbols]
        found[path] = Plain(shape, rounded)
    assert stream.state == 0xFB17
    assert not stream.words
    assert next(plans, None) is None
    return found


def leaves(tree: Any, path: str = "") -> Iterator[tuple[str, bytes]]:
    """Path and description of every tensor, in the order of the encoding."""
    if isinstance(tree, bytes):
        yield path, tree
    else:
        entries = tree.items() if isinstance(tree, dict) else enumerate(tree[1:])
        for key, value in entries:
            yield from leaves(value, f"{path}/{key}" if path else str(key))


def varint(code: Numbers) -> int:
    byte = next(code)
    return byte if byte < 128 else byte - 128 + 128 * varint(code)


def signed(unsigned: int) -> int:
    return -(unsigned + 1) // 2 if unsigned % 2 else unsigned // 2


def float32(code: Numbers) -> float:
    return struct.unpack("<f", bytes(next(code) for _ in range(4)))[0]


def table(kind: int, code: Numbers) -> Table:
    minimum, size = signed(varint(code)), 1 + varint(code)
    if kind == 1:
        precision = next(code)
        return Table(minimum, [1 + varint(code) for _ in range(size)], precision)
    weights = [1] * size
    if kind == 2:
        weights = histogram(code, size)
    if kind == 3:
        weights = bell(code, minimum, size)
    if not any(weights):
        weights = [1] * size
    counts = [1 + w * (2**24 - size) // sum(weights) for w in weights]
    counts[weights.index(max(weights))] += 2**24 - sum(counts)
    return Table(minimum, counts)


def histogram(code: Numbers, size: int) -> list[int]:
    step, order = divmod(next(code), 16)
    bits = (byte >> place & 1 for byte in code for place in range(7, -1, -1))
    level, weights = 0, []
    for _ in range(size):
        zeros = 0
        while not next(bits):
            zeros += 1
        number = 1
        for _ in range(zeros + order):
            number = 2 * number + next(bits)
        level += signed(number - 2**order)
        octave, part = divmod((level - 1) * 2 ** (4 - step), 16)
        weights.append(OCTAVE[part] << octave if level else 0)
    return weights


def bell(code: Numbers, minimum: int, size: int) -> list[int]:
    spike, linear, square = (sixteen_bits(code, lowest) for lowest in (-16, -28, -28))
    weights = [min(math.floor(2**36 * spike), 2**38 - 1)]
    ratio, change, weight = falling(linear + square), falling(2 * square), 2**36
    for _ in range(max(-minimum, minimum + size - 1)):
        weight = weight * ratio >> 40
        ratio = ratio * change >> 40
        weights.append(weight)
    return [weights[abs(q)] for q in range(minimum, minimum + size)]


def sixteen_bits(code: Numbers, lowest: int) -> Fraction:
    exponent, mantissa = divmod(next(code) + 256 * next(code), 2048)
    if exponent == mantissa == 0:
        return Fraction(0)
    return (2048 + mantissa) * Fraction(2) ** (exponent + lowest - 11)


def falling(exponent: Fraction) -> int:
    with decimal.localcontext(decimal.Context(prec=80)):
        value = decimal.Decimal(exponent.numerator) / exponent.denominator
        return math.floor((-value).exp() * 2**40)


class Stream:
    """The entropy-coded stream."""

    def __init__(self, data: bytes):
        padded = data + bytes(-len(data) % 4)
        self.words = [number for (number,) in struct.iter_unpack("<I", padded)]
        self.state = self.words.pop()
        if self.words:
            self.state = 2**32 * self.state + self.words.pop()

    def symbol(self, one: Table) -> int:
        if len(one.counts) == 1:
            return one.minimum
        place, below, index = self.state % 2**24, 0, 0
        scale = 2 ** (24 - one.precision)
        while below + one.counts[index] * scale <= place:
            below += one.counts[index] * scale
            index += 1
        self.state = one.counts[index] * scale * (self.state // 2**24) + place - below
        if self.state < 2**32 and self.words:
            self.state = 2**32 * self.state + self.words.pop()
        return one.minimum + index

    def run(self, count: int, one: Table) -> list[int]:
        return [self.symbol(one) for _ in range(count)]

    def tosses(self, levels: list[int]) -> list[int]:
        """One toss for each level: all of the lowest level first."""
        found = [0] * len(levels)
        for place in sorted(range(len(levels)), key=lambda place: levels[place]):
            odds = 2 ** (levels[place] / 2)
            heads = round(2**24 * odds / (1 + odds))
            found[place] = self.symbol(Table(0, [2**24 - heads, heads]))
        return found


class Model:
    """Heads and tosses of every context."""

    def __init__(self, heads: int, tails: int):
        self.base = log2(heads) - log2(tails)
        self.share = 2 * min(max(65536 * heads // (heads + tails), 1), 65535)
        self.seen: dict[Any, list[int]] = {}

    def evidence(self, context: Any) -> int:
        heads, tosses = self.seen.get(context, (0, 0))
        against = 65536 * (tosses - heads) + 131072 - self.share
        return log2(65536 * heads + self.share) - log2(against) - self.base

    def learn(self, context: Any, head: int) -> None:
        entry = self.seen.setdefault(context, [0, 0])
        entry[0] += head
        entry[1] += 1


def log2(number: int) -> int:
    exponent = number.bit_length() - 1
    return 256 * exponent + LOGARITHMS[number * 256 // 2**exponent - 256]


def level(log_odds: int) -> int:
    return min(max((log_odds + 64) // 128, -32), 32)


def count_class(count: int) -> int:
    return min(23, 2 * log2(count + 1) // 256)


def matrix(
    stream: Stream, plans: Numbers, shape: tuple[int, ...], inputs: list[int], one: Table
) -> tuple[list[int], list[int]]:
    """Symbols of a tensor in C order, and the nonzeros in each index of its last axis."""
    size = math.prod(shape)
    rows, columns, folds = 1, size, 1
    if size:
        rows = size // shape[-1]
        least = -(-rows // min(8192, 256 * shape[-1]))
        folds = next((k for k in range(least, 64 * least) if rows % k == 0), rows)
        rows, columns = rows // folds, folds * shape[-1]
    ones = varint(plans)
    if ones == 0:
        return [0] * size, [0] * shape[-1] if size else []
    near, far = varint(plans), varint(plans)
    choice, by_neighbours = divmod(next(plans), 2)
    kinds, gain = divmod(choice, 6)
    fits = folds == 1 and inputs and rows % len(inputs) == 0
    row_inputs = [inputs[i % len(inputs)] if fits else 0 for i in range(rows)]
    mask = [[1] * columns for _ in range(rows)]
    if ones < size:
        mask = read_mask(stream, ones, rows, columns, near, far, KIND_SETS[kinds], gain, row_inputs)
    signs = read_signs(stream, mask, near, far, bool(by_neighbours))
    symbols = [sign and sign * stream.symbol(one) for row in signs for sign in row]
    last = shape[-1]
    return symbols, [sum(q != 0 for q in symbols[j::last]) for j in range(last)]


def read_mask(
    stream: Stream,
    ones: int,
    rows: int,
    columns: int,
    near: int,
    far: int,
    kinds: tuple[int, ...],
    gain: int,
    row_inputs: list[int],
) -> list[list[int]]:
    model = Model(ones, rows * columns - ones)
    mask: list[list[int]] = []
    column_counts = [0] * columns

    def row_above(distance: int) -> list[int]:
        return mask[-distance] if distance <= len(mask) else [0] * columns

    for i in range(rows):
        left, above = row_above(near), row_above(far)
        others = [row_above(d) for d in (near + far, 2 * near, 2 * far)]
        if far > near:
            others.append(row_above(far - near))
        contexts = []
        for j in range(columns):
            crowd = left[j] + above[j] + sum(other[j] for other in others)
            contexts.append(
                [
                    (0, left[j], above[j], count_class(column_counts[j])),
                    (1, crowd, count_class(sum(left) + sum(above))),
                    (2, count_class(sum(left)), count_class(sum(above))),
                    (3, count_class(row_inputs[i])),
                ]
            )
        levels = []
        for four in contexts:
            total = sum(model.evidence(four[kind]) for kind in kinds)
            levels.append(level(model.base + total * GAINS[gain] // 16))
        row = stream.tosses(levels)
        for j, bit in enumerate(row):
            column_counts[j] += bit
            for context in contexts[j]:
                model.learn(context, bit)
        mask.append(row)
    assert sum(map(sum, mask)) == ones
    return mask


def read_signs(
    stream: Stream, mask: list[list[int]], near: int, far: int, by_neighbours: bool
) -> list[list[int]]:
    model = Model(1, 1)
    signs: list[list[int]] = []

    def sign_above(distance: int, j: int) -> int:
        return signs[-distance][j] if distance <= len(signs) else 0

    for row in mask:
        places = [j for j, bit in enumerate(row) if bit]
        contexts = []
        for j in places:
            total = 2 * sign_above(near, j) + 2 * sign_above(far, j)
            total += sum(sign_above(d, j) for d in (near + far, 2 * near, 2 * far))
            if far > near:
                total += sign_above(far - near, j)
            contexts.append(min(max(total, -4), 4) if by_neighbours else 0)
        tosses = stream.tosses([level(model.evidence(context)) for context in contexts])
        signs.append([0] * len(row))
        for j, context, positive in zip(places, contexts, tosses, strict=True):
            model.learn(context, positive)
            signs[-1][j] = 2 * positive - 1
    return signs
