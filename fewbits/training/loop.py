"""One loop that runs any Method on data in device memory: a whole run is one program.

Minibatches are gathered by index inside the program, the indices come from the run's key and the
step's number alone, and so a run is a pure function of (key, params, data, hyperparameters): jit
it, vmap it over seeds and hyperparameters (`fewbits.training.sweep`), or cut it at any step.

The cut form is `start`, `advance`, `finish`. `advance` takes its first and last step as traced
scalars, so one compiled program serves every chunk, and a run that is cut, stored and resumed goes
through the same arithmetic as one that is not (`fewbits.training.checkpoints` relies on it).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from fewbits.training.method import Hyperparameters, Info, Key, Method, Params, State, all_finite
from fewbits.training.sampling import Data, examples, permutation


@dataclass(frozen=True)
class Plan:
    """How long a run is, what it sees and what it remembers.

    Attributes:
      steps: number of steps.
      batch_size: examples per step; `None` takes all of them, in order.
      sampling: `epochs` goes through a fresh permutation of the examples each epoch, dropping the
        remainder that fills no batch; `replacement` draws each batch anew.
      log_points: the most rows that the log of Infos has.

    Raises:
      ValueError: on construction, for a count below 1 or an unknown sampling.

    Example:
      >>> from fewbits.training import Plan
      >>> plan = Plan(steps=1000, batch_size=64, log_points=4)
      >>> plan.log_steps.tolist()
      [250, 500, 750, 1000]
    """

    steps: int
    batch_size: int | None
    sampling: Literal["epochs", "replacement"] = "epochs"
    log_points: int = 100

    def __post_init__(self):
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        if self.batch_size is not None and self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1 or None, got {self.batch_size}")
        if self.sampling not in ("epochs", "replacement"):
            raise ValueError(f"sampling must be 'epochs' or 'replacement', got {self.sampling!r}")
        if self.log_points < 1:
            raise ValueError(f"log_points must be at least 1, got {self.log_points}")

    @property
    def log_every(self) -> int:
        """Steps per row of the log."""
        return -(-self.steps // self.log_points)

    @property
    def log_steps(self) -> Int[np.ndarray, " rows"]:
        """Steps done at each row of the log, Int[rows]; the last is `steps`."""
        rows = np.arange(1, -(-self.steps // self.log_every) + 1)
        return np.minimum(rows * self.log_every, self.steps)


class Carry(NamedTuple):
    """All that a run needs to go on, beside the number of its next step.

    The step's number stays outside: the runs of a sweep share it, and a shared number keeps the
    epochs' permutations outside the inner loop over runs.

    Attributes:
      key: typed key of the run.
      state: the method's State.
      log: Info with a leading axis of rows, filled as far as the run has come.
      finite: Bool[], whether every step so far was finite.
    """

    key: Key
    state: State
    log: Info
    finite: Bool[Array, ""]


class Result(NamedTuple):
    """What a run ends with.

    Attributes:
      params: the method's finalised parameters.
      state: the method's last State.
      log: Info with a leading axis of `len(plan.log_steps)` rows; row r is the Info of the step
        that completed `plan.log_steps[r]`.
      finite: Bool[], whether every step and the final parameters were finite.
    """

    params: Params
    state: State
    log: Info
    finite: Bool[Array, ""]


def n_examples(data: Data) -> int:
    """The common leading size of all arrays in `data`.

    Raises:
      ValueError: no array, or arrays that disagree.
    """
    shapes = [leaf.shape for leaf in jax.tree.leaves(data)]
    if () in shapes or len({shape[0] for shape in shapes}) != 1:
        raise ValueError(f"data needs arrays with one common leading size, got shapes {shapes}")
    return shapes[0][0]


def steps_per_epoch(plan: Plan, data: Data) -> int:
    """Number of full batches in one pass through the data.

    Raises:
      ValueError: a batch larger than the data.
    """
    if plan.batch_size is None:
        return 1
    size = n_examples(data)
    if plan.batch_size > size:
        raise ValueError(
            f"batch_size {plan.batch_size} exceeds the {size} examples; use batch_size=None for all"
        )
    return size // plan.batch_size


def start(
    method: Method,
    plan: Plan,
    key: Key,
    params: Params,
    data: Data,
    hyperparameters: Hyperparameters | None = None,
) -> Carry:
    """The carry before step 0.

    Args:
      method: see `fewbits.training.method`.
      plan: see `Plan`.
      key: typed key of the whole run; the same key gives the same run.
      params: starting parameters.
      data: arrays or `jax.ShapeDtypeStruct`s: only shapes are read.
      hyperparameters: the method's own; `None` takes its config's.

    Returns:
      Carry with an empty log.
    """
    key_init, key_run = jax.random.split(key)
    state = method.init(key_init, params, hyperparameters)
    batch = jax.tree.map(
        lambda a: jax.ShapeDtypeStruct((plan.batch_size or a.shape[0], *a.shape[1:]), a.dtype), data
    )
    info = jax.eval_shape(method.step, key_run, state, batch)[1]
    rows = len(plan.log_steps)
    log = jax.tree.map(lambda leaf: jnp.zeros((rows, *leaf.shape), leaf.dtype), info)
    return Carry(key_run, state, log, jnp.array(True))


def advance(
    method: Method,
    plan: Plan,
    carry: Carry,
    data: Data,
    first_step: jax.Array | int,
    last_step: jax.Array | int,
) -> Carry:
    """Runs the steps first_step, ..., last_step - 1.

    Args:
      method: the method that `carry` was started with.
      plan: the plan that `carry` was started with.
      carry: after `first_step` steps.
      data: pytree of arrays with a common leading axis.
      first_step: Int[]; under vmap not batched (`in_axes=None`), or every step sorts anew.
      last_step: Int[], at most `plan.steps`; likewise. Traced bounds give one program for all
        chunks; Python ints give XLA a known trip count.

    Returns:
      Carry after `last_step` steps.
    """
    size = n_examples(data)
    batch_size = size if plan.batch_size is None else plan.batch_size
    key_order, key_steps = jax.random.split(carry.key)

    def step_on(carry: Carry, step: jax.Array, batch: Any) -> Carry:
        state, info = method.step(jax.random.fold_in(key_steps, step), carry.state, batch)
        # Later steps of a window overwrite earlier ones, so a row ends as its window's last step.
        row = step // plan.log_every
        log = jax.tree.map(
            lambda rows, value: jax.lax.dynamic_update_index_in_dim(rows, value, row, 0),
            carry.log,
            info,
        )
        return Carry(carry.key, state, log, carry.finite & info.finite)

    def full_batch(step: jax.Array, carry: Carry) -> Carry:
        return step_on(carry, step, data)

    def drawn_batch(step: jax.Array, carry: Carry) -> Carry:
        key_batch = jax.random.fold_in(key_order, step)
        return step_on(
            carry, step, examples(data, jax.random.randint(key_batch, (batch_size,), 0, size))
        )

    if plan.batch_size is None:
        return jax.lax.fori_loop(first_step, last_step, full_batch, carry)
    per_epoch = steps_per_epoch(plan, data)
    if plan.sampling == "replacement":
        return jax.lax.fori_loop(first_step, last_step, drawn_batch, carry)

    def epoch(number: jax.Array, carry: Carry) -> Carry:
        order = permutation(jax.random.fold_in(key_order, number), size)

        def permuted_batch(step: jax.Array, carry: Carry) -> Carry:
            position = (step - number * per_epoch) * batch_size
            indices = jax.lax.dynamic_slice_in_dim(order, position, batch_size)
            return step_on(carry, step, examples(data, indices))

        epoch_first = jnp.maximum(first_step, number * per_epoch)
        epoch_last = jnp.minimum(last_step, (number + 1) * per_epoch)
        return jax.lax.fori_loop(epoch_first, epoch_last, permuted_batch, carry)

    # Epochs outside, steps inside: the permutation is made once per epoch, and no conditional
    # copies it at every step.
    return jax.lax.fori_loop(first_step // per_epoch, -(-last_step // per_epoch), epoch, carry)


def finish(method: Method, carry: Carry) -> Result:
    """What the run ends with, from the carry after the plan's last step."""
    params = method.finalize(carry.state)
    return Result(params, carry.state, carry.log, carry.finite & all_finite(params))


