"""Greek letters from fonts, unseen when the search was made: `lgc distill` against common codecs.

The public command makes a file of 1,500 images within five minutes. Its images, stored or drawn,
are compared with random ones of the same bytes under xz, PNG, WebP and AVIF, and at low resolution
under xz, as they are or augmented. Choices are made on validation images; the test is read once.

Cost: cpu: 15 min on 2 cores; smoke: 1 min.
Data: greek_letters (embedded).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np

from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from fewbits.io.datasets import Images, split_validation
from lgc import files
from lgc.distillation.augmentation import MILD, augmented_set
from lgc.distillation.search import panel, plain_codecs
from lgc.distillation.search.panel import TrainingSet

DATA = "greek_letters"
CLASSIFIERS = {"nn": panel.neighbour, "ridge": panel.ridge}


@dataclass(frozen=True)
class Config:
    kilobytes: tuple[int, ...] = (3, 12)
    time_limit: str = "5m"
    images: int = 1_500
    validation_images: int = 1_000
    test_images: int = 2_000
    per_class: int = 300


class Row(NamedTuple):
    """Greek letters: test accuracy at equal bytes, %.

    Nearest neighbour and ridge regression on random features. The codec is the best on validation
    images.
    """

    kilobytes: Annotated[int, ex.Key, ex.Column("kB at most")]
    classifier: Annotated[str, ex.Key]
    bytes: Annotated[int, ex.Over(max), ex.Column("bytes", ",.0f")]
    accuracy_percent: Annotated[float, ex.Over(np.mean, "%"), ex.Column("file", ".2f")]
    codec: Annotated[str, ex.Column("best codec")]
    codec_percent: Annotated[float, ex.Over(np.mean, "%"), ex.Column("codec", ".2f")]
    gain_points: Annotated[
        float, ex.Over(np.mean, "points"), ex.Column("gain, points", "+.2f"),
        ex.Claim("lgc.glyphs.{kilobytes}kB.{classifier}.gain_points", 0.5),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]


class First(NamedTuple):
    """Greek letters: seconds until the first valid file."""

    kilobytes: Annotated[int, ex.Key, ex.Column("kB at most")]
    seconds: Annotated[
        float, ex.Over(max, "s"), ex.Column("seconds", ".1f"),
        ex.Claim("lgc.distill.first_file_seconds", 60.0),
    ]  # fmt: skip


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> ex.Measurement:
    """Distil by the public command, and compare."""
    ((kilobytes,),) = trials
    budget = 1000 * kilobytes
    train, validation, test = _parts(config, data)
    source, path = data.path("glyphs.npz"), data.path(f"glyphs_{budget}.lgc")
    np.savez_compressed(source, images=train.pixels, labels=train.labels)
    limited = ["--time-limit", config.time_limit, "--json", "--quiet", "--force"]
    said = json.loads(subprocesses.python(
        "lgc", ["distill", source, path, "--budget-bytes", str(budget), *limited]
    ))  # fmt: skip
    order = np.random.default_rng(0).permutation(len(train.labels))
    theirs = {
        each.name: [each.images, augmented_set(0, *each.images, config.per_class, MILD)]
        for each in plain_codecs.plain_files(train.pixels[order], train.labels[order], budget)
    }
    rows: list[Any] = [First(kilobytes, said["first_file_seconds"])]
    ours = {"lgc": _from_file(config, path)}
    for name in CLASSIFIERS:
        _, mine = _percent(name, ours, validation, test)
        codec, percent = _percent(name, theirs, validation, test)
        size, gain = path.stat().st_size, mine - percent
        rows.append(Row(kilobytes, name, size, mine, codec, percent, gain, path))
    return ex.Measurement(rows, {"distilled": {str(budget): {**said, "output": path.name}}})


def recompute(config: Config, row: Any, data: ex.Data) -> float | None:
    """The gain of the file, decoded again, over the recorded codec; times are not taken again."""
    if isinstance(row, First):
        return None
    ours = {"lgc": _from_file(config, row.file)}
    return _percent(row.classifier, ours, *_parts(config, data)[1:])[1] - row.codec_percent


def _parts(config: Config, data: ex.Data) -> tuple[Images, Images, Images]:
    whole = data.images(DATA, "train").first(config.images + config.validation_images)
    parts = split_validation(whole, config.validation_images)
    return *parts, data.images(DATA, "test").first(config.test_images)


def _from_file(config: Config, path: Path) -> list[TrainingSet]:
    """The stored images, drawn ones and, from a file with a teacher, those with its hard labels."""
    drawn, taught = config.per_class, files.teacher_of(path.read_bytes()) is not None
    uses = [(None, None), (drawn, None), (drawn, "hard")][: 2 + taught]
    return [decoded_sets.from_archive(path, n, 0, by_teacher=teacher) for n, teacher in uses]


def _percent(
    classifier: str, sets: dict[str, list[TrainingSet]], validation: Images, test: Images
) -> tuple[str, float]:
    """The name of the best set on validation images, and its test accuracy in percent."""
    learn = CLASSIFIERS[classifier]
    flat = [(name, each) for name, several in sets.items() for each in several]
    name, best = max(flat, key=lambda named: learn(named[1], *validation[:2]))
    return name, 100 * learn(best, *test[:2])


EXPERIMENT = ex.of_module(
    __name__,
    (Row, First),
    {"cpu": Config(), "smoke": Config((2,), "20s", 150, 100, 100, 20)},
    grid=lambda config: ((each,) for each in config.kilobytes),
    data=DATA,
    headline="lgc.glyphs.12kB.nn.gain_points",
    free=("kilobytes",),
)
