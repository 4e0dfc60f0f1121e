"""What a command is given: a checkpoint, its network, and labelled inputs."""

from __future__ import annotations

import argparse
import inspect
import pkgutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import InputError
from fewbits.io import read_checkpoint, read_labelled
from fewbits.training import evaluation, trees
from fewbits.training.method import Params
from pruning.search import _prune, recognise

_LEAST_ABOVE_CHANCE = 0.1
_FEW = 2_000
_REMEDY = "does the network expect other inputs? try --mean, --std, --layout, or name it by --model"


class Given(NamedTuple):
    """A network and its data, ready for a search.

    Attributes:
      apply: (params, inputs) -> logits, or (params, state, inputs).
      params: of the checkpoint.
      state: or None.
      train: inputs Float[n, ...], labels.
      validation: likewise.
      held_out: whether `validation` was named by the user, and is no part of the training data.
      said: what the network was recognised as, for people.
    """

    apply: Callable[..., Any]
    params: Params
    state: Any
    train: tuple[np.ndarray, np.ndarray]
    validation: tuple[np.ndarray, np.ndarray]
    held_out: bool
    said: str


def read(options: argparse.Namespace) -> Given:
    """Checkpoint, data and network that a command line names.

    Raises:
      InputError, FormatError: what cannot be used, or a network near chance on the data.
    """
    tree = _checked(read_checkpoint(options.checkpoint), options.checkpoint)
    first = read_labelled(
        options.data, images=options.images, labels=options.labels, layout=options.layout,
        size=options.size, features=True,
    )  # fmt: skip
    data = _inputs(options, first.images), first.labels
    if len(data[1]) < 20:
        raise InputError(f"{options.data}: {len(data[1])} examples; at least 20 are needed")
    state, apply, said = None, None, ""
    if options.model is not None:
        apply, with_state = _named_function(options.model)
        params, said = tree, options.model
        if with_state:
            if not isinstance(tree, dict) or "params" not in tree:
                raise InputError(
                    f"--model {options.model} takes (params, state, x), and the checkpoint has no "
                    f"'params' beside a state"
                )
            params = tree["params"]
            state = {name: part for name, part in tree.items() if name != "params"}
        _try(options.model, apply, params, state, data[0])
    else:
        params = tree["params"] if isinstance(tree, dict) and "params" in tree else tree
        try:
            chain, said = _recognised(params, data)
        except InputError as error:
            raise InputError(f"{options.checkpoint}: {error}") from error
        apply = chain.apply
    _check_trained(apply, params, state, data)
    if options.validation is None:
        train, validation = _split(data, options.seed)
    else:
        held = read_labelled(
            options.validation, images=options.images, labels=options.labels,
            layout=options.layout, size=options.size, features=True, split="test",
            classes=first.form.classes,
        )  # fmt: skip
        train, validation = data, (_inputs(options, held.images), held.labels)
        if train[0].shape[1:] != validation[0].shape[1:]:
            raise InputError(
                f"validation inputs of shape {validation[0].shape[1:]}, training inputs of "
                f"{train[0].shape[1:]}"
            )
    return Given(apply, params, state, train, validation, options.validation is not None, said)


def _checked(tree: Any, path: Any) -> Any:
    """Finite parameters of single precision or less; anything else in the tree stays."""
    if not isinstance(tree, dict | list):
        raise InputError(f"{path} holds one array; save every layer's parameters by their names")
    for name, leaf in trees.named_leaves(tree).items():
        with np.errstate(over="ignore"):
            number = leaf.dtype.kind == "f" or leaf.dtype.name == "bfloat16"
            if number and not np.isfinite(np.asarray(leaf, np.float32)).all():
                raise InputError(
                    f"{path}: {name} holds numbers that are not finite in single precision; "
                    "train it again with a smaller learning rate"
                )
    return tree


