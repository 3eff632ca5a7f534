"""VGG16: its table of layers, its weights, the trunk that runs, heads, and the ImageNet labels."""

import os

# Read by TensorFlow when it is first imported: no notes on the processor's features, and on a GPU only the memory that
# is used, as the API and a training share one.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