def run(
    method: Method,
    plan: Plan,
    key: Key,
    params: Params,
    data: Data,
    hyperparameters: Hyperparameters | None = None,
) -> Result:
    """Runs a method for `plan.steps` steps: `start`, `advance` over everything, `finish`.

    Pure: jit it with method and plan closed over, vmap it over key, params and hyperparameters.

    Args:
      method: see `fewbits.training.method`.
      plan: see `Plan`.
      key: typed key of the whole run.
      params: starting parameters.
      data: pytree of arrays with a common leading axis; pass it as an argument of the jitted
        function, since an array closed over becomes a constant of the program.
      hyperparameters: the method's own; `None` takes its config's.

    Returns:
      Result: `params` with the structure of those given, `state`, `log` and `finite` Bool[],
      whether every step and the final parameters were finite. A run that diverges raises nothing.

    Raises:
      ValueError: arrays of different leading sizes, or a batch larger than the data.

    Example:
      Least squares by gradient descent; `fewbits.training` has another example.

      >>> import jax
      >>> import jax.numpy as jnp
      >>> from fewbits.training import Plan, gradient_descent, losses, run
      >>> x = jax.random.normal(jax.random.key(0), (100, 3))
      >>> y = x @ jnp.array([[1.0], [-2.0], [0.5]])
      >>> config = gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(0.05))
      >>> method = gradient_descent.build(config, losses.squared_error(lambda w, x: x @ w))
      >>> result = run(method, Plan(500, 20), jax.random.key(1), jnp.zeros((3, 1)), (x, y))
      >>> result.params.round(2).ravel().tolist()
      [1.0, -2.0, 0.5]
    """
    carry = start(method, plan, key, params, data, hyperparameters)
    return finish(method, advance(method, plan, carry, data, 0, plan.steps))
