"""What `fewbits lgc compress` does with groups, and under a rate constraint."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from fewbits import cli
from lgc.autoencoders import rate_constrained_compression
from lgc.config import Config
from lgc.groups import grouped, grouped_compression
from lgc.images import check, check_groups

_LEAST_EXPLAINED = 0.25
"""Of a group's pixels, by its background."""


def with_groups(
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


def jointly(
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
