"""The command line reads like one program: help, flags, JSON, and outputs that are safe."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from fewbits import cli
from fewbits.coding import container
from tests import command_files

ROOT = Path(__file__).resolve().parents[1]


def verbs() -> dict[str, argparse.ArgumentParser]:
    """Every verb's parser by its name on the command line."""
    found = {}
    for tool in cli.TOOLS:
        (entry,) = metadata.entry_points(group=cli.COMMAND_GROUP, name=tool)
        parser = entry.load()(f"fewbits {tool}")
        choices = [a.choices for a in parser._actions if isinstance(a.choices, dict)]
        found |= (
            {f"{tool} {verb}": each for verb, each in choices[0].items()}
            if choices
            else {tool: parser}
        )
    return found


VERBS = verbs()
WRITING = {
    "lgc compress", "lgc distill", "lgc decompress", "pruning compress", "pruning decompress",
    "weights encode", "weights decode", "ratedist encode", "ratedist decode", "ratedist curve",
    "bitalloc fit", "bitalloc encode", "bitalloc decode", "bitalloc curve", "text compress",
    "text decompress",
}  # fmt: skip


@pytest.mark.parametrize("name", VERBS)
def test_help_says_what_every_argument_is_and_its_default(name: str):
    parser = VERBS[name]
    assert parser.description
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction):
            continue
        shown = parser._get_formatter()._get_help_string(action)  # type: ignore[attr-defined]
        assert shown, action.dest
        if action.option_strings and not action.required and action.nargs != 0:
            # Of several that exclude each other one is the default, the others stand instead.
            assert "default" in shown or shown.startswith("instead, "), action.option_strings
            assert action.metavar or action.choices, action.option_strings
    text = parser.format_help()
    assert text.startswith(f"usage: fewbits {name} ")
    assert "\narguments:\n" in text
    assert "\noptions:\n" in text


@pytest.mark.parametrize("name", VERBS)
def test_common_flags_are_the_same_everywhere(name: str):
    flags = {flag: action for action in VERBS[name]._actions for flag in action.option_strings}
    assert flags["--json"].help == "print the result as JSON"
    written = VERBS[name].get_default("outputs")
    assert ("--force" in flags) == bool(written)
    if name in WRITING:
        assert flags["--force"].help == "overwrite an existing file"
    if "--seed" in flags:
        assert flags["--seed"].default == 0
        assert flags["--seed"].metavar == "S"
    if "--quiet" in flags:
        assert flags["--quiet"].help == "show no progress"
    if "--time-limit" in flags:
        assert "90s, 5m or 2h" in str(flags["--time-limit"].help)
    order = [flag for flag in flags if flag in ("--seed", "--time-limit", "--force", "--json")]
    assert order == [f for f in ("--seed", "--time-limit", "--force", "--json") if f in order]


