"""English Wikipedia as plain text: whole articles drawn evenly over the file, others held out.

The file is `wiki.txt.xz` beside the folder of prepared data sets: 5,891 articles, A to H, two blank
lines between them (CC BY-SA 3.0, "English Wikipedia, May 2015"). Head and tail differ in subject,
so a sample is spread over the file, and so are the articles that are held out. Where there is no
such file, the smoke presets and the tests write a text of their own: words of a made-up language.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import random
from pathlib import Path
from typing import Literal, NamedTuple

from fewbits.io.datasets import DataError

Source = Literal["wiki", "made_up"]
NOTES: dict[Source, str] = {
    "wiki": "English Wikipedia, May 2015 (CC BY-SA 3.0), whole articles spread over 101.7 MB",
    "made_up": "made-up words, no natural language",
}
"""What has to be said wherever a number from a text is reported."""
FILE = "wiki.txt.xz"
SIZE = 101_727_961
SHA256 = "8e9955cb1ad25fb2d375cdf48a2fc2ee35f967b56b8e08759ca1d1ee1d8ae25a"
_SEPARATOR = b"\n\n\n"
_HELD_OUT_EVERY = 50
_SEEN_BYTES = 50_000_000
"""The text codec's prior and its numbers come from there."""
_VALIDATION = 3
"""Of every ten articles after them, this one chose constants of the text codec."""
_GOLDEN = 0.6180339887498949


class Sample(NamedTuple):
    """A text to code, and another that it holds nothing of.

    Attributes:
      text: whole articles in the order of the file, at most so many bytes as were asked for.
      held_out: articles spread over the file.
    """

    text: bytes
    held_out: bytes


def load(
    source: Source, size: int, *, held_out: int = 200_000, file: str | None, data_dir: str | None
) -> Sample:
    """A sample of about so many bytes.

    Args:
      source: the Wikipedia file, or made-up words.
      size: the most bytes of text; smaller samples are parts of larger ones.
      held_out: the most bytes held out.
      file: another place of the Wikipedia file.
      data_dir: folder of prepared data sets, beside which `text/wiki.txt.xz` is looked for.

    Raises:
      DataError: no such file, not the one it should be, or one without articles of that size.
    """
    if size < 1:
        raise DataError(f"a text has at least 1 byte, not {size}")
    if source == "made_up":
        whole = made_up(max(20_000, (size + held_out) * 11 // 10 + 2 * _HELD_OUT_EVERY * 1000))
    else:
        whole = _read(_path(file, data_dir))
    articles = [article for article in whole.split(_SEPARATOR) if article]
    # Every fiftieth, for any sample size: what is held out of a large sample is of a small one.
    apart = set(range(_HELD_OUT_EVERY // 2, len(articles), _HELD_OUT_EVERY))
    kept = [article for number, article in enumerate(articles) if number not in apart]
    others = [articles[number] for number in sorted(apart)]
    text, rest = spread(kept, size), spread(others, held_out)
    if not text or not rest:
        raise DataError(f"no article of the text fits into {min(size, held_out):,} bytes")
    return Sample(text, rest)


def articles(file: str | None, data_dir: str | None) -> list[tuple[int, bytes]]:
    """All articles of the Wikipedia file, each with the place of its first byte.

    Args:
      file: another place of the file.
      data_dir: folder of prepared data sets, beside which `text/wiki.txt.xz` is looked for.

    Raises:
      DataError: no such file, or not the one it should be.
    """
    found, at = [], 0
    for article in _read(_path(file, data_dir)).split(_SEPARATOR):
        if article:
            found.append((at, article))
        at += len(article) + len(_SEPARATOR)
    return found


def unseen(
    source: Source, size: int, count: int, *, file: str | None = None, data_dir: str | None = None
) -> list[bytes]:
    """Texts that nothing of `fewbits text` was chosen on, to compare compressors by.

    Args:
      source: articles of the second half of the Wikipedia file, or made-up words.
      size: about so many bytes each; from 1 MB on it is one text of whole articles.
      count: how many texts, spread over the articles.
      file: another place of the Wikipedia file.
      data_dir: folder of prepared data sets, beside which `text/wiki.txt.xz` is looked for.

    Raises:
      DataError: no such file, or not the one it should be.
    """
    if source == "made_up":
        others = [made_up(max(20_000, 2 * size * count))]
    else:
        others = [
            article
            for number, (start, article) in enumerate(articles(file, data_dir))
            if start >= _SEEN_BYTES and number % 10 != _VALIDATION
        ]
    if size >= 1_000_000:
        return [spread(others, size)]
    whole = _SEPARATOR.join(others)
    starts = [whole.index(b"\n", len(whole) * number // count) + 1 for number in range(count)]
    return [whole[start : start + size] for start in starts]


def spread(articles: list[bytes], size: int) -> bytes:
    """Articles drawn evenly, in the order of the file, with at most `size` bytes between them.

    Multiples of the golden ratio fall evenly at every length, so a smaller sample is drawn from
    all over the file too.
    """
    chosen, used = [], 0
    for number in sorted(range(len(articles)), key=lambda n: n * _GOLDEN % 1):
        cost = len(articles[number]) + len(_SEPARATOR)
        if used + cost <= size:
            chosen.append(number)
            used += cost
    return b"".join(articles[number] + _SEPARATOR for number in sorted(chosen))


def made_up(size: int) -> bytes:
    """About so many bytes of articles in a made-up language; the same on every machine."""
    draw = random.Random(0)
    syllables = [a + b for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "an", "er", "us")]
    words = ["".join(draw.choices(syllables, k=draw.randint(1, 4))) for _ in range(800)]
    shares = [1 / (rank + 3) for rank in range(len(words))]
    followers = [draw.choices(words, shares, k=6) for _ in words]
    number_of = {word: number for number, word in enumerate(words)}
    found = bytearray()
    while len(found) < size:
        lines = [draw.choice(words).capitalize(), ""]
        for _ in range(draw.randint(1, 4)):
            word, sentence = draw.choices(words, shares)[0], []
            for _ in range(draw.randint(20, 60)):
                sentence.append(word)
                likely = draw.random() < 0.7
                word = (
                    draw.choice(followers[number_of[word]])
                    if likely
                    else draw.choices(words, shares)[0]
                )
            lines.append(" ".join(sentence).capitalize() + ".")
        found += "\n".join(lines).encode() + _SEPARATOR
    return bytes(found)


def _path(file: str | None, data_dir: str | None) -> Path:
    if file is not None:
        return Path(file)
    prepared = data_dir or os.environ.get("TFDS_DATA_DIR")
    beside = Path(prepared) if prepared else Path("../shared/tfds")
    return beside.parent / "text" / FILE


def _read(path: Path) -> bytes:
    try:
        with lzma.open(path) as file:
            whole = file.read()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}; give the file with --file") from None
    except lzma.LZMAError as error:
        raise DataError(f"{path} is not an intact .xz file: {error}") from None
    if len(whole) == SIZE and hashlib.sha256(whole).hexdigest() != SHA256:
        raise DataError(f"{path} has the right size but other bytes than expected")
    return whole
