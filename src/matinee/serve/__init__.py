"""A trained model behind HTTP: asked for recommendations, told what happened; ONNX Runtime and NumPy, no PyTorch."""
