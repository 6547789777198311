"""Python imports this at its start, in each process below run.py."""

import cupy_hooks

cupy_hooks.install()
