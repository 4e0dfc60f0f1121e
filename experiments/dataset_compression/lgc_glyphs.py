"""A set that nothing was tuned on: Greek letters from fonts, `lgc distill` against common codecs.

Ten letters in the fonts that matplotlib brings, moved, rotated and blurred, over noise. The public
command makes a file of 1,500 images within five minutes. Its images, as stored or as drawn, are
compared with random images of the same bytes under xz, PNG, WebP and AVIF, and at low resolution
under xz, as they are or augmented. Each choice is made on validation images; test images are
classified once.

Cost: cpu: 15 min on 2 cores; smoke: 1 min.
Data: synthetic.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from experiments.common import decoded_sets
from experiments.runner import experiment as ex
from experiments.runner import subprocesses
from lgc.distillation.augmentation import MILD, augmented_set
from lgc.distillation.search import panel, plain_codecs
from lgc.distillation.search.panel import TrainingSet

_LETTERS = "αβγδεζθλφω"
_FONTS = "fonts/ttf/DejaVuS*[!y].ttf", "fonts/ttf/STIXGeneral*.ttf"
CLASSIFIERS = {"nn": panel.neighbour, "ridge": panel.ridge}


@dataclass(frozen=True)
class Config:
    """One run of the experiment."""

    budgets: tuple[int, ...] = (3_000, 12_000)
    time_limit: str = "5m"
    images: int = 1_500
    validation_images: int = 1_000
    test_images: int = 2_000
    per_class: int = 300
    """Images of each class drawn from a file, or from what a codec gives."""
    seed: int = 28


class Row(NamedTuple):
    """Greek letters: test accuracy at equal bytes, %.

    Nearest neighbour and ridge regression on random features. The codec is the best on validation
    images.
    """

    budget_bytes: Annotated[int, ex.Key, ex.Column("bytes at most")]
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

    @property
    def kilobytes(self) -> int:
        """The budget."""
        return self.budget_bytes // 1000


class First(NamedTuple):
    """Greek letters: seconds until the first valid file."""

    budget_bytes: Annotated[int, ex.Key, ex.Column("bytes at most")]
    seconds: Annotated[
        float, ex.Over(max, "s"), ex.Column("seconds", ".1f"),
        ex.Claim("lgc.distill.first_file_seconds", 60.0),
    ]  # fmt: skip


def glyphs(count: int, seed: int) -> TrainingSet:
    """Images uint8[count, 28, 28, 1] and class numbers."""
    rng = np.random.default_rng(seed)
    folder = Path(matplotlib.get_data_path())
    fonts = sorted(path for pattern in _FONTS for path in folder.glob(pattern))
    labels = np.arange(count) % len(_LETTERS)
    images = np.empty((count, 28, 28, 1), np.uint8)
    for image, label in zip(images, labels.tolist(), strict=True):
        font = ImageFont.truetype(fonts[rng.integers(len(fonts))], int(rng.integers(20, 30)))
        sheet = Image.new("L", (56, 56))
        ink = int(rng.integers(140, 256))
        ImageDraw.Draw(sheet).text((28, 28), _LETTERS[label], ink, font, anchor="mm")
        sheet = sheet.rotate(rng.normal(0, 9), Image.Resampling.BILINEAR)
        sheet = sheet.filter(ImageFilter.GaussianBlur(rng.uniform(0, 0.8)))
        left, top = (14 + rng.integers(-2, 3, 2)).tolist()
        shown = np.asarray(sheet.crop((left, top, left + 28, top + 28)), np.float64)
        image[..., 0] = np.clip(shown + rng.normal(0, 6, shown.shape) + 12, 0, 255)
    return images, labels


def grid(config: Config) -> list[tuple[int]]:
    """A file for each budget."""
    return [(budget,) for budget in config.budgets]


def measure(config: Config, trials: list[tuple[int]], data: ex.Data) -> ex.Measurement:
    """Distil by the public command, and compare."""
    ((budget,),) = trials
    images, labels = glyphs(config.images, config.seed)
    source, path = data.path("glyphs.npz"), data.path(f"glyphs_{budget}.lgc")
    np.savez_compressed(source, images=images, labels=labels)
    limited = ["--time-limit", config.time_limit, "--json", "--quiet", "--force"]
    said = json.loads(subprocesses.python(
        "lgc", ["distill", source, path, "--budget-bytes", str(budget), *limited]
    ))  # fmt: skip
    order = np.random.default_rng(config.seed).permutation(len(labels))
    codecs = plain_codecs.plain_files(images[order], labels[order], budget)
    theirs = {each.name: _either(config, each.images) for each in codecs}
    ours = {"lgc": _from_file(config, path)}
    validation = glyphs(config.validation_images, config.seed + 1)
    test = glyphs(config.test_images, config.seed + 2)
    size = path.stat().st_size
    rows: list[Any] = [First(budget, said["first_file_seconds"])]
    for name in CLASSIFIERS:
        _, mine = _percent(name, ours, validation, test)
        codec, percent = _percent(name, theirs, validation, test)
        rows.append(Row(budget, name, size, mine, codec, percent, mine - percent, path))
    return ex.Measurement(rows, {"distilled": {str(budget): said}})


def recompute(config: Config, row: Any, data: ex.Data) -> float | None:
    """The gain of the file, decoded again, over the recorded codec; times are not taken again."""
    if isinstance(row, First):
        return None
    validation = glyphs(config.validation_images, config.seed + 1)
    test = glyphs(config.test_images, config.seed + 2)
    ours = {"lgc": _from_file(config, row.file)}
    return _percent(row.classifier, ours, validation, test)[1] - row.codec_percent


def _from_file(config: Config, path: Path) -> list[TrainingSet]:
    return [decoded_sets.from_archive(path, count, 0) for count in (None, config.per_class)]


def _either(config: Config, stored: TrainingSet) -> list[TrainingSet]:
    """Images as a codec gives them, and augmented."""
    return [stored, augmented_set(0, *stored, config.per_class, MILD)]


def _percent(
    classifier: str, sets: dict[str, list[TrainingSet]], validation: TrainingSet, test: TrainingSet
) -> tuple[str, float]:
    """The name of the best set on validation images, and its test accuracy in percent."""
    learn = CLASSIFIERS[classifier]
    flat = [(name, each) for name, several in sets.items() for each in several]
    name, best = max(flat, key=lambda named: learn(named[1], *validation))
    return name, 100 * learn(best, *test)


EXPERIMENT = ex.of_module(
    __name__,
    (Row, First),
    {
        "cpu": Config(),
        "smoke": Config((1_500,), "20s", 150, 100, 100, 20),
    },
    data="Greek letters from matplotlib's fonts, see the module",
    headline="lgc.glyphs.12kB.nn.gain_points",
    free=("budgets",),
)
