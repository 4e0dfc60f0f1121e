"""`fewbits lgc`: compress, decompress and inspect a labelled image set of one's own."""

from __future__ import annotations

import argparse
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from fewbits import cli
from fewbits.coding import InputError, container
from fewbits.io import outputs


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit status, 2 for a user's mistake."""
    return cli.run(parser("python -m lgc"), arguments)


def _compress(options: argparse.Namespace) -> None:
    images, labels, groups = _read_npz(options.input)
    import jax

    import lgc
    from fewbits.io.progress import Bar

    if options.seed < 0:
        raise InputError(f"--seed {options.seed}; use a whole number, 0 or more")
    config = lgc.Config(
        components=options.components, bits=options.bits, epochs=options.epochs,
        covariance=options.covariance, selection=options.selection, variant=options.variant,
    )  # fmt: skip
    lgc.check(images, labels)
    outputs.check_writable(options.output)
    if options.preview is not None and options.budget_bytes is None:
        raise InputError("--preview shows what a budget bought; give --budget-bytes too")
    if groups is not None and options.budget_bytes is not None:
        raise InputError("--budget-bytes knows no groups; save IN.npz without the array 'groups'")
    if options.rate_weight is not None and (groups is not None or options.budget_bytes is not None):
        raise InputError("--rate-weight goes with neither --budget-bytes nor an array 'groups'")
    if options.budget_bytes is not None:
        _compress_to_budget(options, images, labels)
        return
    key = jax.random.key(options.seed)
    with Bar(str(options.input)) as bar:
        if options.rate_weight is not None:
            data = _compress_jointly(options, images, labels, key, bar)
        elif groups is None:
            data = lgc.compress(images, labels, config, key, progress=bar)
        else:
            data = _compress_groups(images, labels, groups, config, key, bar)
    container.save(options.output, data)
    raw = images.nbytes
    print(
        f"{options.output}: {len(data):,} bytes for {len(images):,} images "
        f"({8 * len(data) / len(images):.2f} bits per image, {raw / len(data):.0f}x less than raw)"
    )


def _compress_groups(
    images: np.ndarray, labels: np.ndarray, groups: np.ndarray, mixtures: Any, key: Any, bar: Any
) -> bytes:
    from lgc.groups import grouped_compression as compression

    plain = compression.Config()
    steps = max(1, mixtures.epochs * len(images) // plain.batch_size)
    config = compression.Config(steps=steps, mixtures=mixtures)
    return compression.compress(images, labels, groups, config, key, progress=bar).data


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
    return compression.compress(images, labels, config, key, progress=bar)


def _compress_to_budget(
    options: argparse.Namespace, images: np.ndarray, labels: np.ndarray
) -> None:
    import jax

    from fewbits.io.progress import Bar
    from lgc.distillation import budget_search, distilled_file, distilled_images
    from lgc.distillation.preview import save_preview

    preview = options.preview or options.output.with_suffix(".png")
    outputs.check_writable(preview)
    key_choice, key_write = jax.random.split(jax.random.key(options.seed))
    with Bar(str(options.input)) as bar:
        choice = budget_search.choose(
            images, labels, options.budget_bytes, key_choice, progress=bar
        )
        data = distilled_file.write(
            images, labels, options.budget_bytes, choice, key_write, progress=bar
        )
    container.save(options.output, data)
    contents = distilled_images.read(data)
    save_preview(preview, contents, options.seed)
    small, moves = contents.small, contents.deformation
    refined = "refined, " if choice.refinement_steps else ""
    how = "interpolated" if contents.enlarger is None else "enlarged by a network"
    print(
        f"{options.output}: {len(data):,} of {options.budget_bytes:,} bytes: "
        f"{len(small.classes):,} of {len(images):,} images at 1/{small.factor} of a side in "
        f"{small.levels.size} greys, {refined}{how}\n"
        f"moves of a drawn image: {', '.join(f'{n} {v}' for n, v in moves._asdict().items())}\n"
        f"a small ConvNet trained on what it gives had {100 * choice.accuracy:.1f} % of held-out "
        f"images right; pictures in {preview}"
    )


def _decompress(options: argparse.Namespace) -> None:
    if options.per_class is not None and not 1 <= options.per_class <= 10_000_000:
        raise InputError(f"--per-class {options.per_class}; use 1 to 10,000,000")
    if not 0 <= options.seed < 2**32:
        raise InputError(f"--seed {options.seed}; use 0 to 2^32 - 1")
    data = container.load_bytes(options.input)
    import lgc
    from lgc import files

    outputs.check_writable(options.output)
    images, labels = lgc.decompress(data, per_class=options.per_class, seed=options.seed)
    groups = files.groups_of(data, per_class=options.per_class)
    known = {} if groups is None else {"groups": groups}
    _write_npz(options.output, images=images, labels=labels, **known)
    print(f"{options.output}: {len(images):,} images of shape {images.shape[1:]}")


def _inspect(options: argparse.Namespace) -> None:
    data = container.load_bytes(options.input)
    from fewbits.coding import account
    from lgc import files

    summary: dict[str, Any] = {"bytes": len(data), **files.summary(data)}
    summary["account"] = {row.part: row.size_bytes for row in account(data)}
    if options.json:
        print(json.dumps(summary, indent=1))
        return
    parts = summary.pop("account")
    for name, value in summary.items():
        print(f"{name:20} {value}")
    print("\n".join(f"  {bytes_:>9,}  {part}" for part, bytes_ in parts.items()))


def _read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    try:
        with path.open("rb") as file:  # ours to close, whatever numpy makes of it
            stored = np.load(file, allow_pickle=False)
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise InputError(f"{path} is not an .npz file; save with numpy.savez")
            missing = [name for name in ("images", "labels") if name not in stored]
            if missing:
                raise InputError(
                    f"{path} has no array {missing[0]!r} (it has {', '.join(stored) or 'none'}); "
                    "save images and labels with numpy.savez(path, images=..., labels=...)"
                )
            groups = stored["groups"] if "groups" in stored else None
            return stored["images"], stored["labels"], groups
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} cannot be read as an .npz file: {error}") from error


