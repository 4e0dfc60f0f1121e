"""Several devices where there is one: XLA splits the CPU for a process that is yet to start."""

from __future__ import annotations

import os


def environment(n_devices: int) -> dict[str, str]:
    """Of a process that sees so many devices and computes on each as this one does."""
    given = os.environ.get("XLA_FLAGS", "")
    flags = f"{given} --xla_force_host_platform_device_count={n_devices}"
    return os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
