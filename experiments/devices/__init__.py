"""Programs for accelerators: compiled and sized without one, and run where there is one."""
