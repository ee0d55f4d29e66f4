"""ResNet-50 (He et al. 2016, arXiv:1512.03385) as an encoder, its parameters named as torchvision names them."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

_EXPANSION = 4


class Bottleneck(nn.Module):
    """Three convolutions (1x1, 3x3, 1x1) whose result is added to what went in.

    The stride is that of the 3x3 convolution, as in the published weights (known as ResNet v1.5), not of the first 1x1
    convolution as in the paper.

    Shape: (N, in_channels, H, W) -> (N, 4 width, H / stride, W / stride).
    """

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = _EXPANSION * width
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Sequential | None = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return F.relu(self.bn3(self.conv3(x)) + shortcut, inplace=True)


class ResNet50(nn.Module):
    """The image itself, then the features of ResNet-50 at 1/2, 1/4, 1/8, 1/16 and 1/32 of its resolution.

    Names and shapes of parameters and buffers are those of torchvision's ResNet-50 without its last layer `fc`, save
    that `conv1` takes any number of channels.

    Shape: (N, in_channels, H, W), H and W multiples of 32 -> a list of 6, (N, channels[i], H / 2^i, W / 2^i).
    """

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.channels = (in_channels, 64, 256, 512, 1024, 2048)
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(256, 128, blocks=4, stride=2)
        self.layer3 = _stage(512, 256, blocks=6, stride=2)
        self.layer4 = _stage(1024, 512, blocks=3, stride=2)

    def forward(self, x: Tensor) -> list[Tensor]:
        features = [x, F.relu(self.bn1(self.conv1(x)))]
        x = F.max_pool2d(features[-1], 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features


def _stage(in_channels: int, width: int, *, blocks: int, stride: int) -> nn.Sequential:
    inside = (Bottleneck(_EXPANSION * width, width, 1) for _ in range(blocks - 1))
    return nn.Sequential(Bottleneck(in_channels, width, stride), *inside)
