"""Configuration of `lgc.compress`, with the published settings as defaults."""

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
"""Called with a stage's name, the work done and the work in all."""

_EPOCHS = 30
_LEAST_STEPS = 2_000


@dataclass(frozen=True)
class Config:
    """How `lgc.compress` trains, fits and quantises.

    The defaults are the settings of "Latent Gaussian Compression" (Zhao, Arihara, Tang and
    Webster) where it gives any.

    Attributes:
      variant: of the autoencoder: "ae", "contrastive_ae", "vae", "conditional_vae",
        "contrastive_vae" or "convolutional_vae".
      hidden: units of each hidden layer.
      latent: latent dimensions.
      epochs: passes over the images in training; None for 30 (the published number), or as many as
        make 2,000 optimiser steps.
      batch_size: images of an optimiser step.
      learning_rate: of Adam.
      components: Gaussians per class; None selects from 1 to `max_components` by `selection`.
      max_components: largest number of components that is tried.
      selection: "bic" counts (log n) / 2 nats for each parameter, "bytes" the bits that the
        parameters take in this file.
      covariance: "full", "diagonal", "tied" or "spherical".
      bits: of each stored parameter: 2 to 16 (uniform grid, entropy coded), "float16" or "float32".
      initialisation: "lecun_he" (zero biases) or "pytorch", PyTorch's default, which the published
        autoencoders had.
      teacher_bytes: about so many bytes for a small classifier in the file, which gives soft labels
        to all images drawn from it; 0 for none.
      teacher_steps: optimiser steps of its training.
    """

    variant: variants.Name = "ae"
    hidden: int = 128
    latent: int = 64
    epochs: int | None = None
    batch_size: int = 256
    learning_rate: float = 1e-3
    components: int | None = None
    max_components: int = 10
    selection: Literal["bic", "bytes"] = "bic"
    covariance: Covariance = "full"
    bits: archive.Bits = 8
    initialisation: Initialisation = "lecun_he"
    teacher_bytes: int = 0
    teacher_steps: int = 4_000

    def __post_init__(self):
        for name in ("hidden", "latent", "epochs", "batch_size", "max_components"):
            value = getattr(self, name)
            if (type(value) is not int or value < 1) and (name, value) != ("epochs", None):
                raise ValueError(f"{name} is {value}; use a whole number, 1 or more")
        for name in ("teacher_bytes", "teacher_steps"):
            value = getattr(self, name)
            if type(value) is not int or value < 0:
                raise ValueError(f"{name} is {value}; use a whole number, 0 or more")
        if self.selection not in ("bic", "bytes"):
            raise ValueError(f"selection {self.selection!r} is neither 'bic' nor 'bytes'")
        if self.bits not in ("float16", "float32", *range(2, 17)):
            raise ValueError(f"bits is {self.bits}; use 2 to 16, 'float16' or 'float32'")
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

    def steps(self, count: int, batch_size: int | None = None) -> int:
        """Optimiser steps of a training on `count` images."""
        each = count // min(batch_size or self.batch_size, count)
        if self.epochs is None:
            return max(_EPOCHS * each, _LEAST_STEPS)
        return self.epochs * each


def report(progress: Progress | None, stage: str, done: int, total: int) -> None:
    """Call `progress`, if there is one."""
    if progress is not None:
        progress(stage, done, total)
