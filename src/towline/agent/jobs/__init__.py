"""Jobs: programs on this machine that owe nothing to whoever started them.

A job is a directory (`shelf`), a supervisor that outlives agent and ssh (`supervise`), and a log
that is read by byte offset (`follow`). Verbs of the bundle begin, list, follow and end them
(`verbs`). The agent itself knows nothing of jobs; nothing here speaks to it but `hold`.
"""
