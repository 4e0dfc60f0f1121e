"""What `fewbits lgc distill` does with images once it has read them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import jax
import numpy as np

from fewbits import cli
from fewbits.io.image_sets import forms
from fewbits.io.image_sets.forms import Form
from fewbits.io.progress import Bar
from lgc.distillation import _distill, distilled_images
from lgc.distillation.preview import picture
from lgc.distillation.search import config
from lgc.distillation.search.panel import NAMES, Accuracies
from lgc.distillation.search.results import Alone, Compared, Distilled
from lgc.teachers import teacher_file

_SEARCH_SHARE = 0.8
"""Of a time limit; the rest is for the comparison with common codecs."""

Save = Callable[[bytes], None]


def run(
    options: argparse.Namespace,
    images: np.ndarray,
    labels: np.ndarray,
    form: Form,
    save: Save,
    save_picture: Save | None,
) -> cli.Result:
    """Search, saving every better file, then compare the last with common codecs.

    Args:
      options: of the command line.
      images: uint8[N, H, W] or [N, H, W, C].
      labels: integers [N].
      form: that the user has them in.
      save: writes the file.
      save_picture: writes the preview, where one is asked for.
    """
    files: list[Distilled] = []
    to_stdout = str(options.output) == "-"

    def keep(better: Distilled) -> None:
        files.append(better)
        if not to_stdout:
            save(forms.attach(better.data, form))
        if not options.quiet:
            cli.note(
                f"{better.seconds:.0f} s: {len(better.data):,} bytes, "
                f"{better.point.description()}; held-out: {better.accuracies.text()}"
            )

    limit, began = options.time_limit, time.monotonic()
    try:
        with Bar(str(options.input), quiet=options.quiet) as progress:
            search = _distill.search(
                images, labels, options.budget_bytes,
                config.DistillConfig(teacher=options.teacher),
                jax.random.key(options.seed), reserve=forms.reserve(form),
                time_limit=None if limit is None else _SEARCH_SHARE * limit,
                on_better=keep, progress=progress,
            )  # fmt: skip
            found = search.run()
            progress("comparing with common codecs", 0, 1)
            ours, others, complete = search.compare(
                lambda seconds: limit is not None and time.monotonic() + seconds - began >= limit
            )
            soft, alone = search.soft(), search.teacher_alone()
    except KeyboardInterrupt as stopped:
        if not files or to_stdout:
            raise
        raise KeyboardInterrupt(f"{options.output} holds the best file so far") from stopped
    data = forms.attach(found.data, form)
    if to_stdout:
        save(data)
    contents = distilled_images.read(teacher_file.split(found.data)[0])
    if save_picture is not None:
        save_picture(picture(contents, options.seed))
    stored, augmentation = contents.images, contents.augmentation._asdict()
    ranges = ", ".join(f"{name} {value}" for name, value in augmentation.items() if value)
    return cli.Result(
        {
            "output": str(options.output),
            "bytes": len(data),
            "budget_bytes": options.budget_bytes,
            "images": len(images),
            "stored_images": len(stored.classes),
            "downsampling_factor": stored.factor,
            "grey_levels": int(stored.levels.size),
            "upsampler_width": found.point.width,
            "augmentation": augmentation,
            "strategy": found.point.strategy,
            "distillation_steps": found.point.distillation_steps,
            "validation_accuracy": ours._asdict(),
            "soft_validation_accuracy": None if soft is None else soft._asdict(),
            "teacher": None if alone is None else alone._asdict(),
            "first_file_seconds": files[0].seconds,
            "seconds": found.seconds,
            "compared": [
                {**each._asdict(), "accuracies": each.accuracies._asdict()} for each in others
            ],
            "comparison_complete": complete,
            "preview": None if options.preview is None else str(options.preview),
        },
        "\n".join(
            [
                f"{options.output}: {len(data):,} of {options.budget_bytes:,} bytes: "
                f"{len(stored.classes):,} of {len(images):,} images, {found.point.description()}",
                f"augmentation (decompress --per-class N draws so): {ranges or 'none'}",
                "accuracy on held-out images of classifiers trained on it:",
                f"  this file: {ours.text()}",
                *taught(soft, alone, options.teacher),
                *(
                    f"  {each.n_images:,} random images as {each.name}, {each.n_bytes:,} bytes: "
                    f"{each.accuracies.text()}"
                    for each in others
                ),
                verdict(ours if soft is None else ours.best(soft), others, complete),
            ]
        ),
    )


def taught(soft: Accuracies | None, alone: Alone | None, asked: int | str) -> list[str]:
    """What a file's soft labels teach, and its teacher alone; or that there was no time for it."""
    if soft is None or alone is None:
        missing = f"  without the teacher of {asked} bytes: the time was over; allow more"
        return [missing] if isinstance(asked, int) else []
    return [
        f"  with its soft labels (decompress --heavy): {soft.text()}",
        f"  its teacher alone, {alone.n_bytes:,} bytes: {100 * alone.accuracy:.1f} %: whoever only "
        "wants a classifier takes that (lgc.classify)",
    ]


def verdict(ours: Accuracies, others: list[Compared], complete: bool = True) -> str:
    """Whether the file teaches more than what the user would have done instead.

    Args:
      ours: of the file.
      others: of common codecs, best first.
      complete: whether there was time for all of them.
    """
    if not others:
        none_fits = "no common codec fits an image of each class into these bytes"
        return none_fits if complete else "no codec was compared: the time was over; allow more"
    left_out = "" if complete else "\nnot every classifier was compared: the time was over"
    best = others[0]
    if best.accuracies.convnet is None:
        ours = ours._replace(convnet=None)
    points = 100 * (ours.mean() - best.accuracies.mean())
    if points >= 0:
        said = f"the file is {points:.1f} points above the best of them ({best.name}), on average"
        return said + _better_for_some(ours, others) + left_out
    return (
        f"{best.name} is {-points:.1f} points better than this file, on average: use that, or "
        f"give the search more time or bytes{left_out}"
    )


def _better_for_some(ours: Accuracies, others: list[Compared]) -> str:
    """For which classifiers a codec is better all the same, by a point or more."""
    said = ""
    for field, name in zip(Accuracies._fields, NAMES, strict=True):
        own, known = getattr(ours, field), []
        for each in others:
            theirs = getattr(each.accuracies, field)
            known += [] if theirs is None else [(theirs, each.name)]
        if own is not None and known and max(known)[0] >= own + 0.01:
            theirs, codec = max(known)
            said += f"\nbut for {name} {codec} is {100 * (theirs - own):.1f} points better"
    return said
