"""The programs that a user would run on an accelerator, each declared once.

A program is one iteration (a training step) of many runs, or a whole run where loops are part of
what has to compile. Shapes stand for arrays: nothing is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

import ratedist
from bitalloc.encoders import bottleneck
from fewbits.training import gradient_descent, losses, networks, sampling
from fewbits.training.method import Loss, Method, Params
from fewbits.training.models import transformer, vgg
from fewbits.training.parallel.compile_only import Built, Split
from lgc.autoencoders import variants
from lgc.distillation import augmentation, kernel_ridge, pixel_rate
from lgc.distillation.quantised_images import QuantisedImages
from lgc.gmm import em
from pruning import teacher_student
from pruning.graphs import reachability
from pruning.methods import METHODS
from pruning.procedures import classifiers


class Program(NamedTuple):
    """One entry of the list.

    Attributes:
      title: for the table.
      build: makes it.
      iterations: of a whole run.
      runs: side by side on each chip.
      split: what chips divide.
      effort: `jax_exec_time_optimization_effort`, XLA's for the speed of the program, -1 to 1.
    """

    title: str
    build: Callable[[], Built]
    iterations: int
    runs: int = 16
    split: Split = "runs"
    effort: float = 0.0


def array(*shape: int, dtype: Any = jnp.float32) -> Any:
    """The shape of an argument."""
    return jax.ShapeDtypeStruct(shape, dtype)


SEED = array(dtype=jnp.uint32)
_KEY = partial(jax.random.key, 0)


def images(count: int, shape: tuple[int, int, int]) -> tuple[Any, Any]:
    """Pixels and labels in device memory."""
    return array(count, *shape, dtype=jnp.uint8), array(count, dtype=jnp.int32)


def training_step(
    method: Method, init: Callable[[Any], Params], data: Any, batch: int | None = None
) -> Built:
    """One step of each run, on a batch of its own drawn from `data`, or on all of them."""

    def step(own: Any, data: Any) -> Any:
        seed, state = own
        key_batch, key_step = jax.random.split(jax.random.key(seed))
        if batch is not None:
            size = jax.tree.leaves(data)[0].shape[0]
            data = sampling.examples(data, jax.random.randint(key_batch, (batch,), 0, size))
        state, info = method.step(key_step, state, data)
        return (seed + 1, state), info.finite

    state = jax.eval_shape(lambda: method.init(_KEY(), init(_KEY())))
    return Built(step, (SEED, state), data)


def pruning_step(method: str, network: Any, data: Any, batch: int = 500) -> Built:
    """A step of one of `pruning.methods.METHODS`."""
    built = METHODS[method].build(losses.cross_entropy(network.apply), 10_000)
    return training_step(built, network.init, data, batch)


def plain_step(
    loss: Loss, init: Callable[[Any], Params], data: Any, batch: int | None = None
) -> Built:
    """A step of Adam."""
    method = gradient_descent.build(gradient_descent.GradientDescentConfig(), loss)
    return training_step(method, init, data, batch)


def _mnist() -> Any:
    return images(60_000, (28, 28, 1))


def _lenet300(method: str) -> Built:
    return pruning_step(method, networks.lenet_300_100(), _mnist())


def _lenet5(method: str) -> Built:
    return pruning_step(method, networks.lenet_5_caffe(), _mnist())


def _vgg(method: str) -> Built:
    return pruning_step(method, vgg.vgg16(), images(50_000, (32, 32, 3)), 128)


def _pruned_transformer() -> Built:
    config = transformer.SIZES["t1"]
    method = METHODS["drr"].build(transformer.next_byte_loss(config), 10_000)
    text = array(4_096, 256, dtype=jnp.int32)
    return training_step(method, partial(transformer.init, config), (text, text), 32)


def _three_phases() -> Built:
    """Regularise, threshold and fine-tune LeNet-5-Caffe with DRR: 100 + 50 epochs."""
    network, lengths = networks.lenet_5_caffe(), classifiers.Lengths(10_000, 5_000, 500)
    prune = classifiers.three_phases(
        "drr", lengths, network.apply, lambda key, params: reachability.remove_unreachable(params)
    )

    def run(own: Any, data: Any) -> Any:
        seed, point = own
        key_params, key_run = jax.random.split(jax.random.key(seed))
        return prune(key_run, network.init(key_params), point, data)

    point = classifiers.point("drr", classifiers.Setting(1e-4, 0.05, 2e-3), 2e-3)
    data = {"train": images(50_000, (28, 28, 1)), "validation": images(10_000, (28, 28, 1))}
    return Built(run, (SEED, jax.tree.map(lambda leaf: array(), point)), data)


def _teacher_student() -> Built:
    setting = teacher_student.Setting()
    network = teacher_student.student_network(setting)
    method = METHODS["drr"].build(losses.squared_error(network.apply, setting.noise), 10_000)
    return training_step(method, network.init, (array(300, 2), array(300, 1)))


def _em() -> Built:
    """One class's fit from one restart with up to 8 components: classes x restarts x K are runs."""
    config = em.Config(n_components=8, kind="full", max_iterations=200)

    def fit(own: Any, shared: Any) -> Any:
        seed, used, count = own
        return em.fit(jax.random.key(seed), shared, used, config, count)

    own = (SEED, array(6_000, dtype=bool), array(dtype=jnp.int32))
    return Built(fit, own, array(6_000, 64))


