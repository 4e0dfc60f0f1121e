"""What `fewbits lgc compress` does with images once it has read them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax
import numpy as np

import lgc
from fewbits import cli
from fewbits.coding import InputError
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form
from fewbits.io.progress import Bar
from lgc import comparison
from lgc.autoencoders import rate_constrained_compression
from lgc.config import Config
from lgc.groups import grouped, grouped_compression
from lgc.images import check, check_groups

Save = Callable[[bytes], None]

_LEAST_EXPLAINED = 0.25
"""Of a group's pixels, by its background."""


def run(
    options: argparse.Namespace,
    images: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray | None,
    form: Form,
    save: Save,
) -> cli.Result:
    """Compress, save, and compare what such a file teaches with common codecs.

    Args:
      options: of the command line.
      images: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      groups: integers [N], or None.
      form: that the user has images and labels in.
      save: writes the file.
    """
    config = Config(
        components=options.components, bits=options.bits, epochs=options.epochs,
        covariance=options.covariance, selection=options.selection, variant=options.variant,
        teacher_bytes=options.teacher_bytes,
    )  # fmt: skip
    check(images, labels)
    key = jax.random.key(options.seed)
    with Bar(str(options.input), quiet=options.quiet) as progress:

        def make(images: np.ndarray, labels: np.ndarray) -> bytes:
            if options.rate_weight is not None:
                return _jointly(options, images, labels, key, progress)
            return lgc.compress(images, labels, config=config, key=key, progress=progress)

        if groups is None:
            data = make(images, labels)
        else:
            data = _with_groups(images, labels, groups, config, key, progress)
        save(forms.attach(data, form))
        compared = None
        if groups is None:
            if not options.quiet:
                cli.note(f"{options.output} is written; comparing such a file with common codecs")
            try:
                compared = comparison.compare(
                    data, images, labels, seed=options.seed,
                    make=make if len(images) <= comparison.MOST_TWICE else None,
                )  # fmt: skip
            except KeyboardInterrupt as stopped:
                raise KeyboardInterrupt(f"{options.output} is written, not compared") from stopped
            except InputError as error:  # of the second file; the first is good
                cli.warn(f"{options.output} is written, not compared: {error}")
    size = len(forms.attach(data, form))
    bits = 8 * size / len(images)
    said = f"{options.output}: {size:,} bytes for {len(images):,} images of {images.nbytes:,} bytes"
    return cli.Result(
        {
            "output": str(options.output),
            "bytes": size,
            "images": len(images),
            "bits_per_image": bits,
            "raw_bytes": images.nbytes,
            "compared": None if compared is None else compared.values(),
        },
        f"{said} ({bits:.2f} bits per image)"
        + ("" if compared is None else f"\n{compared.text(size)}"),
    )


def _with_groups(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, mixtures: Any, key: Any, bar: Any
) -> bytes:
    """A file whose decoder is told the group of an image."""
    plain = grouped_compression.Config()
    steps = max(1, mixtures.steps(len(images), plain.batch_size))
    config = grouped_compression.Config(steps=steps, mixtures=mixtures)
    _warn_of_mixed_groups(images, labels, groups)
    found = grouped_compression.compress(
        images, labels, groups, config=config, key=key, progress=bar
    )
    return found.data


def _warn_of_mixed_groups(images: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
    checked = check(images, labels)
    names, members = check_groups(groups, checked.classes)
    behind = grouped.backgrounds(checked.pixels, checked.classes, members)
    shares = grouped.shares_explained(checked.pixels, members, behind)
    least, name = shares.min(), names[int(shares.argmin())]
    if least < _LEAST_EXPLAINED:
        cli.warn(
            f"only {least:.0%} of the pixels in group {name} show its typical background: images "
            "of a group should have one background; these will be drawn with their mean"
        )


def _jointly(
    options: argparse.Namespace, images: np.ndarray, labels: np.ndarray, key: Any, bar: Any
) -> bytes:
    """A file whose decoder and mixtures are trained jointly with their rate."""
    plain = rate_constrained_compression.Config()
    config = replace(
        plain,
        steps=max(1, Config(epochs=options.epochs).steps(len(images), plain.batch_size)),
        hyperparameters=plain.hyperparameters._replace(bits_weight=options.rate_weight),
    )
    return rate_constrained_compression.compress(
        images, labels, config=config, key=key, progress=bar
    )
