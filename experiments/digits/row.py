"""What the methods of the main job are given and what they give back."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from matplotlib.figure import Figure

from experiments.runner import experiment as ex
from experiments.runner import plots
from fewbits.io.datasets import Images
from fewbits.training.downstream import ClassifierConfig


@dataclass(frozen=True)
class Config:
    """One run of the main job."""

    seeds: tuple[int, ...] = (0,)
    quick: bool = False
    """Train a tenth as long: to see that everything works, not what it reaches."""


class Row(NamedTuple):
    """Every method once, on scikit-learn's handwritten digits.

    Every size is that of a file on disk that a subprocess has decoded; accuracy is on the test
    images.
    """

    method: Annotated[str, ex.Key]
    seed: int
    bytes: Annotated[int, ex.Column("bytes on disk", ",.0f")]
    bits_per_image: Annotated[float, ex.Column(format=".1f")]
    accuracy_percent: Annotated[float, ex.MeanOverSeeds("%"), ex.Column("accuracy, %", ".1f")]
    baseline_percent: Annotated[
        float | None, ex.MeanOverSeeds("%"), ex.Column("baseline, %", ".1f")
    ]
    """What the plain way reaches with as many bytes; None for a baseline itself."""
    baseline: Annotated[str, ex.Column("baseline is")]
    gain_points: Annotated[
        float | None, ex.MeanOverSeeds("points"), ex.Column(shown=False),
        ex.Claim("pruning.digits.main_job.gain_points", tolerance=0.05,
                 when=lambda row: row.baseline_file is not None),
    ]  # fmt: skip
    file: Annotated[Path, ex.Artifact]
    baseline_file: Annotated[Path | None, ex.Artifact] = None


class Picture(NamedTuple):
    """A figure of `report.html`, with what it shows."""

    caption: str
    image: str
    """A `data:` address."""


class Job(NamedTuple):
    """What all methods are given."""

    data: ex.Data
    train: Images
    test: Images
    seed: int
    effort: float
    """Share of the normal number of training steps."""

    def path(self, name: str) -> Path:
        """Of a file of this seed."""
        return self.data.path(f"digits_{self.seed}_{name}")

    @property
    def side(self) -> tuple[int, ...]:
        """Rows and columns of an image."""
        return self.train.pixels.shape[1:3]

    @property
    def classifier(self) -> ClassifierConfig:
        """What learns from decoded images."""
        return ClassifierConfig(
            steps=max(50, round(3_000 * self.effort)), batch_size=64, learning_rate=2e-3
        )

    def row(
        self, method: str, path: Path, percent: float, baseline_percent: float | None = None,
        baseline: str = "",
    ) -> Row:  # fmt: skip
        """A row of the table; bits are those of the file over the training images."""
        size = path.stat().st_size
        bits = 8 * size / len(self.train.labels)
        gain = None if baseline_percent is None else percent - baseline_percent
        return Row(method, self.seed, size, bits, percent, baseline_percent, baseline, gain, path)


def picture(caption: str, figure: Figure) -> Picture:
    """A figure for `report.html`."""
    return Picture(caption, plots.data_uri(figure))
