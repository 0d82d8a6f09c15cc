"""Settings that tests and notebook kernels must have before anything is imported."""

import os

# The same order of sets in every kernel, and no progress bars: stored outputs are compared word for word.
os.environ.setdefault("PYTHONHASHSEED", "0")
os.environ.setdefault("TQDM_DISABLE", "1")

# One thread each: the models here are so small that two threads, on cores they share with other processes,
# take ten times as long waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
