"""`fewbits lgc`: compress, distil and decompress a labelled image set."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli
from fewbits import flags as common_flags
from fewbits.coding import InputError
from fewbits.io import inputs, outputs
from fewbits.io.image_sets import folders, forms
from fewbits.io.progress import Bar
from lgc import flags

_RECORDED = ("variant", "components", "selection", "covariance", "bits", "teacher_bytes")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m lgc"), arguments)


def _compress(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.output, inputs=[options.input], force=options.force)
    if options.rate_weight is not None:
        _refuse(options, "--rate-weight", *_RECORDED)
    if options.components is not None:
        _refuse(options, "a fixed number of --components", "selection")
    images, labels, form, groups = _read(options)
    if groups is not None:
        _refuse(options, "an array 'groups'", "variant", "rate_weight", "teacher_bytes")
    from lgc import compress_command

    return compress_command.run(options, images, labels, groups, form, save)


def _distill(options: argparse.Namespace) -> cli.Result:
    save = outputs.saver(options.output, inputs=[options.input], force=options.force)
    save_picture = None
    if options.preview is not None:
        taken = (options.input, options.output)
        if any(os.path.realpath(options.preview) == os.path.realpath(path) for path in taken):
            raise InputError(f"--preview {options.preview} is also IN or OUT; name another file")
        save_picture = outputs.saver(options.preview, inputs=taken, force=options.force)
    images, labels, form, groups = _read(options)
    if groups is not None:
        raise InputError("distill uses no groups; save IN.npz without the array 'groups'")
    from lgc import distill_command
    from lgc.distillation import distilled_file

    distilled_file.check(images, labels)
    return distill_command.run(options, images, labels, form, save, save_picture)


def _decompress(options: argparse.Namespace) -> cli.Result:
    if options.per_class is not None and not 1 <= options.per_class <= 10_000_000:
        raise InputError(f"--per-class {options.per_class}; use 1 to 10,000,000")
    if options.heavy and options.per_class is None:
        raise InputError("--heavy needs --per-class N, the number of images of each class")
    named_so = isinstance(options.output, common_flags.FolderPath)
    to_folder = options.folder or named_so or options.output.is_dir()
    if to_folder and outputs.is_stream(options.output):
        raise InputError("--folder needs the name of a folder, not -")
    opened = outputs.open_output_folder if to_folder else outputs.open_output
    with opened(options.output, inputs=[options.input], force=options.force) as place:
        data = inputs.read_file(options.input)
        import lgc
        from lgc import files

        if (options.heavy or options.temperature != 1) and files.teacher_of(data) is None:
            raise InputError(
                f"{options.input} holds no teacher, which --heavy and --temperature need; make one "
                "with --teacher BYTES"
            )
        with Bar(str(options.input), quiet=options.quiet):
            drawn = lgc.decompress(
                data, per_class=options.per_class, seed=options.seed, heavy=options.heavy,
                temperature=options.temperature,
            )  # fmt: skip
            images, labels, soft_labels = drawn
            groups = files.groups_of(data, per_class=options.per_class)
            if isinstance(place, Path):
                form = forms.of_file(data)
                folders.write(place, forms.as_pictures(images, form), forms.in_words(labels, form))
            else:
                arrays: dict[str, Any] = {"images": images, "labels": labels}
                if groups is not None:
                    arrays["groups"] = groups
                if soft_labels is not None:
                    arrays["soft_labels"] = soft_labels
                np.savez_compressed(place, **arrays)
    said = ""
    if options.per_class is None and files.is_augmented(data):
        said = ", as stored; --per-class N draws augmented ones, which usually teach more"
    return cli.Result(
        {"output": str(options.output), "images": len(images), "shape": list(images.shape[1:])},
        f"{options.output}: {len(images):,} images of shape {images.shape[1:]}{said}",
    )


def _inspect(options: argparse.Namespace) -> cli.Result:
    data = inputs.read_file(options.input)
    from fewbits.coding import account
    from lgc import files

    summary: dict[str, Any] = {"bytes": len(data), **files.summary(data)}
    summary["account"] = {row.part: row.size_bytes for row in account(data)}
    lines = [f"{name:20} {value}" for name, value in summary.items() if name != "account"]
    lines += [f"  {bytes_:>9,}  {part}" for part, bytes_ in summary["account"].items()]
    return cli.Result(summary, "\n".join(lines))


def _refuse(options: argparse.Namespace, with_what: str, *names: str) -> None:
    """Options that would have no effect are errors."""
    for name in names:
        if name in options.given:
            flag = name.replace("_bytes", "").replace("_", "-")
            raise InputError(f"--{flag} has no effect with {with_what}; drop it")


def _read(
    options: argparse.Namespace,
) -> tuple[np.ndarray, np.ndarray, Any, np.ndarray | None]:
    """Images uint8 (N, H, W, C), class numbers, the form that the user has them in, and groups."""
    from fewbits.io.image_sets.labelled import read_labelled

    found = read_labelled(
        options.input, images=options.images, labels=options.labels, layout=options.layout,
        size=options.size,
    )  # fmt: skip
    from lgc.images import check_counts

    check_counts(found.labels, found.form)
    if not found.is_exact():
        form = found.form
        cli.warn(
            f"{options.input}: images of {form.dtype} are rounded to 256 levels, "
            f"{form.low:g} to {form.high:g}"
        )
    return found.levels(), found.labels, found.form, found.groups


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog)
    verbs = whole.add_subparsers()

    def verb(name: str, run: Any, purpose: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run, given=frozenset())
        return command

    compress = verb(
        "compress", _compress, "write a labelled image set as a decoder and Gaussian mixtures"
    )
    compress.add_argument(
        "input", type=Path, metavar="IN",
        help=f"{common_flags.SET_HELP}. An .npz may hold groups (N,) as well, such as the kind of "
        "background: decompress --per-class draws all groups equally often",
    )  # fmt: skip
    common_flags.add_output(compress, "output", metavar="OUT", help="the file to write")
    common_flags.add_image_set(compress)
    compress.add_argument(
        "--variant",
        choices=(
            "ae", "contrastive_ae", "vae", "conditional_vae", "contrastive_vae", "convolutional_vae"
        ),
        default="ae", action=flags.Recorded, help="of the autoencoder",
    )  # fmt: skip
    compress.add_argument(
        "--epochs",
        type=flags.epochs,
        metavar="E",
        help="of training (default: 30, or more where these are fewer than 2,000 steps)",
    )
    compress.add_argument(
        "--components", type=flags.components, default="auto", metavar="auto|K",
        action=flags.Recorded, help="Gaussians per class",
    )  # fmt: skip
    compress.add_argument(
        "--selection", choices=("bic", "bytes"), default="bic", action=flags.Recorded,
        help="criterion for the number of components: BIC, or the bits of this file",
    )  # fmt: skip
    compress.add_argument(
        "--covariance", choices=("full", "diagonal", "tied", "spherical"), default="full",
        action=flags.Recorded, help="of the Gaussians",
    )  # fmt: skip
    compress.add_argument(
        "--bits", type=flags.bits, default=8, metavar="B", action=flags.Recorded,
        help="of each stored parameter: 2 to 16 (entropy coded), float16 or float32",
    )  # fmt: skip
    compress.add_argument(
        "--teacher", type=flags.teacher_bytes, default=0, metavar="BYTES", dest="teacher_bytes",
        action=flags.Recorded,
        help="a small classifier of about so many bytes in OUT, which gives soft labels to what is "
        "drawn from it (default: none)",
    )  # fmt: skip
    compress.add_argument(
        "--rate-weight", type=flags.rate_weight, metavar="LAMBDA", action=flags.Recorded,
        help="train decoder and mixtures jointly under a rate constraint, with this weight of a "
        "bit in the loss (default: train the autoencoder, then fit the mixtures)",
    )  # fmt: skip
    common_flags.add_common(compress, seed="of every random choice", quiet=True)

    distill = verb(
        "distill",
        _distill,
        "write the most useful file of a labelled image set within a budget of bytes",
    )
    distill.add_argument("input", type=Path, metavar="IN", help=common_flags.SET_HELP)
    common_flags.add_output(distill, "output", metavar="OUT", help="the file to write")
    common_flags.add_image_set(distill)
    distill.add_argument(
        "--budget-bytes", type=flags.budget, required=True, metavar="N", help="size of OUT at most"
    )
    distill.add_argument(
        "--teacher", type=flags.teacher, default="auto", metavar="auto|none|BYTES",
        help="a small classifier in OUT, which gives soft labels to what is drawn from it: if it "
        "pays (default), never, or of about so many bytes",
    )  # fmt: skip
    common_flags.add_output(
        distill, "--preview", metavar="PNG",
        help="picture to write as well: a row for each class, stored images left, images drawn "
        "with augmentation right (default: none)",
    )  # fmt: skip
    common_flags.add_common(
        distill, seed="of every random choice", quiet=True,
        time_limit="end after about this time, but not before there is a file; OUT holds the "
        "best one so far",
    )  # fmt: skip

    decompress = verb(
        "decompress",
        _decompress,
        "write images and labels that a file of compress or distill stands for",
    )
    decompress.add_argument("input", type=Path, metavar="IN", help="file to read; - for stdin")
    common_flags.add_output(
        decompress, "output", metavar="OUT",
        help="the .npz to write, or with a slash at its end a folder of PNG files, one subfolder "
        "for each class",
    )  # fmt: skip
    decompress.add_argument("--folder", action="store_true", help="OUT is a folder")
    decompress.add_argument(
        "--per-class", type=int, metavar="N",
        help="images of each class, with groups of each class in each group (default: as many as "
        "were compressed, or are stored)",
    )  # fmt: skip
    decompress.add_argument(
        "--heavy", action="store_true",
        help="augment images more, mix and cut them, and let the file's teacher label them",
    )  # fmt: skip
    decompress.add_argument(
        "--temperature", type=float, default=1.0, metavar="T",
        help="of the teacher's soft labels: above 1 they say more of the less probable classes "
        "(default: 1)",
    )  # fmt: skip
    common_flags.add_common(decompress, seed="of the images that are drawn", quiet=True)

    inspect = verb("inspect", _inspect, "say what a file holds, byte by byte")
    inspect.add_argument("input", type=Path, metavar="IN", help="file to read; - for stdin")
    common_flags.add_common(inspect)
    return whole
