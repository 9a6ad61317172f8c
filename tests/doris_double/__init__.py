"""A double of Apache Doris for tests. It is a double: a test that passes here should pass on a real Doris too."""

from tests.doris_double.double import DATABASE, PASSWORD, USER, DorisDouble
from tests.doris_double.faults import Fault
from tests.doris_double.loads import Load

__all__ = ["DATABASE", "PASSWORD", "USER", "DorisDouble", "Fault", "Load"]
