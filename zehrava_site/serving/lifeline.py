"""A process that ends with its parent, however the parent ended: no orphan keeps the port or works on unseen.

python -m zehrava_site.serving.lifeline PROGRAM ARGUMENT…
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # prctl(2)


def end_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when its parent dies. Elsewhere than on Linux it does nothing.

    SIGKILL by default: what the process prints has nowhere to go any more, and a worker that is asked to stop then may
    wait for ever. What it was executing is found by its lease, as after any other crash. The request outlives an exec
    and not a fork, so a process whose parent forks its children asks in each of them.
    """
    if sys.platform != "linux":
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    # The parent may have died just before the kernel was asked.
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


if __name__ == "__main__":
    end_with_parent()
    os.execvp(sys.argv[1], sys.argv[1:])
