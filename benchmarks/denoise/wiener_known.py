"""The product's Wiener filter with the particle's diameter known and the empty patches flattened: a fairer rival.

The predict job assumes a diameter, and takes its patches from the image as it is.

python -m benchmarks.denoise.wiener_known --noise STAR --diameter PX --output FOLDER MICROGRAPH ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path


def main() -> int:
    """Filter every micrograph into the folder."""
    from core.denoising import baselines, quality
    from core.io.coordinates import match_names, read_noise_boxes
    from core.io.mrc import read_header, read_image, write_mrc

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("micrographs", nargs="+", type=Path)
    parser.add_argument("--noise", type=Path, required=True)
    parser.add_argument("--diameter", type=float, required=True)
    parser.add_argument("--output", type=Path, required=True)
    options = parser.parse_args()
    boxes = read_noise_boxes(options.noise)
    centres = match_names(boxes.positions, options.micrographs)
    size = boxes.box_size or 96
    for path in options.micrographs:
        image = read_image(path)
        patches = quality.crops_at(quality.flattened(image, options.diameter), centres[path], size)
        if not len(patches):
            patches = baselines.calm_patches(image, size, options.diameter)
        filtered = baselines.wiener(image, patches, options.diameter)
        write_mrc(options.output / path.name, filtered, read_header(path).pixel_size_a)
    return 0


if __name__ == "__main__":
    sys.exit(main())
