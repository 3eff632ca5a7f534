"""The job core: the table is the truth, a claim gives a job to one owner, a broker's message is only a doorbell."""

from graft.jobs.doorbell import Doorbell, broker_options
from graft.jobs.records import FINISHED, MAX_FAILURES, OWNED, QUEUE_OF, Event, Job, Kind, Standing, State
from graft.jobs.store import Jobs

__all__ = [
    "FINISHED",
    "MAX_FAILURES",
    "OWNED",
    "QUEUE_OF",
    "Doorbell",
    "Event",
    "Job",
    "Jobs",
    "Kind",
    "Standing",
    "State",
    "broker_options",
]
