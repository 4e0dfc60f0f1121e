"""Files that someone wrote on purpose: right checksums around anything at all."""

from __future__ import annotations

import json
import math
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from fewbits.coding import FormatError, cbor, read_archive, table_code, write_archive
from fewbits.coding.reference_coder import GUARD
from fewbits.coding.varint import varint
from fewbits.coding.weights.model_file import read_model, write_model
from fewbits.coding.weights.trees.parameter_tree import (
    FLOAT32,
    GRID,
    MAX_ELEMENTS,
    SHIFTED_GRID,
    Leaf,
)
from tests.coding.test_container import assemble

NOTHING = struct.pack("<H", GUARD)
"""A stream of symbols that cost nothing."""
CERTAIN = table_code.fit(np.array([0])).code
EIGHT = table_code.fit(np.array([8])).code


def model_of(leaf: bytes, codes: bytes = CERTAIN, symbols: bytes = NOTHING) -> bytes:
    return write_archive("model", {"tree": leaf, "tables": codes}, {"symbols": symbols})


def leaf_of(
    *shape: int, codec: int = GRID, bits: int = 4, table: int = 0, step: float = 1, zero: float = 0
) -> bytes:
    return Leaf(codec, shape, bits, table, step, zero).to_bytes()


def assert_refused_or_valid(data: bytes) -> bool:
    """Whether a file was accepted; whatever is not a FormatError fails the test."""
    try:
        tree = read_model(data)
    except FormatError:
        return False
    leaves = jax.tree.leaves(tree)
    assert all(isinstance(leaf, np.ndarray) and leaf.dtype == np.float32 for leaf in leaves)
    assert all(np.isfinite(leaf).all() for leaf in leaves)
    return True


@pytest.fixture(scope="module")
def model() -> bytes:
    rng = np.random.default_rng(0)
    tree = {
        "dense": [{"w": rng.normal(size=(20, 10)), "b": rng.normal(size=10)} for _ in range(2)],
        "scale": (1 + rng.random(7), np.float32(3)),
    }
    return write_model(tree, bits={"dense/0/*": 5, "dense/1/w": 3, "scale/0": 4, "*/b": "float16"})


