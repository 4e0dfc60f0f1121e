"""Files of quantised arrays: the whole way back, and every damaged byte refused."""

from __future__ import annotations

import numpy as np
import pytest

from fewbits.coding import FormatError, container
from ratedist.codes import code_file, trellis
from ratedist.codes.code_file import Quantised
from tests.ratedist.quick import quick


def vector_code():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(7, 3)).astype(np.float32)
    return Quantised((5, 4, 3), (points,), (rng.integers(0, 7, 20),))


def trellis_code():
    x = np.random.default_rng(1).normal(size=150)
    start = trellis.uniform_trellis(0.5, 14)
    coded = quick(trellis.encode)(x, start, 3.0)
    index, quantiser = np.asarray(coded.index), np.asarray(coded.quantiser)
    points = np.asarray(start.points)
    values = points[quantiser, index]
    parts = tuple(index[quantiser == number] for number in range(2))
    return Quantised((150,), tuple(points[:, :, None]), parts), values


def test_a_larger_machine_comes_back():
    x = np.random.default_rng(2).normal(size=90)
    start = trellis.uniform_trellis(0.5, 14)
    coded = quick(trellis.encode, static_argnames=("states",))(x, start, 3.0, states=64)
    index, quantiser = np.asarray(coded.index), np.asarray(coded.quantiser)
    points = np.asarray(start.points)
    parts = tuple(index[quantiser == number] for number in range(2))
    code = Quantised((90,), tuple(points[:, :, None]), parts, 64)
    values = code_file.read(code_file.write(code))
    np.testing.assert_array_equal(values, np.float32(points[quantiser, index]))


def test_vector_code_comes_back():
    code = vector_code()
    values = code_file.read(code_file.write(code))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, code.points[0][code.indices[0]].reshape(5, 4, 3))


def test_trellis_code_comes_back():
    code, values = trellis_code()
    np.testing.assert_array_equal(code_file.read(code_file.write(code)), values.astype(np.float32))


def test_one_point_costs_no_symbols():
    code = Quantised((1000,), (np.array([[2.5]]),), (np.zeros(1000, int),))
    data = code_file.write(code)
    assert len(data) < 150
    np.testing.assert_array_equal(code_file.read(data), np.full(1000, 2.5, np.float32))


def test_the_file_is_as_small_as_its_entropy():
    rng = np.random.default_rng(2)
    index = rng.choice(5, 200_000, p=[0.5, 0.2, 0.15, 0.1, 0.05])
    counts = np.bincount(index) / index.size
    entropy = -(counts * np.log2(counts)).sum()
    data = code_file.write(Quantised((200_000,), (np.arange(5.0)[:, None],), (index,)))
    assert 8 * len(data) / 200_000 == pytest.approx(entropy, rel=0.005)


@pytest.mark.parametrize(
    "make", [vector_code, lambda: trellis_code()[0]], ids=["vector", "trellis"]
)
def test_every_damaged_byte_is_refused(make):
    data = code_file.write(make())
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            code_file.read(bytes(damaged))
    for end in range(0, len(data), 3):
        with pytest.raises(FormatError):
            code_file.read(data[:end])
    with pytest.raises(FormatError):
        code_file.read(data + b"\0")


def forged(code, **changes):
    """A file with sound checksums and other contents; `header` and sections by name."""
    archive = container.read_archive(code_file.write(code))
    header = {**archive.header, **changes.pop("header", {})}
    return container.write_archive(
        changes.pop("kind", code_file.KIND),
        {key: value for key, value in header.items() if value is not None},
        {key: v for key, v in {**archive.sections, **changes}.items() if v is not None},
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"kind": "model"}, "kind"),
        ({"header": {"shape": [5, 4, 4]}}, "shape"),
        ({"header": {"shape": [1 << 40]}}, "shape"),
        ({"header": {"shape": "wide"}}, "short list"),
        ({"header": {"shape": [-60]}}, "short list"),
        ({"header": {"shape": None}}, "fields"),
        ({"header": {"more": 1}}, "fields"),
        ({"header": {"dimension": 5}}, "dimension 5"),
        ({"header": {"dimension": True}}, "dimension True"),
        ({"header": {"states": 12}}, "12 states"),
        ({"header": {"states": True}}, "True states"),
        ({"header": {"points": [8]}}, "points"),
        ({"header": {"points": [0]}}, "0"),
        ({"header": {"points": [1 << 30]}}, "points"),
        ({"header": {"points": [7, 7]}}, "one quantiser"),
        ({"header": {"indices": [19]}}, "indices"),
        ({"points": np.full(21, np.nan, "<f4").tobytes()}, "not finite"),
        ({"points": b""}, "0 bytes"),
        ({"points": None}, "missing"),
        ({"extra": b"x"}, "too many"),
        ({"tables": b""}, "tables"),
        ({"symbols": b"\1\2\3"}, "symbols"),
        ({"symbols": b""}, "symbols"),
    ],
)
def test_forged_files_are_refused(changes, said):
    with pytest.raises(FormatError, match=said):
        code_file.read(forged(vector_code(), **changes))


def test_a_table_may_not_name_points_that_are_not_there():
    code = vector_code()
    few = code._replace(points=(code.points[0][:3],), indices=(code.indices[0] % 3,))
    sections = container.read_archive(code_file.write(few)).sections
    data = forged(code, points=sections["points"], header={"points": [3]})
    with pytest.raises(FormatError, match="indices to 6"):
        code_file.read(data)


def test_streams_that_the_machine_does_not_ask_for():
    code, _ = trellis_code()
    first, second = code.indices
    swapped = code._replace(indices=(np.append(first, 3), second[:-1]))
    with pytest.raises(FormatError, match="quantiser|left over"):
        code_file.read(code_file.write(swapped))


def test_the_writer_refuses_nonsense():
    code = vector_code()
    with pytest.raises(ValueError, match="indices 0 to 7"):
        code_file.write(code._replace(indices=(np.append(code.indices[0][:-1], 7),)))
    with pytest.raises(ValueError, match="shape"):
        code_file.write(code._replace(shape=(7, 7)))
