"""The integer model: its tables against closed forms, the compiled loops against plain Python."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

from fewbits.codecs import text
from fewbits.codecs.text import mixed
from fewbits.codecs.text.mixing import coder, prior, reference, state, tables
from fewbits.io import wikipedia

MIXTURE = (
    wikipedia.made_up(2000)[:900]
    + np.random.default_rng(0).bytes(60)
    + "中文字符，測試。Größe".encode() * 4
    + b"a,b,12\r\nc,d,345\r\n" * 12
)


def test_squash_is_the_logistic_function():
    logits = (np.arange(4096) - 2048) / 256
    exact = 65536 / (1 + np.exp(-logits))
    assert np.abs(tables.squash() - exact).max() <= 1


def test_stretch_is_the_inverse_of_squash():
    probability = (16 * np.arange(4096) + 8) / 65536
    exact = 256 * np.log(probability / (1 - probability))
    inside = np.abs(exact) < 1500  # further out 16 bits are coarse
    assert np.abs(tables.stretch() - exact)[inside].max() <= 1.5
    assert np.abs(tables.stretch()).max() == 2047


def test_histories_count_bits_and_forget_surprises():
    found = tables.histories()
    number = 0
    for total in range(1, 30):
        number = int(found.following[number, 1])
        assert found.total[number] == total
    assert found.probability[number] > 0.97 * 65536
    after = int(found.following[number, 0])
    assert found.total[after] < 10
    assert found.probability[after] > 32768
    assert int(found.following.max()) < 256


@pytest.mark.parametrize("contexts", [state.FULL, state.FAST])
@pytest.mark.slow
def test_plain_python_decodes_what_compiled_loops_code(contexts: int):
    shape = coder.Shape(contexts, 10, False)
    coded, _ = coder.encode(MIXTURE, shape)
    start = state.plain_start(contexts)
    assert reference.decode(coded, len(MIXTURE), contexts, 10, b"", start) == MIXTURE


def test_plain_python_reads_a_prior_alike():
    known, data = MIXTURE[:300], MIXTURE[200:400]
    start = prior.load().starts[state.FAST]
    model = state.empty(state.FAST, 10, len(known) + len(data), start)
    from fewbits.codecs.text.mixing import kernel

    kernel.prime(np.frombuffer(bytearray(known), np.uint8), model, state.constants())
    out = np.zeros(1000, np.uint8)
    array = np.frombuffer(bytearray(data), np.uint8)
    used = kernel.code(False, array, out, model, state.constants())
    coded = out[:used].tobytes() + int(model.registers[state.HIGH]).to_bytes(4, "big")
    assert reference.decode(coded, len(data), state.FAST, 10, known, start) == data


def test_the_prior_has_the_size_that_the_page_says():
    assert round(len(prior.load().text) / 1000) == 335
    assert round(prior.path().stat().st_size / 1000) == 135


@contextmanager
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    usual = builtins.__import__

    def refuse(name: str, *rest: Any) -> Any:
        if name == "numba":
            raise ImportError(name)
        return usual(name, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", refuse)
        yield


def test_a_file_decodes_without_numba(monkeypatch: pytest.MonkeyPatch):
    data = b"A rose is a rose is a rose. " * 10
    file = mixed.compress(data, prior=False, fast=True)
    with without_numba(monkeypatch):
        assert text.decompress(file) == data
        with pytest.raises(ValueError, match="needs numba"):
            text.compress(data)


@pytest.mark.nightly
def test_plain_python_decodes_5_kilobytes_under_the_prior(monkeypatch: pytest.MonkeyPatch):
    data = wikipedia.made_up(20_000)[:5000]
    file = text.compress(data)
    with without_numba(monkeypatch):
        assert text.decompress(file) == data
