import numpy as np

from experiments.dataset_compression import lgc_variants
from experiments.dataset_compression.lgc_variants import Row
from lgc import Config as Compression
from lgc.compression import Latents


def test_ids_say_which_settings_are_unusual():
    suffixes = [
        Row("ae", bits, epochs, start, 0, 10, 1, 1, 90.0).suffix
        for bits, epochs, start in ((8, 15, "lecun_he"), (12, 15, "lecun_he"), (12, 50, "pytorch"))
    ]
    assert suffixes == ["", "_12bit", "_12bit_50epochs_pytorch"]


def test_published_accounting_counts_dead_dimensions_and_covariances_twice():
    config = Compression(variant="conditional_vae", hidden=64, latent=16)
    decoder = {"kernel": np.zeros((20, 64)), "rest": np.zeros(1_000)}  # 6 of 26 are dead
    found = lgc_variants.float64_bytes(10, config, Latents(np.zeros((1, 20)), decoder))
    assert found == 10 * (1 + 26 + 2 * 26**2) * 8 + 4 * (26 * 64 + 1_000)