def _write_npz(path: Path, **arrays: np.ndarray) -> None:
    """Under a temporary name first: no half-written output survives."""
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _components(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is neither 'auto' nor a number from 1 to 100")
    return int(text)


def _bits(text: str) -> int | str:
    if text in ("float32", "float16"):
        return text
    if not text.isdecimal() or not 2 <= int(text) <= 16:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither float32, float16 nor a number from 2 to 16"
        )
    return int(text)


def _budget(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 1 << 30:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes from 1 to 2^30")
    return int(text)


def _rate_weight(text: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a weight from 0 to 1, such as 1e-6")
    return weight


def _epochs(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to 100000")
    return int(text)


def parser(prog: str) -> argparse.ArgumentParser:
    """The verbs of this tool."""
    whole = cli.Parser(prog=prog, description=__doc__)
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    compress = commands.add_parser("compress", help="IN.npz (images, labels) -> OUT.lgc")
    compress.add_argument(
        "input", type=Path,
        help="arrays images uint8 (N,H,W[,C]), labels (N,) and perhaps groups (N,): what is behind "
        "each image, to be drawn equally often (--variant plays no part then)",
    )  # fmt: skip
    compress.add_argument("output", type=Path)
    compress.add_argument(
        "--components", type=_components, default=None, metavar="auto|K",
        help="Gaussians per class; auto selects them (default)",
    )  # fmt: skip
    compress.add_argument(
        "--bits", type=_bits, default=8, metavar="B",
        help="of each stored parameter: 2 to 16 (entropy coded), float16 or float32 (default 8)",
    )  # fmt: skip
    compress.add_argument("--epochs", type=_epochs, default=30, metavar="E")
    compress.add_argument("--seed", type=int, default=0, metavar="S")
    compress.add_argument(
        "--covariance", choices=("full", "diagonal", "tied", "spherical"), default="full"
    )
    compress.add_argument(
        "--variant",
        choices=(
            "ae", "contrastive_ae", "vae", "conditional_vae", "contrastive_vae", "convolutional_vae"
        ),
        default="ae",
        help="of the autoencoder (default ae)",
    )  # fmt: skip
    compress.add_argument("--selection", choices=("bic", "bytes"), default="bytes")
    compress.add_argument(
        "--budget-bytes", type=_budget, metavar="N",
        help="the most useful file of at most N bytes, searched for; other options but --seed and "
        "--preview play no part then",
    )  # fmt: skip
    compress.add_argument(
        "--rate-weight", type=_rate_weight, metavar="LAMBDA",
        help="train decoder, mixtures and their bits together, each bit weighing so much; options "
        "other than --epochs and --seed play no part then",
    )  # fmt: skip
    compress.add_argument(
        "--preview", type=Path, metavar="PNG",
        help="picture of what a budget bought (default: OUT with .png)",
    )  # fmt: skip
    compress.set_defaults(run=_compress)
    decompress = commands.add_parser("decompress", help="IN.lgc -> OUT.npz (images, labels)")
    decompress.add_argument("input", type=Path)
    decompress.add_argument("output", type=Path)
    decompress.add_argument(
        "--per-class",
        type=int,
        metavar="N",
        help="images of each class, of each class in each group (default: as compressed)",
    )
    decompress.add_argument("--seed", type=int, default=0, metavar="S")
    decompress.set_defaults(run=_decompress)
    inspect = commands.add_parser("inspect", help="what is in an archive, byte by byte")
    inspect.add_argument("input", type=Path)
    inspect.add_argument("--json", action="store_true")
    inspect.set_defaults(run=_inspect)
    return whole
