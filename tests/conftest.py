"""Shared test settings: strict array shapes, and the prepared data where it can be found."""

from __future__ import annotations

import os

# Test workers share the cores; a BLAS that spins on threads of its own would only slow them.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from pathlib import Path

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_configure(config: pytest.Config) -> None:
    """Short tests compile longer than they run; XLA's costly passes are for the long ones."""
    if "not slow" in config.option.markexpr:
        # Processes that tests start have to compute as they do, to the last bit.
        os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "true")
        jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Thousands of programs of other modules only slow the collector down."""
    yield
    jax.clear_caches()


@pytest.fixture
def key() -> jax.Array:
    """A typed PRNG key, the same in every test."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def tfds_dir() -> Path:
    """The folder of prepared TFDS data sets; skips where there is none."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "tfds"
    for folder in (os.environ.get("TFDS_DATA_DIR"), beside):
        if folder and (Path(folder) / "mnist").is_dir():
            return Path(folder)
    pytest.skip("no prepared data: set TFDS_DATA_DIR to a folder of TFDS data sets")
