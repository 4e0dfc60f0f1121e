"""Models that the package has never seen: through `prune`, a file, a subprocess, and back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import pruning
from fewbits.io import read_checkpoint, write_checkpoint
from pruning.commands import main

QUICK: dict[str, Any] = {
    "steps": 400, "fine_tune_steps": 200, "strengths": (1e-3,), "bits": (6,), "baseline": False,
    "max_loss": 5.0,
}  # fmt: skip
pytestmark = [pytest.mark.slow, pytest.mark.nightly]


def decoded(file: bytes, folder: Path, like: Any) -> Any:
    """What another process makes of a file, in the user's own structure."""
    (folder / "net.fwb").write_bytes(file)
    command = [sys.executable, "-m", "fewbits", "weights", "decode"]
    out = folder / "back.npz"
    subprocess.run([*command, folder / "net.fwb", out, "--force"], check=True, capture_output=True)
    return read_checkpoint(out, like=like)


def images() -> Any:
    """Is the upper left quarter brighter than the lower right one?"""
    x = np.random.default_rng(0).normal(size=(1500, 8, 8, 1)).astype(np.float32)
    y = (x[:, :4, :4].mean((1, 2, 3)) > x[:, 4:, 4:].mean((1, 2, 3))).astype(np.int32)
    return (x[:1000], y[:1000]), (x[1000:], y[1000:])


def accuracy(logits: Any, labels: Any) -> float:
    return float(np.mean(np.argmax(np.asarray(logits), axis=-1) == labels))


class Residual(nn.Module):
    """A convolutional network with BatchNorm and a residual branch."""

    @nn.compact
    def __call__(self, x, train: bool = False):
        def norm(x):
            return nn.BatchNorm(use_running_average=not train, momentum=0.9)(x)

        x = nn.relu(norm(nn.Conv(8, (3, 3), use_bias=False)(x)))
        x = x + nn.relu(norm(nn.Conv(8, (3, 3), use_bias=False)(x)))
        return nn.Dense(2)(nn.avg_pool(x, (4, 4), (4, 4)).reshape(len(x), -1))


def test_linen_with_batch_norm(tmp_path):
    train, held = images()
    model = Residual()
    variables = model.init(jax.random.key(0), train[0][:1])
    params, stats = variables["params"], variables["batch_stats"]

    def apply(params, state, x, train=False):
        variables = {"params": params, "batch_stats": state}
        if not train:
            return model.apply(variables, x)
        logits, new = model.apply(variables, x, train=True, mutable=["batch_stats"])
        return logits, new["batch_stats"]

    pruned = pruning.prune(apply, params, train, held, state=stats, **QUICK)
    back = decoded(pruned.file, tmp_path, {"params": params, "state": stats})
    right = accuracy(apply(back["params"], back["state"], held[0]), held[1])
    point = next(one for one in pruned.points if one.file == pruned.file)
    assert right == pytest.approx(1 - point.error_percent / 100, abs=1e-6)
    assert right > 0.85
    assert not np.allclose(back["state"]["BatchNorm_0"]["var"], 1.0, atol=0.02)


class Plain(nnx.Module):
    """No biases, layers in a list."""

    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List(
            [nnx.Linear(64, 24, use_bias=False, rngs=rngs),
             nnx.Linear(24, 2, use_bias=False, rngs=rngs)]
        )  # fmt: skip

    def __call__(self, x):
        return self.layers[1](nnx.tanh(self.layers[0](x.reshape(len(x), -1))))


def test_nnx_without_biases(tmp_path):
    train, held = images()
    model = Plain(nnx.Rngs(0))
    graph, state = nnx.split(model)
    pruned = pruning.prune(lambda state, x: nnx.merge(graph, state)(x), state, train, held, **QUICK)
    nnx.update(model, decoded(pruned.file, tmp_path, state))
    right = accuracy(model(held[0]), held[1])
    point = next(one for one in pruned.points if one.file == pruned.file)
    assert right == pytest.approx(1 - point.error_percent / 100, abs=1e-6)
    assert right > 0.85


