"""A linear layer over what a request knows and what a sample adds.

Q requests, N samples, R and S the widths of the two parts, O outer width.
"""

import torch
from torch import Tensor, nn

from models.axes import Axes, Read


class SplitLinear(nn.Module):
    """y = A x_request + B x_sample + b, A's part computed once a request: → [N, O].

    Equal to one linear layer over x_request ∥ x_sample for each sample. Either width may be 0.
    """

    def __init__(self, request_width: int, sample_width: int, outer: int) -> None:
        super().__init__()
        self.split = (request_width, sample_width)
        # Drawn as one layer, so that a part starts as small as its share of the whole.
        drawn = nn.Linear(request_width + sample_width, outer)
        self.weight, self.bias = drawn.weight, drawn.bias

    def forward(
        self, request_QR: Tensor | None, sample_NS: Tensor | None, sample_request: Tensor
    ) -> Tensor:
        """`sample_request` int64 [N]; None stands for a part of width 0."""
        a, b = torch.split(self.weight, list(self.split), dim=1)
        if request_QR is None:
            assert sample_NS is not None
            return nn.functional.linear(sample_NS, b, self.bias)
        of_request = nn.functional.linear(request_QR, a, self.bias).index_select(0, sample_request)
        return of_request if sample_NS is None else of_request + nn.functional.linear(sample_NS, b)

    def axes(self, into: Read) -> Axes:
        """Of what x_request ∥ x_sample holds."""
        return {"weight": (None, into)}
