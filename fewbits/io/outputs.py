"""Where results go: whole files or none, and nothing of a user's is destroyed.

Every command and every `save` of the package writes through this module. An output is checked
before any work is done, written without a name beside its place, and given its name when it is
complete, so that an interruption at any moment leaves what was there before.

>>> import tempfile
>>> from fewbits.io import outputs
>>> with tempfile.TemporaryDirectory() as folder:
...     save = outputs.saver(f"{folder}/notes")  # checked now, before any work
...     save(b"few bits")
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from fewbits.io.atomic import finish, free_name, random_name, status, unfinished
from fewbits.io.errors import OutputError

STREAM = "-"
"""The name that stands for standard input and standard output."""

StrPath = str | os.PathLike[str]

_OF_THE_SYSTEM = ("/dev/", "/proc/")
_MOST_LINKS = 40


def is_stream(path: StrPath | None) -> bool:
    """Whether a path is `-`, which stands for standard input or output."""
    return path is not None and os.fspath(path) == STREAM


def check_output(
    path: StrPath, *, inputs: Iterable[StrPath | None] = (), force: bool = False
) -> Path:
    """The file that an output of this name will be, checked before any work is done.

    Args:
      path: as the user gave it; a symbolic link stands for its target.
      inputs: files and folders that are read, which are never overwritten, whatever names lead to
        them; None, `-` and names of no file are passed over.
      force: an existing file may be replaced.

    Raises:
      OutputError: the folder is missing or cannot be written to, or there is already something else
        than a file, one of the inputs, a file that is read-only, or (without `force`) any file.
    """
    _check_not_open_file(path)
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        folder = target.parent if os.path.islink(path) else Path(path).parent
        raise OutputError(f"{path}: the folder {folder} does not exist; make it first")
    found = status(target)
    if found is not None:
        _check_existing(path, target, found, inputs, force)
    _check_folder(path, target.parent)
    return target


def _check_not_open_file(path: StrPath) -> None:
    """Names such as /dev/stdout lead to whatever an open file is, which is nobody's output."""
    step = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder = os.path.realpath(os.path.dirname(step))
        step = os.path.join(folder, os.path.basename(step))
        if step.startswith(_OF_THE_SYSTEM) and not step.startswith("/dev/shm/"):
            raise OutputError(
                f"{path} is not a regular file; name a file, or - for standard output"
            )
        if not os.path.islink(step):
            return
        step = os.path.join(folder, os.readlink(step))


def _check_existing(
    path: StrPath,
    target: Path,
    found: os.stat_result,
    inputs: Iterable[StrPath | None],
    force: bool,
) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{path} is a folder; name a file")
    if not stat.S_ISREG(found.st_mode):
        raise OutputError(f"{path} is not a regular file; name a file, or - for standard output")
    for given in inputs:
        source = None if given is None or is_stream(given) else status(Path(given))
        if source is None:
            continue
        if (source.st_dev, source.st_ino) == (found.st_dev, found.st_ino):
            which = "" if str(path) == str(given) else f" {given}"
            raise OutputError(f"{path} is the input{which} itself; name another output")
        if stat.S_ISDIR(source.st_mode) and Path(os.path.realpath(str(given))) in target.parents:
            raise OutputError(f"{path} is part of the input {given}; name another output")
    if not force:
        raise OutputError(f"{path} exists; name another output, or overwrite it with --force")
    if not os.access(target, os.W_OK):
        raise OutputError(f"{path} is read-only; name another output")