def _autoencoder() -> Built:
    variant = variants.build("contrastive_vae", (28, 28, 1), 10)

    def loss(key: Any, params: Params, batch: Any) -> Any:
        pixels, classes = batch
        return variant.loss(key, params, (pixels.reshape(len(pixels), -1) / 255, classes))

    return plain_step(loss, variant.init, _mnist(), 256)


def _convnet() -> Built:
    network = networks.convnet((32, 32, 3), 10)
    data = images(50_000, (32, 32, 3))
    return plain_step(losses.cross_entropy(network.apply), network.init, data, 128)


def _distillation() -> Built:
    """Kernel-ridge distillation of 50 images a class, 8 grey levels, a quarter of the pixels."""
    levels = np.linspace(0, 255, 8).astype(np.uint8)
    count = 500
    held = QuantisedImages(
        (28, 28, 1), 2, levels, np.zeros((count, 14, 14, 1), np.uint8),
        np.arange(count) % 10, np.arange(10),
    )  # fmt: skip
    stored = jax.eval_shape(lambda: pixel_rate.init(_KEY(), (14, 14, 1), 8, 10))
    config = kernel_ridge.KernelRidgeConfig()

    def with_rate(rate_params: Params) -> Method:
        ranges = augmentation.Augmentation(rotation=10, translation=5, scale=10)
        return kernel_ridge.build(config, held, ranges, rate_params, 3_000)

    def step(own: Any, shared: Any) -> Any:
        seed, state = own
        rate_params, data = shared
        key_batch, key_step = jax.random.split(jax.random.key(seed))
        rows = jax.random.randint(key_batch, (1_000,), 0, data[1].shape[0])
        batch = sampling.examples(data, rows)
        state, info = with_rate(rate_params).step(key_step, state, batch)
        return (seed + 1, state), info.finite

    params = {"levels": array(count, 14, 14, 1), "upsampler": None}
    state = jax.eval_shape(lambda p, r: with_rate(r).init(_KEY(), p), params, stored)
    return Built(step, (SEED, state), (stored, _mnist()))


def _text() -> Built:
    """A step of the transformer of 4.1 million parameters, its batch split over the chips."""
    config = transformer.SIZES["t4"]
    text = array(32, 512, dtype=jnp.int32)
    return plain_step(
        transformer.next_byte_loss(config), partial(transformer.init, config), (text, text)
    )


_SOURCE = array(64), array(64, 64)
"""Shapes of p and d."""


def _in_single_precision(function: Callable[[Any, Any], Any], own: Any, shared: Any) -> Built:
    def traced(own: Any, shared: Any) -> Any:
        with ratedist.single_precision():
            return function(own, shared)

    return Built(traced, own, shared)


