"""Image GANs in Keras 3, one self-contained file per model. `python -m zoo` lists them."""

import os

# TensorFlow's start-up notes (CPU features, missing CUDA) would bury a one-line error message.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