def _check_folder(path: StrPath, folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: the folder {folder} is not yours to write to")


@contextlib.contextmanager
def open_output(
    path: StrPath,
    *,
    inputs: Iterable[StrPath | None] = (),
    force: bool = False,
    show: bool = False,
) -> Iterator[IO[bytes]]:
    """A binary file to write to, which takes its place when the `with` block ends without error.

    Until then nothing is there under its name, or what was there before. The file that is replaced
    passes on its permissions. Where another program makes a file of the name in the meantime, that
    file stays and this result gets a free name beside it.

    Args:
      path: where to; `-` is standard output, which gets everything at the end. A symbolic link
        stays, its target is written.
      inputs: files and folders that must not be overwritten.
      force: replace an existing file.
      show: `-` may be a terminal.

    Raises:
      OutputError: see `check_output`; on entry, before any work is done.
      OSError: the disk refuses; nothing is left of what was written.

    Example:
      >>> import tempfile
      >>> from fewbits.io import open_output
      >>> with tempfile.TemporaryDirectory() as folder:
      ...     path = Path(folder) / "notes"
      ...     with open_output(path) as file:
      ...         file.write(b"few bits")
      ...     with open_output(path) as file:
      ...         pass  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      fewbits.io.errors.OutputError: ...notes exists; name another output, or overwrite it with ...
    """
    if is_stream(path):
        _check_stream(show)
        buffer = io.BytesIO()
        yield buffer
        _to_stdout(buffer.getvalue())
        return
    target = check_output(path, inputs=inputs, force=force)
    with unfinished(target) as (file, name):
        yield file
        finish(path, target, file, name, force)


def saver(
    path: StrPath,
    *,
    inputs: Iterable[StrPath | None] = (),
    force: bool = False,
    show: bool = False,
) -> Callable[[bytes], None]:
    """Checks an output now, and returns what writes it whole, any number of times.

    The second call replaces what the first one wrote: a search saves its best result so far. To
    standard output only the last result should go.

    Args:
      path: where to; `-` is standard output.
      inputs: files and folders that must not be overwritten.
      force: replace an existing file.
      show: `-` may be a terminal.

    Raises:
      OutputError: see `check_output`.
    """
    if is_stream(path):
        _check_stream(show)
        return _to_stdout
    target, own = check_output(path, inputs=inputs, force=force), force

    def save(data: bytes) -> None:
        nonlocal own
        with unfinished(target) as (file, name):
            file.write(data)
            finish(path, target, file, name, own)
        own = True

    return save


@contextlib.contextmanager
def open_output_folder(
    path: StrPath, *, inputs: Iterable[StrPath | None] = (), force: bool = False
) -> Iterator[Path]:
    """A folder to write files into, which takes its place when the `with` block ends without error.

    Args:
      path: a folder that does not exist yet, or is empty.
      inputs: files and folders that are read; none may be the folder itself or lie in it.
      force: there may be files in it: those of the same names are replaced, the others stay.

    Yields:
      A folder of another name beside it, with the same suffix.

    Raises:
      OutputError: there are files in it, it is a file, or it is in no folder that can be written
        to; on entry, before any work is done.
      OSError: the disk refuses.

    Example:
      >>> import tempfile
      >>> from pathlib import Path
      >>> from fewbits.io import open_output_folder
      >>> with tempfile.TemporaryDirectory() as parent:
      ...     with open_output_folder(Path(parent) / "notes") as folder:
      ...         _ = (folder / "first").write_text("few bits")
      ...     (Path(parent) / "notes" / "first").read_text()
      'few bits'
    """
    if is_stream(path):
        raise OutputError("-: a folder is written; give its name")
    target = Path(os.path.realpath(path))
    if not target.parent.is_dir():
        raise OutputError(f"{path}: the folder {Path(path).parent} does not exist; make it first")
    if target.exists() and not target.is_dir():
        raise OutputError(f"{path} is a file; name a folder")
    for given in inputs:
        if given is not None and not is_stream(given) and Path(given).exists():
            source = Path(os.path.realpath(given))
            if source == target or target in source.parents:
                raise OutputError(f"{path} holds the input {given}; name another folder")
    if target.is_dir() and any(target.iterdir()) and not force:
        raise OutputError(f"{path} is not empty; name a new folder")
    _check_folder(path, target if target.is_dir() else target.parent)
    _check_folder(path, target.parent)
    partial = target.with_name(random_name(target) + target.suffix)
    partial.mkdir()
    try:
        yield partial
        try:
            _place(partial, target, force)
        except OSError as error:
            if force or not (target.is_dir() and any(target.iterdir())):
                raise
            free = free_name(target)
            partial.replace(free)
            raise OutputError(
                f"{path} was filled by another program in the meantime; this result is in {free}"
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _place(partial: Path, target: Path, force: bool) -> None:
    """Gives a folder its name, or moves its files into the one that is there."""
    if not (force and target.is_dir()):
        partial.replace(target)
        return
    for made in sorted(one for one in partial.rglob("*") if one.is_file()):
        place = target / made.relative_to(partial)
        place.parent.mkdir(parents=True, exist_ok=True)
        made.replace(place)


def _check_stream(show: bool) -> None:
    if sys.stdout is None:
        raise OutputError("-: there is no standard output; name a file")
    if not show and sys.stdout.isatty():
        raise OutputError("-: a terminal shows no binary output; name a file, or use a pipe")


def _to_stdout(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
