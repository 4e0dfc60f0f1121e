"""What every command does with mistakes, interruptions and streams."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fewbits import cli
from fewbits.io.errors import FormatError, InputError

ROOT = Path(__file__).resolve().parents[1]


def _parser(function) -> argparse.ArgumentParser:
    parser = cli.Parser(prog="fewbits test")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.set_defaults(run=function)
    return parser


def _raising(error: BaseException):
    def function(_):
        raise error

    return _parser(function)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (InputError("a: b"), 2, "error: a: b\n"),
        (InputError("two\nlines \x1b[2J"), 2, "error: two lines  [2J\n"),
        (FormatError("not a map", "header"), 2, "error: header: not a map\n"),
        (FileNotFoundError(2, "No such file or directory", "a"), 2, "error: a: No such file"),
        (FileNotFoundError(2, "No such file or directory", b"a"), 2, "error: a: No such file"),
        (OSError(28, "No space left on device"), 2, "error: output: No space left"),
        (MemoryError(), 2, "error: not enough memory; "),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (KeyboardInterrupt("out holds the best"), 130, "error: interrupted; out holds the best\n"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_every_mistake_is_one_line(error, status, said, capsys):
    assert cli.run(_raising(error), []) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(said)
    assert printed.err.count("\n") == bool(said)


def test_a_bug_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        cli.run(_raising(ZeroDivisionError()), [])


@pytest.mark.parametrize("seed", ["-1", str(2**32), str(2**70)])
def test_seeds_have_a_range(seed, capsys):
    assert cli.run(_parser(lambda _: None), ["--seed", seed]) == 2
    assert capsys.readouterr().err == f"error: --seed {seed}; use 0 to 2^32 - 1\n"


def test_json_is_valid_for_all_that_numpy_gives(capsys):
    values = {"nan": np.nan, "inf": [np.float32(np.inf)], "shape": (2, np.int64(3)),
              "path": Path("a"), "flag": np.bool_(True), "array": np.eye(2), "none": None,
              "text": "é"}  # fmt: skip
    assert cli.run(_parser(lambda _: cli.Result(values, "for people")), []) == 0
    assert capsys.readouterr().out == "for people\n"
    assert cli.run(_parser(lambda _: cli.Result(values, "for people")), ["--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "nan": None, "inf": [None], "shape": [2, 3], "path": "a", "flag": True,
        "array": [[1, 0], [0, 1]], "none": None, "text": "é",
    }  # fmt: skip


def test_an_interruption_that_a_library_swallows_is_one(capsys):
    def swallowed(_):
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                pass
        except KeyboardInterrupt:
            raise RuntimeError("a callback failed") from None

    assert cli.run(_parser(swallowed), []) == 130
    assert capsys.readouterr().err == "error: interrupted\n"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interruption_that_python_drops_comes_again(capsys):
    class Finalised:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            for _ in range(1000):
                pass

    def dropped(_):
        thing = Finalised()
        del thing
        end = time.monotonic() + 10
        while time.monotonic() < end:
            pass

    assert cli.run(_parser(dropped), []) == 130
    assert capsys.readouterr().err == "error: interrupted\n"


def process(program: str, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=False, **options
    )


BANNER = """
import os, sys
from fewbits import cli
def function(_):
    os.write(1, b"Running HiGHS\\n")
    os.system("echo from a subprocess")
    print("a row", flush=True)
    return cli.Result([1], "the result \\udcff")
parser = cli.Parser(prog="fewbits test")
parser.set_defaults(run=function)
status = cli.run(parser, [])
print("afterwards", status)
"""


def test_what_libraries_print_is_no_result():
    done = process(BANNER)
    assert done.stdout == b"a row\nthe result \\udcff\nafterwards 0\n"
    assert done.stderr == b"Running HiGHS\nfrom a subprocess\n"


def test_a_reader_that_leaves_is_no_error():
    program = (
        "from fewbits import cli\nparser = cli.Parser(prog='fewbits test')\n"
        "parser.set_defaults(run=lambda _: 'line\\n' * 100_000)\n"
        "raise SystemExit(cli.run(parser, []))"
    )
    for call in (program, "from fewbits import cli; cli.main(['--help'])"):
        line = f'{sys.executable} -c "$PROGRAM" 2>&1 | head -c 1; echo ${{PIPESTATUS[0]}}'
        done = subprocess.run(
            ["bash", "-c", line], cwd=ROOT, env={**os.environ, "PROGRAM": call}, check=True,
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.stdout[1:].strip() in ("141", "0")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_an_output_that_is_full_is_one_line():
    program = (
        "from fewbits import cli\nparser = cli.Parser(prog='fewbits test')\n"
        "parser.set_defaults(run=lambda _: 'line')\nraise SystemExit(cli.run(parser, []))"
    )
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, stdout=full, stderr=-1, check=False
        )
    assert done.returncode == 2
    assert done.stderr == b"error: output: No space left on device\n"


def test_closed_streams_are_no_files(tmp_path):
    """A file that is opened when standard output is closed would get its number."""
    program = (
        "import os\nfrom fewbits import cli\nfrom fewbits.io import open_output\n"
        "def function(_):\n"
        "    with open_output('out') as file:\n"
        "        os.write(1, b'Running HiGHS')\n"
        "        file.write(b'data')\n"
        "    return cli.Result({}, 'said')\n"
        "parser = cli.Parser(prog='fewbits test')\nparser.set_defaults(run=function)\n"
        "raise SystemExit(cli.run(parser, []))"
    )
    line = f'{sys.executable} -c "$PROGRAM" <&- >&- 2>&-'
    environment = {**os.environ, "PROGRAM": program, "PYTHONPATH": str(ROOT)}
    assert subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment).returncode == 0
    assert (tmp_path / "out").read_bytes() == b"data"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("max_loss -1.0; use 0 or more", "--max-loss -1.0; use 0 or more"),
        ("other.npz does not exist; name a file", "other.npz does not exist; name a file"),
        ("90 labels for 100 images; cut one", "net.npz: 90 labels for 100 images; cut one"),
    ],
)
def test_a_mistake_in_a_flag_does_not_blame_the_file_that_is_read(message, shown, capsys):
    def run(options):
        raise InputError(message)

    parser = cli.Parser(prog="fewbits tool")
    parser.add_argument("file", type=Path)
    parser.add_argument("--max-loss")
    parser.add_argument("--validation")
    parser.set_defaults(run=run)
    assert cli.run(parser, ["net.npz", "--validation", "other.npz"]) == 2
    assert capsys.readouterr().err == f"error: {shown}\n"
