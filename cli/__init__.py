"""The command line. It parses and prints; the library computes."""
