"""TensorFlow's graphs, checkpoints and TFLite files, read without TensorFlow."""
