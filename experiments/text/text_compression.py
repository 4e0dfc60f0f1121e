"""English text as files that decode anywhere: against brotli, PPMd and zpaq; where they decode.

Texts are from the second half of the Wikipedia file, of which nothing chose the model or its prior.
Every file was decoded in a subprocess. The prior is part of the package, not of the files: its
bytes are in a column of their own, and count once.

Cost: cpu: 15 min on 2 cores; gpu: not run; smoke: 1 min.
Data: wiki text (file).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from fewbits.codecs import general_purpose, portability, text
from fewbits.codecs.text import mixed
from fewbits.codecs.text.mixing import prior
from fewbits.io import wikipedia

_SIZES = {"5kB": 5_000, "20kB": 20_000, "200kB": 200_000, "4MB": 4_000_000}
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


def grid(config: Config) -> list[tuple[str, str]]:
    """A row's kind and name: all sizes, then the matrix and the speed of the largest size."""
    conditions = portability.CONDITIONS if config.matrix else ()
    return [
        *(("size", size) for size in config.sizes),
        *(("matrix", condition.name) for condition in conditions),
        *[("speed", config.sizes[-1])] * config.speed,
    ]


def measure(config: Config, trials: list[tuple[str, str]], data: ex.Data) -> list[Any]:
    """Files are written here and decoded in subprocesses."""
    ((kind, name),) = trials
    return [{"size": _size, "matrix": _matrix, "speed": _speed}[kind](config, name, data)]


def recompute(config: Config, row: Any, data: ex.Data) -> float | None:
    """Small texts written again, by us and by the others, where all of them are installed."""
    if not isinstance(row, Size) or row.text_bytes > _QUICK_BYTES:
        return None
    if config.source == "wiki" and len(general_purpose.strongest(b"installed?")) < 3:
        return None
    return _size(config, row.text, data).over_best


def _texts(config: Config, size: int, count: int, data: ex.Data) -> list[bytes]:
    return wikipedia.unseen(config.source, size, count, file=config.file, data_dir=data.data_dir)


def _decoded(paths: list[Path]) -> list[bytes]:
    return [text.decompress(path.read_bytes()) for path in paths]


def _size(config: Config, name: str, data: ex.Data) -> Size:
    texts = _texts(config, _SIZES[name], config.texts[config.sizes.index(name)], data)
    paths = [data.path(f"mixed_{name}_{number}.fwb") for number in range(len(texts))]
    for path, content in zip(paths, texts, strict=True):
        path.write_bytes(text.compress(content))
    if subprocesses.call(_decoded, paths) != texts:
        raise ValueError(f"a text of {name} decodes to another")
    others = [general_purpose.strongest(content) for content in texts]
    brotli, ppmd, zpaq = (
        sum(sizes[one] for sizes in others) if one in others[0] else None
        for one in general_purpose.STRONGEST
    )
    if config.source == "wiki" and None in (brotli, ppmd, zpaq):
        raise ValueError("brotli, pyppmd and zpaq have to be installed")
    total, ours = sum(map(len, texts)), sum(path.stat().st_size for path in paths)
    best = sum(min(sizes.values()) for sizes in others) if others[0] else total
    known = prior.path().stat().st_size
    return Size(name, len(texts), total, ours, brotli, ppmd, zpaq, best, ours / best, known)


def _matrix(config: Config, name: str, data: ex.Data) -> Matrix:
    (condition,) = (one for one in portability.CONDITIONS if one.name == name)
    size = config.matrix_bytes if condition.numba else _WITHOUT_NUMBA
    (content,) = _texts(config, size, 1, data)
    path = data.path(f"matrix_{size}.fwb")
    path.write_bytes(mixed.compress(content, prior=condition.numba))
    folder = data.folder.absolute()
    decoded = portability.decodes(condition, path, content, python=config.python, folder=folder)
    return Matrix(name, float(decoded))


def _speed(config: Config, name: str, data: ex.Data) -> Speed:
    """Both decoders in one run, in CPU seconds."""
    file = data.path(f"mixed_{name}_0.fwb")
    found = json.loads(subprocesses.python("benchmarks.text_decoding", [file], same_device=True))
    return Speed(name, found["mixed"], found["online"], found["mixed"] / found["online"])


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
