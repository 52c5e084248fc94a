"""Class activation maps: the frames and bands of a spectrogram that speak for a class.

HiResCAM (Draelos & Carin, arXiv 2011.08891, equation 2): the last picture of a convolutional head times the gradient of the
class's logit by it, cell by cell, summed over channels. Where the head is a mean over cells and one linear layer (`resnet18`)
it is the class activation map of Zhou et al. (CVPR 2016) over the number of cells. Grad-CAM (Selvaraju et al., ICCV 2017)
takes the mean gradient of a channel in place of each cell's own, and so misplaces evidence that depends on its place in
frequency, in heads that keep bands apart (`cnn2d`, `cnn_bilstm`).
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ser.errors import ConfigError
from ser.explain.opened_head import OpenedHead
from ser.train.heads._spectrogram import Spectrogram, middle_frames


def class_activation(opened: OpenedHead, row: int, label: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Compute the map of one utterance for one class, and the spectrogram that it is of.

    Args:
        opened: a head with convolutions over a spectrogram: `cnn2d`, `cnn_bilstm`, `resnet18`.
        row: of `opened.data`.
        label: number of the class.

    Returns:
        Both `(frames, bands)`: the map, in logits per cell of the last picture, positive where it speaks for the class and
        negative where it speaks against, brought to the frames and bands of the spectrogram by bilinear interpolation; and
        the features as the head reads them.

    Raises:
        ConfigError: the head has no convolutions over a spectrogram.
    """
    head = opened.module
    if not isinstance(head, Spectrogram):
        raise ConfigError(
            f"head {opened.saved.config.head} has no class activation map",
            expected="a convolutional head on a spectrogram: cnn2d, cnn_bilstm, resnet18",
        )
    values, mask = opened.resident.batch(torch.tensor([[row]]))[head.input]
    assert mask is not None
    x, mask = middle_frames(values, mask, head.frames)
    with torch.enable_grad():
        picture, there = head.maps(x[:, :, None], mask)
        picture = picture.detach().requires_grad_()
        logit = head.output(head.pool(picture, there))[0, 0, label]
        (gradient,) = torch.autograd.grad(logit, picture)
    return upsampled((picture.detach() * gradient)[0, 0].sum(0), x[0, 0].shape), x[0, 0].numpy()


def upsampled(small: Tensor, shape: torch.Size) -> NDArray[np.float32]:
    """Interpolate a map to the frames and bands of the spectrogram."""
    large = F.interpolate(small[None, None], size=tuple(shape), mode="bilinear", align_corners=False)
    return np.asarray(large[0, 0].numpy(), dtype=np.float32)
