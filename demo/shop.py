"""A small online shop, as a stream of events: sign-ups, browsing, purchases, customers who come back."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

PRODUCTS = {"Teapot": 39.0, "Cups": 24.5, "Kettle": 59.0, "Green tea": 12.9, "Filter": 6.5, "Scale": 45.0}
_NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gro", "Hal", "Ida", "Jon", "Kim", "Lea")


@dataclass(slots=True)
class Shop:
    """Messages of one shop, the same for the same seed. `customers` sign up; some browse, some buy, some return."""

    name: str
    seed: int
    customers: int
    expected_buyers: set[str] = field(default_factory=set[str])
    expected_regulars: set[str] = field(default_factory=set[str])

    def messages(self) -> Iterator[dict[str, Any]]:
        dice = random.Random(self.seed)  # noqa: S311 - the same story every time
        for number in range(self.customers):
            user = f"{self.name}-{number:03}"
            first = dice.choice(_NAMES)
            traits = {"email": f"{user}@customers.test", "firstName": first, "plan": dice.choice(("free", "club"))}
            yield {"type": "identify", "user": user, "traits": traits}
            yield {"type": "track", "user": user, "event": "Signed Up", "properties": {"source": "web"}}
        for _ in range(3):
            for number in range(self.customers):
                yield from self._visit(dice, f"{self.name}-{number:03}")

    def _visit(self, dice: random.Random, user: str) -> Iterator[dict[str, Any]]:
        for product in dice.sample(list(PRODUCTS), dice.randint(1, 4)):
            viewed = {"product": product, "price": PRODUCTS[product]}
            yield {"type": "track", "user": user, "event": "Product Viewed", "properties": viewed}
        if dice.random() < 0.35:
            if user in self.expected_buyers:
                self.expected_regulars.add(user)
            self.expected_buyers.add(user)
            product = dice.choice(list(PRODUCTS))
            order = {"product": product, "total": PRODUCTS[product], "orderId": f"{user}-{dice.getrandbits(32):08x}"}
            yield {"type": "track", "user": user, "event": "Order Completed", "properties": order}
