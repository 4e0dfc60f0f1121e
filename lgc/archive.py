"""The `.lgc` file: a decoder, one Gaussian mixture per class and the label counts, nothing else.

An archive of kind "lgc" holds one packed model (`fewbits.coding.weights.model_file`) with the
decoder's layers under "decoder" and the mixtures of all classes, one after the other, under
"mixture". The header adds what sampling needs: image shape, label values and counts,
components per class and their weights in units of 2^-16. Layout of the stored mixture:
`lgc.gmm.mixture_code`.

With *groups* (`lgc.groups.grouped`) the decoder takes the group as a one-hot vector after the
latents; the header then has the groups' values, and counts of each group in each class.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from fewbits.coding import Archive, container, write_archive
from fewbits.coding.weights import model_file
from lgc.autoencoders import decoders
from lgc.gmm import mixture_code
from lgc.gmm.mixture_code import ClassMixture, Covariance

Bits = int | Literal["float16", "float32"]

KIND = "lgc"
_PREFIX = "model_"
"""Of the names of the packed model's sections; `account` divides them among tensors."""
_CHUNK = 1_000
"""Images sampled at a time; part of the format, since each chunk has a key of its own."""
_MAX_PIXELS = 1 << 22


class Contents(NamedTuple):
    """A decoded archive.

    Attributes:
      image_shape: (H, W, C).
      labels: the label value of each class, ascending.
      counts: images of each class in the data set that was compressed; with groups, of each class
        in each group, class by class.
      groups: the value of each group, ascending; empty without groups.
      covariance: kind of all mixtures.
      components: number of components of each class.
      weights: float64[all components], summing to one within each class.
      means: float64[all components, d].
      factors: float64[all components, d, d] lower triangular, or [all components, d].
      decoder: its parameters.
    """

    image_shape: tuple[int, int, int]
    labels: tuple[int, ...]
    counts: tuple[int, ...]
    groups: tuple[int, ...]
    covariance: Covariance
    components: tuple[int, ...]
    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray
    decoder: decoders.Params


def write(
    decoder: decoders.Params,
    mixtures: Sequence[ClassMixture],
    *,
    image_shape: tuple[int, int, int],
    labels: Sequence[int],
    counts: Sequence[int],
    covariance: Covariance,
    bits: Bits | Callable[[str, np.ndarray], Bits],
    groups: Sequence[int] = (),
) -> bytes:
    """The bytes of an archive.

    Args:
      decoder: parameters of a decoder; see `decoders`.
      mixtures: one for each class.
      image_shape: (H, W, C).
      labels: label value of each class.
      counts: images of each class; with groups, of each class in each group, class by class.
      covariance: kind of all mixtures.
      bits: of each stored parameter: 2 to 16 on a uniform grid, entropy coded; "float16" or
        "float32"; or a function of a tensor's path and the tensor.
      groups: value of each group that the decoder takes; empty for none.
    """
    per_class = [mixture_code.to_tensors(mixture, covariance) for mixture in mixtures]
    mixture = {name: np.concatenate([t[name] for t in per_class]) for name in per_class[0]}
    tree = {"decoder": decoder, "mixture": mixture}
    model_header, sections = model_file.pack(tree, bits, prefix=_PREFIX)
    header = {
        "shape": list(image_shape),
        "labels": [int(label) for label in labels],
        "counts": [int(count) for count in counts],
        "covariance": mixture_code.COVARIANCES.index(covariance),
        "weights": [mixture_code.weights_to_integers(m.weights) for m in mixtures],
        "model": model_header,
    }
    if groups:
        header["groups"] = [int(group) for group in groups]
    return write_archive(KIND, header, sections)


def read(data: bytes) -> Contents:
    """Decode an archive.

    Raises:
      FormatError: damaged, foreign, or parts that do not belong together.
    """
    return container.read_contents(data, KIND, _contents)


