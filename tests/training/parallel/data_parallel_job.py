"""Trains one transformer on every device there is, and on one; prints both losses as JSON."""

from __future__ import annotations

import json
import sys
from functools import partial

import jax
import numpy as np
import optax

from fewbits.training import gradient_descent, loop
from fewbits.training.models import transformer
from fewbits.training.parallel import data_parallel

CONFIG = transformer.TransformerConfig(width=16, layers=1, heads=2, window=8)


def main() -> None:
    """One training each."""
    tokens = np.random.default_rng(0).integers(0, 9, (24, 17)).astype(np.int32)
    data = (tokens[:, :-1], tokens[:, 1:])
    mesh = data_parallel.batch_mesh(6)
    plain = transformer.next_byte_loss(CONFIG)
    losses, compiled = {}, {}
    for name, loss in {"one": plain, "split": data_parallel.split_batches(plain, mesh)}.items():
        method = gradient_descent.build(gradient_descent.GradientDescentConfig(), loss, optax.adam)
        key = jax.random.key(0)
        params = transformer.init(CONFIG, key)
        plan = loop.Plan(steps=12, batch_size=6, log_points=12)
        run = jax.jit(partial(loop.run, method, plan, key))
        program = run.lower(params, data).compile()
        compiled[name] = "all-reduce" in program.as_text()
        losses[name] = np.asarray(program(params, data).log.loss_nats).tolist()
    found = {"devices": int(mesh.size), "losses": losses, "all_reduce": compiled}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main()
