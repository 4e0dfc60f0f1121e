"""`lgc.distill`: the most useful file of an image set within a budget of bytes."""

from __future__ import annotations

import time
import warnings

import jax
import numpy as np
from jaxtyping import Array, Key, Num, Shaped
from numpy.typing import ArrayLike

from fewbits.coding import InputError
from fewbits.io.image_sets import forms
from lgc.arguments import check_config, check_count, is_positive_number, typed_key
from lgc.config import Progress
from lgc.distillation.search.anytime import Search
from lgc.distillation.search.config import DistillConfig
from lgc.distillation.search.results import Distilled, OnBetter
from lgc.images import own_form


def distill(
    images: Num[ArrayLike, "n height width *channels"],
    labels: Shaped[ArrayLike, " n *columns"],
    budget_bytes: int,
    *,
    time_limit: float | None = None,
    config: DistillConfig = DistillConfig(),  # noqa: B008
    key: Key[Array, ""] | None = None,
    on_better: OnBetter | None = None,
    progress: Progress | None = None,
) -> bytes:
    """The most useful file of an image set within a budget of bytes.

    The file holds quantised low-resolution images, perhaps distilled, an upsampler and ranges of
    augmentation (`lgc.distillation`). Resolution, grey levels, augmentation, coreset selection
    strategy and distillation are chosen by a search on a validation part cut from the given images:
    the score is the mean accuracy of three classifiers trained on the file's images (nearest
    neighbour, ridge regression on random features, a small ConvNet), less what the first two lack
    to a lead over random images under a common codec. The first file is there after seconds,
    better ones follow.

    Dataset distillation by kernel ridge regression: Zhou, Nezhadarya and Ba (2022), "Dataset
    distillation using neural feature regression", eq. 5, with a rate constraint added.

    The stored images are training images or resemble them: the file is not private.

    Args:
      images: uint8, or any numbers, which are rounded to 256 levels; sides of 8 pixels or more.
      labels: whole numbers, text, booleans, a column or one-hot, at least two images of each class;
        they come back as they are.
      budget_bytes: the file is no longer than this.
      time_limit: seconds after which the search stops at its next opportunity, and the best file so
        far is returned. None: no limit, and the same key gives the same file on the same machine.
      config: what the search tries.
      key: typed PRNG key; None for `jax.random.key(0)`.
      on_better: called with an `anytime.Distilled` (data, point, accuracies, seconds) for the first
        file and every better one: write it, and an interruption costs nothing.
      progress: called with a stage's name, the work done and the work in all.

    Returns:
      The bytes of a file that `lgc.decompress` and `lgc.stream` read.

    Raises:
      InputError: images or labels that cannot be compressed, or a budget too small for one image of
        each class.

    Warns:
      UserWarning: the time was over before a teacher that was asked for was trained.

    Example:
      >>> import lgc, numpy as np
      >>> images = np.random.default_rng(0).integers(0, 256, (30, 8, 8), dtype=np.uint8)
      >>> labels = np.arange(30) % 3
      >>> data = lgc.distill(images, labels, 300, config=lgc.DistillConfig.quick())
      >>> len(data) <= 300
      True
      >>> lgc.decompress(data, per_class=4).images.shape
      (12, 8, 8)
    """
    levels, numbers, form = own_form(images, labels)

    def tell(better: Distilled) -> None:
        if on_better is not None:
            on_better(better._replace(data=forms.attach(better.data, form)))

    found = search(
        levels, numbers, budget_bytes, config, key, reserve=forms.reserve(form),
        time_limit=time_limit, on_better=tell, progress=progress,
    )  # fmt: skip
    best = found.run()
    if isinstance(config.teacher, int) and not best.point.teacher_width:
        warnings.warn(
            f"the time was over before a teacher of {config.teacher} bytes was trained: the file "
            "has none; give a longer time_limit",
            stacklevel=2,
        )
    return forms.attach(best.data, form)


def search(
    images: np.ndarray,
    labels: np.ndarray,
    budget_bytes: int,
    config: DistillConfig,
    key: jax.Array | None,
    *,
    reserve: int = 0,
    time_limit: float | None = None,
    on_better: OnBetter | None = None,
    progress: Progress | None = None,
) -> Search:
    """The search that `distill` runs; other arguments and errors as of it.

    Args:
      images: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      budget_bytes: of the file.
      config: what the search tries.
      key: typed PRNG key.
      reserve: bytes of the budget that the caller needs.
      time_limit: in seconds.
      on_better: see `distill`.
      progress: see `Progress`.

    Raises:
      InputError: also for a time limit that is not positive.
    """
    check_config(config, DistillConfig)
    if time_limit is not None and not is_positive_number(time_limit):
        raise InputError(f"time_limit is {time_limit!r}; use a positive number of seconds, or None")
    check_count(budget_bytes, "budget_bytes")
    end = None if time_limit is None else time.monotonic() + time_limit

    def stop(seconds: float) -> bool:
        return end is not None and time.monotonic() + seconds >= end

    return Search(
        images, labels, budget_bytes, typed_key(key),
        reserve=reserve, config=config, stop=stop, on_better=on_better, progress=progress,
    )  # fmt: skip
