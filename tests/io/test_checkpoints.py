"""Checkpoints of every kind: names, dtypes, structure and whole numbers come back."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from fewbits.io import FormatError, InputError
from fewbits.io.checkpoints import read_checkpoint, widened, write_checkpoint
from tests.io.users_trees import EXTENDED, USERS_TREES, assert_same, every_dtype, torch_like


@pytest.mark.parametrize("kind", USERS_TREES)
@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_a_users_tree_comes_back_whole(tmp_path: Path, kind, suffix):
    tree = USERS_TREES[kind]()
    path = tmp_path / f"net{suffix}"
    write_checkpoint(path, tree)
    assert_same(read_checkpoint(path, like=tree), tree)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("kind", ["linen", "nnx", "optax"])
def test_an_orbax_folder_comes_back_whole(tmp_path: Path, kind):
    tree = USERS_TREES[kind]()
    write_checkpoint(tmp_path / "net.orbax", tree)
    assert_same(read_checkpoint(tmp_path / "net.orbax", like=tree), tree)


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_names_and_whole_numbers_of_pytorch_stay(tmp_path: Path, suffix):
    """What `load_state_dict(strict=True)` compares: the very same keys and shapes."""
    path = tmp_path / f"net{suffix}"
    write_checkpoint(path, torch_like())
    back = read_checkpoint(path)
    assert back.keys() == torch_like().keys()
    assert_same(back, torch_like())


def test_safetensors_keep_every_dtype(tmp_path: Path):
    path = tmp_path / "net.safetensors"
    write_checkpoint(path, every_dtype())
    back = read_checkpoint(path)
    assert_same({name: back[name] for name in every_dtype()}, every_dtype())
    assert widened(every_dtype(), path) == []
    assert all(array.flags.writeable for array in back.values())


def test_npz_has_float32_for_what_numpy_does_not_know(tmp_path: Path):
    path = tmp_path / "net.npz"
    assert tuple(widened(every_dtype(), path)) == EXTENDED
    write_checkpoint(path, every_dtype())
    with np.load(path) as stored:
        assert {name: stored[name].dtype.name for name in EXTENDED} == dict.fromkeys(
            EXTENDED, "float32"
        )
    assert_same(read_checkpoint(path, like=every_dtype()), every_dtype())


def test_what_savez_makes_of_bfloat16_is_read_as_that(tmp_path: Path):
    weights = np.arange(6).astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "net.npz", weights=weights)
    assert_same(read_checkpoint(tmp_path / "net.npz"), {"weights": weights})


def test_the_first_bytes_say_what_a_file_is(tmp_path: Path):
    write_checkpoint(tmp_path / "net.npz", torch_like())
    (tmp_path / "net.npz").rename(tmp_path / "net.ckpt")
    assert_same(read_checkpoint(tmp_path / "net.ckpt"), torch_like())
    np.save(tmp_path / "one.npy", np.arange(3))
    assert_same(read_checkpoint(tmp_path / "one.npy"), np.arange(3))


def test_a_tensor_may_be_called_file(tmp_path: Path):
    tree = {"file": np.ones(2), "args": np.zeros(3), "allow_pickle": np.int8(1)}
    write_checkpoint(tmp_path / "net.npz", tree)
    assert read_checkpoint(tmp_path / "net.npz").keys() == tree.keys()


@pytest.mark.slow
def test_orbax_from_eight_devices_is_read_on_one(tmp_path: Path):
    program = """
import sys, jax, jax.numpy as jnp, optax
from jax.sharding import NamedSharding, PartitionSpec as P
from orbax.checkpoint import v1 as ocp
assert jax.device_count() == 8
mesh = jax.make_mesh((8,), ("x",))
kernel = jax.device_put(jnp.arange(64.0).reshape(16, 4), NamedSharding(mesh, P("x")))
params = {"kernel": kernel, "bias": jnp.ones(4, jnp.bfloat16)}
state = {"params": params, "opt": optax.adam(1e-3).init(params), "step": 7, "name": "net",
         "more": [jnp.arange(3), None, {}]}
ocp.save(sys.argv[1], state)
"""
    path = tmp_path / "net"
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, env={**os.environ, **flags}
    )
    read = "import sys; from fewbits.io import read_checkpoint; read_checkpoint(sys.argv[1])"
    done = subprocess.run(
        [sys.executable, "-c", read, str(path)], check=True, capture_output=True, text=True
    )
    assert done.stdout + done.stderr == ""
    back = read_checkpoint(path)
    np.testing.assert_array_equal(back["params"]["kernel"], np.arange(64.0).reshape(16, 4))
    assert back["params"]["kernel"].dtype == np.float32
    assert back["params"]["bias"].dtype == ml_dtypes.bfloat16
    assert back["opt"][0]["count"].dtype == np.int32
    assert back["step"] == 7
    assert back["name"] == "net"
    np.testing.assert_array_equal(back["more"][0], np.arange(3))
    assert back["more"][1:] == [None, {}]


@pytest.mark.parametrize("name", ["net.npz", "net.safetensors", "net.pt", "folder"])
def test_foreign_files_are_format_errors(tmp_path: Path, name, capfd):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"not a checkpoint at all, but long enough to be one")
    with pytest.raises(FormatError, match=name.replace(".", r"\.")) as caught:
        read_checkpoint(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


def test_files_of_others_come_with_a_remedy(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "net.pt", "w") as archive:
        archive.writestr("net/data.pkl", b"")
    (tmp_path / "old.pt").write_bytes(b"\x80\x02}q\x00.")
    (tmp_path / "net.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "run" / "100").mkdir(parents=True)
    for name, words in (
        ("net.pt", r"safetensors\.torch"),
        ("old.pt", r"safetensors\.torch"),
        ("net.h5", r"numpy\.savez"),
        ("pipe", "not a regular file"),
        ("run", "name one: .*100"),
    ):
        with pytest.raises(InputError, match=words):
            read_checkpoint(tmp_path / name)


def test_a_pickle_is_never_opened(tmp_path: Path):
    np.savez(tmp_path / "evil.npz", a=np.array([{"a": 1}], dtype=object))
    with pytest.raises((FormatError, InputError), match=r"evil\.npz"):
        read_checkpoint(tmp_path / "evil.npz")


def test_what_cannot_be_written_is_said_before_anything_is(tmp_path: Path):
    for name, tree, words in (
        ("net.h5", torch_like(), r"\.npz or \.safetensors"),
        ("net.safetensors", {"a": np.array(["text"])}, "a has the dtype <U4"),
        ("net.npy", torch_like(), "9 arrays"),
        ("net.npz", {"a": object()}, "a is no array"),
        ("net.npz", {"a/b": 1.0, "a": {"b": 2.0}}, "two leaves"),
    ):
        with pytest.raises(InputError, match=words):
            write_checkpoint(tmp_path / name, tree)
    assert list(tmp_path.iterdir()) == []


def test_truncated_archives_are_one_line(tmp_path: Path):
    for suffix in (".npz", ".safetensors"):
        path = tmp_path / f"net{suffix}"
        write_checkpoint(path, torch_like())
        whole = path.read_bytes()
        for size in range(0, len(whole), 61):
            path.write_bytes(whole[:size])
            with pytest.raises((FormatError, InputError)):
                read_checkpoint(path)
