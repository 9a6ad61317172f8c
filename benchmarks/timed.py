"""`python -I -S timed.py COST.json COMMAND…` runs the command and writes its wall time, CPU time and peak memory.

This is a small process of its own, because on Linux a child's peak includes the memory of the process that forked it.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
child = subprocess.Popen(sys.argv[2:])
_, status, usage = os.wait4(child.pid, 0)
wall = time.perf_counter() - began
with open(sys.argv[1], "w") as file:  # noqa: PTH123 - without imports that are not needed
    json.dump({"wall": wall, "cpu": usage.ru_utime + usage.ru_stime, "peak": usage.ru_maxrss / 1024}, file)
sys.exit(os.waitstatus_to_exitcode(status))
