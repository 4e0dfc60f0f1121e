"""Streams in lock step: every length comes back, damage never gives a text."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits.codecs.text import streams, tables
from fewbits.coding import FormatError


class Counting:
    """A predictor without floats: each stream counts what it has seen; `flaw` breaks it late."""

    def __init__(self, n_streams: int, flaw: int = -1):
        self._seen = np.zeros((n_streams, 256), np.int64)
        self._steps, self._flaw = 0, flaw

    def gaps(self):
        gap = np.minimum(4 * (self._seen.max(axis=1, keepdims=True) - self._seen), 200)
        if self._steps == self._flaw:
            gap = gap[:, ::-1]
        return gap.astype(np.int16)

    def state(self):
        return {"seen": self._seen.copy(), "steps": np.array(self._steps)}

    def restore(self, state) -> None:
        self._seen, self._steps = state["seen"].copy(), int(state["steps"])

    def observe(self, byte: np.ndarray) -> None:
        self._steps += 1
        self._seen[np.arange(byte.size), byte] += 1


def _text(size: int) -> bytes:
    letters = np.frombuffer(b"abcde\n\x00\xff", np.uint8)
    return np.random.default_rng(size).choice(letters, size).tobytes()


@pytest.mark.parametrize(
    ("size", "n_streams"), [(1, 1), (2, 2), (7, 3), (100, 1), (1000, 7), (999, 64)]
)
def test_comes_back(size: int, n_streams: int):
    text = _text(size)
    assert streams.join(streams.split(text, n_streams), size) == text
    coded = streams.encode(Counting(n_streams), text, n_streams)
    assert streams.decode(Counting(n_streams), coded, size, n_streams) == text


def test_length_is_the_predicted_one():
    text, n_streams = _text(20_001), 8
    predictor, ideal_bits = Counting(n_streams), 0.0
    for byte in streams.split(text, n_streams):
        counts = np.diff(tables.cumulative(predictor.gaps()), axis=-1)
        ideal_bits += float((28 - np.log2(counts[np.arange(n_streams), byte])).sum())
        predictor.observe(byte)
    coded = streams.encode(Counting(n_streams), text, n_streams)
    # What ends a stream costs the 32 bits that its state begins with, and less than 32 more.
    assert ideal_bits / 8 - 8 * n_streams < len(coded.stack) < ideal_bits / 8 + 8 * n_streams + 1


def test_progress_reaches_the_end():
    calls = []

    def run(coding):
        streams.run(coding, lambda done, total: calls.append((done, total)))

    streams.encode(Counting(3), _text(1000), 3, run)
    assert calls[-1] == (334, 334)
    assert calls == sorted(calls)


def test_goes_on_in_another_process():
    text, n_streams = _text(1500), 4
    coded = streams.encode(Counting(n_streams), text, n_streams)
    for stop in (1, 64, 100, 374):
        first = streams.Encoder(Counting(n_streams), text, n_streams)
        first.advance(stop)
        state = first.state()
        first.advance(375)  # what is done after a state does not change it
        second = streams.Encoder(Counting(n_streams), text, n_streams)
        second.restore(state)
        assert second.done == stop
        second.advance(second.steps)
        assert second.finish() == first.finish() == coded
        reading = streams.Decoder(Counting(n_streams), coded, len(text), n_streams)
        reading.advance(stop)
        state = reading.state()
        reading.advance(375)
        going_on = streams.Decoder(Counting(n_streams), coded, len(text), n_streams)
        going_on.restore(state)
        going_on.advance(going_on.steps)
        assert going_on.finish() == reading.finish() == text


@pytest.mark.parametrize("flaw", [1, 17, 300])
def test_another_device_is_noticed(flaw: int):
    text, n_streams = _text(2000), 5
    coded = streams.encode(Counting(n_streams), text, n_streams)
    with pytest.raises(FormatError, match="another kind of device|exhausted"):
        streams.decode(Counting(n_streams, flaw), coded, len(text), n_streams)


def test_damage_never_gives_a_text():
    text, n_streams = _text(600), 3
    coded = streams.encode(Counting(n_streams), text, n_streams)
    random = np.random.default_rng(0)
    for _ in range(30):
        broken = bytearray(coded.stack)
        broken[random.integers(len(broken))] ^= 1 << random.integers(8)
        with pytest.raises(FormatError):
            streams.decode(
                Counting(n_streams),
                coded._replace(stack=bytes(broken)),
                len(text),
                n_streams,
            )
    for cut in (0, 1, 4, 30, len(coded.stack) - 4):
        with pytest.raises(FormatError):
            streams.decode(
                Counting(n_streams),
                coded._replace(stack=coded.stack[:cut]),
                len(text),
                n_streams,
            )


@pytest.mark.parametrize("change", [-1, 1, 1 << 30])
def test_another_length_is_refused(change: int):
    text = _text(300)
    coded = streams.encode(Counting(2), text, 2)
    size = streams.most_bytes(len(coded.stack)) + 1 if change > 1 else 300 + change
    with pytest.raises(FormatError):
        streams.decode(Counting(2), coded, size, 2)


def test_other_checksums_are_refused():
    coded = streams.encode(Counting(2), _text(300), 2)
    for checks in (b"", coded.checks[:-4], bytes(len(coded.checks))):
        with pytest.raises(FormatError):
            streams.decode(Counting(2), coded._replace(checks=checks), 300, 2)
