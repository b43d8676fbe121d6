"""Measurements, printed as JSON by `make bench`. Each module has `measure() -> dict`."""
