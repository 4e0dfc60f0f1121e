"""How to compress an image set: every choice, with the report's as defaults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from lgc import archive
from lgc.autoencoders import variants
from lgc.autoencoders.initialisation import INITIALISATIONS, Initialisation
from lgc.gmm import mixture_code
from lgc.gmm.mixture_code import Covariance

Progress = Callable[[str, int, int], None]
"""Called with the stage's name, what is done and what there is to do."""


@dataclass(frozen=True)
class Config:
    """How to compress; the defaults are the report's where it has a choice to follow."""

    variant: variants.Name = "ae"
    hidden: int = 128
    latent: int = 64
    epochs: int = 30
    batch_size: int = 256
    learning_rate: float = 1e-3
    components: int | None = None
    """Gaussians per class; None selects from 1 to `max_components` by `selection`."""
    max_components: int = 10
    selection: Literal["bic", "bytes"] = "bic"
    """BIC counts (log n)/2 nats for each parameter, "bytes" what it takes in this very file."""
    covariance: Covariance = "full"
    bits: archive.Bits = 8
    initialisation: Initialisation = "usual"
    """How the autoencoder begins; "pytorch" as the report's did."""

    def __post_init__(self):
        for name in ("hidden", "latent", "epochs", "batch_size", "max_components"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; use 1 or more")
        if self.variant not in variants.NAMES:
            raise ValueError(f"variant {self.variant!r} is not one of {', '.join(variants.NAMES)}")
        if self.initialisation not in INITIALISATIONS:
            raise ValueError(
                f"initialisation {self.initialisation!r} is not one of {', '.join(INITIALISATIONS)}"
            )
        if self.components is not None and self.components < 1:
            raise ValueError(f"components is {self.components}; use 1 or more, or None to select")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate is {self.learning_rate}; use a number below 1")
        if self.covariance not in mixture_code.COVARIANCES:
            raise ValueError(
                f"covariance {self.covariance!r} is not one of {mixture_code.COVARIANCES}"
            )


def report(progress: Progress | None, stage: str, done: int, total: int) -> None:
    """Call `progress`, if there is one."""
    if progress is not None:
        progress(stage, done, total)