def _rate_distortion() -> Built:
    """A point of R(D) at one price: prices are runs."""

    def solve(price: Any, shared: Any) -> Any:
        p, d = shared
        point = ratedist.solve_slope(p, d, price)
        return point.rate_lb, point.rate_ub, point.distortion, point.q

    return _in_single_precision(solve, array(), _SOURCE)


def _rate_gradient() -> Built:
    """R(D) and its derivatives in the source, the distortions and D."""
    gradient = jax.value_and_grad(ratedist.rate, argnums=(0, 1, 2))

    def solve(level: Any, shared: Any) -> Any:
        p, d = shared
        return gradient(p, d, level)

    return _in_single_precision(solve, array(), _SOURCE)


def _codebook() -> Built:
    """20 steps of codebook refinement with the implicit gradient: codebooks are runs."""

    def refine(own: Any, shared: Any) -> Any:
        p, x = shared
        book, points = ratedist.refine_codebook(
            p, x, own["points"], own["level"], steps=20, gradient="implicit"
        )
        return book, points.rate_ub[-1]

    own = {"points": array(16, 2), "level": array()}
    return _in_single_precision(refine, own, (array(64), array(64, 2)))


def _bit_allocation() -> Built:
    """A step of the functionals of 16 bits and their receiver, on images of 784 pixels."""
    config = bottleneck.BottleneckConfig(shift_pixels=1)
    shift, scale = np.zeros(784, np.float32), np.ones(784, np.float32)
    method, init, _ = bottleneck.build(
        config, [(np.arange(784), (28, 28))], (16,), 10, (28, 28), shift, scale, 10_000
    )
    data = (array(60_000, 784), array(60_000, dtype=jnp.int32))
    return training_step(method, init, data, config.batch_size)


def _lenets(names: Iterable[str]) -> dict[str, Program]:
    return {
        f"{name}_lenet300": Program(
            f"{METHODS[name].title}: step of LeNet-300-100", partial(_lenet300, name), 15_000
        )
        for name in names
    }


_FIRST = ("drr", "pmmp_curvature", "pmmp_admm")
PROGRAMS: dict[str, Program] = {
    **_lenets(_FIRST),
    "em": Program("EM, K up to 8 in 64 dimensions: fit", _em, 60, runs=10),
    "autoencoder": Program("Contrastive VAE: step", _autoencoder, 20_000),
    "transformer": Program(
        "Transformer, 4.1M, batch split: step", _text, 40_000, runs=1, split="batch"
    ),
    "drr_teacher_student": Program(
        "DRR: step of teacher and student", _teacher_student, 20_000, runs=64
    ),
    "rate_distortion": Program("R(D) of 64 x 64 at a price: solve", _rate_distortion, 30),
    "bit_allocation": Program("Bit allocation, 16 bits: step", _bit_allocation, 10_000),
    "codebook": Program("Codebook refinement, implicit gradient", _codebook, 1_200, runs=4),
    "convnet": Program("ConvNet: step", _convnet, 20_000, runs=4),
    "drr_vgg16": Program("DRR: step of VGG-16", partial(_vgg, "drr"), 60_000, 1, effort=-1),
    "distillation": Program("Kernel-ridge distillation: step", _distillation, 3_000, 1, effort=-1),
    "drr_lenet5_three_phase": Program(
        "DRR: three phases of LeNet-5-Caffe", _three_phases, 15_000, effort=-1
    ),
    "drr_lenet5": Program("DRR: step of LeNet-5-Caffe", partial(_lenet5, "drr"), 15_000),
    "rate_gradient": Program("R(D) of 64 x 64 and its gradient", _rate_gradient, 60, runs=4),
    "drr_transformer": Program(
        "DRR: step of a transformer, 0.23M", _pruned_transformer, 20_000, runs=4
    ),
    **_lenets(name for name in METHODS if name not in _FIRST),
    "pmmp_curvature_vgg16": Program(
        "PMMP, curvature: step of VGG-16", partial(_vgg, "pmmp_curvature"), 60_000, 1, effort=-1
    ),
}
"""Name -> program."""
