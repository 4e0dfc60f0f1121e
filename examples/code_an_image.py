"""Code a picture at a mean squared error, and compare with JPEG and WebP.

`ratedist.encode` with a `block` treats an array as a signal with memory: transforms, quantisation
with one step, and adaptive contexts. The file decodes to the same numbers on every machine.
"""

import io

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_image

import ratedist

picture = load_sample_image("china.jpg")[100:300, 150:450]

# %% One call, and its inverse. The error is met within 1 %.
data = ratedist.encode(picture, 60.0, block="auto")
restored = ratedist.decode(data)
error = np.mean((restored.astype(float) - picture) ** 2)
print(f"{len(data):,} bytes at a mean squared error of {error:.1f}")


# %% JPEG and WebP: the smallest file that is at least as good.
def smallest(kind: str) -> int:
    """Bytes of the first quality that reaches the error."""
    for quality in range(1, 101):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, kind, quality=quality)
        other = np.asarray(Image.open(io.BytesIO(file.getvalue())).convert("RGB"))
        if np.mean((other.astype(float) - picture) ** 2) <= error:
            return len(file.getvalue())
    raise ValueError(f"{kind} does not reach {error}")


print(
    f"{len(data) / smallest('JPEG'):.2f} times JPEG, {len(data) / smallest('WEBP'):.2f} times WebP"
)

# %% Rate against error: half the error costs how many bytes?
errors = [30, 60, 120, 240]
sizes = [len(ratedist.encode(picture, float(level), block="auto")) for level in errors]
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
axes[0].imshow(restored)
axes[0].set_axis_off()
axes[1].loglog(errors, sizes, "o-")
axes[1].set(xlabel="mean squared error", ylabel="bytes")
figure.savefig("code_an_image.png", dpi=120)
