"""The made-up shop's spec, as text and parsed."""

from pathlib import Path

import pytest

from schemas.spec import Spec, parse

SHOP = Path(__file__).with_name("shop.toml")


@pytest.fixture(scope="session")
def shop_toml() -> str:
    return SHOP.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def shop(shop_toml: str) -> Spec:
    return parse(shop_toml, "shop.toml")
