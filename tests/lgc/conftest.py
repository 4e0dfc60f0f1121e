"""The slow tests of lgc train for a few steps each: compiling them takes longest."""

import pytest


@pytest.fixture(autouse=True, scope="module")
def compile_quickly(quick_compilation):
    """For all tests of lgc."""
