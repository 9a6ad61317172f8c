"""The customer's account with the seller of an API: what is left on it."""

import threading

__all__ = ["Account"]


class Account:
    """A balance, for any number of threads. Its unit is the contract's: credits, users, calls."""

    def __init__(self, recharged: int, bonus: int = 0) -> None:
        self._recharged = recharged
        self._bonus = bonus
        self._lock = threading.Lock()

    @property
    def recharged(self) -> int:
        """What is left of what was paid in."""
        return self._recharged

    @property
    def bonus(self) -> int:
        """What is left of what was given."""
        return self._bonus

    def recharge(self, amount: int) -> None:
        """Pay in."""
        with self._lock:
            self._recharged += amount

    def pay(self, amount: int) -> bool:
        """Take this much, first from the bonus; False, and nothing is taken, if there is less."""
        with self._lock:
            if amount > self._recharged + self._bonus:
                return False
            given = min(amount, self._bonus)
            self._bonus -= given
            self._recharged -= amount - given
            return True
