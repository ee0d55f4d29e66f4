"""The same network, faster, for prediction only: normalisation and ReLU become parts of the convolutions."""

from __future__ import annotations

import copy
from functools import cache
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from napari_attnseg.models.blocks import ConvBlock
from napari_attnseg.models.resnet import Bottleneck, ResNet50
from napari_attnseg.models.unet import UNet

# In these, what is registered after a convolution follows it; an attention gate, for one, normalises a sum of two.
_IN_ORDER = (nn.Sequential, Bottleneck, ResNet50)


def folded(model: UNet) -> UNet:
    """Return a copy in evaluation mode whose convolution blocks compute the same without separate normalisation."""
    model = copy.deepcopy(model).eval()
    for block in model.modules():
        if not isinstance(block, _IN_ORDER):
            continue
        for (first_name, first), (second_name, second) in pairwise(list(block.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(block, first_name, fuse_conv_bn_eval(first, second))
                setattr(block, second_name, nn.Identity())
        if isinstance(block, ConvBlock):
            _join_relu(block)
    return model


def _join_relu(block: ConvBlock) -> None:
    parts = list(block)
    for number, (conv, between, relu) in enumerate(zip(parts, parts[1:], parts[2:], strict=False)):
        if isinstance(conv, nn.Conv2d) and isinstance(between, nn.Identity) and isinstance(relu, nn.ReLU):
            block[number], block[number + 2] = ConvRelu(conv), nn.Identity()


class ConvRelu(nn.Module):
    """A convolution with a bias, and ReLU, for prediction; on a CPU they are one pass of oneDNN over the image.

    The weights have to stay as they are.

    Shape: (N, in_channels, H, W) -> (N, out_channels, H, W), in the number type of autocast, if that is on.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = conv
        self._cast: tuple[Tensor, Tensor, Tensor] | None = None
        """The weight that was cast, and what became of it and of the bias."""

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else x.dtype
        if x.device.type != "cpu" or torch.is_grad_enabled() or not has_joined(dtype):
            return F.relu(conv(x), inplace=True)
        return _joined(x.to(dtype), *self._weights(dtype), conv)

    def _weights(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        if self._cast is None or self._cast[0] is not weight or self._cast[1].dtype != dtype:
            self._cast = weight, weight.detach().to(dtype), bias.detach().to(dtype)
        return self._cast[1:]


def _joined(x: Tensor, weight: Tensor, bias: Tensor, conv: nn.Conv2d) -> Tensor:
    padding, stride, dilation = list(conv.padding), list(conv.stride), list(conv.dilation)
    one_pass = torch.ops.mkldnn._convolution_pointwise
    found: Tensor = one_pass(x, weight, bias, padding, stride, dilation, conv.groups, "relu", [], "")
    return found


@cache
def has_joined(dtype: torch.dtype) -> bool:
    """Whether this PyTorch has the pass, which is not part of what it documents, and this CPU can compute by it."""
    conv = nn.Conv2d(4, 8, 3, padding=1, device="meta")
    weight = torch.linspace(-1, 1, conv.weight.numel()).reshape(conv.weight.shape).to(dtype)
    bias, x = torch.linspace(-1, 1, 8).to(dtype), torch.linspace(-1, 1, 4 * 16 * 16).reshape(1, 4, 16, 16).to(dtype)
    try:
        with torch.inference_mode(), torch.autocast("cpu", enabled=False):
            found, apart = _joined(x, weight, bias, conv), F.relu(F.conv2d(x, weight, bias, padding=1))
            return bool(torch.allclose(found.float(), apart.float(), rtol=0.02, atol=0.02))
    except (AttributeError, RuntimeError, TypeError):
        return False