def test_every_verb_that_writes_is_known():
    assert {name for name, parser in VERBS.items() if parser.get_default("outputs")} >= WRITING


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Small inputs of every command; nothing here may change."""
    folder = tmp_path_factory.mktemp("inputs")
    command_files.write(folder)
    assert run(folder, "bitalloc encode model mnist.npz messages") == 0
    return folder


def run(folder: Path, words: str) -> int:
    """`fewbits` in a folder."""
    with contextlib.chdir(folder):
        return cli.main(words.split())


COMMANDS = {
    # a line with OUT for what is written, and the keys of its JSON
    "inspect": ("inspect pruned", {"kind", "what", "read_with", "version", "bytes", "sections",
                                   "tensors"}),
    "account": ("account pruned", {"part", "size_bytes"}),
    "lgc inspect": ("lgc inspect lgc", {
        "bytes", "kind", "image_shape", "images", "bits_per_image", "labels", "counts", "factor",
        "levels", "augmentation", "upsampler_parameters", "account"}),
    "lgc decompress": ("lgc decompress lgc OUT", {"output", "images", "shape"}),
    "lgc compress": ("lgc compress images.npz OUT --epochs 1 --components 1 --quiet", {
        "output", "bytes", "images", "bits_per_image", "raw_bytes"}),
    "pruning decompress": ("pruning decompress pruned OUT", {"output", "tensors", "parameters"}),
    "weights encode": ("weights encode net.npz OUT", {"output", "bytes", "parameters"}),
    "weights decode": ("weights decode pruned OUT", {"output", "parameters"}),
    "ratedist bound": ("ratedist bound samples.npz --distortion 0.5", {
        "rate_lower_bits", "rate_upper_bits", "gap_bits", "constraints",
        "any_codebook_lower_bits"}),
    "ratedist curve": ("ratedist curve samples.npz --points 3 --output OUT", {
        "distortion", "rate_lower_bits", "rate_upper_bits", "gap_bits", "price_bits_per_unit"}),
    "ratedist capacity": ("ratedist capacity channel.npz", {
        "capacity_lower_bits", "capacity_upper_bits", "gap_bits", "input_distribution", "cost",
        "price_bits_per_unit"}),
    "ratedist encode": ("ratedist encode samples.npz OUT --distortion 0.5", {
        "output", "bytes", "numbers", "distortion", "asked_distortion", "bits_per_number",
        "index_bits_per_number", "bound_bits_per_number", "bound_over", "gap_bits_per_number",
        "memoryless_upper_bits_per_number"}),
    "ratedist decode": ("ratedist decode quantised OUT", {"output", "shape", "dtype"}),
    "bitalloc fit": ("bitalloc fit images.npz OUT --bits 2 --no-networks", {
        "output", "bytes", "mode", "bits", "padding_bits", "sensor_bits", "decoder",
        "weight_bits", "classes", "n_train", "n_validation", "validation_accuracy",
        "shorter_messages"}),
    "bitalloc encode": ("bitalloc encode model mnist.npz OUT", {
        "output", "bytes", "messages", "bits", "payload_bytes"}),
    "bitalloc decode": ("bitalloc decode model messages OUT", {"output", "labels"}),
    "bitalloc curve": ("bitalloc curve images.npz --bits 1,2 --no-networks --compare "
                       "--output OUT", {
        "bits", "validation_accuracy", "held_out_accuracy", "decoder", "sensor_bits",
        "model_bytes", "usual_accuracy", "usual_way"}),
    "text compress": ("text compress text OUT", {
        "output", "bytes", "text_bytes", "bits_per_byte"}),
}  # fmt: skip
SUFFIX = {"weights decode": ".npz"}
SLOW = {"lgc compress", "bitalloc fit", "bitalloc curve", "text compress", "ratedist bound",
        "ratedist curve", "ratedist encode", "ratedist capacity"}  # fmt: skip
PARAMETERS = [
    pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in COMMANDS
]


@pytest.mark.parametrize("name", PARAMETERS)
def test_json_has_these_keys_and_files_are_not_overwritten(name, files, tmp_path, capsys):
    line, keys = COMMANDS[name]
    out = tmp_path / f"out{SUFFIX.get(name, '')}"
    line = line.replace("OUT", str(out))
    assert run(files, f"{line} --json") == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda word: pytest.fail(word))
    rows = found if isinstance(found, list) else [found]
    assert keys <= {key for row in rows for key in row}  # new ones may come
    if name not in WRITING:
        return
    assert out.exists()
    if "bytes" in keys:
        assert found["bytes"] == out.stat().st_size
    before = out.read_bytes()
    assert run(files, line) == 2
    assert capsys.readouterr().err == (
        f"error: {out} exists; name another output, or overwrite it with --force\n"
    )
    assert out.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [out.name]


INPUTS = {  # what each command reads: none of these may be its output
    "lgc compress": ("lgc compress images.npz OUT", ["images.npz"]),
    "lgc distill": ("lgc distill images.npz OUT --budget-bytes 900", ["images.npz"]),
    "lgc decompress": ("lgc decompress lgc OUT", ["lgc"]),
    "pruning compress": (
        "pruning compress net.npz OUT --data images.npz --validation mnist.npz",
        ["net.npz", "images.npz", "mnist.npz"],
    ),
    "pruning decompress": ("pruning decompress pruned OUT", ["pruned"]),
    "weights encode": ("weights encode net.npz OUT", ["net.npz"]),
    "weights decode": ("weights decode net.npz OUT", ["net.npz"]),
    "ratedist encode": ("ratedist encode samples.npz OUT --distortion 1", ["samples.npz"]),
    "ratedist decode": ("ratedist decode quantised OUT", ["quantised"]),
    "ratedist curve": ("ratedist curve samples.npz --output OUT", ["samples.npz"]),
    "bitalloc fit": ("bitalloc fit images.npz OUT --bits 2", ["images.npz"]),
    "bitalloc encode": ("bitalloc encode model mnist.npz OUT", ["model", "mnist.npz"]),
    "bitalloc decode": ("bitalloc decode model messages OUT", ["model", "messages"]),
    "bitalloc curve": ("bitalloc curve images.npz --output OUT", ["images.npz"]),
    "text compress": ("text compress text OUT --model model", ["text", "model"]),
    "text decompress": ("text decompress pruned OUT", ["pruned"]),
}


@pytest.mark.parametrize(
    ("line", "given"),
    [(line, given) for line, inputs in INPUTS.values() for given in inputs],
    ids=[f"{name} {given}" for name, (_, inputs) in INPUTS.items() for given in inputs],
)
def test_no_command_overwrites_what_it_reads(line, given, files, tmp_path, capsys):
    (tmp_path / f"link{Path(given).suffix}").symlink_to(files / given)
    before = {p.name: p.read_bytes() for p in files.iterdir()}
    for out in (given, str(tmp_path / f"link{Path(given).suffix}")):
        assert run(files, f"{line.replace('OUT', out)} --force") == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert re.fullmatch(r"error: \S+ is the input.* itself; name another output\n", said.err)
    assert {p.name: p.read_bytes() for p in files.iterdir()} == before


def test_every_writing_command_is_tested():
    assert set(INPUTS) == WRITING
    others = {"lgc distill", "pruning compress", "pruning sweep", "text decompress"}
    assert set(COMMANDS) | others >= set(VERBS)


@pytest.mark.slow
def test_a_pipeline(files, tmp_path):
    line = f"{sys.executable} -m fewbits"
    done = subprocess.run(
        f"{line} weights encode net.npz - | {line} account - --json",
        shell=True, cwd=files, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    size = sum(row["size_bytes"] for row in json.loads(done.stdout))
    assert f"45 parameters in {size} bytes" in done.stderr
    data = subprocess.run(
        f"{line} weights encode net.npz -", shell=True, cwd=files, capture_output=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    ).stdout  # fmt: skip
    assert len(data) == size
    container.read_archive(data)
