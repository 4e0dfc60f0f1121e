"""Host-side, not traceable: gradient k-medoids of "Latent Gaussian Compression", as published.

1. One epoch of Adam with batches of a single image; each image's gradient with respect to the last
   layer's weights is recorded at its own step, so every gradient belongs to another network, the
   first to an untrained one.
2. t-SNE takes the gradients to the plane.
3. k-medoids on *three* columns, the plane's two and the label as a number: k-medoids++, then
   alternation between nearest medoids and the best medoid of each cluster (Park and Jun, 2009).

So the label's distance is that of numbers: digits 3 and 4 lie a third as far apart as 3 and 6.
There are neither quotas nor weights. A baseline:
`lgc.coresets.facility_location` and `lgc.coresets.k_medoids` work on the gradients themselves.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from fewbits.training import losses
from fewbits.training.networks import Network
from lgc.coresets import k_center, k_medoids
from lgc.coresets.gradients import OUTPUT
from lgc.coresets.k_medoids import Medoids

N_VISITED = 10_002
"""Images that the published epoch visits before it stops."""


def epoch_gradients(
    key: Array, network: Network, images: Array, labels: Array, *, learning_rate: float = 1e-3
) -> Array:
    """Float[N, width * classes]: gradients of the last kernel along one epoch of single images.

    Args:
      key: typed PRNG key, of the initialisation.
      network: its last layer is dense and named "output".
      images: [N, ...], in the order of the steps.
      labels: Int[N].
      learning_rate: Adam's.
    """
    key_params, key_loss = jax.random.split(key)
    params = network.init(key_params)
    optimizer = optax.adam(learning_rate)
    loss = losses.cross_entropy(network.apply)

    def visit(carry, example):
        params, state = carry
        image, label = example
        batch = image[None], label[None]
        gradients, _ = jax.grad(loss, argnums=1, has_aux=True)(key_loss, params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return (optax.apply_updates(params, updates), state), gradients[OUTPUT]["kernel"].ravel()

    _, visited = jax.lax.scan(visit, (params, optimizer.init(params)), (images, labels))
    return visited


def embedding_and_labels(gradients: np.ndarray, labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Float32[N, 3]: t-SNE of the gradients (scikit-learn's defaults), and the label.

    Args:
      gradients: float[N, d].
      labels: int[N].
      seed: of t-SNE.
    """
    # Here, since scikit-learn is slow to import.
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(gradients) - 1) / 3)  # for sets smaller than the published ones
    plane = TSNE(random_state=seed, perplexity=perplexity).fit_transform(np.asarray(gradients))
    return np.column_stack([plane, labels]).astype(np.float32)


def tsne_medoids(key: Array, points: Array, count: int, *, max_iterations: int = 300) -> Medoids:
    """k-medoids++ and alternation on the rows of Float[N, 3], Euclidean; traceable.

    Args:
      key: typed PRNG key, of the start.
      points: see `embedding_and_labels`.
      count: k.
      max_iterations: alternations at most.
    """
    # Row by row: all differences at once would take three times the memory.
    distances = jax.lax.map(k_center.row_distances(points), jnp.arange(points.shape[0]))
    start = k_medoids.plus_plus(key, distances, count)
    return alternate(distances, start, max_iterations=max_iterations)


def alternate(distances: Array, medoids: Array, *, max_iterations: int | Array = 300) -> Medoids:
    """Replace each medoid by the best image of its cluster, until none changes.

    Args:
      distances: Float[N, N].
      medoids: Int[k], the start; distinct.
      max_iterations: at most.

    Returns:
      `Medoids`, `swaps` being the number of alternations; a set that FasterPAM can often improve.
    """
    count = medoids.shape[0]

    def assign(medoids: Array) -> Array:
        # A medoid belongs to itself, even where another one is its copy.
        labels = jnp.argmin(distances[medoids], axis=0)
        return labels.at[medoids].set(jnp.arange(count))

    def unfinished(carry: tuple[Array, Array, Array]) -> Array:
        _, changed, iterations = carry
        return changed & (iterations < max_iterations)

    def body(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        medoids, _, iterations = carry
        labels = assign(medoids)
        members = labels[None] == jnp.arange(count)[:, None]
        within = jnp.where(members, members.astype(distances.dtype) @ distances, jnp.inf)
        best = jnp.argmin(within, axis=-1)
        chosen = jnp.arange(count)
        # Only for less cost: equal places would be exchanged for ever.
        better = within[chosen, best] < within[chosen, medoids] * (1 - 1e-6)
        changed = jnp.where(better, best, medoids).astype(medoids.dtype)
        return changed, jnp.any(better), iterations + 1

    start = medoids.astype(jnp.int32), jnp.array(True), jnp.zeros((), jnp.int32)
    medoids, changed, iterations = jax.lax.while_loop(unfinished, body, start)
    labels = assign(medoids)
    objective = jnp.sum(jnp.min(distances[medoids], axis=0))
    return Medoids(medoids, labels, objective, iterations, ~changed)
