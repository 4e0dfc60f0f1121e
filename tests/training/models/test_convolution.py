from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fewbits.training.models.convolution import (
    average_pool,
    conv2d,
    conv2d_max_pool,
    conv2d_of_doubled,
    max_pool,
)

SHAPES = [
    # image, kernel, padding
    ((2, 6, 5, 3), (3, 3, 3, 4), "SAME"),
    ((2, 6, 7, 1), (5, 5, 1, 2), "VALID"),
    ((1, 4, 4, 2), (2, 3, 2, 3), "SAME"),
    ((2, 4, 5, 2), (3, 3, 2, 2), 3),
    ((3, 3, 3, 2), (1, 1, 2, 5), "VALID"),
]


def pair(image, kernel, seed=0):
    generator = np.random.default_rng(seed)
    return (
        jnp.asarray(generator.normal(size=image), jnp.float32),
        jnp.asarray(generator.normal(size=kernel), jnp.float32),
    )


def by_definition(x, kernel, rows, columns):
    """The sum in the docstring, tap by tap, in float64 NumPy."""
    x = np.pad(np.asarray(x, np.float64), ((0, 0), rows, columns, (0, 0)))
    taps_down, taps_across, _, filters = kernel.shape
    height, width = x.shape[1] - taps_down + 1, x.shape[2] - taps_across + 1
    y = np.zeros((x.shape[0], height, width, filters))
    for i in range(height):
        for j in range(width):
            window = x[:, i : i + taps_down, j : j + taps_across, :]
            y[:, i, j, :] = np.einsum("nabc,abco->no", window, np.asarray(kernel, np.float64))
    return y


@pytest.mark.parametrize("implementation", ["native", "patches", "blocks"])
def test_is_the_sum_of_its_definition(implementation):
    x, kernel = pair((2, 6, 5, 3), (3, 3, 3, 4))
    expected = by_definition(x, kernel, (1, 1), (1, 1))
    y = conv2d(x, kernel, padding="SAME", implementation=implementation)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    expected = by_definition(x, kernel, (0, 0), (0, 0))
    y = conv2d(x, kernel, padding="VALID", implementation=implementation)
    np.testing.assert_allclose(y, expected, atol=1e-5)


