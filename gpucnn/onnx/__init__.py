"""Networks as ONNX files: written for other programs, and read from them.

The extra `onnx` installs what this needs: `pip install "gpucnn[onnx]"`.
"""

from gpucnn.onnx.checking import Checked, check
from gpucnn.onnx.exporting import BATCH, Exported, Port, export

__all__ = ["BATCH", "Checked", "Exported", "Port", "check", "export"]
