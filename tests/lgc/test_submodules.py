"""The public submodules: what they list, and that their examples run."""

from __future__ import annotations

import doctest
import inspect
from types import ModuleType

import jax
import pytest

import lgc

MODULES = [lgc.coresets, lgc.gmm, lgc.groups, lgc.privacy]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_listed_name_is_there_and_documented(module: ModuleType):
    for name in module.__all__:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), name


@pytest.mark.slow
@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_examples_run(module: ModuleType):
    before = jax.config.values["jax_numpy_rank_promotion"]
    jax.config.update("jax_numpy_rank_promotion", "allow")
    try:
        assert doctest.testmod(module).failed == 0
    finally:
        jax.config.update("jax_numpy_rank_promotion", before)
