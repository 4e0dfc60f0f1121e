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
from lgc.distillation.augmentation import NONE, described
from lgc.distillation.preview import picture
from lgc.distillation.search import config
from lgc.distillation.search.panel import Accuracies
from lgc.distillation.search.parts import QUICK_IMAGES
from lgc.distillation.search.results import Alone, Distilled
from lgc.distillation.search.verdict import verdict
from lgc.teachers import teacher_file

_SEARCH_SHARE = 0.8
"""Of a time limit; the rest is for the comparison with common codecs."""
_NEARLY_ALL = 0.9
"""Of a budget; more bytes can then help."""

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
        whole = forms.attach(better.data, form)
        if not to_stdout:
            save(whole)
        if not options.quiet:
            cli.note(
                f"{better.seconds:.0f} s: {len(whole):,} bytes, "
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
            compared = search.compare(
                lambda seconds: limit is not None and time.monotonic() + seconds - began >= limit
            )
            soft, alone = search.soft(), search.teacher_alone()
    except KeyboardInterrupt as stopped:
        if not files or to_stdout:
            raise
        raise KeyboardInterrupt(f"{options.output} holds the best file so far") from stopped
    data = forms.attach(found.data, form)
    if isinstance(options.teacher, int) and alone is None:
        cli.warn(
            f"the time was over before a teacher of {options.teacher} bytes was trained: "
            f"{options.output} has none; give a longer --time-limit"
        )
    if to_stdout:
        save(data)
    contents = distilled_images.read(teacher_file.split(found.data)[0])
    if save_picture is not None:
        save_picture(picture(contents, options.seed))
    stored, augmentation = contents.images, contents.augmentation
    ours, others, missing, held_out = compared
    rarest = int(np.unique(held_out.quick, return_counts=True)[1].min())
    fewer = f"; {len(held_out.convnet):,} for the ConvNet"
    trained = any(each.convnet for each in (ours, *(each.accuracies for each in others)))
    convnet_on = fewer * (trained and len(held_out.convnet) < len(held_out.quick))
    draws = QUICK_IMAGES // len(np.unique(labels))
    drawn_so = "" if augmentation == NONE else f" (decompress --per-class {draws})"
    best = ours if soft is None else ours.best(soft)
    noise = held_out.noise(best)
    remedies = ["more time"] * (limit is not None)
    remedies += ["more bytes"] * (len(data) > _NEARLY_ALL * options.budget_bytes)
    return cli.Result(
        {
            "output": str(options.output),
            "bytes": len(data),
            "budget_bytes": options.budget_bytes,
            "images": len(images),
            "stored_images": len(stored.classes),
            "downsampling_factor": stored.factor,
            "grey_levels": int(stored.levels.size),
            "contrast": stored.contrast,
            "upsampler_width": found.point.width,
            "augmentation": augmentation._asdict(),
            "strategy": found.point.strategy,
            "distillation_steps": found.point.distillation_steps,
            "validation_accuracy": ours._asdict(),
            "soft_validation_accuracy": None if soft is None else soft._asdict(),
            "teacher": None if alone is None else alone._asdict(),
            "first_file_seconds": files[0].seconds,
            "best_file_seconds": found.seconds,
            "elapsed_seconds": time.monotonic() - began,
            "held_out_images": len(held_out.quick),
            "convnet_held_out_images": len(held_out.convnet),
            "noise": noise,
            "compared": [
                {**each._asdict(), "accuracies": each.accuracies._asdict()} for each in others
            ],
            "comparison_missing": list(missing),
            "not_tried": list(search.left_out()),
            "preview": None if options.preview is None else str(options.preview),
        },
        "\n".join(
            [
                f"{options.output}: {len(data):,} of {options.budget_bytes:,} bytes: "
                f"{len(stored.classes):,} of {len(images):,} images, {found.point.description()}",
                f"augmentation (decompress --per-class N draws so): {described(augmentation)}",
                f"mean accuracy over classes on {len(held_out.quick):,} held-out images "
                f"({rarest:,} of the rarest class{convnet_on}), of classifiers trained on",
                f"  such a file of the others{drawn_so}: {ours.text()}",
                *taught(soft, alone),
                *(
                    f"  {each.n_images:,} random images as {each.name}, {each.n_bytes:,} bytes "
                    f"(augmented as well): {each.accuracies.text()}"
                    for each in others
                ),
                verdict(
                    best,
                    others,
                    missing,
                    noise,
                    n_classes=len(np.unique(labels)),
                    left_out=search.left_out(),
                    remedies=remedies,
                ),
            ]
        ),
    )


def taught(soft: Accuracies | None, alone: Alone | None) -> list[str]:
    """What a file's soft labels teach, and its teacher alone, if it has one."""
    if soft is None or alone is None:
        return []
    return [
        f"  with its soft labels (decompress --heavy): {soft.text()}",
        f"  its teacher alone, {alone.n_bytes:,} bytes: {100 * alone.accuracy:.1f} %: whoever only "
        "wants a classifier takes that (lgc.classify)",
    ]
