"""Inputs made harder: attacks, noise and deformations.

Networks see normalised inputs; strengths are given in pixels. ``Pixels`` translates.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

Network = Callable[[Tensor], Tensor]
Numbers = float | tuple[float, ...]
_SLACK = 0.02  # rounding, and interpolation that overshoots, leave [0, 1] by a little


@dataclass(frozen=True)
class Pixels:
    """How network inputs relate to pixels: ``x = (pixel - mean) / std`` with ``low <= pixel <= high``.

    Args:
        mean: subtracted from pixels, one number or one a channel.
        std: divides pixels, likewise.
        low: least valid pixel; ``None`` if there is no least one, as in tables of measurements.
        high: greatest valid pixel, likewise.

    Examples:
        >>> Pixels(mean=0.5, std=0.25).to_pixels(torch.tensor([[-2.0, 2.0]]))
        tensor([[0., 1.]])
        >>> Pixels(mean=0.5, std=0.25).to_inputs(torch.tensor([[0.0, 3.0]]))  # no pixel is brighter than 1
        tensor([[-2.,  2.]])
    """

    mean: Numbers = 0.0
    std: Numbers = 1.0
    low: float | None = 0.0
    high: float | None = 1.0

    @classmethod
    def of(cls, data: object, x: Tensor) -> "Pixels":
        """Take what a data module announces, and the usual for what it does not.

        Args:
            data: may have ``mean`` and ``std`` (default 0 and 1), and ``pixel_range``, a pair (default ``(0, 1)`` for
                images, unlimited for everything else).
            x: a batch, ``(B, C, H, W)`` if it is of images.

        Returns:
            What was announced. Images that are plainly not in ``(0, 1)`` warn, and are not limited.
        """
        mean, std = (_numbers(getattr(data, name, None), usual) for name, usual in (("mean", 0.0), ("std", 1.0)))
        announced = getattr(data, "pixel_range", None)
        if announced is not None:
            return cls(mean, std, *announced)
        unlimited = cls(mean, std, None, None)
        if x.ndim != 4 or not x.is_floating_point():
            return unlimited
        low, high = (float(edge) for edge in unlimited.to_pixels(x).aminmax())
        if low < -_SLACK or high > 1 + _SLACK:
            rank_zero_warn(
                f"Test images reach from {low:.2f} to {high:.2f}, and {type(data).__name__} announces no normalisation "
                "that would bring them to [0, 1]: attacks and noise are measured in these units, and not clamped. Give "
                "the data module the attributes mean and std, or pixel_range."
            )
            return unlimited
        return cls(mean, std, 0.0, 1.0)

    def to_pixels(self, x: Tensor) -> Tensor:
        """Undo the normalisation of inputs ``(B, ...)``."""
        return x * _per_channel(self.std, x) + _per_channel(self.mean, x)

    def to_inputs(self, pixels: Tensor) -> Tensor:
        """Clamp pixels to the valid ones and normalise them."""
        if self.low is not None or self.high is not None:
            pixels = pixels.clamp(self.low, self.high)
        return (pixels - _per_channel(self.mean, pixels)) / _per_channel(self.std, pixels)


def fgsm(network: Network, x: Tensor, labels: Tensor, epsilon: float, pixels: Pixels) -> Tensor:
    """Attack with one step: ``clamp(pixel + epsilon * sign(gradient of the loss))`` (Goodfellow et al. 2015, sec. 4).

    Args:
        network: inputs to logits ``(B, C)``; in evaluation mode, or its batch statistics are attacked too.
        x: inputs, ``(B, ...)``.
        labels: class indices, ``(B,)``.
        epsilon: greatest change of a pixel, at least 0.
        pixels: how inputs relate to pixels.

    Returns:
        Inputs whose pixels are valid and at most ``epsilon`` away from those of ``x``.

    Examples:
        >>> x, pixels = torch.tensor([[0.5, 0.95]]), Pixels()
        >>> fgsm(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), x, torch.tensor([1]), 0.1, pixels)
        tensor([[0.6000, 1.0000]])
    """
    return pixels.to_inputs(pixels.to_pixels(x) + epsilon * _ascent(network, x, labels).sign())


def pgd(
    network: Network,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    pixels: Pixels,
    steps: int = 10,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Attack with many small steps, each followed by a projection (Madry et al. 2018, section 2.1).

    Without a random start it is the iterated FGSM (Kurakin et al. 2017, section 2.2). Steps are ``2.5 * epsilon /
    steps`` long, so that every point within ``epsilon`` can be reached.

    Args:
        network: inputs to logits ``(B, C)``.
        x: inputs, ``(B, ...)``.
        labels: class indices, ``(B,)``.
        epsilon: greatest change of a pixel, at least 0.
        pixels: how inputs relate to pixels.
        steps: number of gradients, at least 1.
        generator: draws the start within ``epsilon``; ``None`` starts at ``x``.

    Returns:
        Inputs whose pixels are valid and at most ``epsilon`` away from those of ``x``.

    Examples:
        >>> x, pixels = torch.tensor([[0.5, 0.95]]), Pixels()
        >>> pgd(lambda x: torch.stack([x.sum(1), -x.sum(1)], 1), x, torch.tensor([1]), 0.1, pixels)
        tensor([[0.6000, 1.0000]])
    """
    clean = attacked = pixels.to_pixels(x)
    if generator is not None:
        attacked = clean + epsilon * (2 * _draw(torch.rand, x, generator) - 1)
    for _ in range(steps):
        gradient = _ascent(network, pixels.to_inputs(attacked), labels)
        attacked = attacked + 2.5 * epsilon / steps * gradient.sign()
        attacked = pixels.to_pixels(pixels.to_inputs(clean + (attacked - clean).clamp(-epsilon, epsilon)))
    return pixels.to_inputs(attacked)


