"""FORMAT.md against the code, and files of this version that must be readable for ever."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fewbits import coding
from fewbits.coding import (
    cbor,
    container,
    entropy_coder,
    reference_coder,
    shared_tables,
    table_code,
    tables,
)
from fewbits.coding.entropy_coder import StreamPlan
from fewbits.coding.varint import ByteReader
from fewbits.coding.weights import model_file, prior_file
from fewbits.coding.weights.sparse import sparse_code
from fewbits.coding.weights.trees import parameter_tree
from tests.coding import plain_sparse

PAGE = (Path(coding.__file__).parent / "FORMAT.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).parent / "golden"


def worked_example() -> bytes:
    (block,) = re.findall(r"```\n(.*?)```", PAGE, flags=re.DOTALL)
    hexadecimal = [
        re.match(r" *((?:[0-9a-f]{2} )*[0-9a-f]{2})  ", f"{line}  ") for line in block.splitlines()
    ]
    return b"".join(bytes.fromhex(match.group(1)) for match in hexadecimal if match)


def test_the_worked_example():
    tree = {
        "w": np.array([[0.5, -0.25, 0.0], [0.25, 1.5, -0.5]], np.float32),
        "b": np.array([0.1], np.float32),
    }
    data = worked_example()
    assert model_file.write_model(tree, bits={"w": 3}) == data
    assert f"these {len(data)} bytes" in PAGE
    np.testing.assert_array_equal(model_file.read_model(data)["w"], [[0.5, 0, 0], [0, 1.5, -0.5]])


@pytest.mark.parametrize(
    "fact",
    [
        f"at most 2^{container.MAX_HEADER_BYTES.bit_length() - 1} |",
        f"number of sections, at most {container.MAX_SECTIONS} ",
        f"has at most 2^{container.MAX_FILE_BYTES.bit_length() - 1} bytes",
        f"empty header cost {container.overhead_bytes()} bytes",
        f"must be the guard, 0x{reference_coder.GUARD:X}",
        f"at most {tables.MAX_ALPHABET:,}\nsymbols",
        "at most 2^20 + 1024 n symbols",
        f"a header has at most {cbor.MAX_VALUES:,} values",
        f"Nesting is at most {cbor.MAX_DEPTH} deep",
        ", ".join(map(str, table_code._OCTAVE[:11])),
    ],
)
def test_the_numbers_on_the_page(fact):
    assert fact in PAGE


def test_the_limits_on_the_page_are_those_of_the_code():
    assert entropy_coder.symbol_limit(3) == 2**20 + 1024 * 3
    assert shared_tables.MAX_ENTRIES == 2**21


def digest(arrays: list[np.ndarray]) -> str:
    return hashlib.sha256(b"".join(array.tobytes() for array in arrays)).hexdigest()


def test_the_golden_model_of_version_one():
    tree = model_file.read_model((GOLDEN / "v1.model").read_bytes())
    header = container.load(GOLDEN / "v1.model").header
    leaves = model_file.describe(header)
    assert {leaf.codec for _, leaf in leaves} == {0, 1, 2, 3}
    assert sorted(tree) == ["dense", "offset", "pair", "scale"]
    assert isinstance(tree["dense"], list)
    assert isinstance(tree["pair"], tuple)
    arrays = [*(layer[k] for layer in tree["dense"] for k in "bw"), tree["offset"], *tree["pair"]]
    assert digest([*arrays, tree["scale"]]) == GOLDEN_MODEL


def test_the_golden_streams_of_version_one():
    archive = container.load(GOLDEN / "v1.streams", kind="streams")
    reader = ByteReader(archive.sections["tables"], "tables")
    known = [table_code.read(reader) for _ in range(4)]
    reader.finish()
    assert [archive.header["kinds"][i] for i in range(4)] == [0, 1, 2, 3]
    choice = np.frombuffer(archive.sections["choice"], np.uint8)
    plan = [*(StreamPlan(n, t) for n, t in zip(archive.header["counts"], known, strict=True))]
    plan.append(StreamPlan(choice.size, known, choice))
    arrays = entropy_coder.decode(archive.sections["symbols"], plan)
    assert digest(arrays) == GOLDEN_STREAMS
    assert digest([table.counts for table in known]) == GOLDEN_TABLES


def test_the_golden_sparse_file_of_version_one():
    path = GOLDEN / "v1.sparse"
    tree = sparse_code.read_sparse(path.read_bytes())
    arrays = arrays_by_path(tree)
    assert list(arrays) == [
        *("conv", "pair/0", "pair/1", "dense/0/b", "dense/0/w", "dense/1/b", "dense/1/w", "offset")
    ]
    assert digest(list(arrays.values())) == GOLDEN_SPARSE
    plain = plain_sparse.read(path.read_bytes())
    for name, array in arrays.items():
        np.testing.assert_array_equal(np.array(plain[name].values, np.float32), array.ravel())


def test_the_golden_file_under_priors_of_version_one():
    """A tensor under each family, and one under a table of its own."""
    arrays = arrays_by_path(prior_file.read_coded((GOLDEN / "v1.prior_code").read_bytes()))
    assert list(arrays) == ["a", "b/0", "b/1", "c"]
    assert digest(list(arrays.values())) == GOLDEN_PRIORS


def arrays_by_path(tree: Any) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    parameter_tree.map_leaves(tree, arrays.__setitem__)
    return arrays


GOLDEN_MODEL = "17b2bd6b4b52d6c49ad89ebfdabd6a103694313ba66c5affd13f9baeeca02376"
GOLDEN_STREAMS = "2bbbb83743fb890cd5d2695996eddf54af2f72941647d07abc8bdda495a84116"
GOLDEN_TABLES = "99e3df70e0b29b1de4dc37b64b7718546a8091c82d990f7ffb920be44053c227"
GOLDEN_SPARSE = "4f056eab23e12411b43dfe2209bef74f1020c7b8885aade7087bc508d72992fd"
GOLDEN_PRIORS = "e7539ccdfca8127de57366d6896ce7df42e6b8024d9acf68dbaaa4fe9a8582be"
