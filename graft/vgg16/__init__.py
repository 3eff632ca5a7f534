"""VGG16: its table of layers, its weights, the trunk that runs, heads, and the ImageNet labels."""

import os

# Read by TensorFlow when it is first imported: no notes on the processor's features, and on a GPU only the memory that
# is used, as the API and a training share one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# oneDNN's convolutions, also on processors for which TensorFlow leaves them off: they are faster there, too
# (docs/decisions/0012).
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
# With it on, oneDNN keeps the first weights that a function was called with. Grafts share functions: every one of an
# architecture would answer with the first one's weights. And it gains nothing.
os.environ["TF_ONEDNN_ASSUME_FROZEN_WEIGHTS"] = "0"
