"""Files that get their name when they are complete; `outputs` is what callers use."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from fewbits.io.errors import OutputError

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What a file system says that has no hard links."""


def status(path: Path) -> os.stat_result | None:
    """What is at a path, links followed; None for nothing."""
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None


@contextlib.contextmanager
def unfinished(target: Path) -> Iterator[tuple[IO[bytes], Path | None]]:
    """A file beside its later place, without a name where the system has such files.

    Such a file vanishes however the process ends. Elsewhere it has a random name.
    """
    name = None
    descriptor = _unnamed(target.parent)
    if descriptor is None:
        name = target.with_name(random_name(target))
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
        descriptor = os.open(name, flags | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with open(descriptor, "w+b") as file:
            yield file, name
    finally:
        if name is not None:
            name.unlink(missing_ok=True)


def _unnamed(folder: Path) -> int | None:
    if not hasattr(os, "O_TMPFILE") or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT, errno.EINVAL):
            return None
        raise


def finish(
    path: str | os.PathLike[str], target: Path, file: IO[bytes], name: Path | None, replace: bool
) -> None:
    """Gives a complete file its name.

    Args:
      path: the target as the user calls it.
      target: the file's place.
      file: of `unfinished`, complete.
      name: its random name, if it has one.
      replace: a file that is there is replaced, and passes on its permissions.

    Raises:
      OutputError: without `replace`, there is one; this one now has a free name beside it.
      OSError: the disk refuses.
    """
    file.flush()
    found = status(target)
    # Checked before the work began, but it may have changed since.
    replace = replace and (found is None or stat.S_ISREG(found.st_mode))
    if replace and found is not None:
        with contextlib.suppress(OSError):  # only root may give files away
            os.fchown(file.fileno(), found.st_uid, found.st_gid)
        os.fchmod(file.fileno(), stat.S_IMODE(found.st_mode) & 0o777)
    os.fsync(file.fileno())
    if replace:
        if name is None:
            name = target.with_name(random_name(target))
            try:
                _link(file, None, name)
                name.replace(target)
            finally:
                name.unlink(missing_ok=True)
        else:
            name.replace(target)
        return
    try:
        _link(file, name, target)
    except FileExistsError:
        free = free_name(target)
        _link(file, name, free)
        raise OutputError(
            f"{path} was made by another program in the meantime and stays as it is; "
            f"this result is in {free}"
        ) from None


def _link(file: IO[bytes], name: Path | None, place: Path) -> None:
    """Gives a file a name that nothing has.

    Raises:
      FileExistsError: something has it.
    """
    if name is None:
        # With a folder's descriptor `os.link` follows the symbolic link in /proc; an absolute path
        # makes no other use of it.
        descriptor = file.fileno()
        os.link(f"/proc/self/fd/{descriptor}", place, src_dir_fd=descriptor)
        return
    try:
        os.link(name, place)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(place):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(place)) from None
        name.replace(place)


def free_name(target: Path) -> Path:
    """A name beside the target that nothing has: net-2.npz for net.npz."""
    for number in range(2, 10_000):
        name = target.with_name(f"{target.stem[:200]}-{number}{target.suffix}")
        if not os.path.lexists(name):
            return name
    raise OutputError(f"{target}: all names up to {target.stem}-9999 are taken")


def random_name(target: Path) -> str:
    """A name for what is not finished, which nobody else chooses."""
    return f".{target.name[:100]}.{secrets.token_hex(8)}.tmp"
