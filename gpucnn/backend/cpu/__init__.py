"""The primitives in NumPy: a file for each family, `backend.py` composes them.

`chunks.py` cuts work into chunks that stay in the cache, `parallel.py` shares them out over
threads.
"""
