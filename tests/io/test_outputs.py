"""Outputs are whole or not there, and nothing of a user's is destroyed."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fewbits.coding import container
from fewbits.io import InputError, OutputError, open_output, open_output_folder, outputs

hard_link = os.link


@pytest.fixture(params=["unnamed", "named", "no hard links"], autouse=True)
def system(request, monkeypatch):
    """What the file system offers: files without a name, only names, or not even hard links."""
    if request.param != "unnamed":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if request.param == "no hard links":

        def refuse(*_, **__):
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", refuse)
    return request.param


def write(path, content: bytes = b"new", **options) -> None:
    with open_output(path, **options) as file:
        file.write(content)


def interrupted(path: Path | str, content: bytes, error: type[BaseException]) -> None:
    with open_output(path, force=True) as file:
        file.write(content)
        raise error


def overtaken(path: Path, meanwhile: Callable[[], object]) -> None:
    with open_output(path) as file:
        file.write(b"hours of work")
        meanwhile()


def content_of(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_a_new_file_has_the_usual_permissions(tmp_path: Path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "out")
    finally:
        os.umask(before)
    assert content_of(tmp_path) == {"out": b"new"}
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o640


def test_an_existing_file_stays_without_force(tmp_path: Path):
    out = tmp_path / "out"
    out.write_bytes(b"old")
    out.chmod(0o604)
    with pytest.raises(OutputError, match="out exists; name another output.*--force"):
        write(out)
    assert content_of(tmp_path) == {"out": b"old"}
    write(out, force=True)
    assert content_of(tmp_path) == {"out": b"new"}
    assert stat.S_IMODE(out.stat().st_mode) == 0o604


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_interruption_leaves_what_was_there(tmp_path: Path, error, old):
    if old is not None:
        (tmp_path / "out").write_bytes(old)
    with pytest.raises(error):
        interrupted(tmp_path / "out", b"half", error)
    assert content_of(tmp_path) == ({} if old is None else {"out": old})


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch):
    (tmp_path / "out").write_bytes(b"old")

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "out", force=True)
    assert content_of(tmp_path) == {"out": b"old"}


def test_nothing_has_the_name_before_the_end(tmp_path: Path, system):
    with open_output(tmp_path / "out") as file:
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "out").exists()
        assert len(list(tmp_path.iterdir())) == (0 if system == "unnamed" else 1)
    assert content_of(tmp_path) == {"out": b"half"}


def test_files_of_likely_temporary_names_are_not_touched(tmp_path: Path):
    names = ("out.tmp", ".out.tmp", "out.npz.tmp", "out~", "out.part")
    for name in names:
        (tmp_path / name).write_bytes(b"the user's")
    write(tmp_path / "out")
    assert content_of(tmp_path) == {"out": b"new"} | dict.fromkeys(names, b"the user's")


def test_a_symbolic_link_stays_and_its_target_is_written(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    target, link = tmp_path / "elsewhere" / "target", tmp_path / "link"
    link.symlink_to(target)
    write(link)  # dangling
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    with pytest.raises(OutputError, match="link exists"):
        write(link)
    write(link, b"newer", force=True)
    assert link.is_symlink()
    assert content_of(target.parent) == {"target": b"newer"}


def test_a_link_into_a_missing_folder_and_one_to_itself(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "no" / "target")
    with pytest.raises(OutputError, match="no does not exist; make it first"):
        write(tmp_path / "link")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="loop"):
        write(tmp_path / "loop", force=True)
    assert (tmp_path / "loop").is_symlink()


@pytest.mark.parametrize("way", ["same", "hard link", "symbolic link", "other spelling"])
@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_never_an_output(tmp_path: Path, way, force):
    data = tmp_path / "data.npz"
    data.write_bytes(b"precious")
    out = tmp_path / "out.npz"
    if way == "same":
        out = data
    elif way == "hard link":
        hard_link(data, out)
    elif way == "symbolic link":
        out.symlink_to(data)
    else:
        (tmp_path / "sub").mkdir()
        out = tmp_path / "sub" / ".." / "data.npz"
    with pytest.raises(OutputError, match=r"is the input.* itself; name another output"):
        write(out, inputs=[None, "-", tmp_path / "missing", data], force=force)
    assert data.read_bytes() == b"precious"


def test_a_part_of_an_input_folder_is_never_an_output(tmp_path: Path):
    (tmp_path / "checkpoint").mkdir()
    part = tmp_path / "checkpoint" / "part"
    part.write_bytes(b"precious")
    with pytest.raises(OutputError, match="part of the input"):
        write(part, inputs=[tmp_path / "checkpoint"], force=True)
    assert part.read_bytes() == b"precious"
    write(tmp_path / "checkpoint.npz", inputs=[tmp_path / "checkpoint"])


def test_what_is_no_regular_file_stays(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OutputError, match="not a regular file; name a file, or -"):
            write(tmp_path / name, force=True)
    assert stat.S_ISFIFO((tmp_path / "pipe").lstat().st_mode)
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="is a folder; name a file"):
        write(tmp_path / "folder", force=True)
    assert (tmp_path / "folder").is_dir()
    with pytest.raises(OutputError, match="does not exist; make it first"):
        write(tmp_path / "no" / "out")
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OutputError, match="does not exist"):
        write(tmp_path / "file" / "out")
    with pytest.raises(OSError, match="name too long"):
        write(tmp_path / ("a" * 300))
    assert content_of(tmp_path) == {"file": b"old"}


def as_nobody(function) -> str:
    """What a user without rights is told, by a forked process where the tests run as root."""
    read, sent = os.pipe()
    child = os.fork()
    if not child:
        try:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            function()
            said = "nothing"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(sent, said.encode())
        os._exit(0)
    os.close(sent)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return pipe.read()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")
def test_folders_and_files_of_others(tmp_path: Path):
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o055)
    place = tmp_path / "place"
    place.mkdir()
    (place / "theirs").write_bytes(b"old")
    (place / "theirs").chmod(0o444)
    place.chmod(0o777)
    assert "is read-only; name another" in as_nobody(lambda: write(place / "theirs", force=True))
    place.chmod(0o555)
    said = as_nobody(lambda: write(place / "mine"))
    assert said.startswith("OutputError: ")
    assert "not yours to write to" in said
    place.chmod(0o755)
    assert content_of(place) == {"theirs": b"old"}


def test_a_file_that_appears_meanwhile_stays_and_so_does_the_result(tmp_path: Path):
    out = tmp_path / "out.npz"
    (tmp_path / "out-2.npz").write_bytes(b"another")
    with pytest.raises(OutputError, match=r"in the meantime.*out-3\.npz"):
        overtaken(out, lambda: out.write_bytes(b"another run's"))
    assert content_of(tmp_path) == {
        "out.npz": b"another run's",
        "out-2.npz": b"another",
        "out-3.npz": b"hours of work",
    }
    with pytest.raises(OutputError, match="pipe-2"):
        overtaken(tmp_path / "pipe", lambda: os.mkfifo(tmp_path / "pipe"))
    assert (tmp_path / "pipe-2").read_bytes() == b"hours of work"


def test_a_saver_replaces_its_own_file_only(tmp_path: Path):
    save = outputs.saver(tmp_path / "out")
    assert content_of(tmp_path) == {}
    for result in (b"first", b"better", b"best"):
        save(result)
        assert content_of(tmp_path) == {"out": result}
    with pytest.raises(OutputError, match="exists"):
        outputs.saver(tmp_path / "out")
    save = outputs.saver(tmp_path / "race")
    (tmp_path / "race").write_bytes(b"another run's")
    with pytest.raises(OutputError, match="race-2"):
        save(b"result")
    assert (tmp_path / "race").read_bytes() == b"another run's"
    assert (tmp_path / "race-2").read_bytes() == b"result"


class Screen(io.TextIOWrapper):
    def __init__(self, terminal: bool):
        super().__init__(io.BytesIO())
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


def test_a_stream_gets_everything_at_the_end(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    screen = Screen(terminal=False)
    monkeypatch.setattr(sys, "stdout", screen)
    with open_output("-") as file:
        file.write(b"\x89")
        assert screen.buffer.getvalue() == b""  # type: ignore[attr-defined]
    outputs.saver(Path("-"))(b"\xff")
    assert screen.buffer.getvalue() == b"\x89\xff"  # type: ignore[attr-defined]
    with pytest.raises(ValueError):
        interrupted("-", b"half", ValueError)
    assert screen.buffer.getvalue() == b"\x89\xff"  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stdout", Screen(terminal=True))
    with pytest.raises(OutputError, match="terminal"):
        write("-")
    write("-", show=True)
    assert content_of(tmp_path) == {}


def fill(path: Path | str, end: Callable[[], object] = int, **options) -> str:
    with open_output_folder(path, **options) as folder:
        (folder / "part").write_bytes(b"new")
        end()
    return folder.suffix


def stop() -> None:
    raise KeyboardInterrupt


def test_a_folder_is_new_or_empty(tmp_path: Path):
    for prepared in (False, True):
        out = tmp_path / f"out{prepared}.orbax"
        if prepared:
            out.mkdir()
        assert fill(out) == ".orbax"
        assert content_of(out) == {"part": b"new"}
        with pytest.raises(OutputError, match="not empty"):
            fill(out)
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path / "cut", stop)
    assert not (tmp_path / "cut").exists()
    (out / "other").write_bytes(b"old")
    (out / "part").write_bytes(b"old")
    assert fill(out, force=True)
    assert content_of(out) == {"part": b"new", "other": b"old"}
    (tmp_path / "file").write_bytes(b"old")
    with pytest.raises(OutputError, match="is a file"):
        fill(tmp_path / "file")
    with pytest.raises(OutputError, match="holds the input"):
        fill(tmp_path, inputs=[tmp_path / "outTrue.orbax" / "part"])
    for path, said in ((tmp_path / "no" / "out", "does not exist"), ("-", "a folder is written")):
        with pytest.raises(OutputError, match=said):
            fill(path)
    race = tmp_path / "race"
    with pytest.raises(OutputError, match="race-2"):
        fill(race, lambda: (race.mkdir(), (race / "part").write_bytes(b"theirs")))
    assert content_of(race) == {"part": b"theirs"}
    assert content_of(tmp_path / "race-2") == {"part": b"new"}
    assert not list(tmp_path.glob(".*"))


def test_saving_goes_through_the_same_door(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="not a regular file"):
        container.save(tmp_path / "pipe", b"data")
    with pytest.raises(InputError, match="make it first"):
        container.save(tmp_path / "no" / "file", b"data")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    container.save(tmp_path / "link", b"data")
    assert (tmp_path / "link").is_symlink()
    assert content_of(tmp_path)["file"] == b"data"


def killed_at(path: Path, name: str, after: bool, force: bool) -> int:
    """The signal that ends a forked process which writes and is killed at a call of `os.name`."""
    child = os.fork()
    if not child:
        call = getattr(os, name)

        def kill(*arguments, **options):
            if after:
                call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        setattr(os, name, kill)
        with contextlib.suppress(BaseException):
            write(path, b"new" * 100_000, force=force)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning")
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("name", ["open", "fchmod", "fsync", "link", "replace", "unlink"])
def test_a_process_that_is_killed_leaves_the_old_file_or_the_new_one(
    tmp_path: Path, system, name, after
):
    if (name, system) == ("link", "no hard links"):
        pytest.skip("it has none")
    whole = b"new" * 100_000
    for force in (False, True):
        out = tmp_path / f"out{force}"
        if force:
            out.write_bytes(b"old")
        signals = killed_at(out, name, after, force)
        found = content_of(tmp_path)
        assert found.pop(out.name, None) in ((b"old", whole) if force else (None, whole))
        if signals == 0:  # not called here: for instance, nothing is replaced without `force`
            assert out.read_bytes() == whole
        # What has no name yet leaves nothing; what has one is hidden and of a random name.
        found.pop("outFalse", None)
        left = [one for one in found if not (one.startswith(".out") and one.endswith(".tmp"))]
        assert not left
        if system == "unnamed":
            assert all(one == whole for one in found.values())
        for one in tmp_path.glob(".*"):
            one.unlink()
        write(out, b"again", force=True)
        assert out.read_bytes() == b"again"
