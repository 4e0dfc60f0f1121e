"""Inputs that are not what a command needs: of other programs, cut, damaged, hostile, in the way.

Each function writes one into a folder of its own and returns its path. Links, pipes and files lie
in a temporary folder; no device of the machine is used.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.made_files import (
    encrypted,
    header,
    in_deflate,
    method,
    npy,
    npz,
    patched,
    safetensors,
    shaped,
    tensor,
    zipped,
)

BAD: dict[str, Callable[[Path], Path]] = {}
"""Name -> (folder -> path)."""

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 8, 8), dtype=np.uint8)
LABELS = np.arange(12) % 3


def bad(function: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Lists a bad input under its function's name."""
    BAD[function.__name__] = function
    return function


def content(name: str, data: bytes | Callable[[], bytes], suffix: str = ".npz") -> None:
    """Lists a file of some bytes."""

    def write(folder: Path) -> Path:
        path = folder / f"{name}{suffix}"
        path.write_bytes(data if isinstance(data, bytes) else data())
        return path

    BAD[name] = write


def tree(name: str, *files: tuple[str, bytes]) -> None:
    """Lists a folder of some files."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.mkdir()
        for file, data in files:
            (path / file).parent.mkdir(exist_ok=True)
            (path / file).write_bytes(data)
        return path

    BAD[name] = write


def link(name: str, target: str) -> None:
    """Lists a link, beside which an empty folder `target` lies."""

    def write(folder: Path) -> Path:
        (folder / "target").mkdir()
        (folder / "link").symlink_to(folder / target)
        return folder / "link"

    BAD[name] = write


PNG = b"\x89PNG\r\n\x1a\n"
SMALL = npz(samples=np.arange(4, dtype=np.uint8))
"""A small sound file, of which every byte is damaged in turn."""
IMAGES = npz(images=PIXELS, labels=LABELS)

# Of other programs
content("nothing", b"", "")
content("a_text", b"hello, I am a text\n" * 9)
content("noise", np.random.default_rng(1).bytes(500))
content("zeros", bytes(300))
content("a_pickle", pickle.dumps({"w": [1.0, 2.0]}), ".pkl")
content("a_torch_file", zipped(("net/data.pkl", pickle.dumps({})), ("net/version", b"3")), ".pt")
content("a_zip_of_texts", zipped(("a.txt", b"a"), ("b.txt", b"b")))
content("gzipped", gzip.compress(SMALL, mtime=0))
content("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(100), ".h5")
content("png", PNG + bytes(40), ".png")
content("a_broken_jpeg", b"\xff\xd8\xff\xe0" + bytes(40), ".jpg")
content("json", b'{"images": [1, 2, 3]}', ".json")
content("csv", b"a,b\n1,2\n", ".csv")
content("an_idx_file_cut", b"\x00\x00\x08\x03" + (60_000).to_bytes(4, "big") + bytes(9), "-ubyte")

# .npz and .npy files, damaged or hostile
content("no_arrays", zipped())
content("cut_in_half", IMAGES[: len(IMAGES) // 2])
content("cut_by_a_byte", IMAGES[:-1])
content("cut_to_its_end", SMALL[-60:])
content("deflate_damaged", in_deflate)
content("unknown_compression", method(77))
content("encrypted", encrypted)
content("checksum_wrong", lambda: patched(SMALL, SMALL.index(b"PK\x01\x02") - 2, b"\x77"))
content("directory_moved", lambda: patched(SMALL, -6, (1 << 30).to_bytes(4, "little")))
content("two_of_one_name", zipped(("images.npy", npy(PIXELS)), ("images.npy", npy(PIXELS + 1))))
content("a_foreign_member", zipped(("images.npy", npy(PIXELS)), ("notes.txt", b"hello")))
content("objects", npz(images=np.array([{}, None], dtype=object), labels=LABELS))
content("objects_alone", npy(np.array([{}, None], dtype=object)), ".npy")
content("objects_alone_named_npz", npy(np.array([{}, None], dtype=object)))
content("huge_images", shaped("(100000000, 28, 28)", "'|u1'"))
content("petabytes", shaped("(1000000000000000,)"))
content("more_than_64_bits", shaped(f"({2**40}, {2**40})"))
content("a_negative_shape", shaped("(-3, 8, 8)"))
content("a_shape_of_texts", shaped("('a',)"))
content("a_program_as_header", zipped(("images.npy", header("__import__('os').getcwd()"))))
content("a_deep_header", zipped(("images.npy", header("(" * 5000))))
content("a_long_header", zipped(("images.npy", header("{}" + " " * 60_000))))
content("a_dtype_of_nothing", shaped("(3,)", "'|V0'"))
content("a_dtype_unknown", shaped("(3,)", "'<q9'"))
content("huge_alone", header("{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,)}"))
content("cut_alone", npy(np.arange(100.0))[:-8], ".npy")

# Arrays that mean nothing to a command
content("alone_named_npz", npy(np.zeros((2, 3, 2, 3, 2))))
content("structured", npz(images=np.zeros(3, [("a", "f4"), ("b", "i8")]), labels=LABELS))
content("dates", npz(images=np.zeros(3, "M8[s]"), samples=np.zeros(3, "M8[s]")))
content("texts", npz(images=np.array(["a", "b"]), samples=np.array(["a", "b"])))
content("complex_images", npz(images=PIXELS * 1j, labels=LABELS, samples=np.ones(3) * 1j))
content("no_examples", npz(images=PIXELS[:0], labels=LABELS[:0], samples=np.zeros(0)))
content("no_pixels", npz(images=PIXELS[:, :0], labels=LABELS))
content("nan_images", npz(images=PIXELS * np.nan, labels=LABELS, samples=np.array([1, np.nan])))
content("infinite_images", npz(images=np.full((12, 8, 8), np.inf),
                               labels=LABELS, samples=np.array([1, np.inf])))  # fmt: skip
content("wide_integers", npz(images=PIXELS.astype(np.int32) * 70_000, labels=LABELS))
content("negative_integers", npz(images=PIXELS.astype(np.int16) - 300, labels=LABELS))
content("fewer_labels", npz(images=PIXELS, labels=LABELS[:-1]))
content("nan_labels", npz(images=PIXELS, labels=np.where(LABELS == 1, np.nan, LABELS)))
content("broken_labels", npz(images=PIXELS, labels=LABELS + 0.5))
content("object_labels", npz(images=PIXELS, labels=np.array([None] * 12, dtype=object)))
content("two_ones_per_label", npz(images=PIXELS, labels=np.ones((12, 3))))
content("images_of_five_axes", npz(images=PIXELS[None, ..., None, None], labels=LABELS))
content("no_labels", npz(images=PIXELS))
content("only_labels", npz(labels=LABELS))
content("one_image", npz(images=PIXELS[:1], labels=LABELS[:1]))
content("images_of_a_pixel", npz(images=PIXELS[:, :1, :1], labels=LABELS))
content("names_only", npz(x=np.zeros((3, 3)), y=np.zeros(2), z=np.zeros(1)))
content("no_mass", npz(points=np.arange(3.0), p=np.zeros(3)))
content("negative_mass", npz(points=np.arange(3.0), p=np.array([1.0, -1.0, 1.0])))

# Checkpoints of other libraries
content("safetensors_cut", safetensors(tensor(), bytes(4)), ".safetensors")
content("safetensors_huge", safetensors(tensor(), size=1 << 60), ".safetensors")
content("safetensors_no_json", safetensors(b"{" * 40), ".safetensors")
content("safetensors_dtype", safetensors(tensor("Q7"), bytes(8)), ".safetensors")
content("safetensors_offsets", safetensors(tensor(offsets=(8, 0)), bytes(8)), ".safetensors")
content("safetensors_shape", safetensors(tensor(shape=(2**40, 2**40)), bytes(8)), ".safetensors")
content("safetensors_empty", safetensors({}), ".safetensors")


# Files of this package
def ours() -> bytes:
    """A small sound file of this package."""
    from fewbits.coding import params_to_bytes

    return params_to_bytes({"w": np.linspace(-1, 1, 12, dtype=np.float32).reshape(3, 4)})


content("of_another_kind", ours, ".fewbits")
content("ours_cut", lambda: ours()[:-5], ".fewbits")
content("ours_damaged", lambda: patched(ours(), -9, b"\x55\x55"), ".fewbits")
content("ours_and_more", lambda: ours() + b"more", ".fewbits")
content("ours_begun", lambda: ours()[:6], ".fewbits")
content("ours_of_the_future", lambda: patched(ours(), 4, b"\x63"), ".fewbits")
content("ours_noise_after_magic", lambda: ours()[:4] + bytes(range(60)), ".fewbits")


# What is no file
@bad
def missing(folder: Path) -> Path:
    """A name of nothing."""
    return folder / "missing.npz"


@bad
def in_a_missing_folder(folder: Path) -> Path:
    """A name in a folder of no name."""
    return folder / "gone" / "x.npz"


@bad
def below_a_file(folder: Path) -> Path:
    """A name in what is no folder."""
    (folder / "file").write_bytes(IMAGES)
    return folder / "file" / "x.npz"


@bad
def a_long_name(folder: Path) -> Path:
    """A name that no file system takes."""
    return folder / ("x" * 300)


tree("an_empty_folder")
tree("a_folder_of_files", ("a.txt", b"a"))
tree("a_folder_of_loose_pictures", ("a.png", PNG))
tree("a_folder_of_broken_pictures", ("cat/a.png", PNG + bytes(9)))
tree("a_folder_like_orbax", ("_METADATA", b"{}"))


@bad
def a_pipe(folder: Path) -> Path:
    """Opening it would wait for a writer."""
    os.mkfifo(folder / "pipe")
    return folder / "pipe"


link("a_link_to_nothing", "gone")
link("a_link_to_itself", "link")
link("a_link_to_a_folder", "target")


@bad
def a_name_with_a_line_end(folder: Path) -> Path:
    """A message about it has to stay on one line."""
    path = folder / "two\nlines.npz"
    path.write_bytes(b"no arrays")
    return path


@bad
def unreadable(folder: Path) -> Path:
    """A file without permissions; the administrator may read it all the same."""
    path = folder / "unreadable.npz"
    path.write_bytes(b"no arrays")
    path.chmod(0)
    return path


def damaged() -> list[tuple[int, int]]:
    """Every place of `SMALL` with a few other values."""
    return [(place, flip) for place in range(len(SMALL)) for flip in (0x01, 0x55, 0xFF)]


def state(folder: Path) -> dict[str, tuple]:
    """Everything in a folder, to see that nothing was changed, made or removed."""
    found = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        data = None
        if path.is_file() and not path.is_symlink():
            with contextlib.suppress(PermissionError):
                data = path.read_bytes()
        found[str(path.relative_to(folder))] = (
            about.st_mode,
            about.st_ino,
            about.st_mtime_ns,
            data,
        )
    return found
