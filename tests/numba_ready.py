"""Importing this makes Numba load what it needs before it can run any kernel: half a second, once in a process."""

import numba

numba.njit("int64(int64)")(lambda x: x)
