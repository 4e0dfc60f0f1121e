"""Latent Gaussian compression: a data set as a decoder and a Gaussian mixture for each class."""

from fewbits.coding import InputError
from lgc.compression import compress, decompress
from lgc.config import Config
from lgc.images import check

__all__ = ["Config", "InputError", "check", "compress", "decompress"]