@pytest.mark.parametrize("implementation", ["patches", "blocks"])
@pytest.mark.parametrize(("image", "kernel", "padding"), SHAPES)
def test_all_forms_agree_in_values_and_gradients(image, kernel, padding, implementation):
    x, k = pair(image, kernel)

    def value_and_gradients(implementation):
        def f(x, k):
            y = conv2d(x, k, padding=padding, implementation=implementation)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(x, k)

    ((_, native), native_gradients) = value_and_gradients("native")
    ((_, other), other_gradients) = value_and_gradients(implementation)
    np.testing.assert_allclose(native, other, atol=2e-5)
    for a, b in zip(native_gradients, other_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("implementation", ["native", "patches"])
@pytest.mark.parametrize(("image", "kernel", "padding"), SHAPES)
def test_convolved_and_pooled_at_once_is_one_after_the_other(
    image, kernel, padding, implementation
):
    x, k = pair(image, kernel)

    def value_and_gradients(pooled):
        def f(x, k):
            y = pooled(x, k)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(x, k)

    (_, expected), expected_gradients = value_and_gradients(
        lambda x, k: max_pool(conv2d(x, k, padding=padding, implementation="native"))
    )
    (_, pooled), gradients = value_and_gradients(
        lambda x, k: conv2d_max_pool(x, k, padding=padding, implementation=implementation)
    )
    np.testing.assert_allclose(pooled, expected, atol=2e-5)
    for a, b in zip(gradients, expected_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


@pytest.mark.parametrize("kernel", [(1, 1), (2, 3), (3, 3), (4, 5)])
def test_the_convolution_of_a_doubled_image(kernel):
    x, k = pair((2, 3, 4, 2), (*kernel, 2, 3))

    def value_and_gradients(implementation):
        def f(x, k):
            y = conv2d_of_doubled(x, k, implementation=implementation)
            return jnp.sum(jnp.sin(y)), y

        return jax.jit(jax.value_and_grad(f, argnums=(0, 1), has_aux=True))(x, k)

    (_, native), native_gradients = value_and_gradients("native")
    (_, patches), patches_gradients = value_and_gradients("patches")
    assert native.shape == (2, 6, 8, 3)
    large = np.kron(np.asarray(x), np.ones((1, 2, 2, 1)))
    margins = [((n - 1) // 2, n // 2) for n in kernel]
    np.testing.assert_allclose(native, by_definition(large, k, *margins), atol=2e-5)
    np.testing.assert_allclose(patches, native, atol=2e-5)
    for a, b in zip(patches_gradients, native_gradients, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_same_keeps_the_size_for_odd_and_even_kernels():
    for taps in (1, 2, 3, 4, 5):
        x, kernel = pair((1, 6, 7, 1), (taps, taps, 1, 1))
        assert jax.eval_shape(conv2d, x, kernel).shape == (1, 6, 7, 1)


def test_same_is_xlas_same():
    x, kernel = pair((1, 6, 7, 2), (4, 3, 2, 3))
    expected = jax.lax.conv_general_dilated(
        x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    np.testing.assert_allclose(conv2d(x, kernel, padding="SAME"), expected, atol=1e-5)


@pytest.mark.parametrize("convolve", [conv2d, conv2d_max_pool, conv2d_of_doubled])
def test_platform_that_it_is_lowered_for_chooses(convolve):
    x, kernel = pair((2, 6, 6, 3), (3, 3, 3, 4))

    def lowered_for(platform):
        gradient = jax.jit(jax.grad(lambda x, k: jnp.sum(convolve(x, k) ** 2), argnums=(0, 1)))
        return jax.export.export(gradient, platforms=[platform])(x, kernel).mlir_module()

    for platform in ("tpu", "cuda"):
        assert "stablehlo.convolution" in lowered_for(platform)
    assert "stablehlo.convolution" not in lowered_for("cpu")


def test_default_is_bit_for_bit_what_a_cpu_was_measured_to_do_fastest():
    x, k = pair((2, 6, 5, 3), (3, 3, 3, 4))

    def value_and_gradients(**chosen):
        def f(x, k):
            return jnp.sum(jnp.sin(conv2d(x, k, **chosen)))

        return jax.jit(jax.vmap(jax.value_and_grad(f, argnums=1), (None, 0)))(x, k[None] + 0.0)

    chosen = value_and_gradients()
    jax.tree.map(
        np.testing.assert_array_equal, chosen, value_and_gradients(implementation="patches")
    )


@pytest.mark.parametrize(
    ("image", "kernel", "padding", "words"),
    [
        ((1, 4, 4, 3), (3, 3, 1, 2), "SAME", "1 channels.* 3"),
        ((1, 4, 4, 1), (5, 5, 1, 2), "VALID", "5x5 kernel.*4x4"),
        ((1, 4, 4, 1), (3, 3, 1, 2), "full", "'full'"),
        ((1, 4, 4, 1), (3, 3, 1, 2), -1, "-1"),
    ],
)
def test_refuses_what_does_not_fit(image, kernel, padding, words):
    with pytest.raises(ValueError, match=words):
        conv2d(*pair(image, kernel), padding=padding)


def test_pools_take_whole_windows():
    x = jnp.arange(1 * 5 * 4 * 1, dtype=jnp.float32).reshape(1, 5, 4, 1)
    np.testing.assert_array_equal(max_pool(x)[0, :, :, 0], [[5, 7], [13, 15]])
    np.testing.assert_array_equal(average_pool(x)[0, :, :, 0], [[2.5, 4.5], [10.5, 12.5]])


def test_pools_agree_with_windowed_reductions_in_values_and_gradients():
    x, _ = pair((2, 6, 8, 3), (1, 1, 1, 1))
    weights, _ = pair((2, 3, 4, 3), (1, 1, 1, 1), seed=1)
    window = (1, 2, 2, 1)

    def reduced(x):
        return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, window, "VALID")

    np.testing.assert_array_equal(max_pool(x), reduced(x))
    ours = jax.grad(lambda x: jnp.sum(weights * max_pool(x)))(x)
    np.testing.assert_allclose(ours, jax.grad(lambda x: jnp.sum(weights * reduced(x)))(x))
    summed = jax.lax.reduce_window(x, 0.0, jax.lax.add, window, window, "VALID")
    np.testing.assert_allclose(average_pool(x), summed / 4, atol=1e-6)
