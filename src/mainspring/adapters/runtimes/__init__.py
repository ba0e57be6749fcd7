"""Running models: ONNX in this process, pickles and rules in a process of their own."""
