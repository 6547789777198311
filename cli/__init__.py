"""The command line. It parses and prints; whatever is computed is computed in the library."""
