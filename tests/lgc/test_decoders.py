import jax
import numpy as np
import pytest

from fewbits.training import trees
from lgc.autoencoders import decoders


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [
        pytest.param((8, 8, 1), marks=pytest.mark.slow),
        (9, 14, 3),
        pytest.param((28, 28, 1), marks=pytest.mark.slow),
    ],
)
def test_images_of_any_sides(key, shape):
    params = decoders.init_convolutional(key, 5, shape, (4, 3, 2))
    decoders.check(params, 5, shape)
    images = decoders.decode(params, jax.random.normal(key, (7, 5)), shape)
    assert images.shape == (7, np.prod(shape))
    assert ((images > 0) & (images < 1)).all()


def test_parameters_are_few(key):
    params = jax.eval_shape(lambda k: decoders.init_convolutional(k, 12, (28, 28, 1)), key)
    assert trees.size(params) == (12 + 1) * 49 * 16 + (9 * 16 + 1) * 16 + (9 * 16 + 1) * 8 + 73


def test_a_map_is_doubled_by_repetition(key):
    """With kernels that pass the middle tap on, the image is the seed map in 4 x 4 blocks."""
    passing = np.zeros((3, 3, 1, 1), np.float32)
    passing[1, 1] = 1
    layer = {"kernel": passing, "bias": np.zeros(1, np.float32)}
    seed = {"kernel": np.eye(4, dtype=np.float32), "bias": np.zeros(4, np.float32)}
    params = {"seed": seed, "up1": layer, "up2": layer, "output": layer}
    image = decoders.decode(params, np.array([[1.0, 2.0, 3.0, 4.0]]), (8, 7, 1)).reshape(8, 7)
    expected = np.kron([[1, 2], [3, 4]], np.ones((4, 4)))[:, :7]
    np.testing.assert_allclose(image, 1 / (1 + np.exp(-expected)), rtol=1e-5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {**p, "extra": p["up1"]}, "no known decoder"),
        (lambda p: {**p, "up1": {"kernel": p["up1"]["kernel"]}}, "kernel and a bias"),
        (lambda p: {**p, "up2": p["output"]}, "up2"),
        (lambda p: {**p, "seed": p["up1"]}, "seed"),
    ],
)
def test_other_trees_are_refused(key, change, said):
    params = decoders.init_convolutional(key, 5, (8, 8, 1), (4, 3, 2))
    with pytest.raises(ValueError, match=said):
        decoders.check(change(params), 5, (8, 8, 1))


def _layers(key):
    front = decoders.init_convolutional(key, 3, (8, 8, 4), (4, 3, 2))
    return {"foreground": front, "backgrounds": np.zeros((2, 4, 2, 3), np.float32)}


def test_a_layered_image_shows_the_foreground_or_the_background():
    front = np.array([[0.6, 0.1, 0.4, 0.9]])  # cover and colour of two pixels
    behind = np.array([[0.3, 0.7]])
    image, cover = decoders.layered(front, behind, 1, hard=True)
    np.testing.assert_allclose(image, [[0.1, 0.7]])
    np.testing.assert_allclose(cover, [[1, 0]])
    mixed, _ = decoders.layered(front, behind, 1, hard=False)
    np.testing.assert_allclose(mixed, [[0.6 * 0.1 + 0.4 * 0.3, 0.4 * 0.9 + 0.6 * 0.7]], rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: {"backgrounds": p["backgrounds"]}, "not a foreground and backgrounds"),
        (lambda p: {**p, "foreground": p}, "not a foreground and backgrounds"),
        (lambda p: {**p, "backgrounds": p["backgrounds"][..., :1]}, "backgrounds of shape"),
        (lambda p: {**p, "backgrounds": np.zeros((5, 4, 2, 3))}, "of 5 latents"),
        (lambda p: {**p, "backgrounds": np.zeros((2, 9, 2, 3))}, "backgrounds of shape"),
        (lambda p: {**p, "backgrounds": np.zeros((1, 4, 2, 3))}, "seed"),
    ],
)
def test_layers_that_do_not_fit_are_refused(key, change, said):
    params = _layers(key)
    decoders.check(params, 5, (8, 8, 3))
    with pytest.raises(ValueError, match=said):
        decoders.check(change(params), 5, (8, 8, 3))
