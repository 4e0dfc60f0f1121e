"""Files of parameters hold whole trees: dtypes, whole numbers, None, lists, names."""

from __future__ import annotations

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fewbits.coding import (
    FormatError,
    account,
    params_from_bytes,
    params_to_bytes,
    read_archive,
    write_archive,
)
from fewbits.coding.inspection.commands import inspect_parser
from fewbits.coding.weights.commands import main
from fewbits.io import read_checkpoint, trees, write_checkpoint
from tests.coding.mutants import campaign
from tests.io.users_trees import USERS_TREES, every_dtype, matched, torch_like


def assert_close(one, other):
    """Floats within an 8-bit grid's half step and their own precision, the rest exactly."""
    for left, right in matched(one, other):
        if jnp.issubdtype(left.dtype, jnp.floating):
            left, right = np.float64(left), np.float64(right)
            assert np.abs(left - right).max(initial=0) <= np.abs(right).max(initial=0) / 100
        else:
            np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kind", USERS_TREES)
def test_a_users_tree_comes_back(kind):
    tree = USERS_TREES[kind]()
    assert_close(params_from_bytes(params_to_bytes(tree, bits=8), like=tree), tree)


def test_names_and_dtypes_come_back_without_like():
    for tree in (torch_like(), every_dtype()):
        back = params_from_bytes(params_to_bytes(tree, bits="float32"))
        assert back.keys() == tree.keys()
        for name, array in tree.items():
            assert back[name].dtype == array.dtype
            assert back[name].shape == array.shape
            if array.dtype.name not in ("float64", "complex64"):
                np.testing.assert_array_equal(back[name], array)


leaves = st.sampled_from(
    [np.float32(0.5), np.int64(-3), np.bool_(True), np.ones((2, 2), np.float32), np.arange(3)]
)
some_trees = st.recursive(
    leaves | st.none(),
    lambda inner: (
        st.dictionaries(st.text("ab.", min_size=1, max_size=2), inner, max_size=3)
        | st.dictionaries(st.integers(-2, 12), inner, max_size=3)
        | st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
    ),
    max_leaves=6,
)


@given(some_trees)
@settings(derandomize=True, deadline=None, database=None, max_examples=60)
def test_any_structure_comes_back_exactly(tree):
    back = params_from_bytes(params_to_bytes(tree, bits="float32"))

    def same(one, other):
        assert type(one) is type(other) or isinstance(one, np.ndarray)
        if isinstance(other, dict):
            assert one.keys() == other.keys()
            [same(one[key], other[key]) for key in other]
        elif isinstance(other, list | tuple):
            assert len(one) == len(other)
            [same(*pair) for pair in zip(one, other, strict=True)]
        elif other is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)

    same(back, tree)


def test_float32_in_dicts_and_lists_costs_nothing_more():
    tree = {"a": [np.ones((2, 3), np.float32), np.zeros(3, np.float32)], "b": (np.float32(1),)}
    archive = read_archive(params_to_bytes(tree))
    assert archive.header.keys() == {"tree"}
    assert archive.sections.keys() == {"symbols"}


def test_small_whole_numbers_take_few_bytes():
    tree = {"weights": np.zeros(10, np.float32), "ids": np.arange(100_000) % 7}
    assert len(params_to_bytes(tree)) < 2_500


@pytest.mark.parametrize(
    ("leaf", "words"),
    [
        (np.array([1, np.nan], np.float32), "a: 1 of 2 values are NaN"),
        (np.array(["text"]), "a: text or objects"),
        (np.array([1], "datetime64[s]"), "a: numbers of the dtype datetime64"),
    ],
)
def test_a_leaf_that_no_file_holds_is_named(leaf, words):
    with pytest.raises(ValueError, match=words):
        params_to_bytes({"a": leaf})


def test_infinite_values_and_beyond_float32_are_exact():
    tree = {"mask": np.array([0, -np.inf], np.float32), "large": np.array([1e300])}
    back = params_from_bytes(params_to_bytes(tree))
    for name, array in tree.items():
        np.testing.assert_array_equal(back[name], array)
        assert back[name].dtype == array.dtype


def test_a_float_is_not_rounded_beyond_its_dtype():
    tree = {"a": np.array([65504, -65504, 1], np.float16), "b": np.ones(2, ml_dtypes.float8_e4m3fn)}
    tree["b"][0] = 448
    back = params_from_bytes(params_to_bytes(tree, step=1000.0))
    assert all(np.isfinite(back[name].astype(np.float32)).all() for name in tree)


def whole_file() -> bytes:
    return params_to_bytes(
        {"a": [np.ones(3, np.float16), None, np.arange(300)], "b": {0: True}, "c": np.ones(2)}
    )


def test_damage_is_a_format_error():
    data = whole_file()
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 0x41
        with pytest.raises(FormatError):
            params_from_bytes(bytes(broken))


def test_damage_below_the_checksums_is_a_format_error_or_a_tree():
    outcomes = campaign(
        300,
        [whole_file()],
        params_from_bytes,
        declared=lambda _: None,
        found=lambda _: None,
        targets=["header", "exact", "dtypes"],
    )
    assert outcomes.refused > 100


BESIDE = {"a": [0, {"1": None, "2": b"\x07\xac\x02"}], "b": [2, {"0": b"\x00"}]}