def add_noise(x: Tensor, std: float, pixels: Pixels, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of standard deviation ``std`` to the pixels, and clamp them.

    Examples:
        >>> add_noise(torch.zeros(1, 3), 0.1, Pixels(), torch.Generator().manual_seed(0)).shape
        torch.Size([1, 3])
    """
    return pixels.to_inputs(pixels.to_pixels(x) + std * _draw(torch.randn, x, generator))


def rotate(x: Tensor, degrees: Tensor | float, pixels: Pixels) -> Tensor:
    """Turn images counter-clockwise about their centre; what comes into view is black.

    Args:
        x: images, ``(B, C, H, W)``.
        degrees: angle, one number or one an image.
        pixels: how inputs relate to pixels.

    Returns:
        Images of the same shape, interpolated bilinearly.

    Examples:
        >>> corner = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
        >>> rotate(corner, 90, Pixels()).round(decimals=4)
        tensor([[[[0., 0.],
                  [1., 0.]]]])
    """
    angle = torch.deg2rad(_per_image(degrees, x))
    cos, sin = angle.cos(), angle.sin()
    return _deform(x, (cos, -sin, sin, cos), pixels)


def shear(x: Tensor, degrees: Tensor | float, pixels: Pixels) -> Tensor:
    """Lean images sideways by an angle, keeping their centre row; what comes into view is black.

    Args:
        x: images, ``(B, C, H, W)``.
        degrees: angle in ``(-90, 90)``, one number or one an image.
        pixels: how inputs relate to pixels.

    Returns:
        Images of the same shape, interpolated bilinearly.
    """
    tangent = torch.deg2rad(_per_image(degrees, x)).tan()
    return _deform(x, (torch.ones_like(tangent), tangent, torch.zeros_like(tangent), torch.ones_like(tangent)), pixels)


def zoom(x: Tensor, view: float, pixels: Pixels) -> Tensor:
    """Show the central ``view`` of the width and height: below 1 enlarges, above 1 shrinks onto black.

    These are the percentages that Verma et al. 2019, table 4, call zoom-in (below 100) and zoom-out (above).

    Args:
        x: images, ``(B, C, H, W)``.
        view: share of each side that is shown, above 0.
        pixels: how inputs relate to pixels.

    Returns:
        Images of the same shape, interpolated bilinearly.

    Examples:
        >>> zoom(torch.ones(1, 1, 4, 4), 2.0, Pixels())[0, 0]
        tensor([[0., 0., 0., 0.],
                [0., 1., 1., 0.],
                [0., 1., 1., 0.],
                [0., 0., 0., 0.]])
    """
    scale = _per_image(view, x)
    return _deform(x, (scale, torch.zeros_like(scale), torch.zeros_like(scale), scale), pixels)


def _deform(x: Tensor, matrix: tuple[Tensor, Tensor, Tensor, Tensor], pixels: Pixels) -> Tensor:
    """Let the output pixel at offset (right, down) from the centre show the input at matrix @ (right, down)."""
    right_right, right_down, down_right, down_down = matrix
    height, width = x.shape[-2:]
    still = torch.zeros_like(right_right)
    # affine_grid measures both sides from -1 to 1: in pictures that are not square its axes have different units.
    rows = [right_right, right_down * height / width, still, down_right * width / height, down_down, still]
    grid = F.affine_grid(torch.stack(rows, dim=1).view(-1, 2, 3), list(x.shape), align_corners=False)
    return pixels.to_inputs(F.grid_sample(pixels.to_pixels(x), grid, align_corners=False))


def _ascent(network: Network, x: Tensor, labels: Tensor) -> Tensor:
    # inference_mode(False): a tensor born in inference mode can have no gradient.
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        # A sum: the mean of a large batch makes gradients that half precision rounds to zero.
        loss = F.cross_entropy(network(x).float(), labels.clone(), reduction="sum")
        return torch.autograd.grad(loss, x)[0]


def _draw(sampler: Callable[..., Tensor], like: Tensor, generator: torch.Generator) -> Tensor:
    return sampler(like.shape, generator=generator).to(like)


def _numbers(value: Any, usual: float) -> Numbers:  # noqa: ANN401
    if value is None:
        return usual
    values = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    return values[0] if len(values) == 1 else tuple(values)


def _per_channel(value: Numbers, x: Tensor) -> Tensor:
    number = torch.as_tensor(value, dtype=x.dtype, device=x.device)
    return number.view(-1, *[1] * (x.ndim - 2)) if number.ndim else number


def _per_image(value: Tensor | float, x: Tensor) -> Tensor:
    return torch.as_tensor(value, dtype=x.dtype, device=x.device).expand(len(x))
