"""All denoisers on the same images: specimens, simulator, measures. Run by benchmarks/denoising.py."""
