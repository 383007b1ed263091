"""State dictionaries as named tensors plus a JSON skeleton, so that nothing needs pickle."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

Json = Any
_PLAIN = (str, int, float, bool, type(None))


def flatten(tree: Any) -> tuple[dict[str, Tensor], Json]:
    """Every tensor under its path, and the rest as JSON that points at the paths.

    Raises TypeError for a leaf that is neither tensor nor JSON value.
    """
    tensors: dict[str, Tensor] = {}
    return tensors, _strip(tree, "", tensors)


def unflatten(tensors: Mapping[str, Tensor], skeleton: Json) -> Any:
    """What `flatten` was given."""
    kind, value = skeleton
    if kind == "tensor":
        return tensors[value]
    if kind == "dict":
        return {key: unflatten(tensors, child) for key, child in value}
    if kind in ("list", "tuple"):
        children = [unflatten(tensors, child) for child in value]
        return children if kind == "list" else tuple(children)
    return value


def _strip(tree: Any, path: str, tensors: dict[str, Tensor]) -> Json:
    if isinstance(tree, Tensor):
        tensors[path or "value"] = tree
        return ["tensor", path or "value"]
    if isinstance(tree, Mapping):
        children = [[key, _strip(tree[key], _under(path, key), tensors)] for key in tree]
        return ["dict", children]
    if isinstance(tree, list | tuple):
        kind = "list" if isinstance(tree, list) else "tuple"
        return [kind, [_strip(child, _under(path, i), tensors) for i, child in enumerate(tree)]]
    if isinstance(tree, _PLAIN):
        return ["plain", tree]
    raise TypeError(f"{path}: expected a tensor or a JSON value, received {type(tree).__name__}")


def _under(path: str, key: object) -> str:
    return f"{path}/{key}" if path else str(key)
