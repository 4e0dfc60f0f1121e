from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import FormatError, container, params_from_bytes, params_to_bytes
from fewbits.coding.weights import parameter_files, prior_file
from fewbits.coding.weights.model_file import quantise
from fewbits.io.checkpoints import read_checkpoint, write_checkpoint


def tree():
    rng = np.random.default_rng(0)
    return {
        "dense1": {
            "kernel": rng.normal(size=(4, 3)).astype(np.float32),
            "bias": np.zeros(3, np.float32),
        },
        "output": {"kernel": np.ones((3, 2), np.float32)},
    }


def assert_same(one, other):
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert left.dtype == np.float32
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_tree_comes_back(tmp_path: Path, suffix):
    path = tmp_path / f"net{suffix}"
    write_checkpoint(path, tree())
    assert_same(read_checkpoint(path), tree())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_orbax_folder_is_read(tmp_path: Path):
    from fewbits.training import checkpoints

    stored = jax.tree.map(jnp.asarray, tree())
    checkpoints.save_tree(tmp_path / "net", {**stored, "step": jnp.int32(7)})
    assert_same(read_checkpoint(tmp_path / "net"), tree())


def test_names_with_dots_and_other_precisions(tmp_path: Path):
    np.savez(
        tmp_path / "net.npz",
        **{
            "fc1.weight": np.ones((2, 2), np.float16),
            "fc1.bias": np.ones(2, np.float64),
            "num_batches": np.int64(3),
        },
    )
    back = read_checkpoint(tmp_path / "net.npz")
    assert_same(back, {"fc1": {"bias": np.ones(2), "weight": np.ones((2, 2))}})


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors", "net.pt", "folder"])
def test_foreign_files_are_format_errors(tmp_path: Path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"not a checkpoint at all, but long enough to be one")
    with pytest.raises(FormatError, match=name.replace(".", r"\.")):
        read_checkpoint(path)


def test_a_pickle_is_never_opened(tmp_path: Path):
    np.savez(tmp_path / "evil.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises(FormatError, match=r"evil\.npz"):
        read_checkpoint(tmp_path / "evil.npz")


def test_what_holds_no_parameters_is_refused(tmp_path: Path):
    np.savez(tmp_path / "steps.npz", step=np.arange(3))
    with pytest.raises(FormatError, match="no arrays of floats"):
        read_checkpoint(tmp_path / "steps.npz")
    np.savez(tmp_path / "names.npz", **{"a": np.ones(2), "a/b": np.ones(2)})
    with pytest.raises(FormatError, match="name is"):
        read_checkpoint(tmp_path / "names.npz")
    with pytest.raises(ValueError, match=r"\.npz or \.safetensors"):
        write_checkpoint(tmp_path / "net.h5", tree())


def test_truncated_archives_are_format_errors(tmp_path: Path):
    for suffix in (".npz", ".safetensors"):
        path = tmp_path / f"net{suffix}"
        write_checkpoint(path, tree())
        whole = path.read_bytes()
        for size in range(0, len(whole), 7):
            path.write_bytes(whole[:size])
            with pytest.raises(FormatError):
                read_checkpoint(path)


@pytest.mark.parametrize("bits", ["float32", "float16", 5, {"*/bias": 8, "*": 4}, {"*/kernel": 4}])
def test_encode_takes_the_shorter_file_and_decode_reads_either(bits):
    rng = np.random.default_rng(1)
    odds = 0.2 * np.exp(-(((np.arange(300) - 150) / 40.0) ** 2))[:, None]
    pruned = {"a": {"kernel": rng.normal(size=(300, 100)) * (rng.random((300, 100)) < odds)}}
    pruned["a"]["bias"] = rng.normal(size=100)
    for params in (tree(), pruned):
        assert_same(params_from_bytes(params_to_bytes(params, bits=bits)), quantise(params, bits))
    kind = container.read_archive(params_to_bytes(pruned, bits=bits)).kind
    assert kind == ("sparse" if bits in (5, {"*/bias": 8, "*": 4}) else "model")


def test_decode_reads_files_under_priors_and_refuses_others():
    data = prior_file.write_coded(tree(), 0.1)
    assert_same(params_from_bytes(data), prior_file.quantise_coded(tree(), 0.1))
    with pytest.raises(FormatError, match="no parameters"):
        params_from_bytes(container.write_archive("other", {}, {}))


def test_what_a_sparse_stream_may_not_hold_goes_to_a_model_file(monkeypatch):
    def refuse(*_):
        raise ValueError("too many")

    monkeypatch.setattr(parameter_files.sparse_code, "write_sparse", refuse)
    assert container.read_archive(params_to_bytes(tree(), bits=5)).kind == "model"
