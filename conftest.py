"""Settings that tests and notebook kernels must have before anything is imported."""

import os

# The same order of sets in every kernel, and no progress bars: stored outputs are compared word for word.
os.environ.setdefault("PYTHONHASHSEED", "0")
os.environ.setdefault("TQDM_DISABLE", "1")

# Several workers on a few cores: one thread each, or they wait for one another.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