def sample(
    contents: Contents, *, per_class: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a data set: latents from each class's mixture, decoded to images.

    The same archive and seed give the same bytes; fewer images per class are a prefix of more.

    Args:
      contents: a decoded archive.
      per_class: images of each class, with groups of each class in each group; None for as many as
        the original had.
      seed: of the sampler.

    Returns:
      images uint8 (N, H, W, C) and labels int32 (N,), class by class; `groups_of` has their groups.
    """
    wanted = _wanted(contents, per_class)
    largest = max(contents.components)
    draw = jax.jit(partial(_draw_chunk, contents.image_shape))
    images, labels = [], []
    ends = np.cumsum(contents.components)
    for index, count in enumerate(wanted):
        of_class, group = divmod(index, max(1, len(contents.groups)))
        own = contents.components[of_class]
        part = slice(ends[of_class] - own, ends[of_class])
        spare = largest - own
        # Every class is padded to the same number of components, so that one program serves all.
        log_weights = np.pad(np.log(contents.weights[part]), (0, spare), constant_values=-np.inf)
        means = _pad_rows(contents.means[part], spare)
        factors = _pad_rows(contents.factors[part], spare)
        told = np.eye(len(contents.groups), dtype=np.float32)[group] if contents.groups else None
        key_class = jax.random.fold_in(jax.random.key(seed), index)
        for chunk in range(-(-count // _CHUNK)):
            key = jax.random.fold_in(key_class, chunk)
            drawn = np.asarray(draw(key, contents.decoder, log_weights, means, factors, told))
            images.append(drawn[: count - chunk * _CHUNK])
        labels.append(np.full(count, contents.labels[of_class], np.int32))
    empty = np.zeros((0, _pixels(contents)), np.uint8)
    stacked = np.concatenate([empty, *images])
    return stacked.reshape(-1, *contents.image_shape), np.concatenate(labels)


def batches(
    contents: Contents, batch_size: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Endless batches with equal shares of all classes (in all groups); see `lgc.stream`.

    Args:
      contents: a decoded archive.
      batch_size: images of a batch.
      seed: of classes and latents.
    """
    n_groups = len(contents.groups)
    n_conditions = len(contents.labels) * max(1, n_groups)
    labels = np.repeat(np.array(contents.labels, np.int32), max(1, n_groups))
    most = max(contents.components)
    starts = np.cumsum(contents.components) - np.array(contents.components)
    log_weights = np.full((len(contents.labels), most), -np.inf, np.float32)
    for number, (start, count) in enumerate(zip(starts, contents.components, strict=True)):
        log_weights[number, :count] = np.log(contents.weights[start : start + count])
    means = jnp.asarray(contents.means, jnp.float32)
    factors = jnp.asarray(contents.factors, jnp.float32)

    @jax.jit
    def draw(key: jax.Array, decoder: decoders.Params, conditions: jax.Array) -> jax.Array:
        key_component, key_noise = jax.random.split(key)
        classes = conditions // max(1, n_groups)
        component = jax.random.categorical(key_component, jnp.asarray(log_weights)[classes])
        component = component + jnp.asarray(starts)[classes]
        noise = jax.random.normal(key_noise, (batch_size, means.shape[1]))
        if factors.ndim == 3:
            spread = jnp.einsum("nij,nj->ni", factors[component], noise)
        else:
            spread = factors[component] * noise
        latents = means[component] + spread
        if n_groups:
            one_hot = jax.nn.one_hot(conditions % n_groups, n_groups)
            latents = jnp.concatenate([latents, one_hot], axis=1)
        images = decoders.decode(decoder, latents, contents.image_shape)
        return jnp.round(255 * images).astype(jnp.uint8).reshape(-1, *contents.image_shape)

    rng, key = np.random.default_rng(seed), jax.random.key(seed)
    waiting = np.zeros(0, np.int64)
    for number in itertools.count():
        while len(waiting) < batch_size:
            waiting = np.concatenate([waiting, rng.permutation(n_conditions)])
        conditions, waiting = waiting[:batch_size], waiting[batch_size:]
        images = draw(jax.random.fold_in(key, number), contents.decoder, conditions)
        yield np.asarray(images), labels[conditions]


def groups_of(contents: Contents, *, per_class: int | None) -> np.ndarray | None:
    """The group of each image that `sample` draws, int32 (N,); None without groups."""
    if not contents.groups:
        return None
    values = np.tile(np.array(contents.groups, np.int32), len(contents.labels))
    return np.repeat(values, _wanted(contents, per_class))


def _wanted(contents: Contents, per_class: int | None) -> Sequence[int]:
    return contents.counts if per_class is None else [per_class] * len(contents.counts)


def _draw_chunk(
    image_shape: tuple[int, int, int],
    key: jax.Array,
    decoder: decoders.Params,
    log_weights: jax.Array,
    means: jax.Array,
    factors: jax.Array,
    told: jax.Array | None,
) -> jax.Array:
    key_component, key_noise = jax.random.split(key)
    component = jax.random.categorical(key_component, log_weights, shape=(_CHUNK,))
    noise = jax.random.normal(key_noise, (_CHUNK, means.shape[1]))
    if factors.ndim == 3:
        spread = jnp.einsum("nij,nj->ni", factors[component], noise)
    else:
        spread = factors[component] * noise
    latents = means[component] + spread
    if told is not None:
        latents = jnp.concatenate([latents, jnp.tile(told, (_CHUNK, 1))], axis=1)
    images = decoders.decode(decoder, latents, image_shape)
    return jnp.round(255 * images).astype(jnp.uint8)


def _pad_rows(array: np.ndarray, spare: int) -> np.ndarray:
    return np.pad(array, [(0, spare)] + [(0, 0)] * (array.ndim - 1)).astype(np.float32)


def _pixels(contents: Contents) -> int:
    height, width, channels = contents.image_shape
    return height * width * channels


def _contents(stored: Archive) -> Contents:
    header, sections = stored.header, stored.sections
    expected = {"shape", "labels", "counts", "covariance", "weights", "model"}
    if set(header) - {"groups"} != expected:
        raise ValueError(f"header fields {sorted(header)}, expected {sorted(expected)}")
    shape = _integers(header["shape"], "shape", 1, _MAX_PIXELS)
    if len(shape) != 3:
        raise ValueError(f"image shape {shape}")
    pixels = shape[0] * shape[1] * shape[2]
    if pixels > _MAX_PIXELS:
        raise ValueError(f"images of {pixels} values")
    labels = _integers(header["labels"], "labels", -(2**31), 2**31 - 1)
    counts = _integers(header["counts"], "counts", 0, 2**40)
    if not 0 <= header["covariance"] < len(mixture_code.COVARIANCES):
        raise ValueError(f"covariance kind {header['covariance']}")
    covariance = mixture_code.COVARIANCES[header["covariance"]]
    weights = [_integers(part, "weights", 1, 2**16) for part in header["weights"]]
    groups = _integers(header.get("groups", []), "groups", -(2**31), 2**31 - 1)
    expected_counts = len(labels) * max(1, len(groups))
    if not labels or len(labels) != len(weights) or len(counts) != expected_counts:
        raise ValueError(
            f"{len(labels)} labels, {len(groups)} groups, {len(counts)} counts, "
            f"{len(weights)} mixtures"
        )
    if any(len(part) == 0 for part in weights):
        raise ValueError("a class without components")
    tree = model_file.unpack(header["model"], sections, prefix=_PREFIX)
    decoder, mixture = tree["decoder"], tree["mixture"]
    normalised = [np.asarray(part, np.float64) / sum(part) for part in weights]
    components = [len(part) for part in weights]
    means, factors = _mixtures(mixture, normalised, covariance)
    decoders.check(decoder, means.shape[1] + len(groups), (shape[0], shape[1], shape[2]))
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)):
        raise ValueError("a parameter is not finite")
    return Contents(
        (shape[0], shape[1], shape[2]),
        tuple(labels),
        tuple(counts),
        tuple(groups),
        covariance,
        tuple(components),
        np.concatenate(normalised),
        means,
        factors,
        decoder,
    )


