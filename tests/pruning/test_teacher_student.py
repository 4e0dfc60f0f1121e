import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training import trees
from pruning import teacher_student as ts
from pruning.methods import METHODS
from pruning.procedures import _three_phase

SETTING = ts.Setting()


@pytest.fixture
def teacher(key):
    return ts.draw_teacher(key, SETTING)


def apply(layers, x):
    """The forward pass in NumPy."""
    layers = jax.tree.map(np.asarray, layers)
    names = list(layers)
    for name in names[:-1]:
        x = np.tanh(x @ layers[name]["kernel"] + layers[name]["bias"])
    return x @ layers[names[-1]]["kernel"] + layers[names[-1]]["bias"]


def test_sizes_are_the_published_ones(teacher, key):
    assert trees.size(teacher) == 72
    assert trees.size(ts.student_network(SETTING).init(key)) == 751


def test_examples(teacher, key):
    examples = ts.draw_examples(key, SETTING, teacher, 20_000)
    assert jnp.abs(examples.inputs).max() <= 1
    noise = examples.targets - ts.teacher_network(SETTING).apply(teacher, examples.inputs)
    np.testing.assert_allclose([noise.mean(), noise.std()], [0, 0.08], atol=2e-3)


def disguised(teacher, seed: int):
    """The same function in another form: permuted, sign-flipped, with useless units added."""
    rng = np.random.default_rng(seed)
    layers = {k: {p: np.array(a) for p, a in v.items()} for k, v in teacher.items()}
    names = ["dense1", "dense2", "output"]
    for name, following in zip(names[:-1], names[1:], strict=True):
        kernel, bias = layers[name]["kernel"], layers[name]["bias"]
        outgoing = layers[following]["kernel"]
        order, sign = rng.permutation(len(bias)), rng.choice([-1.0, 1.0], len(bias))
        kernel, bias, outgoing = (
            (kernel * sign)[:, order],
            (bias * sign)[order],
            (outgoing * sign[:, None])[order],
        )
        # One unit that reads nothing (a constant), one that nothing reads.
        kernel = np.hstack([kernel, np.zeros((len(kernel), 1)), rng.normal(size=(len(kernel), 1))])
        bias = np.append(bias, [0.7, 0.3])
        outgoing = np.vstack([outgoing, rng.normal(size=(1, outgoing.shape[1])), 0 * outgoing[:1]])
        layers[name] = {"kernel": kernel, "bias": bias}
        constant = np.tanh(0.7) * outgoing[-2]
        layers[following] = {"kernel": outgoing, "bias": layers[following]["bias"] - constant}
    return layers


@pytest.mark.parametrize("seed", range(5))
def test_normal_form_undoes_every_symmetry(teacher, seed):
    other = disguised(teacher, seed)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    np.testing.assert_allclose(apply(other, x), apply(teacher, x), atol=1e-5)
    normal = ts.normal_form(other)
    np.testing.assert_allclose(apply(normal, x), apply(teacher, x), atol=1e-5)
    for name, layer in ts.normal_form(teacher).items():
        for part, leaf in layer.items():
            np.testing.assert_allclose(normal[name][part], leaf, atol=1e-5)
    assert ts.recovered(other, teacher, 1e-4)


def test_another_network_is_not_recovered(teacher):
    other = ts.draw_teacher(jax.random.key(5), SETTING)
    assert not ts.recovered(other, teacher)
    assert not ts.recovered(ts.student_network(SETTING).init(jax.random.key(1)), teacher)


def test_deleting_neurons_keeps_the_function(key):
    params = ts.student_network(SETTING).init(key)
    params = jax.tree.map(
        lambda leaf: jnp.where(jax.random.uniform(key, leaf.shape) < 0.08, leaf + 0.5, 0.0), params
    )
    smaller = ts.delete_neurons(params)
    x = np.random.default_rng(0).uniform(-1, 1, (50, 2))
    expected = ts.student_network(SETTING).apply(params, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(apply(smaller, x), expected, atol=1e-5)
    assert smaller["dense1"]["bias"].size < 25


@pytest.mark.parametrize(
    ("settings", "value"), [({"student": (3, 4, 1)}, r"\(3, 1\)"), ({"noise": -1.0}, "-1.0")]
)
def test_bad_settings_are_named(settings, value):
    with pytest.raises(ValueError, match=value):
        ts.Setting(**settings)


@pytest.mark.slow
def test_a_student_is_pruned_and_measured_on_its_own_examples(key):
    run = ts.pruning_run(
        SETTING, "drr", (30, 50, 200), steps=200, fine_tune_steps=50, batch_size=None
    )
    hyperparameters = METHODS["drr"].hyperparameters(jnp.float32(5e-3), jnp.float32(1e-3))
    found = jax.jit(run)(key, _three_phase.Point(hyperparameters, 0.01, 0.0, 5e-3))
    assert bool(found["metrics"]["finite"])
    assert int(found["metrics"]["nonzeros"]) == int(trees.nonzeros(found["student"])) < 751
    key_teacher, key_examples = jax.random.split(key, 4)[:2]
    teacher = ts.draw_teacher(key_teacher, SETTING)
    drawn = jax.tree.map(np.asarray, found["teacher"])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), teacher, drawn)
    test = ts.draw_examples(jax.random.split(key_examples, 3)[2], SETTING, teacher, 200)
    errors = ts.student_network(SETTING).apply(found["student"], test.inputs) - test.targets
    loss = float(found["metrics"]["test_loss"])
    assert loss == pytest.approx(float(jnp.mean(errors**2)), rel=1e-4)
