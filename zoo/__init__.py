"""Image GANs in Keras 3, one self-contained file per model. `python -m zoo` lists them."""

import os
import sys
from importlib.util import find_spec

# TensorFlow's start-up notes (CPU features, missing CUDA) would bury a one-line error message.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BACKENDS = ("tensorflow", "jax", "torch")
backend = os.environ.get("KERAS_BACKEND")
if backend and (backend not in BACKENDS or find_spec(backend) is None):  # Keras would end in a traceback
    there = " or ".join(name for name in BACKENDS if find_spec(name))
    print(f"error: KERAS_BACKEND is {backend}: it can be {there} here; README.md has more", file=sys.stderr)
    raise SystemExit(2)
