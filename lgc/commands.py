"""`fewbits lgc`: compress, distil and decompress a labelled image set."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs
from fewbits.io.arrays import read_arrays
from lgc import flags

_RECORDED = ("variant", "components", "selection", "covariance", "bits")


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m lgc"), arguments)


def _compress(options: argparse.Namespace) -> str | None:
    _check_seed(options.seed)
    if options.rate_weight is not None:
        _refuse(options, "--rate-weight", *_RECORDED)
    if options.components is not None:
        _refuse(options, "a fixed number of --components", "selection")
    images, labels, groups = _read_npz(options.input)
    if groups is not None:
        _refuse(options, "an array 'groups'", "variant", "rate_weight")
    import jax

    import lgc
    from lgc.images import check

    config = lgc.Config(
        components=options.components, bits=options.bits, epochs=options.epochs,
        covariance=options.covariance, selection=options.selection, variant=options.variant,
    )  # fmt: skip
    check(images, labels)
    outputs.check_writable(options.output)
    key = jax.random.key(options.seed)
    with _progress(options) as progress:
        if options.rate_weight is not None:
            data = _compress_jointly(options, images, labels, key, progress)
        elif groups is None:
            data = lgc.compress(images, labels, config=config, key=key, progress=progress)
        else:
            data = _compress_groups(images, labels, groups, config, key, progress)
    container.save(options.output, data)
    bits = 8 * len(data) / len(images)
    return _said(
        options,
        {
            "output": str(options.output),
            "bytes": len(data),
            "images": len(images),
            "bits_per_image": bits,
            "raw_bytes": images.nbytes,
        },
        f"{options.output}: {len(data):,} bytes for {len(images):,} images ({bits:.2f} bits per "
        f"image, {images.nbytes / len(data):.0f}x less than raw)",
    )


def _compress_groups(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, mixtures: Any, key: Any, bar: Any
) -> bytes:
    from lgc.groups import grouped_compression as compression

    plain = compression.Config()
    steps = max(1, mixtures.epochs * len(images) // plain.batch_size)
    config = compression.Config(steps=steps, mixtures=mixtures)
    return compression.compress(images, labels, groups, config=config, key=key, progress=bar).data


def _compress_jointly(
    options: argparse.Namespace, images: np.ndarray, labels: np.ndarray, key: Any, bar: Any
) -> bytes:
    from lgc.autoencoders import rate_constrained_compression as compression

    plain = compression.Config()
    config = replace(
        plain,
        steps=max(1, options.epochs * len(images) // plain.batch_size),
        hyperparameters=plain.hyperparameters._replace(bits_weight=options.rate_weight),
    )
    return compression.compress(images, labels, config=config, key=key, progress=bar)


def _distill(options: argparse.Namespace) -> str | None:
    _check_seed(options.seed)
    images, labels, groups = _read_npz(options.input)
    if groups is not None:
        raise InputError("distill uses no groups; save IN.npz without the array 'groups'")
    import jax

    from lgc.distillation import budget_search, distilled_file, distilled_images, search_config
    from lgc.distillation.preview import save_preview

    preview = options.preview or options.output.with_suffix(".png")
    if preview == options.output:
        raise InputError(f"{preview} would be both file and picture; give another --preview")
    distilled_file.check(images, labels)
    for path in (options.output, preview):
        outputs.check_writable(path)
    with _progress(options) as progress:
        data, point = budget_search.distill_with_point(
            images, labels, options.budget_bytes, search_config.DistillConfig(),
            jax.random.key(options.seed), time_limit=options.time_limit, progress=progress,
        )  # fmt: skip
    container.save(options.output, data)
    contents = distilled_images.read(data)
    save_preview(preview, contents, options.seed)
    stored, augmentation = contents.images, contents.augmentation._asdict()
    upsampling = "interpolation" if contents.upsampler is None else "an upsampler"
    distilled = "distilled " if point.distillation_steps else ""
    return _said(
        options,
        {
            "output": str(options.output),
            "bytes": len(data),
            "budget_bytes": options.budget_bytes,
            "images": len(images),
            "stored_images": len(stored.classes),
            "downsampling_factor": stored.factor,
            "grey_levels": int(stored.levels.size),
            "upsampler_width": point.width,
            "augmentation": augmentation,
            "strategy": point.strategy,
            "distillation_steps": point.distillation_steps,
            "validation_accuracy": point.accuracy,
            "preview": str(preview),
        },
        f"{options.output}: {len(data):,} of {options.budget_bytes:,} bytes: "
        f"{len(stored.classes):,} {distilled}images for {len(images):,}, downsampled "
        f"{stored.factor}x, {stored.levels.size} grey levels, {upsampling}\n"
        f"augmentation: {', '.join(f'{name} {value}' for name, value in augmentation.items())}\n"
        f"proxy evaluation: a small ConvNet trained on the file's images classifies "
        f"{100 * point.accuracy:.1f} % of held-out images correctly; pictures in {preview}",
    )


def _decompress(options: argparse.Namespace) -> str | None:
    if options.per_class is not None and not 1 <= options.per_class <= 10_000_000:
        raise InputError(f"--per-class {options.per_class}; use 1 to 10,000,000")
    _check_seed(options.seed)
    data = container.load_bytes(options.input)
    import lgc
    from lgc import files

    outputs.check_writable(options.output)
    images, labels, _ = lgc.decompress(data, per_class=options.per_class, seed=options.seed)
    groups = files.groups_of(data, per_class=options.per_class)
    known = {} if groups is None else {"groups": groups}
    _write_npz(options.output, images=images, labels=labels, **known)
    return _said(
        options,
        {"output": str(options.output), "images": len(images), "shape": list(images.shape[1:])},
        f"{options.output}: {len(images):,} images of shape {images.shape[1:]}",
    )


def _inspect(options: argparse.Namespace) -> str:
    data = container.load_bytes(options.input)
    from fewbits.coding import account
    from lgc import files

    summary: dict[str, Any] = {"bytes": len(data), **files.summary(data)}
    summary["account"] = {row.part: row.size_bytes for row in account(data)}
    if options.json:
        return json.dumps(summary, indent=1)
    parts = summary.pop("account")
    lines = [f"{name:20} {value}" for name, value in summary.items()]
    return "\n".join([*lines, *(f"  {bytes_:>9,}  {part}" for part, bytes_ in parts.items())])


def _check_seed(seed: int) -> None:
    if not 0 <= seed < 2**32:
        raise InputError(f"--seed {seed}; use 0 to 2^32 - 1")


def _refuse(options: argparse.Namespace, with_what: str, *names: str) -> None:
    """Options that would have no effect are errors."""
    for name in names:
        if name in options.given:
            raise InputError(f"--{name.replace('_', '-')} has no effect with {with_what}; drop it")


def _said(options: argparse.Namespace, result: dict[str, Any], text: str) -> str | None:
    if options.json:
        return json.dumps(result, indent=1)
    return None if options.quiet else text


@contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Any]:
    from fewbits.io.progress import Bar

    if options.quiet:
        yield None
        return
    with Bar(str(options.input)) as bar:
        yield bar


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    stored = read_arrays(path)
    missing = [name for name in ("images", "labels") if name not in stored]
    if missing:
        raise InputError(
            f"{path} has no array {missing[0]!r} (it has {', '.join(stored) or 'none'}); "
            "save images and labels with numpy.savez(path, images=..., labels=...)"
        )
    return stored["images"], stored["labels"], stored.get("groups")


def _write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Under a temporary name first: no half-written output survives."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    verbs = whole.add_subparsers(required=True, metavar="VERB")

    def verb(name: str, run: Any, purpose: str) -> argparse.ArgumentParser:
        command = verbs.add_parser(name, help=purpose, description=purpose)
        command.set_defaults(run=run, given=frozenset())
        return command

    def add_common(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "--seed", type=int, default=0, metavar="S", help="of every random choice"
        )
        command.add_argument("--json", action="store_true", help="print the summary as JSON")
        command.add_argument(
            "--quiet", action="store_true", help="show neither progress nor the summary"
        )

    compress = verb("compress", _compress, "IN.npz (images, labels) -> a decoder and mixtures")
    compress.add_argument(
        "input", type=Path, metavar="IN",
        help=".npz with images uint8 (N,H,W[,C]), labels (N,) and perhaps groups (N,), such as the "
        "kind of background: decompress --per-class draws all groups equally often",
    )  # fmt: skip
    compress.add_argument("output", type=Path, metavar="OUT", help="archive to write")
    compress.add_argument(
        "--variant",
        choices=(
            "ae", "contrastive_ae", "vae", "conditional_vae", "contrastive_vae", "convolutional_vae"
        ),
        default="ae", action=flags.Recorded, help="of the autoencoder",
    )  # fmt: skip
    compress.add_argument(
        "--epochs", type=flags.epochs, default=30, metavar="E", help="of training"
    )
    compress.add_argument(
        "--components", type=flags.components, default="auto", metavar="auto|K",
        action=flags.Recorded, help="Gaussians per class",
    )  # fmt: skip
    compress.add_argument(
        "--selection", choices=("bic", "bytes"), default="bytes", action=flags.Recorded,
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
        "--rate-weight", type=flags.rate_weight, metavar="LAMBDA", action=flags.Recorded,
        help="train decoder and mixtures jointly under a rate constraint, with this weight of a "
        "bit in the loss (default: train the autoencoder, then fit the mixtures)",
    )  # fmt: skip
    add_common(compress)

    distill = verb(
        "distill", _distill, "IN.npz (images, labels) -> the most useful file within a budget"
    )
    distill.add_argument(
        "input", type=Path, metavar="IN", help=".npz with images uint8 (N,H,W[,C]), labels (N,)"
    )
    distill.add_argument("output", type=Path, metavar="OUT", help="file to write")
    distill.add_argument(
        "--budget-bytes", type=flags.budget, required=True, metavar="N", help="size of OUT at most"
    )
    distill.add_argument(
        "--time-limit", type=flags.seconds, metavar="T",
        help="stop the search after this time, such as 90s, 5m or 2h, and write the best file so "
        "far; writing takes a while longer (default: no limit)",
    )  # fmt: skip
    distill.add_argument(
        "--preview", type=Path, metavar="PNG",
        help="picture of the stored images (default: OUT with the suffix .png)",
    )  # fmt: skip
    add_common(distill)

    decompress = verb("decompress", _decompress, "OUT of compress or distill -> images, labels")
    decompress.add_argument("input", type=Path, metavar="IN", help="file to read")
    decompress.add_argument("output", type=Path, metavar="OUT", help=".npz to write")
    decompress.add_argument(
        "--per-class", type=int, metavar="N",
        help="images of each class, with groups of each class in each group (default: as many as "
        "were compressed, or are stored)",
    )  # fmt: skip
    add_common(decompress)

    inspect = verb("inspect", _inspect, "what a file holds, byte by byte")
    inspect.add_argument("input", type=Path, metavar="IN", help="file to read")
    inspect.add_argument("--json", action="store_true", help="print JSON")
    return whole