@pytest.mark.parametrize(
    ("beside", "words"),
    [
        ({**BESIDE, "c": None}, "two leaves have one place"),
        ({**BESIDE, "c": {"d": None}}, "a dict is missing"),
        ({**BESIDE, "a": [0, {"2": b"\x07\xac\x02"}]}, "items of a list are missing"),
        ({**BESIDE, "a": [3, {}]}, "holds"),
        ({**BESIDE, "b": [2, {"x": b"\x00"}]}, "whole number"),
        ({**BESIDE, "b": [2, {"00": b"\x00"}]}, "shortest form"),
        ({**BESIDE, "b": [2, {"0": b"\x63"}]}, "dtype is 99"),
        ({**BESIDE, "b": [2, {"0": b"\x00\xff\xff\xff\xff\x07"}]}, "too large"),
        ({**BESIDE, "b": [2, {"0": b"\x01\xff\xff\xff\x7f"}]}, "cannot unpack"),
        ({**BESIDE, "b": 1.5}, "holds 1.5"),
        (None, "two leaves have one place"),
    ],
)
def test_a_file_made_on_purpose_is_refused(beside, words):
    archive = read_archive(whole_file())
    assert archive.header["beside"] == BESIDE
    header = {**archive.header, "beside": beside}
    sections = dict(archive.sections)
    if beside is None:
        del sections["exact"]
    with pytest.raises(FormatError, match=words):
        params_from_bytes(write_archive(archive.kind, header, sections))


@pytest.mark.parametrize("dtypes", [b"", b"\x0b\x0b\x0b", b"\x07", b"\x40", 11])
def test_dtypes_that_do_not_fit_are_refused(dtypes):
    archive = read_archive(whole_file())
    with pytest.raises(FormatError, match=r"dtype|whole numbers"):
        params_from_bytes(
            write_archive(archive.kind, {**archive.header, "dtypes": dtypes}, archive.sections)
        )


@pytest.mark.parametrize("section", [b"", b"\x00", b"\x02abc", b"\x01abc", None])
def test_exact_values_that_are_not_there_are_refused(section):
    archive = read_archive(whole_file())
    sections = {**archive.sections, "exact": section}
    if section is None:
        del sections["exact"]
    with pytest.raises(FormatError, match="exact"):
        params_from_bytes(write_archive(archive.kind, archive.header, sections))


def test_account_and_inspect_see_all_of_it(tmp_path, capsys):
    data = whole_file()
    rows = account(data)
    assert sum(row.size_bytes for row in rows) == len(data)
    assert {"header beside", "header dtypes", "section exact"} <= {row.part for row in rows}
    (tmp_path / "net").write_bytes(data)
    parser = inspect_parser("fewbits inspect")
    options = parser.parse_args([str(tmp_path / "net")])
    shown = options.run(options)
    assert {"path": "a/2", "shape": [300], "coding": "exact, int64"} in shown.values["tensors"]


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_command_keeps_a_pytorch_state(tmp_path, suffix):
    source, small, back = (tmp_path / name for name in (f"in{suffix}", "net", f"out{suffix}"))
    write_checkpoint(source, torch_like())
    assert main(["encode", str(source), str(small), "--bits", "8"]) == 0
    assert main(["decode", str(small), str(back)]) == 0
    assert_close(read_checkpoint(back), read_checkpoint(source))


@pytest.mark.skipif(np.finfo(np.longdouble).max == np.finfo(float).max, reason="is float64 here")
def test_longdoubles_become_float64(tmp_path, capsys):
    for values in ([1.0, -2.0], [1e300, 2.0], [np.inf, 2.0]):
        data = params_to_bytes({"w": np.array(values, np.longdouble)}, bits="float32")
        back = params_from_bytes(data)["w"]
        assert back.dtype == np.float64
        assert back.tolist() == values
    with pytest.raises(ValueError, match="w: float.* values beyond float64"):
        params_to_bytes({"w": np.array(["1e4000"], np.longdouble)})
    np.savez(tmp_path / "in.npz", w=np.ones(3, np.longdouble))
    line = ["encode", str(tmp_path / "in.npz"), str(tmp_path / "net")]
    assert main([*line, "--strict"]) == 2
    assert main(line) == 0
    assert "warning: w becomes float64" in capsys.readouterr().err


def test_what_is_left_out_is_said_and_strict_makes_it_an_error(tmp_path, capsys):
    source, small = tmp_path / "in.npz", tmp_path / "net"
    np.savez(source, w=np.ones(3, np.float32), names=np.array(["a", "b"]))
    assert main(["encode", str(source), str(small), "--strict"]) == 2
    assert "names is left out: text or objects, not numbers" in capsys.readouterr().err
    assert not small.exists()
    assert main(["encode", str(source), str(small)]) == 0
    assert "warning: names is left out" in capsys.readouterr().err
    write_checkpoint(tmp_path / "b.safetensors", {"w": np.ones(3, ml_dtypes.bfloat16)})
    assert main(["encode", str(tmp_path / "b.safetensors"), str(small), "--force"]) == 0
    assert main(["decode", str(small), str(tmp_path / "b.npz"), "--strict"]) == 2
    assert not (tmp_path / "b.npz").exists()
    assert main(["decode", str(small), str(tmp_path / "b.npz")]) == 0
    assert "warning: w becomes float32" in capsys.readouterr().err
    assert trees.flatten(read_checkpoint(tmp_path / "b.npz"))[0][0][1].dtype == np.float32
