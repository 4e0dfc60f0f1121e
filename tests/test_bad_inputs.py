"""Every command against every bad input: one line that helps, or a right result; nothing harmed."""

from __future__ import annotations

import contextlib
import os
import re
import traceback
from pathlib import Path

import numpy as np
import pytest

from fewbits import cli
from tests import bad_inputs, made_files
from tests.bad_inputs import BAD
from tests.command_files import ARTIFACTS
from tests.test_commands import INPUTS, VERBS, files

__all__ = ["files"]

BAD_PLACES = (
    "missing", "in_a_missing_folder", "below_a_file", "a_long_name", "an_empty_folder", "a_pipe",
    "a_link_to_nothing", "a_link_to_itself", "a_link_to_a_folder", "unreadable",
)  # fmt: skip
"""What is bad even for a command that takes any bytes."""

COMMANDS = {  # the bad input is BAD, sound ones stand beside it
    "lgc compress": "lgc compress BAD OUT --epochs 1 --components 1 --quiet",
    "lgc distill": "lgc distill BAD OUT --budget-bytes 700 --time-limit 1s --quiet",
    "lgc decompress": "lgc decompress BAD OUT --quiet",
    "lgc inspect": "lgc inspect BAD",
    "pruning compress": "pruning compress BAD OUT --data images.npz --steps 1 --quiet",
    "pruning compress, data": "pruning compress net.npz OUT --data BAD --steps 1 --quiet",
    "pruning sweep": "pruning sweep BAD OUT --data images.npz --strengths 1e-3 --seeds 0",
    "pruning sweep, data": "pruning sweep net.npz OUT --data BAD --strengths 1e-3 --seeds 0",
    "pruning decompress": "pruning decompress BAD OUT.npz",
    "weights encode": "weights encode BAD OUT",
    "weights decode": "weights decode BAD OUT.npz",
    "ratedist bound": "ratedist bound BAD --distortion 0.5",
    "ratedist capacity": "ratedist capacity BAD",
    "ratedist curve": "ratedist curve BAD --points 2 --output OUT --quiet",
    "ratedist encode": "ratedist encode BAD OUT --distortion 0.5 --quiet",
    "ratedist decode": "ratedist decode BAD OUT.npz",
    "bitalloc fit": "bitalloc fit BAD OUT --bits 1 --no-networks --mode pixel --quiet",
    "bitalloc encode, model": "bitalloc encode BAD mnist.npz OUT",
    "bitalloc encode": "bitalloc encode model BAD OUT",
    "bitalloc decode, model": "bitalloc decode BAD messages OUT.npz",
    "bitalloc decode": "bitalloc decode model BAD OUT.npz",
    "bitalloc curve": "bitalloc curve BAD --bits 1 --no-networks --mode pixel --output OUT --quiet",
    "text compress": "text compress BAD OUT --quiet",
    "text compress, model": "text compress poem OUT --model BAD --quiet",
    "text decompress": "text decompress BAD OUT --quiet",
    "inspect": "inspect BAD",
    "account": "account BAD",
}
REMEDY = re.compile(
    r";|\b(give|use|save|name|choose|make|expected|needs?|allow|remove|add|at most|at least)\b"
    r"|No such file|Not a directory|Is a directory|Permission denied|name too long|Too many levels"
    r"|not a fewbits file|damaged|cut|truncated|checksum|section|header"
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """Sound files beside the bad one."""
    folder = tmp_path_factory.mktemp("sound")
    images, labels = (np.tile(a.T, 3).T for a in (bad_inputs.PIXELS, bad_inputs.LABELS))
    np.savez(folder / "images.npz", images=images, labels=labels)
    rng = np.random.default_rng(0)
    np.savez(folder / "net.npz", **{"dense1/kernel": rng.normal(size=(64, 3)).astype("f4"),
                                    "dense1/bias": np.zeros(3, "f4")})  # fmt: skip
    np.savez(folder / "mnist.npz", images=np.zeros((3, 28, 28), np.uint8))
    (folder / "poem").write_bytes(b"")
    (folder / "model").write_bytes((ARTIFACTS / "bitalloc_pixel_central_4.model").read_bytes())
    words = [str(folder / name) for name in ("model", "mnist.npz", "messages")]
    assert cli.main(["bitalloc", "encode", *words]) == 0
    return folder


def refused(line: str, bad: Path, folder: Path, sound: Path, capsys) -> str | None:
    """Runs a command; what is wrong with how it ended, None if nothing is.

    The output is named in a folder of its own, which has to stay empty unless the command succeeds.
    """
    outputs = folder / "outputs"
    outputs.mkdir(exist_ok=True)
    words = []
    for word in line.split():
        if word == "BAD":
            words.append(str(bad))
        elif word.startswith("OUT"):
            words.append(str(outputs / word.replace("OUT", "out")))
        else:
            words.append(str(sound / word) if (sound / word).exists() else word)
    before = bad_inputs.state(folder)
    try:
        status = cli.main(words)
    except SystemExit as error:
        status = error.code
    except BaseException as error:
        return f"raised {''.join(traceback.format_exception(error)[-3:])}"
    said = capsys.readouterr()
    if status == 0:
        for path in sorted(outputs.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        after = bad_inputs.state(folder)
        del before["outputs"], after["outputs"]
        return None if before == after else "changed what was there"
    if status != 2:
        return f"status {status}"
    if bad_inputs.state(folder) != before:
        return f"left or changed {set(bad_inputs.state(folder).items()) ^ set(before.items())}"
    if said.out:
        return f"printed {said.out[:200]!r}"
    lines = said.err.splitlines()
    if len(lines) != 1 or not lines[0].startswith("error: "):
        return f"said {said.err!r}"
    shown = "".join(c if c.isprintable() else " " for c in str(bad))
    if shown not in lines[0]:
        return f"does not name the file: {lines[0]}"
    if re.search("pickle=|allow_pickle|Traceback|unsafe", lines[0]):
        return f"gives dangerous advice: {lines[0]}"
    if not REMEDY.search(lines[0].replace(shown, "")):
        return f"names no remedy: {lines[0]}"
    return None


def faults(name: str, chosen: list[str], tmp_path: Path, sound: Path, capsys) -> list[str]:
    """What is wrong with each of some bad inputs, in a line each."""
    found = []
    for number, each in enumerate(chosen):
        folder = tmp_path / str(number)
        folder.mkdir()
        bad = BAD[each](folder)
        wrong = refused(COMMANDS[name], bad, folder, sound, capsys)
        if wrong is not None:
            found.append(f"{each}: {wrong}")
    return found


def in_the_way(folder: Path, name: str) -> Path:
    """A place where no output can go, by the name of what is there."""
    out = folder / "out.npz"
    if name == "folder":
        out.mkdir()
        (out / "file").write_bytes(b"a user's own")
    elif name == "pipe":
        os.mkfifo(out)
    elif name == "file":
        out.write_bytes(b"a user's own")
    elif name == "link to a file":
        (folder / "other").write_bytes(b"a user's own")
        out.symlink_to(folder / "other")
    elif name == "link to itself":
        out.symlink_to(out)
    elif name == "read-only folder":
        (folder / "fixed").mkdir()
        (folder / "fixed").chmod(0o555)
        return folder / "fixed" / "out.npz"
    elif name == "below a file":
        (folder / "file").write_bytes(b"a user's own")
        return folder / "file" / "out.npz"
    elif name == "missing folder":
        return folder / "gone" / "out.npz"
    elif name == "long name":
        return folder / ("x" * 300)
    return out


PLACES = ("folder", "pipe", "file", "link to a file", "link to itself", "read-only folder",
          "below a file", "missing folder", "long name")  # fmt: skip


@pytest.mark.parametrize("name", INPUTS)
def test_outputs_that_cannot_be_written(name, tmp_path, files, capsys):
    """Found out before any work; what is there stays, and nothing else appears."""
    words, before = INPUTS[name][0].split(), bad_inputs.state(files)
    for place in PLACES:
        if place == "read-only folder" and os.geteuid() == 0:
            continue  # the administrator may write everywhere
        folder = tmp_path / place
        folder.mkdir()
        out = in_the_way(folder, place)
        there = bad_inputs.state(folder)
        with contextlib.chdir(files):
            status = cli.main([str(out) if word == "OUT" else word for word in words])
        said = capsys.readouterr()
        assert status == 2, place
        assert said.out == ""
        assert len(said.err.splitlines()) == 1, said.err
        assert str(out) in said.err
        assert REMEDY.search(said.err.replace(str(out), "")), said.err
        assert bad_inputs.state(folder) == there, place
    assert bad_inputs.state(files) == before


UNDERSTOOD = ("wide_integers", "negative_integers", "images_of_a_pixel")
"""What `lgc` may take: training on it takes too long for a test of all inputs."""


def inputs_of(name: str) -> list[str]:
    """All; but any file is a text, and what `lgc` understands is tested elsewhere."""
    if name == "text compress":
        return list(BAD_PLACES)
    long = UNDERSTOOD if name in ("lgc compress", "lgc distill") else ()
    return [each for each in BAD if each not in long]


def test_every_command_is_tried_with_sixty_inputs_or_more():
    assert {name.partition(",")[0] for name in COMMANDS} == set(VERBS)
    assert len(BAD) >= 60


@pytest.mark.parametrize("name", COMMANDS)
def test_some_bad_inputs(name, tmp_path, sound, capsys):
    """A cross-section; other inputs for every command."""
    chosen = inputs_of(name)[list(COMMANDS).index(name) % 9 :: 9]
    assert not faults(name, chosen, tmp_path, sound, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_bad_inputs(name, tmp_path, sound, capsys):
    found = faults(name, inputs_of(name), tmp_path, sound, capsys)
    assert not found, "\n".join(found)


READERS = (
    "lgc compress", "pruning compress", "pruning compress, data", "weights encode",
    "ratedist bound", "ratedist encode", "bitalloc fit", "bitalloc encode",
)  # fmt: skip
"""Commands that read a user's arrays."""


@pytest.mark.nightly
@pytest.mark.parametrize("name", READERS)
def test_every_single_byte_of_damage(name, tmp_path, sound, capsys):
    found = []
    for number, (place, flip) in enumerate(bad_inputs.damaged()):
        folder = tmp_path / str(number)
        folder.mkdir()
        bad = folder / "damaged.npz"
        byte = bytes([bad_inputs.SMALL[place] ^ flip])
        bad.write_bytes(made_files.patched(bad_inputs.SMALL, place, byte))
        wrong = refused(COMMANDS[name], bad, folder, sound, capsys)
        if wrong is not None:
            found.append(f"byte {place} ^ {flip:#x}: {wrong}")
    assert not found, "\n".join(found)
