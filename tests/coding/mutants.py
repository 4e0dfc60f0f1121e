"""Damage below the checksums: files written on purpose, and what readers make of them."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from fewbits.coding import FormatError, cbor, container
from fewbits.coding.container import Archive
from tests.coding.test_container import assemble

LIMIT_BYTES = 64 << 20
"""More than any honest file of a few kilobytes needs, tables and working memory included."""


class Outcomes(NamedTuple):
    """What became of the mutants.

    Attributes:
      refused: ended in FormatError.
      read: gave arrays of the declared size.
      slowest_seconds: processor time of the slowest.
      peak_bytes: most memory that one took.
    """

    refused: int
    read: int
    slowest_seconds: float
    peak_bytes: int


def campaign(
    count: int,
    files: Sequence[bytes],
    read: Callable[[bytes], Any],
    declared: Callable[[Archive], Any],
    found: Callable[[Any], Any],
    targets: Sequence[str],
) -> Outcomes:
    """Reads mutants with right checksums; any other exception than FormatError fails the test.

    Args:
      count: mutants.
      files: honest files, damaged in turn.
      read: the reader under test.
      declared: what a mutant's header says about the sizes of what it holds.
      found: the same of what was read; must be equal.
      targets: what is damaged, with equal odds: names of sections, keys of byte strings in the
        header, or "header" for its encoded bytes.
    """
    rng = np.random.default_rng(0)
    refused, slowest, peak = 0, 0.0, 0
    archives = [container.read_archive(data) for data in files]
    tracemalloc.start()
    try:
        for number in range(count):
            target = targets[int(rng.integers(len(targets)))]
            data = _mutant(archives[number % len(archives)], target, rng)
            tracemalloc.reset_peak()
            before, start = tracemalloc.get_traced_memory()[0], time.process_time()
            try:
                value = read(data)
            except FormatError:
                refused += 1
            else:
                assert found(value) == declared(container.read_archive(data))
            slowest = max(slowest, time.process_time() - start)
            peak = max(peak, tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()
    assert peak < LIMIT_BYTES
    return Outcomes(refused, count - refused, slowest, peak)


def damage(data: bytes, rng: np.random.Generator) -> bytes:
    """One to three bytes changed, runs of bytes inserted, repeated or removed, or the end cut."""
    mutant = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(mutant) + 1))
        size = int(rng.integers(1, 9))
        action = rng.integers(6)
        if action == 0:
            del mutant[place:]
        elif action == 1:
            mutant[place:place] = rng.bytes(size)
        elif action == 2:
            del mutant[place : place + size]
        elif action == 3:
            mutant[place:place] = mutant[place : place + size]
        elif mutant:
            mutant[place % len(mutant)] ^= int(rng.integers(1, 256))
    return bytes(mutant)


def _mutant(archive: Archive, target: str, rng: np.random.Generator) -> bytes:
    header, sections = dict(archive.header), dict(archive.sections)
    if target in sections:
        sections[target] = damage(sections[target], rng)
    elif target in header:
        header[target] = damage(header[target], rng)
    encoded = cbor.dumps(header)
    if target == "header":
        encoded = damage(encoded, rng)
    payloads = tuple((name.encode(), body) for name, body in sections.items())
    return assemble(encoded, payloads, kind=archive.kind.encode())
