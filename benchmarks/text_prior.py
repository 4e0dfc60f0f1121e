"""Makes the prior of the text codec anew, and says whether it is the one in the package.

    python benchmarks/text_prior.py wiki.txt.xz [OUT]

The text is chosen from the first 50 MB of Wikipedia (`fewbits.io.wikipedia`) without the articles
that experiments code: greedily the paragraph that adds most frequent words, pairs and triples for
its length. Parts of Python's own library stand before it, so that the most useful paragraphs are
read last. The starting numbers are averages over the rows of a model that has read 1 MB more.
`fewbits/codecs/text/mixing/PRIOR.md` names origin and licences.
"""

from __future__ import annotations

import collections
import heapq
import lzma
import random
import re
import sys
import sysconfig
from pathlib import Path

import numpy as np

from fewbits.codecs.text.mixing import coder, kernel, prior
from fewbits.codecs.text.mixing import state as st
from fewbits.io import wikipedia

_FIRST = 50_000_000
_CODED_BY_EXPERIMENTS = (5_000, 20_000, 200_000, 1_000_000, 2_000_000, 4_000_000)
_PARAGRAPHS = 24_000
_CHOSEN_BYTES = 280_000
_SOURCES = {
    "json/decoder.py": 9_000, "argparse.py": 14_000, "html/parser.py": 8_000,
    "dataclasses.py": 9_000, "csv.py": 6_000, "pathlib.py": 10_000,
}  # fmt: skip
_WORDS = re.compile(rb"[A-Za-z]+|[^A-Za-z]+")
_NOTE = "English Wikipedia, May 2015 (CC BY-SA 3.0); Python's standard library (PSF)"


def training_text(whole: bytes) -> bytes:
    """Articles of the first 50 MB that no experiment codes."""
    articles = [each for each in whole.split(wikipedia._SEPARATOR) if each]
    held_out = set(range(25, len(articles), wikipedia._HELD_OUT_EVERY))
    others = [(n, each) for n, each in enumerate(articles) if n not in held_out]
    taken = set(held_out)
    for size in _CODED_BY_EXPERIMENTS:
        used = 0
        for n in sorted(range(len(others)), key=lambda n: n * wikipedia._GOLDEN % 1):
            cost = len(others[n][1]) + 3
            if used + cost <= size:
                taken.add(others[n][0])
                used += cost
    found, position = [], 0
    for n, each in enumerate(articles):
        position += len(each) + 3
        if position <= _FIRST and n not in taken:
            found.append(each)
    return wikipedia._SEPARATOR.join(found)


def chosen_paragraphs(text: bytes) -> bytes:
    """The paragraphs of most frequent words and phrases for their length, the best of them last."""
    paragraphs = [each for each in text.split(b"\n") if 150 < len(each) < 2500]
    random.Random(5).shuffle(paragraphs)
    used = paragraphs[:_PARAGRAPHS]
    words, phrases = collections.Counter(), collections.Counter()
    for each in used:
        one, several = _items(each)
        words.update(one)
        phrases.update(several)
    known: set[bytes] = set()

    def value(paragraph: bytes) -> float:
        one, several = _items(paragraph)
        total = sum(3 * min(words[each], 400) ** 0.7 for each in set(one) - known)
        total += sum(
            min(phrases[each], 400) ** 0.7 for each in set(several) - known if phrases[each] > 1
        )
        return total / (len(paragraph) + 1)

    heap = [(-value(each), n) for n, each in enumerate(used)]
    heapq.heapify(heap)
    chosen, size = [], 0
    while size < _CHOSEN_BYTES:
        _, n = heapq.heappop(heap)
        now = -value(used[n])
        if heap and now > heap[0][0]:
            heapq.heappush(heap, (now, n))
            continue
        chosen.append(used[n])
        size += len(used[n]) + 1
        one, several = _items(used[n])
        known.update(one, several)
    return b"\n".join(reversed(chosen)) + b"\n"


def _items(paragraph: bytes) -> tuple[list[bytes], list[bytes]]:
    words = _WORDS.findall(paragraph)
    pairs = [a + b for a, b in zip(words, words[1:], strict=False)]
    triples = [a + b + c for a, b, c in zip(words[::2], words[1::2], words[2::2], strict=False)]
    return words, pairs + triples


def library_source() -> bytes:
    """A part from the middle of some modules of Python's library."""
    library, found = Path(sysconfig.get_paths()["stdlib"]), b""
    for name, size in _SOURCES.items():
        data = (library / name).read_bytes()
        first = data.index(b"\n", len(data) // 3) + 1
        found += data[first : first + size]
    return found


def starts(text: bytes, training: bytes) -> dict[int, st.Start]:
    """Averages of the numbers that a model has learned from 1 MB after the prior's text."""
    constants, found = st.constants(), {}
    for contexts in (st.FULL, st.FAST):
        plain = st.plain_start(contexts)
        state = st.empty(contexts, 20, len(text) + len(training), plain)
        before = np.repeat(plain.weights, st.SETS, axis=0)
        kernel.prime(np.frombuffer(text, np.uint8), state, constants)
        coded = np.zeros(len(training), np.uint8)
        read = np.frombuffer(training, np.uint8).copy()
        kernel.code(False, read, coded, state, constants)
        history = np.round((state.history >> 10) / 64).astype(np.int64).clip(16, 65520)
        probabilities = (state.match >> 10).reshape(2, 64, 2)
        seen = (state.match & 1023).reshape(2, 64, 2)
        hits = (65536 * 64 - probabilities[:, :, 0]) * seen[:, :, 0]
        hits = hits + probabilities[:, :, 1] * seen[:, :, 1]
        mean = hits / np.maximum(seen.sum(-1), 1) / 64
        match = np.where(seen.sum(-1) > 20, mean, plain.match).astype(np.int64).clip(16, 65520)
        weights, first = [], 0
        for size in st.SETS:
            rows = state.weights[first : first + size].astype(float)
            weights.append(_mean_of_moved(rows, before[first : first + size]))
            first += size
        final = state.final_weights[:, :7].astype(float)
        found[contexts] = st.Start(
            history, 100, match, np.round(weights).astype(np.int64),
            np.round(_mean_of_moved(final, 65536 // 7)).astype(np.int64),
        )  # fmt: skip
    return found


def _mean_of_moved(rows: np.ndarray, start: np.ndarray | int) -> np.ndarray:
    """Mean of rows of weights, by how far each has moved."""
    moved = np.abs(rows - start).mean(axis=1)
    return (rows * moved[:, None]).sum(axis=0) / moved.sum()


def main() -> None:
    """Makes the prior."""
    whole = lzma.open(sys.argv[1]).read()
    text = training_text(whole)
    chosen = library_source() + chosen_paragraphs(text)
    same = chosen == prior.load().text
    print(f"text: {len(chosen):,} bytes, {'that' if same else 'not that'} of the package")
    if not coder.compiled():
        raise SystemExit("numba is needed to learn the starting numbers")
    middle = 20_000_000 - 1
    decimal = Path(sysconfig.get_paths()["stdlib"]) / "_pydecimal.py"
    training = text[middle : middle + 900_000] + decimal.read_bytes()[:100_000]
    made = prior.write(prior.Prior(chosen, starts(chosen, training)), _NOTE)
    same = made == prior.path().read_bytes()
    print(f"file: {len(made):,} bytes, {'that' if same else 'not that'} of the package")
    if len(sys.argv) > 2:
        Path(sys.argv[2]).write_bytes(made)


if __name__ == "__main__":
    main()
