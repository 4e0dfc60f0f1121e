"""Shared test settings: strict array shapes, and the prepared data where it can be found."""

from __future__ import annotations

import gc
import os
import tempfile

# Test workers share the cores; a BLAS that spins on threads of its own would only slow them.
for _variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

jax.config.update("jax_numpy_rank_promotion", "raise")


_QUICK = "JAX_DISABLE_MOST_OPTIMIZATIONS"
_SHORT = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
"""XLA's emitters of fused loops take half of the time in which it compiles; and a small program
takes longer in many parts than in one."""
_MOST_BYTES = 3e9
"""Of one worker's memory, before compiled programs are forgotten."""


def pytest_configure(config: pytest.Config) -> None:
    """Tests compile longer than they run; XLA's costly passes are for the long ones."""
    # Read once, before the first program.
    os.environ["XLA_FLAGS"] = f"{_SHORT} {os.environ.get('XLA_FLAGS', '')}"
    if "not slow" in config.option.markexpr:
        # Processes that tests start have to compute as they do, to the last bit.
        os.environ.setdefault(_QUICK, "true")
        jax.config.update("jax_disable_most_optimizations", True)
    _share_programs(config)


_PROGRAMS = pytest.StashKey[str]()


def _share_programs(config: pytest.Config) -> None:
    """Modules and workers of one run compile many programs alike: a folder holds those compiled."""
    if hasattr(config, "workerinput"):
        folder = config.workerinput["programs"]
    else:
        temporary = tempfile.TemporaryDirectory(prefix="fewbits-programs-")
        config.add_cleanup(temporary.cleanup)
        folder = config.stash[_PROGRAMS] = temporary.name
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Workers are told where the folder is."""
    node.workerinput["programs"] = node.config.stash[_PROGRAMS]


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """What is imported stays: the garbage collector need not walk it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A whole file for each worker: what it compiles and its fixtures are made once, not twice."""
    if config.getoption("dist") != "load":
        return None  # the user asked for another one
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


@pytest.fixture(scope="module")
def quick_compilation():
    """For slow modules that, too, compile longer than they run."""
    name = "jax_disable_most_optimizations"
    before = jax.config.values[name]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(_QUICK, "true")
        jax.config.update(name, True)
        yield
        jax.config.update(name, before)


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Programs of other modules are forgotten before they fill the memory."""
    yield
    if _resident_bytes() > _MOST_BYTES:
        jax.clear_caches()


def _resident_bytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:  # not Linux
        return float("inf")
    return pages * os.sysconf("SC_PAGE_SIZE")


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
