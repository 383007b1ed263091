"""What every embedding table offers, whether its rows are fixed in number or grow."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class EmbeddingTable(nn.Module, ABC):
    """Rows of `dim` numbers found by a 64-bit hash, and one learned row for absent values.

    A table owns the sums of its row-wise Adagrad, so that a row and its sum move together when
    a table grows or drops rows, and `state_dict` holds all that training needs. The gradient of
    `weight` is sparse: only looked-up rows have one.
    """

    weight: nn.Parameter
    """float32 [rows, dim]; row 0 is the learned *missing* vector."""
    square_sum: Tensor
    """float32 [rows]; row-wise Adagrad's sum of mean squared gradients."""

    @abstractmethod
    def forward(self, ids: Tensor, present: Tensor) -> Tensor:
        """The rows of `ids` int64 [n] where `present` bool [n], else *missing*: [n, dim]."""

    @property
    def dim(self) -> int:
        """Width of a row."""
        return self.weight.shape[1]

    @property
    def memory_bytes(self) -> int:
        """Bytes that all parameters and buffers take."""
        tensors = [*self.parameters(), *self.buffers()]
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
