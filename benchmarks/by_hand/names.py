"""What the program knows by heart of `speed_world`'s spec."""

TASKS = ("click", "buy")
FEEDBACK = ("buy", "click")
"""In order of their names, as sequences want them."""

ITEM_IDS = ("category", "brand", "seller")
REQUEST_IDS = ("gender", "city", "device")