def _mixtures(
    tensors: dict[str, np.ndarray], weights: list[np.ndarray], covariance: Covariance
) -> tuple[np.ndarray, np.ndarray]:
    """Means and factors of all components, from the tensors of all classes in a row."""
    dense = {"correlation"} if covariance in ("full", "tied") else set()
    if set(tensors) != {"means", "log_scale"} | dense:
        raise ValueError(f"tensors {sorted(tensors)} for {covariance} covariances")
    if covariance != "tied":
        return mixture_code.from_tensors(tensors, np.concatenate(weights))
    ends = np.cumsum([len(part) for part in weights])
    if len(tensors["log_scale"]) != len(weights) or len(tensors["means"]) != ends[-1]:
        raise ValueError("a tied covariance for each class is expected")
    parts = [
        mixture_code.from_tensors(
            {
                "means": tensors["means"][end - len(part) : end],
                "correlation": tensors["correlation"][index : index + 1],
                "log_scale": tensors["log_scale"][index : index + 1],
            },
            part,
        )
        for index, (part, end) in enumerate(zip(weights, ends, strict=True))
    ]
    means, factors = zip(*parts, strict=True)
    return np.concatenate(means), np.concatenate(factors)


def _integers(values: Any, name: str, least: int, most: int) -> list[int]:
    if not isinstance(values, list) or not all(type(v) is int for v in values):
        raise ValueError(f"{name} are not whole numbers")
    if not all(least <= value <= most for value in values):
        raise ValueError(f"{name} out of range: {values}")
    return values