def mutate(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes flipped, overwritten, removed, inserted or repeated."""
    mutant = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at = int(rng.integers(0, len(mutant) + 1))
        size = int(rng.integers(1, 6))
        kind = rng.integers(5)
        if kind == 0 and at < len(mutant):
            mutant[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            mutant[at : at + 1] = bytes([rng.choice([0, 1, 0x7F, 0x80, 0xFF, 0x9B, 0xBB, 0x5B])])
        elif kind == 2:
            del mutant[at : at + size]
        elif kind == 3:
            mutant[at:at] = rng.bytes(size)
        else:
            mutant[at:at] = mutant[at : at + size]
    return bytes(mutant)


def test_ten_thousand_header_mutants_with_repaired_checksums(model):
    archive = read_archive(model)
    header = cbor.dumps(archive.header)
    payloads = tuple((name.encode(), body) for name, body in archive.sections.items())
    assert assemble(header, payloads) == model
    rng = np.random.default_rng(1)
    accepted = sum(
        assert_refused_or_valid(assemble(mutate(header, rng), payloads)) for _ in range(10_000)
    )
    # Renamed tensors, reshaped tensors, other steps: valid files of other models.
    assert 100 < accepted < 3000


def test_mutants_of_envelope_tables_and_payloads_with_repaired_checksums(model):
    archive = read_archive(model)
    header = cbor.dumps(archive.header)
    payloads = [(name.encode(), body) for name, body in archive.sections.items()]
    rng = np.random.default_rng(2)
    accepted = 0
    for _ in range(2000):
        number = int(rng.integers(len(payloads)))
        name, body = payloads[number]
        changed = [*payloads]
        if rng.random() < 0.8:
            changed[number] = (name, mutate(body, rng))
        else:
            changed[number] = (mutate(name, rng), body)
        accepted += assert_refused_or_valid(assemble(header, tuple(changed)))
        codes = mutate(archive.header["tables"], rng)
        wrong = write_archive("model", {**archive.header, "tables": codes}, archive.sections)
        accepted += assert_refused_or_valid(wrong)
    assert 20 < accepted < 2000


def test_sections_of_two_models_spliced(model):
    archive = read_archive(model)
    rng = np.random.default_rng(3)
    other = read_archive(write_model({"w": rng.normal(size=300)}, bits=5))
    for header, sections in (
        (archive.header, other.sections),
        (other.header, archive.sections),
        (other.header, {"symbols": archive.sections["symbols"]}),
        (archive.header, {**archive.sections, "symbols": other.sections["symbols"]}),
        ({**archive.header, "tables": other.header["tables"]}, archive.sections),
    ):
        with pytest.raises(FormatError):
            read_model(write_archive("model", header, sections))


BOMBS: dict[str, bytes] = {
    "dimensions of 2^31": model_of(leaf_of(1 << 31, 1 << 31)),
    "elements of 2^31": model_of(leaf_of(1 << 31)),
    "elements at the limit": model_of(leaf_of(MAX_ELEMENTS)),
    "elements at the limit, in many tensors": write_archive(
        "model", {"tree": [0, *[leaf_of(1 << 20)] * 256], "tables": CERTAIN}, {"symbols": NOTHING}
    ),
    "nothing times 2^31": model_of(leaf_of(0, 1 << 31)),
    "dimensions of 2^64": model_of(bytes([2 << 5 | 4]) + varint((1 << 64) - 1) * 2),
    "floats that are not there": write_archive(
        "model", {"tree": Leaf(FLOAT32, (1 << 28,)).to_bytes()}, {"floats": bytes(8)}
    ),
    "nesting": assemble(b"\xa1\x64tree" + b"\x81" * 1_000_000),
    "many empty entries": assemble(b"\xa1\x64tree\x9a\x00\x0f\xff\x00" + b"\x80" * 1_048_320),
    "a header of 2^60 bytes": assemble(header_length=1 << 60),
    "a section of 2^60 bytes": assemble(sections=((b"a", b""),), lengths=(1 << 60,)),
    "tables without end": model_of(leaf_of(1), b"\x00\x00\xff\xff\x03" * 200_000),
    "one enormous table": model_of(leaf_of(1), b"\x01\x00\xff\xff\x03\x18"),
    "a bell without mass": model_of(leaf_of(1), b"\x03\xff\xff\x03\xff\xff\x03" + b"\xff" * 7),
    "a step that overflows": model_of(leaf_of(1, step=3e38), table_code.fit(np.array([7])).code),
}

LIMITED_PROGRAM = """
import json, resource, sys, time, warnings
from pathlib import Path
from fewbits.coding import FormatError
from fewbits.coding.weights import model_file
warnings.simplefilter("error")
model_file.read_model(Path(sys.argv[1]).read_bytes())  # imports and caches
in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
limit = in_use + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
verdicts = {}
for path in map(Path, sys.argv[2:]):
    data, seconds = path.read_bytes(), []
    for _ in range(3):
        start = time.process_time()
        try:
            model_file.read_model(data)
            verdict = "accepted"
        except FormatError as error:
            verdict = "refused"
        except BaseException as error:
            verdict = repr(error)
        seconds.append(time.process_time() - start)
    verdicts[path.name] = [verdict, min(seconds)]
print(json.dumps(verdicts))
"""


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory, model) -> dict[str, Any]:
    """What a process that may take 64 MB more than it has makes of each bomb, and its seconds."""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory in use is read from /proc, which this system does not have")
    folder = tmp_path_factory.mktemp("bombs")
    (folder / "model").write_bytes(model)
    for number, data in enumerate(BOMBS.values()):
        (folder / str(number)).write_bytes(data)
    files = [str(folder / str(number)) for number in range(len(BOMBS))]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED_PROGRAM, str(folder / "model"), *files],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
        check=True,
    )
    return dict(zip(BOMBS, json.loads(done.stdout).values(), strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_refused_within_50_ms_and_64_mb(verdicts, name):
    verdict, seconds = verdicts[name]
    assert verdict == "refused"
    assert seconds < 0.05


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({}, "holds 'tree'"),
        ({"tree": leaf_of(1), "tables": CERTAIN, "more": 1}, "holds 'tree'"),
        ({"tree": leaf_of(1), "tables": 7}, "byte string"),
        ({"tree": leaf_of(1)}, "do not go together"),
        ({"tree": leaf_of(1, table=1), "tables": CERTAIN}, "do not go together"),
        ({"tree": leaf_of(1), "tables": CERTAIN * 2}, "do not go together"),
        ({"tree": [0], "tables": CERTAIN}, "do not go together"),
        ({"tree": [0]}, "symbols of no tensor"),
        ({"tree": [0], "tables": b""}, "left out"),
        ({"tree": leaf_of(1, codec=SHIFTED_GRID, zero=math.inf), "tables": CERTAIN}, "zero inf"),
        ({"tree": leaf_of(1, step=-1.0), "tables": CERTAIN}, "step -1"),
        ({"tree": leaf_of(1, step=float("nan")), "tables": CERTAIN}, "step nan"),
        ({"tree": leaf_of(1 << 14, 1 << 15), "tables": CERTAIN}, "268435456 elements"),
        ({"tree": leaf_of(1) + b"\0", "tables": CERTAIN}, "follow the end"),
        ({"tree": b"", "tables": CERTAIN}, "wanted"),
        ({"tree": [leaf_of(1)], "tables": CERTAIN}, "holds list"),
        ({"tree": [2, leaf_of(1)], "tables": CERTAIN}, "holds list"),
        ({"tree": [False, leaf_of(1)], "tables": CERTAIN}, "holds list"),
        ({"tree": {"w": 1.5}, "tables": CERTAIN}, "holds float"),
        ({"tree": None, "tables": CERTAIN}, "holds NoneType"),
        ({"tree": leaf_of(1), "tables": EIGHT}, "too large for 4 bits"),
    ],
)
def test_headers_that_make_no_model(header, message):
    with pytest.raises(FormatError, match=message):
        read_model(write_archive("model", header, {"symbols": NOTHING}))


def test_sections_that_make_no_model():
    leaf = Leaf(FLOAT32, (2,)).to_bytes()
    for sections, section in (
        ({}, "floats"),
        ({"floats": bytes(7)}, "floats"),
        ({"floats": bytes(9)}, "floats"),
        ({"floats": struct.pack("<2f", 1, float("nan"))}, "floats"),
        ({"floats": struct.pack("<2I", 0x7F800001, 0)}, "floats"),
        ({"floats": bytes(8), "more": b""}, "more"),
        ({"floats": bytes(8), "symbols": b""}, "symbols"),
        ({"floats": bytes(8), "symbols": NOTHING}, "symbols"),
    ):
        with pytest.raises(FormatError) as caught:
            read_model(write_archive("model", {"tree": leaf}, sections))
        assert caught.value.section == section
    half = Leaf(1, (1,)).to_bytes()
    with pytest.raises(FormatError, match="not finite"):
        read_model(write_archive("model", {"tree": half}, {"floats": struct.pack("<H", 0x7C01)}))


def test_a_file_of_another_kind():
    with pytest.raises(FormatError, match="kind 'lgc'"):
        read_model(write_archive("lgc", {"tree": leaf_of(1), "tables": CERTAIN}, {}))


def test_the_smallest_honest_file_of_each_trick_is_accepted():
    assert read_model(model_of(leaf_of(1 << 20))).shape == (1 << 20,)
    assert read_model(model_of(leaf_of(0, 1 << 20))).shape == (0, 1 << 20)