class Transformer(nn.Module):
    """A block with attention and LayerNorm over embedded tokens."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(12, 16)(tokens) + self.param("place", nn.initializers.normal(0.1), (1, 6, 16))
        x = x + nn.MultiHeadDotProductAttention(num_heads=2)(nn.LayerNorm()(x))
        x = x + nn.Dense(16)(nn.gelu(nn.Dense(32)(nn.LayerNorm()(x))))
        return nn.Dense(2)(nn.LayerNorm()(x).mean(axis=1))


def test_a_transformer_over_tokens(tmp_path):
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 10, (1500, 6)).astype(np.int32)  # two tokens never occur
    labels = ((tokens == 3).sum(axis=1) > (tokens == 7).sum(axis=1)).astype(np.int32)
    train, held = (tokens[:1000], labels[:1000]), (tokens[1000:], labels[1000:])
    model = Transformer()
    params = model.init(jax.random.key(0), tokens[:1])["params"]

    def apply(params, x):
        return model.apply({"params": params}, x)

    def no_norms(params):
        return jax.tree_util.tree_map_with_path(
            lambda path, _: "LayerNorm" not in jax.tree_util.keystr(path), params
        )

    pruned = pruning.prune(apply, params, train, held, mask=no_norms, **QUICK)
    back = decoded(pruned.file, tmp_path, params)
    right = accuracy(apply(back, held[0]), held[1])
    point = next(one for one in pruned.points if one.file == pruned.file)
    assert right == pytest.approx(1 - point.error_percent / 100, abs=1e-6)
    assert right > 0.85
    assert np.all(back["LayerNorm_0"]["scale"])


def test_a_torch_lenet_from_safetensors(tmp_path, capsys):
    """Names and layouts of PyTorch, through the command; the file keeps both."""
    from tests.pruning.search.test_recognise import LeNet, in_torch_layout

    rng = np.random.default_rng(0)
    x = rng.normal(size=(1200, 14, 14, 2)).astype(np.float32)
    model = LeNet()
    y = np.asarray(x[..., 0].mean((1, 2)) > x[..., 1].mean((1, 2)), np.int32)
    params = model.init(jax.random.key(0), x[:1])["params"]
    trained = pruning.prune(
        lambda p, x: model.apply({"params": p}, x), params, (x[:900], y[:900]), (x[900:], y[900:]),
        **{**QUICK, "strengths": (0.0,), "bits": (12,)},
    )  # fmt: skip
    named = in_torch_layout(trained.params)
    write_checkpoint(tmp_path / "lenet.safetensors", named)
    nchw = x.transpose(0, 3, 1, 2)
    np.savez(tmp_path / "train.npz", images=nchw[:900], labels=y[:900])
    np.savez(tmp_path / "held.npz", images=nchw[900:], labels=y[900:])
    out = tmp_path / "lenet.fwb"
    assert main(
        ["compress", str(tmp_path / "lenet.safetensors"), str(out),
         "--data", str(tmp_path / "train.npz"), "--validation", str(tmp_path / "held.npz"),
         "--layout", "nchw", "--steps", "400", "--strength", "1e-3", "--max-loss", "5",
         "--no-baseline", "--quiet",
         "--plot", str(tmp_path / "front.png"), "--table", str(tmp_path / "front.csv")]
    ) == 0  # fmt: skip
    assert f"{out.stat().st_size:,} bytes" in capsys.readouterr().out
    assert (tmp_path / "front.png").stat().st_size > 1000
    assert (tmp_path / "front.csv").read_text().startswith("size_bytes,nonzeros")
    back = decoded(out.read_bytes(), tmp_path, named)
    assert {k: v.shape for k, v in back.items()} == {k: v.shape for k, v in named.items()}
    dense = back["fc1.weight"].T.reshape(6, 2, 2, 12).transpose(1, 2, 0, 3).reshape(24, 12)
    kernels = {
        "Conv_0": (back["conv1.weight"].transpose(2, 3, 1, 0), back["conv1.bias"]),
        "Conv_1": (back["conv2.weight"].transpose(2, 3, 1, 0), back["conv2.bias"]),
        "Dense_0": (dense, back["fc1.bias"]),
        "out": (back["fc2.weight"].T, back["fc2.bias"]),
    }
    ours = {name: {"kernel": k, "bias": b} for name, (k, b) in kernels.items()}
    assert accuracy(model.apply({"params": ours}, jnp.asarray(x[900:])), y[900:]) > 0.85
