"""From a fitted estimator to an ONNX graph that answers the same, proven on rows."""
