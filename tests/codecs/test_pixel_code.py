"""A reader of `lossy_subset` files, from `lgc/coresets/FORMAT.md` alone, number by number."""

from __future__ import annotations

import math
from collections import defaultdict
from fractions import Fraction

import numpy as np
import pytest

from fewbits.codecs.pixels import pixel_model
from fewbits.coding import adaptive_bits, read_archive
from fewbits.coding.entropy_coder import SymbolReader
from lgc.coresets import lossy_subset
from lgc.coresets.downsampling import Downsampling

KINDS = range(7)


def log(x: int) -> int:
    exponent = x.bit_length() - 1
    place = x * 256 // 2**exponent - 256
    return 256 * exponent + math.floor(256 * math.log2(1 + place / 256))


def chance(x: int) -> int:
    odds = 2.0 ** ((x + 3072) // 16 / 16 - 12)
    return round(65536 * odds / (1 + odds))


class PlainModel:
    def __init__(self):
        self.seen = defaultdict(lambda: [0, 0])
        self.weights = defaultdict(lambda: 20_000)

    def odds(self, contexts):
        """Log odds, and what each kind predicts, with its trust class."""
        found = []
        for kind in KINDS:
            no, yes = self.seen[kind, contexts[kind]]
            predicted = log(64 * yes + 26) - log(64 * no + 26)
            found.append((predicted, min(15, log(yes + no + 1) // 256)))
        total = sum(
            self.weights[k, trust] * predicted for k, (predicted, trust) in enumerate(found)
        )
        return max(-3072, min(3072, total >> 16)), found

    def learn(self, tosses):
        """Tosses are (contexts, log odds, predictions, answer)."""
        slopes, counts = defaultdict(int), defaultdict(int)
        for _, total, found, answer in tosses:
            wrong = 65536 * answer - chance(total)
            for kind, (predicted, trust) in enumerate(found):
                slopes[kind, trust] += wrong * predicted
                counts[kind, trust] += 1
        for place, slope in slopes.items():
            updated = self.weights[place] + ((64 * slope // max(counts[place], 64)) >> 16)
            self.weights[place] = max(-(2**18), min(2**18, updated))
        for contexts, _, _, answer in tosses:
            for kind in KINDS:
                self.seen[kind, contexts[kind]][answer] += 1


def plain_classes(v: int, t: int, n: int) -> int:
    if n <= 8:
        return v
    if v in (0, n - 1):
        return 0 if v == 0 else 7
    return 1 + sum(s <= v - t for s in (-(n // 4), -(n // 16), 0, n // 16 + 1, n // 4))


def plain_contexts(pixels, place, t, label, n_levels):
    image, y, x, channel = place
    _, _, width, channels = pixels.shape

    def at(dy, dx, c):
        inside = y + dy >= 0 and 0 <= x + dx < width and c >= 0
        level = int(pixels[image, y + dy, x + dx, c]) if inside else 0
        return plain_classes(level, t, n_levels)

    steps = ((0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0), (-1, 2))
    near = [at(*step, channel) for step in steps]
    under = [at(*step, channel - 1) for step in ((0, 0), (0, -1), (-1, 0))]
    p = (y * width + x) * channels + channel
    r = ((y >> 1) * width + (x >> 1)) * channels + channel
    a = near[0] + 8 * near[1] + 64 * near[2] + 512 * near[3]
    c = under[0] + 8 * under[1] + 64 * under[2]
    keys = [
        a + 2**12 * under[0],
        4096 * p + label,
        p + 2**16 * (near[0] + 8 * (near[1] + 8 * under[0])),
        a + 2**12 * (near[4] + 8 * near[5] + 64 * near[6]) + 2**21 * under[0],
        label + 2**12 * (r + 2**16 * (near[0] + 8 * near[1])),
        label + 2**12 * (a + 2**12 * c),
        sum(near) + 64 * (c + 512 * r),
    ]
    return [(256 * key + t) * 0x9E3779B97F4A7C15 % 2**64 >> 44 for key in keys]


def plain_pixels(data: bytes, shape, labels, n_levels) -> np.ndarray:
    reader, tables = SymbolReader(data), adaptive_bits.level_tables()
    pixels, model = np.zeros(shape, int), PlainModel()
    n_images, height, width, channels = shape
    first = 0
    while first < n_images:
        last = min(n_images, first + max(2, first // 2))
        for slant in range(width + 3 * (height - 1)):
            for channel in range(channels):
                reach = {
                    (image, y, slant - 3 * y, channel): (0, n_levels)
                    for image in range(first, last)
                    for y in range(height)
                    if 0 <= slant - 3 * y < width
                }
                while left := [place for place, (a, b) in reach.items() if b - a > 1]:
                    asked = []
                    for place in left:
                        a, b = reach[place]
                        t = 1 if (a, b) == (0, n_levels) else (a + b) >> 1
                        t = n_levels - 1 if b == n_levels and a else t
                        contexts = plain_contexts(pixels, place, t, labels[place[0]], n_levels)
                        asked.append((place, t, contexts, *model.odds(contexts)))
                    levels = [max(-32, min(32, (one[3] + 64) // 128)) + 32 for one in asked]
                    answers = reader.take(len(asked), tables, np.array(levels)).tolist()
                    pairs = list(zip(asked, answers, strict=True))
                    for (place, t, *_), answer in pairs:
                        reach[place] = (t, reach[place][1]) if answer else (reach[place][0], t)
                    model.learn([(*one[2:], answer) for one, answer in pairs])
                for place, (a, _) in reach.items():
                    pixels[place] = a
        first = last
    reader.finish()
    return pixels


def plain_line(values: list, f: int, size: int) -> list:
    """Interpolated in one direction, exactly."""
    line = []
    for x in range(size):
        place = Fraction(max(f, min(f * (2 * len(values) - 1), 2 * x + 1)) - f, 2 * f)
        i = min(int(place), max(len(values) - 2, 0))
        share = place - i
        line.append((1 - share) * values[i] + share * values[min(i + 1, len(values) - 1)])
    return line


def plain_read(data: bytes) -> tuple[np.ndarray, np.ndarray]:
    header, sections = read_archive(data).header, read_archive(data).sections
    height, width, channels = header["shape"]
    f, counts = header["factor"], header["counts"]
    places = [(Fraction(2 * i + 1, 2 * m), k) for k, m in enumerate(counts) for i in range(m)]
    classes = [k for _, k in sorted(places)]
    levels = header["levels"] or bytes(range(256))
    shape = (len(classes), -(-height // f), -(-width // f), channels)
    stored = plain_pixels(sections["pixels"], shape, classes, len(levels))
    images = np.zeros((len(classes), height, width, channels), int)
    for image in range(len(classes)):
        for channel in range(channels):
            levels_of_rows = [[levels[v] for v in row] for row in stored[image, :, :, channel]]
            columns = [
                plain_line(list(column), f, height) for column in zip(*levels_of_rows, strict=True)
            ]
            rows = [plain_line(list(row), f, width) for row in zip(*columns, strict=True)]
            images[image, :, :, channel] = [[int(v + Fraction(1, 2)) for v in r] for r in rows]
    return images, np.array([header["labels"][k] for k in classes])


@pytest.mark.parametrize(
    ("shape", "reduction"),
    [
        ((14, 9, 10, 1), Downsampling(2, 2)),
        ((6, 4, 4, 2), Downsampling(1, 8)),
        ((7, 7, 8, 3), Downsampling(3, 4)),
        ((5, 1, 2, 1), Downsampling(1, 1)),
    ],
)
def test_the_page_is_enough_to_read_a_file(shape, reduction):
    rng = np.random.default_rng(0)
    smooth = rng.normal(0, 1, shape).cumsum(axis=1).cumsum(axis=2)
    images = np.clip(40 * smooth + 30, 0, 255).astype(np.uint8)
    labels = rng.integers(-1, 2, shape[0])
    data = lossy_subset.write(images, labels, reduction)
    found_images, found_labels = lossy_subset.read(data)
    plain_images, plain_labels = plain_read(data)
    np.testing.assert_array_equal(found_images, plain_images)
    np.testing.assert_array_equal(found_labels, plain_labels)


def test_tabled_beliefs_are_the_logarithms_and_go_on_beyond_the_table():
    counts = np.array([[0, 1, 7, 32_767], [32_768, 32_769, 40_000, 2**31 - 1]], np.int32)
    expected = adaptive_bits.log2(counts.astype(np.int64) * 64 + pixel_model._HALF)
    np.testing.assert_array_equal(pixel_model._belief(counts), expected)
    octaves = pixel_model._octaves()[[0, 1, 32_766, 32_767, 32_768]]
    np.testing.assert_array_equal(octaves, [0, 1, 14, 15, 15])
