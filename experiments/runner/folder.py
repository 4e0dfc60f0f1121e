"""The folder of a run: its settings, a lock, results with checksums that a later run reuses."""

import contextlib
import fcntl
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from fewbits.io import datasets, read_checkpoint, write_checkpoint
from fewbits.io.json_files import file_digest, plain, read_checked, write_checked, write_json
from fewbits.training.parallel import processes


class RunError(ValueError):
    """A run's folder that this run cannot go on in; the message is for the user."""


class Data:
    """What `measure` and `recompute` are given besides their configuration.

    Data sets by name, a path for every file that a row names, and results of earlier stages that a
    run which was cut off finds again.
    """

    def __init__(self, folder: Path, data_dir: str | None = None) -> None:
        self.folder = folder
        self.data_dir = data_dir
        """Folder of prepared TFDS data sets; None for the default one."""
        self._images: dict[tuple[str, str], datasets.Images] = {}

    def images(self, name: str, split: str) -> datasets.Images:
        """The `train` or `test` images of `fewbits.io.datasets.SOURCES[name]`, read once.

        Raises:
          DataError: the data set is not prepared.
        """
        if (name, split) not in self._images:
            self._images[name, split] = datasets.load(name, split, data_dir=self.data_dir)
        return self._images[name, split]

    def path(self, name: str) -> Path:
        """Where to write the file `name`, unique in the run; for the `Artifact` field of a row."""
        path = self.folder / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def cached(self, name: str, compute: Callable[[], Any]) -> Any:
        """The JSON value of `compute()`, computed when first asked for in this folder."""
        path = self.folder / "stages" / f"{name}.json"
        found = read_checked(path)
        if found is None:
            if path.exists():
                print(f"{path} is damaged and is computed again", file=sys.stderr)
            write_checked(path, compute())
            found = read_checked(path)
        return found

    def cached_file(self, name: str, write: Callable[[Path], Any]) -> Path:
        """A file (of arrays, say) that `write(path)` makes when first asked for in this folder."""
        path = self.folder / "stages" / name
        note = path.with_name(path.name + ".json")
        if read_checked(note) != file_digest(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # Of its own: another process of the same job may be making the same stage.
            with tempfile.TemporaryDirectory(dir=path.parent, prefix="partial") as partial:
                write(Path(partial) / path.name)
                os.replace(Path(partial) / path.name, path)
            write_checked(note, file_digest(path))
        return path

    def cached_tree(self, name: str, compute: Callable[[], Any]) -> Any:
        """The tree of arrays `compute()`, computed when first asked for in this folder.

        Lists come back as mappings, from numbers to their entries.
        """
        path = self.cached_file(f"{name}.npz", lambda path: write_checkpoint(path, compute()))
        return read_checkpoint(path)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for one run; the system lets go of it when the process ends, however.

    Raises:
      RunError: another run has it, it holds other files than a run's, or it cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        own = (folder / "settings.json").is_file() or (folder / "lock").is_file()
        if not own and any(each.name != processes.FOLDER for each in folder.iterdir()):
            raise RunError(f"{folder} holds other files than a run's; choose a new folder")
        lock = (folder / "lock").open("a")
    except OSError as error:
        raise RunError(f"{folder} cannot be a run's folder: {error.strerror}") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder} is in use by another run; wait for it or choose another folder"
            ) from None
        yield


def check_settings(folder: Path, config: Any, free: Iterable[str] = ("seeds",)) -> None:
    """Makes the folder one of a run with these settings, or finds that it is.

    The fields `free` may differ, since they only choose trials.

    Raises:
      RunError: it holds another run, or its settings cannot be read.
    """
    settings = {name: value for name, value in plain(config).items() if name not in free}
    path = folder / "settings.json"
    if not path.is_file():
        return write_json(path, settings)
    try:
        before = json.loads(path.read_bytes())
        names = sorted((settings.keys() | before.keys()) - set(free))
    except (ValueError, AttributeError):
        raise RunError(
            f"{path} is damaged, so that nobody knows what {folder} holds; "
            "remove the folder or choose another"
        ) from None
    other = ", ".join(name for name in names if settings.get(name) != before.get(name))
    if other:
        raise RunError(
            f"{folder} holds a run with other settings ({other}); "
            "remove it or choose another folder"
        )
    return None
