"""Image GANs in Keras 3, one self-contained file per model: see `python -m zoo`."""

import os
import pkgutil
import sys
from importlib.util import find_spec

# A folder zoo beside a copied model and an installed zoo are one package: what one of
# them lacks is found in the other.
__path__ = pkgutil.extend_path(__path__, __name__)

# TensorFlow's start-up notes (CPU features, missing CUDA) would bury a one-line error.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

BACKENDS = ("tensorflow", "jax", "torch")
backend = os.environ.get("KERAS_BACKEND")
if backend and (backend not in BACKENDS or find_spec(backend) is None):
    # Keras would end in a traceback.
    there = " or ".join(name for name in BACKENDS if find_spec(name))
    print(
        f"error: KERAS_BACKEND is {backend}: here it can be {there}; see README.md",
        file=sys.stderr,
    )
    raise SystemExit(2)
