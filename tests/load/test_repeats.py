"""A row is left out only if the table has exactly the same one."""

from __future__ import annotations

from kolspider.items import FollowedUser
from kolspider.load.repeats import Repeats, fingerprint

USER = FollowedUser("7", "Ann", "ann", None, "text", None, 1, 2, 3)


def is_one(repeats: Repeats, user: FollowedUser = USER, id_: str = "7") -> bool:
    """Give it a user, and commit the row at once if there is one."""
    found = asked(repeats, user, id_)
    if not found:
        repeats.committed([id_])
    return found


def asked(repeats: Repeats, user: FollowedUser = USER, id_: str = "7") -> bool:
    """Give it a user, whose row is on its way if there is one."""
    return not repeats.fresh([id_], [fingerprint(user)])


def test_the_same_user_again_is_a_repeat_and_one_that_changed_or_changed_back_is_none() -> None:
    repeats = Repeats()
    changed = USER._replace(name="Anna")
    assert [is_one(repeats, user) for user in (USER, USER, changed, USER, USER)] == [False, True, False, False, True]
    assert not is_one(repeats, USER, "8")


def test_a_row_on_its_way_makes_no_repeat_however_many_there_are() -> None:
    repeats = Repeats()
    assert [asked(repeats, user) for user in (USER, USER._replace(name="Anna"), USER)] == [False] * 3
    for _ in range(3):
        assert not asked(repeats)
        repeats.committed(["7"])
    for _ in range(3):
        repeats.committed(["7"])
    assert asked(repeats)


def test_values_that_python_calls_equal_are_told_apart() -> None:
    for one, other in ((1, True), (1, 1.0), (0, False)):
        repeats = Repeats()
        is_one(repeats, USER._replace(followers_count=one))
        assert not is_one(repeats, USER._replace(followers_count=other))


def test_values_of_any_shape_are_taken() -> None:
    nest: object = []
    for _ in range(5000):
        nest = [nest]
    for value, repeated in (([1, {"a": None}], True), ("\ud800\0", True), (float("inf"), True), (nest, False)):
        repeats = Repeats()
        is_one(repeats, USER._replace(name=value))
        assert is_one(repeats, USER._replace(name=value)) is repeated


def test_memory_is_bounded_and_who_came_last_is_remembered() -> None:
    repeats = Repeats(most=100)
    for number in range(1000):
        is_one(repeats, id_=str(number))
    assert len(repeats._newer) + len(repeats._older) + len(repeats._uncommitted) <= 100
    assert all(is_one(repeats, id_=str(number)) for number in range(950, 1000)), "half of them at least"
    assert not is_one(repeats, id_="0")


def test_equal_values_are_one_whether_they_are_one_object_or_two() -> None:
    repeats, text = Repeats(), "".join(["a", "b", "c!"])
    assert not is_one(repeats, USER._replace(name=text, screen_name=text))
    assert is_one(repeats, USER._replace(name=text, screen_name="".join(["ab", "c!"])))
