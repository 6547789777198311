"""There is no such module here: importing it says where PyTorch's functions are."""

from gpucnn.errors import UnknownImportError

raise UnknownImportError("gpucnn.nn has no functional", fix="write import gpucnn.functions as F")
