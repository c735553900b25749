"""What a command does before torch is loaded; every command imports this module first.

Threads of OpenMP wait for each other many times in a step, by default in a loop. Where another
process needs a core, the loop uses up the time slices of the very thread that is waited for, and a
step takes ten times as long. Passive threads sleep. What the user set holds.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
