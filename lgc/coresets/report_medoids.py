"""Host-side, not traceable: the report's own coreset, "gradient k-medoids", as its notebook has it.

1. One epoch of Adam with batches of a single image; each image's gradient with respect to the last
   layer's weights is kept from the moment when the image is visited, so every gradient belongs to
   another network, and the first to one that knows nothing.
2. t-SNE takes the gradients to the plane.
3. k-medoids on *three* columns, the plane's two and the label as a number: k-medoids++, then
   alternation between nearest medoids and the best medoid of each cluster (Park and Jun, 2009).

So the medoids are those of a picture of gradients in which digits 3 and 4 lie a third as far apart
as 3 and 6, without quotas and weights. It stands here as a baseline;
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
"""Images that the report's epoch visits before it stops."""


def moving_gradients(
    key: Array, network: Network, images: Array, labels: Array, *, learning_rate: float = 1e-3
) -> Array:
    """Float[N, width * classes]: gradients of the last kernel along one epoch of single images.

    Args:
      key: typed PRNG key, of the initialisation.
      network: its last layer is dense and named "output".
      images: [N, ...], in the order of the visits.
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


def plane_and_labels(gradients: np.ndarray, labels: np.ndarray, *, seed: int) -> np.ndarray:
    """Float32[N, 3]: t-SNE of the gradients (scikit-learn's defaults), and the label.

    Args:
      gradients: float[N, d].
      labels: int[N].
      seed: of t-SNE.
    """
    # Here, because whoever imports this package should not have to wait for scikit-learn.
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(gradients) - 1) / 3)  # smaller sets than the report's
    plane = TSNE(random_state=seed, perplexity=perplexity).fit_transform(np.asarray(gradients))
    return np.column_stack([plane, labels]).astype(np.float32)


def report_medoids(key: Array, points: Array, count: int, *, max_iterations: int = 300) -> Medoids:
    """k-medoids++ and alternation on the rows of Float[N, 3], Euclidean; traceable.

    Args:
      key: typed PRNG key, of the start.
      points: see `plane_and_labels`.
      count: k.
      max_iterations: alternations at most.
    """
    # Row by row: all differences at once would take three times the memory.
    distances = jax.lax.map(k_center.row_distances(points), jnp.arange(points.shape[0]))
    start = k_medoids.plus_plus(key, distances, count)
    return alternate(distances, start, max_iterations=max_iterations)


def alternate(distances: Array, medoids: Array, *, max_iterations: int | Array = 300) -> Medoids:
    """Moves each medoid to the best place within its cluster, until none moves.

    Args:
      distances: Float[N, N].
      medoids: Int[k], where to begin; distinct.
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
        _, moved, iterations = carry
        return moved & (iterations < max_iterations)

    def body(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        medoids, _, iterations = carry
        labels = assign(medoids)
        members = labels[None] == jnp.arange(count)[:, None]
        within = jnp.where(members, members.astype(distances.dtype) @ distances, jnp.inf)
        best = jnp.argmin(within, axis=-1)
        chosen = jnp.arange(count)
        # Only for less cost: equal places would be exchanged for ever.
        better = within[chosen, best] < within[chosen, medoids] * (1 - 1e-6)
        moved = jnp.where(better, best, medoids).astype(medoids.dtype)
        return moved, jnp.any(better), iterations + 1

    start = medoids.astype(jnp.int32), jnp.array(True), jnp.zeros((), jnp.int32)
    medoids, moved, iterations = jax.lax.while_loop(unfinished, body, start)
    labels = assign(medoids)
    objective = jnp.sum(jnp.min(distances[medoids], axis=0))
    return Medoids(medoids, labels, objective, iterations, ~moved)
