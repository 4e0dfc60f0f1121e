"""Pure training machinery: what a method is, the loop that runs it, sweeps, networks, trees.

Nothing here reads files, clocks or flags. Import the module that holds the idea::

    from fewbits.training import gradient_descent, loop, losses, networks

    network = networks.lenet_300_100()
    method = gradient_descent.build(
        gradient_descent.GradientDescentConfig(), losses.cross_entropy(network.apply)
    )
    plan = loop.Plan(steps=1_000, batch_size=100)
    key_params, key_run = jax.random.split(jax.random.key(0))
    run = jax.jit(functools.partial(loop.run, method, plan))
    result = run(key_run, network.init(key_params), (images, labels))
"""
