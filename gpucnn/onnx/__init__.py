"""Networks as ONNX files: written for other programs, and read from them.

The extra `onnx` installs what this needs: `pip install "gpucnn[onnx]"`.
"""

from gpucnn.onnx.checking import Checked, check
from gpucnn.onnx.exporting import Exported, Port, export
from gpucnn.onnx.importing import Imported, convert
from gpucnn.onnx.loading import load

__all__ = ["Checked", "Exported", "Imported", "Port", "check", "convert", "export", "load"]
