"""What every training method promises, tested on each row of `contract.TABLE`.

Compiling costs more than anything else here, so each row is compiled once: its three functions, and
one vmapped run of three runs. The tests below only look at what came out.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import loop
from fewbits.training.method import Method
from tests.contract import TABLE, Case, Row

# These programs run for a millisecond: optimising them is what would take the time.
QUICK = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
PLAN = loop.Plan(steps=4, batch_size=None, log_points=4)


class Ran(NamedTuple):
    """A row, compiled and run.

    Attributes:
      case: the row's case.
      jitted: the method with every function jitted.
      traces: how often each function was traced, counted as it happens.
      by_hand: for two runs (key and hyperparameters both differ), a Python loop over jitted
        steps: (state, params, stacked infos).
      together: `loop.run` vmapped over those runs and a third, the first one with NaN inputs.
    """

    case: Case
    jitted: Method
    traces: dict[str, int]
    by_hand: list[tuple[Any, Any, Any]]
    together: loop.Result


def point(case: Case, index: int) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], case.grid)


def at_run(tree: Any, index: Any) -> Any:
    return jax.tree.map(lambda leaf: leaf[index], tree)


def run_keys() -> jax.Array:
    return jax.random.split(jax.random.key(0), 2)


def step_by_hand(method: Method, case: Case, key: jax.Array, hyperparameters: Any) -> Any:
    """The run that `PLAN` describes, as a Python loop with the keys that `loop` uses."""
    key_init, key_run = jax.random.split(key)
    _, key_steps = jax.random.split(key_run)
    state, infos = method.init(key_init, case.params, hyperparameters), []
    for step in range(PLAN.steps):
        state, info = method.step(jax.random.fold_in(key_steps, step), state, case.data)
        infos.append(info)
    stacked = jax.tree.map(lambda *rows: np.stack(rows), *infos)
    return state, method.finalize(state), stacked


@functools.cache
def run_row(name: str) -> Ran:
    case = next(row for row in TABLE if row.name == name).make()
    traces: dict[str, int] = {}

    def counted(label: str, function):
        def trace(*args):
            traces[label] = traces.get(label, 0) + 1
            return function(*args)

        return jax.jit(trace, compiler_options=QUICK)

    jitted = Method(*(counted(label, getattr(case.method, label)) for label in Method._fields))
    by_hand = [step_by_hand(jitted, case, run_keys()[i], point(case, i)) for i in range(2)]

    broken = jax.tree.map(
        lambda a: jnp.full_like(a, jnp.nan) if jnp.issubdtype(a.dtype, jnp.floating) else a,
        case.data,
    )
    data = jax.tree.map(lambda a, b: jnp.stack([a, a, b]), case.data, broken)
    which = jnp.array([0, 1, 0])

    def one_run(key, hyperparameters, data):
        return loop.run(case.method, PLAN, key, case.params, data, hyperparameters)

    runs = jax.jit(jax.vmap(one_run), compiler_options=QUICK)
    together = runs(run_keys()[which], at_run(case.grid, which), data)
    return Ran(case, jitted, traces, by_hand, together)


def _marked(row: Row) -> Any:
    return pytest.param(row.name, marks=pytest.mark.slow) if row.slow else row.name


@pytest.fixture(params=[_marked(row) for row in TABLE])
def ran(request) -> Ran:
    return run_row(request.param)


def raw(tree: Any) -> Any:
    """Typed keys as the integers beneath them, so that they can be compared."""
    return jax.tree.map(
        lambda a: jax.random.key_data(a) if jnp.issubdtype(a.dtype, jax.dtypes.prng_key) else a,
        tree,
    )


def assert_close(left: Any, right: Any, tolerance: float = 2e-5) -> None:
    left, right = raw(left), raw(right)
    assert jax.tree.structure(left) == jax.tree.structure(right)
    for a, b in zip(jax.tree.leaves(left), jax.tree.leaves(right), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def signature(tree: Any) -> Any:
    """Structure, shapes, dtypes and weak types: what a retrace depends on."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(a.shape, a.dtype, a.weak_type) for a in map(jax.typeof, leaves)]


def test_state_keeps_its_structure(ran):
    case = ran.case
    first = jax.eval_shape(case.method.init, run_keys()[0], case.params, point(case, 0))
    assert signature(ran.by_hand[0][0]) == signature(first)
    assert signature(ran.by_hand[0][1]) == signature(case.params)


def test_state_info_and_hyperparameters_are_named_tuples_of_arrays(ran):
    state, _, infos = ran.by_hand[0]
    assert hasattr(state, "_fields")
    assert hasattr(infos, "_fields")
    assert hasattr(ran.case.grid, "_fields")
    eager = ran.case.method.init(run_keys()[0], ran.case.params, point(ran.case, 0))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(eager))


def test_info_tells_loss_and_finiteness(ran):
    infos = ran.by_hand[0][2]
    assert infos.loss_nats.shape == (PLAN.steps,)
    assert infos.finite.dtype == bool


def test_one_trace_for_all_steps_and_all_hyperparameters(ran):
    assert ran.traces == {"init": 1, "step": 1, "finalize": 1}


def test_default_hyperparameters_are_the_configs(ran):
    method, params, key = ran.case.method, ran.case.params, run_keys()[0]
    given = jax.eval_shape(method.init, key, params, point(ran.case, 0))
    assert signature(jax.eval_shape(method.init, key, params)) == signature(given)


def test_jit_changes_nothing(ran):
    method, key = ran.case.method, run_keys()[1]
    state = method.init(key, ran.case.params, point(ran.case, 1))
    assert_close(ran.jitted.init(key, ran.case.params, point(ran.case, 1)), state)
    after = method.step(key, state, ran.case.data)
    assert_close(ran.jitted.step(key, state, ran.case.data), after)
    assert_close(ran.jitted.finalize(after[0]), method.finalize(after[0]))


@pytest.mark.parametrize("index", [0, 1])
def test_vmapped_loop_is_a_python_loop(ran, index):
    state, params, infos = ran.by_hand[index]
    assert_close(at_run(ran.together.state, index), state)
    assert_close(at_run(ran.together.params, index), params)
    assert_close(jax.tree.map(np.asarray, at_run(ran.together.log, index)), infos)


def test_hyperparameters_matter(ran):
    """From one key, two points of the grid end in different places."""
    first = step_by_hand(ran.jitted, ran.case, run_keys()[0], point(ran.case, 0))
    second = step_by_hand(ran.jitted, ran.case, run_keys()[0], point(ran.case, 1))
    differences = jax.tree.map(lambda a, b: np.max(np.abs(a - b)), first[1], second[1])
    assert max(jax.tree.leaves(differences)) > 0


def test_same_key_same_result(ran):
    again = step_by_hand(ran.jitted, ran.case, run_keys()[0], point(ran.case, 0))
    for a, b in zip(jax.tree.leaves(raw(ran.by_hand[0])), jax.tree.leaves(raw(again)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_finite(ran):
    _, params, infos = ran.by_hand[0]
    assert infos.finite.all()
    assert np.isfinite(infos.loss_nats).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(params))


def test_a_diverging_run_says_so_and_disturbs_no_other(ran):
    """Run 2 is run 0 with NaN inputs; that run 0 is as if alone is tested above."""
    assert ran.together.finite.tolist() == [True, True, False]
    assert not ran.together.log.finite[2].any()
