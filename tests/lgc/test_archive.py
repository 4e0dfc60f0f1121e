from __future__ import annotations

import subprocess
import sys

import jax
import numpy as np
import pytest

from fewbits.coding import FormatError, account, read_archive, write_archive
from lgc import archive
from lgc.autoencoders import architectures
from lgc.gmm.mixture_code import COVARIANCES, ClassMixture

SHAPE = (4, 5, 1)


def _mixture(kind: str, rng: np.random.Generator, count: int, dimension: int) -> ClassMixture:
    square = rng.normal(size=(count, dimension, dimension))
    full = square @ square.swapaxes(1, 2) + 0.2 * np.eye(dimension)
    covariances = {
        "full": full,
        "tied": full[0],
        "diagonal": np.diagonal(full, axis1=1, axis2=2),
        "spherical": full[:, 0, 0],
    }[kind]
    return ClassMixture(
        rng.dirichlet(np.ones(count)), rng.normal(size=(count, dimension)), covariances
    )


def _archive(kind: str = "full", bits: archive.Bits = 6) -> bytes:
    rng = np.random.default_rng(0)
    decoder = architectures.dense(20, hidden=8, latent=3).init(jax.random.key(1))["decoder"]
    return archive.write(
        decoder,
        [_mixture(kind, rng, count, 3) for count in (2, 1, 3)],
        image_shape=SHAPE,
        labels=(-4, 0, 7),
        counts=(5, 6, 7),
        covariance=kind,  # type: ignore[arg-type]
        bits=bits,
    )


@pytest.mark.parametrize("bits", [2, 4, 8, 16, "float16", "float32"])
@pytest.mark.parametrize("kind", COVARIANCES)
def test_what_is_read_is_what_was_written(kind, bits):
    contents = archive.read(_archive(kind, bits))
    assert contents.image_shape == SHAPE
    assert contents.labels == (-4, 0, 7)
    assert contents.counts == (5, 6, 7)
    assert contents.components == (2, 1, 3)
    assert contents.covariance == kind
    assert contents.means.shape == (6, 3)
    assert contents.factors.shape == ((6, 3, 3) if kind in ("full", "tied") else (6, 3))


def test_sampling_gives_the_declared_counts_and_labels():
    images, labels = archive.sample(archive.read(_archive()), per_class=None, seed=0)
    assert images.shape == (18, *SHAPE)
    assert images.dtype == np.uint8
    assert labels.tolist() == [-4] * 5 + [0] * 6 + [7] * 7


def test_fewer_images_are_a_prefix_of_more():
    contents = archive.read(_archive())
    few, _ = archive.sample(contents, per_class=3, seed=2)
    many, _ = archive.sample(contents, per_class=1_200, seed=2)
    np.testing.assert_array_equal(few[:3], many[:3])
    np.testing.assert_array_equal(few[3:6], many[1_200:1_203])


def test_samples_have_the_mixtures_moments():
    contents = archive.read(_archive(bits="float32"))._replace(counts=(1, 1, 1))
    linear = contents._replace(decoder=_identity_decoder())
    images, _ = archive.sample(linear, per_class=20_000, seed=3)
    drawn = images[20_000:40_000, 0, 0, 0] / 255  # the class of one component
    expected = 1 / (
        1
        + np.exp(
            -(
                contents.means[2, 0]
                + np.random.default_rng(0).normal(size=200_000)
                * np.linalg.norm(contents.factors[2, 0])
            )
        )
    )
    np.testing.assert_allclose(drawn.mean(), expected.mean(), atol=0.01)
    np.testing.assert_allclose(drawn.std(), expected.std(), atol=0.01)


def _identity_decoder() -> dict:
    """Latent 0 goes through relu(z) - relu(-z) unchanged to every pixel, then the sigmoid."""
    hidden = np.zeros((3, 2), np.float32)
    hidden[0] = (1, -1)
    pixels = np.tile(np.array([[1], [-1]], np.float32), (1, 20))
    return {
        "hidden": {"kernel": hidden, "bias": np.zeros(2, np.float32)},
        "pixels": {"kernel": pixels, "bias": np.zeros(20, np.float32)},
    }


@pytest.mark.slow
def test_another_process_draws_the_same_bytes(tmp_path):
    path = tmp_path / "a.lgc"
    path.write_bytes(_archive())
    program = (
        "import sys, hashlib, lgc;"
        "x, y, _ = lgc.decompress(open(sys.argv[1], 'rb').read(), per_class=50, seed=9);"
        "print(hashlib.sha256(x.tobytes() + y.tobytes()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(digests) == 1


def test_every_truncation_and_bit_flip_is_refused():
    data = _archive(bits=3)
    for end in range(len(data)):
        with pytest.raises(FormatError):
            archive.read(data[:end])
    for position in range(len(data)):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(FormatError):
            archive.read(bytes(damaged))


def _resigned(**changes) -> bytes:
    stored = read_archive(_archive())
    return write_archive("lgc", {**stored.header, **changes}, stored.sections)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [4, 5]},
        {"shape": [4, 6, 1]},
        {"shape": [2**20, 2**20, 1]},
        {"shape": [-4, -5, 1]},
        {"shape": "4x5"},
        {"labels": [0, 1]},
        {"labels": []},
        {"labels": [0, 1, 2**40]},
        {"counts": [1, 2, -3]},
        {"counts": [1, 2, True]},
        {"weights": [[1, 2], [3], []]},
        {"weights": [[1, 2], [3], [4, 5]]},
        {"weights": [[1, 2], [0], [3, 4, 5]]},
        {"weights": 3},
        {"covariance": 9},
        {"covariance": "full"},
        {"covariance": 1},
        {"covariance": 2},
        {"model": {}},
        {"extra": 1},
    ],
)
def test_well_signed_nonsense_is_refused(changes):
    with pytest.raises(FormatError):
        archive.read(_resigned(**changes))


def test_other_kinds_are_refused():
    with pytest.raises(FormatError, match="kind"):
        archive.read(write_archive("model", {}, {}))


def test_the_account_adds_up_to_the_file():
    data = _archive()
    rows = account(data)
    assert sum(row.size_bytes for row in rows) == len(data)
    assert any("decoder" in row.part for row in rows)
