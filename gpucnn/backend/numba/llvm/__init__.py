"""Functions for compiled code that emit LLVM instructions: see the README of the folder above."""
