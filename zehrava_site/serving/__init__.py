"""`make run`: the portal's processes on one machine, each brought back when it dies, all gone when it ends."""
