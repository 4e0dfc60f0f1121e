"""English text as files that decode anywhere: against brotli, PPMd and zpaq; where they decode.

Texts are from the second half of the Wikipedia file, of which nothing chose the model or its prior.
Every file was decoded in a subprocess. The prior is part of the package, not of the files: its
bytes are in a column of their own, and count once.

Cost: cpu: 15 min on 2 cores; gpu: not run; smoke: 1 min.
Data: wiki text (file).
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from experiments.text import decode_matrix
from fewbits.codecs import general_purpose
from fewbits.codecs.text import archive, mixed
from fewbits.codecs.text.mixing import prior
from fewbits.io import wikipedia

FIRST_BYTES = 50_000_000
"""Of the Wikipedia file: the prior and its numbers come from there."""
_VALIDATION = 3
"""Of every ten articles after them, this one chose constants of the model; the others are here."""
_SIZES = {"5kB": 5_000, "20kB": 20_000, "200kB": 200_000, "4MB": 4_000_000}
_OLD_BYTES = 32_768
_WITHOUT_NUMBA = 2_000
_QUICK_BYTES = 200_000
"""Larger texts are not coded again to verify a claim."""


@dataclass(frozen=True)
class Config:
    sizes: tuple[str, ...] = ("5kB", "20kB", "200kB", "4MB")
    texts: tuple[int, ...] = (20, 10, 3, 1)
    """How many of each size, spread over the articles."""
    matrix_bytes: int = 50_000
    matrix: bool = True
    speed: bool = True
    source: wikipedia.Source = "wiki"
    file: str | None = None
    """The Wikipedia file, if it is not beside the folder of data sets."""
    python: str = "python3.12"
    """Another version of Python, for the matrix."""


class Trial(NamedTuple):
    """A row, or one of each kind."""

    kind: str
    """`size`, `matrix` or `speed`."""
    name: str


class Size(NamedTuple):
    """Bytes of the files of several texts of one size, and of the best compressor for each."""

    text: Annotated[str, ex.Key]
    texts: int
    text_bytes: Annotated[int, ex.Column("bytes of all texts", ",")]
    file_bytes: Annotated[int, ex.Column("our files", ",")]
    brotli_bytes: Annotated[int | None, ex.Column("brotli -q 11", ",")]
    ppmd_bytes: Annotated[int | None, ex.Column("PPMd, best order", ",")]
    zpaq_bytes: Annotated[int | None, ex.Column("zpaq -m5", ",")]
    best_bytes: Annotated[int, ex.Column("best of the three for each text", ",")]
    over_best: Annotated[
        float, ex.Over(np.mean), ex.Column("our files over the best", ".3f"),
        ex.Claim("text.{text}.over_best"),
    ]  # fmt: skip
    prior_bytes: Annotated[int, ex.Column("prior in the package", ",")]


class Matrix(NamedTuple):
    """Where a file of 50 kB that was made here decodes to the same bytes."""

    condition: Annotated[str, ex.Key]
    decoded: Annotated[
        float, ex.Over(np.mean), ex.Column("decodes", ".0f"), ex.Claim("text.decode_matrix.share")
    ]


class Speed(NamedTuple):
    """Decoding, CPU seconds in one run: this coder and the transformer that learns online."""

    text: Annotated[str, ex.Key]
    decode_speed: Annotated[float, ex.Column("decoded, bytes/s", ",.0f")]
    online_speed: Annotated[float, ex.Column("transformer, bytes/s", ",.0f")]
    speedup: Annotated[
        float, ex.Over(np.mean), ex.Column("faster", ".1f"), ex.Claim("text.decode_speedup")
    ]


def grid(config: Config) -> list[Trial]:
    """Small sizes, the matrix, the largest size and its speed."""
    trials = [Trial("size", size) for size in config.sizes[:-1]]
    if config.matrix:
        trials += [Trial("matrix", one.name) for one in decode_matrix.CONDITIONS]
    trials.append(Trial("size", config.sizes[-1]))
    return trials + [Trial("speed", config.sizes[-1])] * config.speed


def measure(config: Config, trials: list[Trial], data: ex.Data) -> list[Any]:
    """Files are written here and decoded in subprocesses."""
    ((kind, name),) = trials
    if kind == "size":
        count = config.texts[config.sizes.index(name)]
        rows = [_sizes(name, texts(config, data, _SIZES[name], count), data)]
        if config.source == "wiki" and None in rows[0]:
            raise ValueError("brotli, pyppmd and zpaq have to be installed")
        return rows
    if kind == "speed":
        return [_speed(name, config, data)]
    (condition,) = (one for one in decode_matrix.CONDITIONS if one.name == name)
    size = config.matrix_bytes if condition.numba else _WITHOUT_NUMBA
    (text,) = texts(config, data, size, 1)
    path = data.path(f"matrix_{size}.fwb")
    path.write_bytes(mixed.compress(text, prior=condition.numba))
    decoded = decode_matrix.decodes(
        condition, path, text, python=config.python, folder=data.folder.absolute()
    )
    return [Matrix(name, float(decoded))]


def recompute(config: Config, row: Any, data: ex.Data) -> float | None:
    """Small texts written again, by us and by the others, where all of them are installed."""
    if not isinstance(row, Size) or row.text_bytes > _QUICK_BYTES:
        return None
    if config.source == "wiki" and len(general_purpose.strongest(b"installed?")) < 3:
        return None
    return measure(config, [Trial("size", row.text)], data)[0].over_best


def texts(config: Config, data: ex.Data, size: int, count: int) -> list[bytes]:
    """So many texts of about `size` bytes, spread over the articles that nothing was chosen on."""
    if config.source == "made_up":
        whole = wikipedia.made_up(max(20_000, 2 * size * count))
        articles = [whole]
    else:
        articles = [
            article
            for number, (start, article) in enumerate(
                wikipedia.articles(config.file, data.data_dir)
            )
            if start >= FIRST_BYTES and number % 10 != _VALIDATION
        ]
    if size >= 1_000_000:
        return [wikipedia.spread(articles, size)]
    whole = b"\n\n\n".join(articles)
    found = []
    for number in range(count):
        start = whole.index(b"\n", len(whole) * number // count) + 1
        found.append(whole[start : start + size])
    return found


def decode(paths: list[Path]) -> list[tuple[str, float]]:
    """SHA-256 of the texts of files, and CPU seconds of each."""
    found = []
    for path in paths:
        began = time.process_time()
        text = archive.decompress(path.read_bytes())
        seconds = time.process_time() - began
        found.append((hashlib.sha256(text).hexdigest(), seconds))
    return found


def _sizes(name: str, of: list[bytes], data: ex.Data) -> Size:
    paths = [data.path(f"mixed_{name}_{number}.fwb") for number in range(len(of))]
    for path, text in zip(paths, of, strict=True):
        path.write_bytes(mixed.compress(text))
    decoded = subprocesses.call(decode, paths)
    for path, text, (digest, _) in zip(paths, of, decoded, strict=True):
        if digest != hashlib.sha256(text).hexdigest():
            raise ValueError(f"{path} decodes to another text")
    if len(of) == 1:
        data.cached(f"seconds_{name}", lambda: decoded[0][1])
    others = [general_purpose.strongest(text) for text in of]
    best = sum(
        min(sizes.values(), default=len(text)) for sizes, text in zip(others, of, strict=True)
    )
    ours = sum(path.stat().st_size for path in paths)
    brotli, ppmd, zpaq = (
        sum(sizes[one] for sizes in others) if one in others[0] else None
        for one in general_purpose.STRONGEST
    )
    known = prior.path().stat().st_size
    total = sum(map(len, of))
    return Size(name, len(of), total, ours, brotli, ppmd, zpaq, best, ours / best, known)


def _speed(name: str, config: Config, data: ex.Data) -> Speed:
    """Both in one run, in CPU seconds, the transformer without its compilation."""
    (text,) = texts(config, data, _SIZES[name], 1)
    online = subprocesses.call(online_speed, text[:_OLD_BYTES], same_device=True)
    speed = len(text) / data.cached(f"seconds_{name}", lambda: _decode_seconds(name, data))
    return Speed(name, speed, online, speed / online)


def _decode_seconds(name: str, data: ex.Data) -> float:
    ((_, seconds),) = subprocesses.call(decode, [data.path(f"mixed_{name}_0.fwb")])
    return seconds


def online_speed(text: bytes) -> float:
    """Bytes that the online transformer decodes in a CPU second, with as many streams as at 4 MB.

    Its steps cost the same whatever the length, so a part of the text measures all of it.
    """
    from fewbits.codecs.text import header, online, streams

    learning = online.Learning(bytes_per_stream=len(text) // online.Learning().streams)
    data = online.compress(text, online.OnlineConfig(learning=learning))
    ticks: list[tuple[float, int]] = []

    def tell(done: int, total: int) -> None:
        ticks.append((time.process_time(), done))

    described, coded, _ = header.read(data)
    decoded = online.decompress(
        described, coded, run=lambda coding: streams.run(coding, progress=tell)
    )
    if decoded != text:
        raise ValueError("the transformer decodes to another text")
    # The first steps are those that compile.
    (began, first), (ended, last) = ticks[0], ticks[-1]
    return (last - first) * described.n_streams / (ended - began)


EXPERIMENT = ex.of_module(
    __name__,
    (Size, Matrix, Speed),
    {
        "paper": Config(),
        "smoke": Config(
            sizes=("5kB", "20kB"), texts=(2, 1), matrix=False, speed=False, source="made_up"
        ),
    },
    data=lambda config: wikipedia.NOTES[config.source],
    headline="text.4MB.over_best",
)