def _inputs(options: argparse.Namespace, images: np.ndarray) -> np.ndarray:
    """uint8 scaled by 1/255, then --mean and --std."""
    x = images.astype(np.float32)
    if images.dtype == np.uint8:
        x = x / 255
    for name, numbers in (("--mean", options.mean), ("--std", options.std)):
        if numbers is None:
            continue
        if len(numbers) not in (1, x.shape[-1]):
            raise InputError(f"{name} has {len(numbers)} numbers for {x.shape[-1]} channels")
        if name == "--std" and not all(number > 0 for number in numbers):
            raise InputError(f"--std {numbers}; use numbers above 0")
        x = x - np.float32(numbers) if name == "--mean" else x / np.float32(numbers)
    return x


def _recognised(params: Params, data: tuple[np.ndarray, np.ndarray]) -> tuple[recognise.Chain, str]:
    inputs, labels = data
    try:
        found = recognise.chains(params, inputs.shape[1:], int(labels.max()) + 1)
    except ValueError as error:
        raise InputError(
            f"{error}; name the network: --model module:function, a function of (params, x) or "
            "(params, state, x) that gives logits"
        ) from error
    few = jnp.asarray(inputs[:_FEW]), jnp.asarray(labels[:_FEW])
    chain, _ = recognise.most_accurate(found, params, *few)
    widths = [layer["kernel"].shape for layer in chain.to_layers(params).values()]
    shapes = ", ".join("x".join(map(str, shape)) for shape in widths)
    return chain, f"layers {shapes} with {chain.activation}"


def _named_function(name: str) -> tuple[Callable[..., Any], bool]:
    """The user's function, and whether it takes a state."""
    if not name.partition(":")[2]:
        raise InputError(f"--model {name}; use module:function")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        function = pkgutil.resolve_name(name)
    except Exception as error:  # whatever the user's module raises
        raise InputError(f"--model {name}: {type(error).__name__}: {_line(error)}") from error
    if not callable(function):
        raise InputError(f"--model {name} is no function")
    required = [
        one
        for one in inspect.signature(function).parameters.values()
        if one.default is one.empty and one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)
    ]
    if len(required) not in (2, 3):
        raise InputError(
            f"--model {name} takes {len(required)} arguments; it should take (params, x) or "
            "(params, state, x)"
        )
    return function, len(required) == 3


def _try(name: str, apply: Any, params: Params, state: Any, inputs: np.ndarray) -> None:
    args = (params, jnp.asarray(inputs[:1]))
    args = args if state is None else (params, state, args[1])
    try:
        shape = jax.eval_shape(apply, *args).shape
    except Exception as error:  # whatever the user's function raises
        raise InputError(
            f"--model {name} fails on inputs of shape {inputs[:1].shape}: "
            f"{type(error).__name__}: {_line(error)}"
        ) from error
    if len(shape) != 2:
        raise InputError(f"--model {name} gives the shape {shape}, not (batch, classes)")


def _check_trained(
    apply: Any, params: Params, state: Any, data: tuple[np.ndarray, np.ndarray]
) -> None:
    """Asserts that a network is better than chance on its data.

    Raises:
      InputError: it is not.
    """
    logits = apply if state is None else lambda p, x: apply(p, state, x)
    right = float(evaluation.accuracy(logits, params, *map(jnp.asarray, data)))
    chance = _prune.chance(data[1])
    if right < chance + _LEAST_ABOVE_CHANCE * (1 - chance):
        raise InputError(
            f"the network has {100 * right:.1f} % of the data right, near chance "
            f"({100 * chance:.1f} %); {_REMEDY}"
        )


def _split(data: tuple[np.ndarray, np.ndarray], seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training and validation parts: nine tenths and one."""
    inputs, labels = data
    order = np.random.default_rng(seed).permutation(len(labels))
    held, kept = np.split(order, [max(len(labels) // 10, 1)])
    return [(inputs[rows], labels[rows]) for rows in (kept, held)]


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
