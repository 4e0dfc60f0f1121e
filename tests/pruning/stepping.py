"""Steps of a method compiled once: op by op, each test would compile dozens of tiny programs."""

from __future__ import annotations

import functools

import jax

from fewbits.training.method import Method


@functools.cache
def step_of(method: Method):
    """The jitted step of a method."""
    return jax.jit(method.step)
