"""ONNX: a run as two graphs and a manifest, which other runtimes and a browser can use."""
