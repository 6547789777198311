"""``python -m gpucnn`` is the same as ``gpucnn``."""

from gpucnn.cli.main import main

if __name__ == "__main__":
    main()
