"""`python -m pruning`: a user's own network in, a small file out, and what mistakes say."""

import functools
import shutil
from contextlib import nullcontext

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.coding import params_from_bytes
from fewbits.training import evaluation, gradient_descent, loop, losses, networks, trees
from fewbits.training.parallel import processes
from pruning.commands import METHOD_NAMES, main
from pruning.methods import METHODS

NETWORK = networks.mlp((16, 12, 3))


@functools.cache
def problem():
    """A trained network and its data: which of three corners of a 4 x 4 image is brightest."""
    rng = np.random.default_rng(0)
    images = rng.uniform(size=(600, 4, 4, 1)).astype(np.float32)
    labels = np.argmax(images[:, [0, 0, 3], [0, 3, 0], 0], axis=1).astype(np.int32)
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), losses.cross_entropy(NETWORK.apply)
    )
    rate = gradient_descent.Hyperparameters(1e-2)
    run = jax.jit(
        lambda params, data: (
            loop.run(method, loop.Plan(300, 100), jax.random.key(1), params, data, rate).params
        )
    )
    return run(NETWORK.init(jax.random.key(0)), (images, labels)), images, labels


@pytest.fixture
def files(tmp_path):
    params, images, labels = problem()
    np.savez(tmp_path / "net.npz", **trees.named_leaves(params))
    np.savez(tmp_path / "data.npz", images=images, labels=labels)
    return tmp_path


def compress(folder, *flags: str) -> int:
    return main(
        [
            "compress", str(folder / "net.npz"), str(folder / "out.fb"),
            "--data", str(folder / "data.npz"), "--steps", "1200", "--fine-tune-steps", "400",
            *flags,
        ]
    )  # fmt: skip


@pytest.mark.slow
def test_round_trip(files, capsys):
    assert compress(files, "--strength", "1e-3", "--max-loss", "5") == 0
    said = capsys.readouterr().out
    size = (files / "out.fb").stat().st_size
    assert f"{size:,} bytes" in said.splitlines()[-1]
    heads = "bytes nonzeros error expected bits penalty weight"
    assert said.splitlines()[0].split() == heads.split()
    assert sum(line.endswith("<") for line in said.splitlines()) == 1
    assert size < 400
    assert main(["decompress", str(files / "out.fb"), str(files / "back.npz")]) == 0
    with np.load(files / "back.npz") as stored:
        params = trees.from_named({name: stored[name] for name in stored.files})
    expected = params_from_bytes((files / "out.fb").read_bytes())
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(np.all(a == b)), params, expected))
    _, images, labels = problem()
    params = jax.tree.map(jnp.asarray, params)
    accuracy = evaluation.accuracy(NETWORK.apply, params, jnp.asarray(images), jnp.asarray(labels))
    assert accuracy > 0.85
    assert trees.nonzeros(params) < 150
    assert {p.name for p in files.iterdir()} == {"net.npz", "data.npz", "out.fb", "back.npz"}


@pytest.mark.parametrize(
    ("flags", "value"),
    [
        (("--method", "guess"), "'guess'"),
        (("--strength", "-1"), "-1.0"),
        (("--method", "magnitude", "--strength", "3"), "3.0"),
        (("--steps", "0"), "steps 0"),
        (("--ratio", "0.5"), "0.5"),
        (("--max-loss", "nan"), "nan"),
        (("--data", "no-such-set"), "no-such-set"),
        (("--data", "absent.npz"), "absent.npz"),
        (("--seed", "-3"), "-3"),
        (("--plot", "same.csv", "--table", "./same.csv"), "same.csv"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(files, capsys, flags, value):
    assert compress(files, *flags) == 2
    said = capsys.readouterr().err
    assert value in said
    assert said.startswith("error: ")
    assert not (files / "out.fb").exists()


def test_a_network_that_is_none(files, capsys):
    np.savez(files / "net.npz", weights=np.ones(3, np.float32))
    assert compress(files) == 2
    assert "0 matrices" in capsys.readouterr().err
    (files / "net.npz").write_bytes(b"no zip at all")
    assert compress(files) == 2
    assert "net.npz" in capsys.readouterr().err


def test_numbers_that_do_not_fit_single_precision(files, capsys):
    arrays = trees.named_leaves(jax.tree.map(np.asarray, problem()[0]))
    arrays["output/bias"] = np.array([1e300, 0, 0])
    np.savez(files / "net.npz", **arrays)
    assert compress(files) == 2
    assert "output/bias" in capsys.readouterr().err


def test_a_network_near_chance_is_refused(files, capsys):
    zeros = jax.tree.map(np.zeros_like, problem()[0])
    np.savez(files / "net.npz", **trees.named_leaves(zeros))
    assert compress(files) == 2
    assert "near chance" in capsys.readouterr().err


def test_a_damaged_file(files, capsys):
    (files / "bad.fb").write_bytes(b"garbage")
    assert main(["decompress", str(files / "bad.fb"), str(files / "back.npz")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert not (files / "back.npz").exists()


def test_inputs_near_chance_name_the_flags(files, capsys):
    assert compress(files, "--mean", "9") == 2
    said = capsys.readouterr().err
    assert "near chance" in said
    assert "--mean, --std, --layout" in said
    assert compress(files, "--mean", "0.5,0.5") == 2
    assert "2 numbers for 1 channels" in capsys.readouterr().err


def test_a_named_function_that_fails(files, capsys):
    for model, value in (
        ("no_module:f", "No module"), ("math:pi", "no function"), ("math", "module:function"),
        ("math:gcd", "--model"),
    ):  # fmt: skip
        assert compress(files, "--model", model) == 2
        said = capsys.readouterr().err
        assert value in said
        assert said.count("\n") == 1


def test_methods_of_the_help_text():
    assert METHOD_NAMES == tuple(METHODS)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_sweep_goes_on_is_shared_and_refuses_another(files, capsys, monkeypatch):
    command = [
        "sweep", str(files / "net.npz"), str(files / "swept"), "--data", str(files / "data.npz"),
        "--strengths", "1e-3", "3e-3", "--seeds", "0", "--steps", "300", "--fine-tune-steps", "100",
        "--bits", "6", "--quiet",
    ]  # fmt: skip
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "2 trials, 0 diverged, 4 files" in said
    record = files / "swept" / "weight_0.003_seed_0.json"
    before = record.read_bytes()
    (files / "swept" / "weight_0.001_seed_0.json").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out == said
    assert record.read_bytes() == before
    assert (files / "swept" / "pareto.png").exists()
    shared = files / "shared"
    (shared / processes.FOLDER).mkdir(parents=True)
    shutil.copy(files / "swept/sweep.json", shared)  # the first process makes it
    for index in (1, 0):
        job = processes.Job(index, 2, shared)
        monkeypatch.setattr(job, "_wait", lambda processes, states: None)
        monkeypatch.setattr(processes, "joined", lambda out, place, job=job: nullcontext(job))
        assert main([*command[:2], str(shared), *command[3:], "--distributed", "a:1,2,0"]) == 0
        # The second of two processes has one trial and prints nothing.
        assert len(list(shared.glob("weight_*.json"))) == 2 - index
        assert (capsys.readouterr().out == "") == (index == 1)
    for path in (files / "swept").glob("*.fwb"):
        assert (shared / path.name).read_bytes() == path.read_bytes()
    assert main([*command, "--tolerance", "0.2"]) == 2
    assert "another sweep" in capsys.readouterr().err
    assert main([*command[:2], str(files), *command[3:]]) == 2
    assert "holds no sweep" in capsys.readouterr().err
