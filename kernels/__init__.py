"""CUDA sources, one operation a file. Package data: read them through `importlib.resources`."""
