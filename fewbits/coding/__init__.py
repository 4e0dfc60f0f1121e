"""The ground floor of bytes: integer tables, an entropy coder, and the container of every file."""

from fewbits.coding.container import Archive, load, read_archive, save, write_archive
from fewbits.coding.entropy_coder import StreamPlan, SymbolReader, SymbolStream, decode, encode
from fewbits.coding.tables import FrequencyTable
from fewbits.coding.weights.model_file import pack, quantise, read_model, unpack, write_model
from fewbits.io.errors import FormatError, InputError

__all__ = [
    "Archive",
    "FormatError",
    "FrequencyTable",
    "InputError",
    "StreamPlan",
    "SymbolReader",
    "SymbolStream",
    "decode",
    "encode",
    "load",
    "pack",
    "quantise",
    "read_archive",
    "read_model",
    "save",
    "unpack",
    "write_archive",
    "write_model",
]
