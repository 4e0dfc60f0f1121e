"""Training as pure functions: what a method is, the loop that runs it, and sweeps of many runs.

A network is trained for 300 steps, and the whole run is one program:

>>> import jax
>>> import jax.numpy as jnp
>>> from fewbits.training import Plan, evaluation, gradient_descent, losses, networks, run
>>> x = jax.random.normal(jax.random.key(0), (512, 2))
>>> y = (x[:, 0] * x[:, 1] > 0).astype(jnp.int32)
>>> network = networks.mlp((2, 32, 2))
>>> config = gradient_descent.GradientDescentConfig(gradient_descent.Hyperparameters(0.01))
>>> method = gradient_descent.build(config, losses.cross_entropy(network.apply))
>>> @jax.jit
... def train(key, data):
...     key_params, key_run = jax.random.split(key)
...     params = network.init(key_params)
...     return run(method, Plan(steps=300, batch_size=64), key_run, params, data)
>>> result = train(jax.random.key(1), (x, y))
>>> bool(result.finite), bool(evaluation.accuracy(network.apply, result.params, x, y) > 0.8)
(True, True)

Nothing here reads files, clocks or flags. `sweep` runs every value of a hyperparameter with every
seed; the other modules (`gradient_descent`, `trees`, `vgg`, `transformer`, `checkpoints`, ...) are
imported by their names.
"""

from fewbits.training import evaluation, losses, networks
from fewbits.training.loop import Plan, run
from fewbits.training.method import Method
from fewbits.training.parallel._sweep import sweep

__all__ = ["Method", "Plan", "evaluation", "losses", "networks", "run", "sweep"]
