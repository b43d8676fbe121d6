"""Reading one array of plain numbers from a .npy file that anybody may have made. What it means is its reader's matter.

Datasets of CryoSPARC, which are .npy files with named columns, are read in cs.py.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

HEADER_BYTES = 4096  # a plain array needs 128


def load_npy(path: Path) -> np.ndarray:
    """The array, read-only and mapped: nothing is read until it is used, and no code of the file is run.

    OSError as the system says it; ValueError for everything that is no such file, or is cut short.
    """
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False, max_header_size=HEADER_BYTES)
    except OSError:
        raise
    except Exception as err:  # a damaged header makes numpy's parser raise what Python's own does
        raise ValueError(f"no array of numbers ({type(err).__name__})") from None
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "biufc":
        raise ValueError("no array of numbers")
    return array
