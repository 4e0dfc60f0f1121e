"""Samples of the text: whole articles, spread, nested, with none of what is held out."""

from __future__ import annotations

import lzma
import re
from pathlib import Path

import pytest

from fewbits.io import wikipedia
from fewbits.io.datasets import DataError

WIKI = Path(__file__).resolve().parents[3] / "shared" / "text" / wikipedia.FILE


def _articles(text: bytes) -> list[bytes]:
    return text.split(b"\n\n\n")[:-1]


@pytest.fixture
def file(tmp_path: Path) -> str:
    """300 articles that say their own number."""
    articles = [f"Title {n}\n\nText of article {n}.".encode() * (1 + n % 3) for n in range(300)]
    path = tmp_path / "text.xz"
    path.write_bytes(lzma.compress(b"\n\n\n".join(articles)))
    return str(path)


def test_whole_articles_in_order_and_spread(file: str):
    sample = wikipedia.load("wiki", 3000, held_out=200, file=file, data_dir=None)
    assert 2800 < len(sample.text) <= 3000
    numbers = [int(a.split(b"\n")[0].split()[1]) for a in _articles(sample.text)]
    assert numbers == sorted(numbers)
    assert min(numbers) < 30
    assert max(numbers) > 270
    assert max(b - a for a, b in zip(numbers, numbers[1:], strict=False)) < 30


def test_larger_samples_hold_smaller_ones_and_nothing_held_out(file: str):
    small = wikipedia.load("wiki", 2000, held_out=200, file=file, data_dir=None)
    large = wikipedia.load("wiki", 10**6, held_out=200, file=file, data_dir=None)
    assert set(_articles(small.text)) <= set(_articles(large.text))
    assert small.held_out == large.held_out
    assert not set(_articles(large.held_out)) & set(_articles(large.text))


def test_mistakes_are_named(file: str, tmp_path: Path):
    with pytest.raises(DataError, match="nowhere"):
        wikipedia.load("wiki", 100, file=str(tmp_path / "nowhere"), data_dir=None)
    (tmp_path / "bad").write_bytes(b"no xz")
    with pytest.raises(DataError, match="not an intact"):
        wikipedia.load("wiki", 100, file=str(tmp_path / "bad"), data_dir=None)
    for size in (0, 5):
        with pytest.raises(DataError, match=str(size)):
            wikipedia.load("wiki", size, file=file, data_dir=None)


def test_made_up_text_stays_the_same():
    sample = wikipedia.load("made_up", 20_000, held_out=2_000, file=None, data_dir=None)
    assert len(sample.text) > 18_000
    again = wikipedia.load("made_up", 20_000, held_out=2_000, file=None, data_dir=None)
    assert again == sample
    # Words that repeat, and not much else.
    assert 0.1 < len(lzma.compress(sample.text)) / len(sample.text) < 0.5


@pytest.mark.data
@pytest.mark.skipif(not WIKI.is_file(), reason="the Wikipedia text is not here")
def test_the_wikipedia_text_is_the_expected_one():
    sample = wikipedia.load("wiki", 1_000_000, file=str(WIKI), data_dir=None)
    assert 995_000 < len(sample.text) <= 1_000_000
    assert len(_articles(sample.text)) > 30


def test_unseen_texts_are_of_the_second_half_and_of_no_validation_article(file, monkeypatch):
    starts = [start for start, _ in wikipedia.articles(file, None)]
    monkeypatch.setattr(wikipedia, "_SEEN_BYTES", starts[150])
    texts = wikipedia.unseen("wiki", 200, 4, file=file)
    assert [len(text) for text in texts] == [200] * 4
    numbers = {int(n) for text in texts for n in re.findall(rb"article (\d+)\.\w*\n", text)}
    assert len(numbers) > 8
    assert min(numbers) >= 150
    assert not any(number % 10 == wikipedia._VALIDATION for number in numbers)
    assert len(set(wikipedia.unseen("made_up", 500, 3))) == 3
