"""Jobs, seen from the laptop: begin, list, follow, cancel, and begin again on another machine.

All of it is blocking and goes over a running engine's Line (`across`); what runs on the machine is
`agent/jobs`. A job is known by its key, which the laptop makes: a number means something else on
the next machine. Nothing here prints.
"""

from towline.jobs.asked import Asked
from towline.jobs.call import Job, all_jobs, cancel, find, start
from towline.jobs.follower import Follower, follow, wait
from towline.jobs.kept import Kept, refresh, resume, to_resume

__all__ = [
    "Asked",
    "Follower",
    "Job",
    "Kept",
    "all_jobs",
    "cancel",
    "find",
    "follow",
    "refresh",
    "resume",
    "start",
    "to_resume",
    "wait",
]
