import numpy as np
import pytest

from fewbits.coding import FormatError, units
from fewbits.coding.weights.sparse import sparse_code
from pruning import description_length as dl


def example(n: int = 3000, sharpness: float = 3.0):
    rng = np.random.default_rng(0)
    logits = sharpness * rng.normal(size=(n, 10))
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labels = np.array([rng.choice(10, p=np.exp(row) / np.exp(row).sum()) for row in log_p])
    return log_p, labels


def test_the_papers_count_on_its_own_table():
    """alpha = 1e-7 there: 34.7M weights and 1.1209 bits a byte on 6.16 GB give 1002 MB."""
    found = dl.as_published(34_740_000, units.bits_to_nats(1.1209), 6_159_990_784)
    assert abs(found.model_bytes / 1e6 - 139.0) < 0.1
    assert abs(found.total_bytes / 1e6 - 1002.0) < 0.5


def test_positions_cost_their_entropy():
    free = dl.with_positions(500, 1000, 32, 0.0, 0)
    assert np.isclose(free.model_bytes, 1000 / 8 + 500 * 4)


@pytest.mark.parametrize("sharpness", [0.0, 1.0, 8.0])
def test_coded_labels_come_back_and_cost_the_loss(sharpness):
    log_p, labels = example(sharpness=sharpness)
    data = dl.write_labels(log_p, labels)
    np.testing.assert_array_equal(dl.read_labels(data, log_p), labels)
    ideal_bytes = -units.nats_to_bits(log_p[np.arange(len(labels)), labels]).sum() / 8
    assert ideal_bytes - 8 < len(data) < 1.03 * ideal_bytes + 16


def test_files_beside_the_papers_count():
    log_p, labels = example()
    rng = np.random.default_rng(1)
    kernel = (rng.normal(size=(200, 50)) * (rng.random((200, 50)) < 0.03)).astype(np.float32)
    params = {"output": {"kernel": kernel, "bias": np.zeros(50, np.float32)}}
    file = sparse_code.write_sparse(params, 5)
    real, coded = dl.as_files(file, log_p, labels)
    assert real.model_bytes == len(file)
    assert real.total_bytes == len(file) + len(coded)
    loss = -log_p[np.arange(len(labels)), labels].mean()
    published = dl.as_published(np.count_nonzero(kernel), loss, len(labels))
    # Positions cost something, but five bits a value less than thirty-two.
    assert real.model_bytes < published.model_bytes


def test_labels_that_do_not_fit():
    log_p, labels = example(20)
    with pytest.raises(ValueError, match="20"):
        dl.write_labels(log_p, labels[:10])
    with pytest.raises(ValueError, match="symbol"):
        dl.write_labels(log_p, labels + 10)


def test_damaged_labels():
    log_p, labels = example(500)
    with pytest.raises(FormatError):
        dl.read_labels(dl.write_labels(log_p, labels)[:-4], log_p)
