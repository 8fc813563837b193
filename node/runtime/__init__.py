"""The core's threads, lock, timers and network: everything that waits."""
