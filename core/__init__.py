"""The science: no Qt, no widgets; runs on a bare node."""

__version__ = "0.1.0"
