"""Arguments that commands share, and the values they take. Imports nothing that is slow."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

MOST_SEED = 2**32 - 1


class FolderPath(type(Path())):
    """A path that was written with a slash at its end."""


def output_path(text: str) -> Path:
    """A path; of the class `FolderPath` where a slash says that it is to be a folder."""
    return FolderPath(text) if len(text) > 1 and text.endswith("/") else Path(text)


def add_output(
    command: argparse.ArgumentParser,
    name: str,
    *,
    help: str,
    metavar: str | None = None,
) -> None:
    """A file that the command writes, as an argument or as an option; `add_common` adds `--force`.

    Args:
      command: of a verb.
      name: "output", or an option such as "--output".
      help: what is written.
      metavar: its name in the help text.
    """
    added = command.add_argument(name, type=output_path, metavar=metavar, help=help)
    outputs = command.get_default("outputs") or ()
    command.set_defaults(outputs=(*outputs, added.dest))


def add_common(
    command: argparse.ArgumentParser,
    *,
    seed: str | None = None,
    time_limit: str | None = None,
    quiet: bool = False,
) -> None:
    """`--json`, `--force` where the command writes, and what else means something to it.

    Args:
      command: of a verb.
      seed: what the seed is of; None for a command that draws nothing.
      time_limit: what happens at the end of the time; None for a command that does not search.
      quiet: the command shows its progress.
    """
    if seed is not None:
        command.add_argument("--seed", type=int, default=0, metavar="S", help=seed)
    if time_limit is not None:
        command.add_argument(
            "--time-limit", type=seconds, metavar="T",
            help=f"such as 90s, 5m or 2h: {time_limit} (default: no limit)",
        )  # fmt: skip
    if command.get_default("outputs"):
        command.add_argument("--force", action="store_true", help="overwrite an existing file")
    command.add_argument("--json", action="store_true", help="print the result as JSON")
    if quiet:
        command.add_argument("--quiet", action="store_true", help="show no progress")


def add_distributed(command: argparse.ArgumentParser) -> None:
    """`--distributed`, for commands whose trials several processes can share."""
    command.add_argument(
        "--distributed", nargs="?", const="", metavar="PLACE",
        help="one of several processes that share the trials and the folder, started by "
        "SLURM, GKE, MPI or on every host of a TPU slice; elsewhere PLACE is "
        "ADDRESS:PORT,COUNT,INDEX (default: a process alone)",
    )  # fmt: skip


SET_HELP = (
    "images and labels: .npz, a folder with one subfolder of PNG or JPEG files for each class, IDX "
    "files, a TFDS folder, or a known data set such as digits"
)


def add_image_set(command: argparse.ArgumentParser) -> None:
    """What says where in IN images and labels are (`fewbits.io.read_labelled`)."""
    command.add_argument(
        "--images", metavar="NAME", help="array of images in IN.npz (default: images, x, ...)"
    )
    command.add_argument(
        "--labels", metavar="NAME",
        help="array of labels in IN.npz, or an .npy file of them (default: labels, y, ...)",
    )  # fmt: skip
    command.add_argument(
        "--layout", choices=("nhwc", "nchw"), default="nhwc", help="order of the images' axes"
    )
    command.add_argument(
        "--size", type=picture_size, metavar="HxW",
        help="resize the pictures of a folder (default: all must have one size)",
    )  # fmt: skip


def picture_size(text: str) -> tuple[int, int]:
    """Height and width such as 28x28."""
    height, _, width = text.partition("x")
    if not (height.isdecimal() and width.isdecimal() and 0 < int(height[:6]) <= 4096):
        raise argparse.ArgumentTypeError(f"{text!r} is not HEIGHTxWIDTH such as 28x28")
    return int(height), int(width)


def seconds(text: str) -> float:
    """A time in seconds, minutes or hours."""
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        found = float(number) * units[unit]
    except ValueError:
        found = -1.0
    if not 0 < found < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time such as 90, 90s, 5m or 2h")
    return found


def whole(least: int, most: int) -> Callable[[str], int]:
    """A number from `least` to `most`."""

    def read(text: str) -> int:
        if not text.isascii() or not text.isdecimal() or not least <= int(text[:20]) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number from {least} to {most}"
            )
        return int(text)

    return read


def integers(text: str) -> list[int]:
    """Whole numbers with commas between them."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of whole numbers such as 1,2,4"
        ) from None


def numbers(text: str) -> list[float]:
    """Numbers with commas between them."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of numbers such as 0.1,0.5"
        ) from None
