"""Every error that Graft raises on purpose. A message states the rule, then what arrived, then what to do.

GraftError
├── InvalidInput          what the caller sent breaks a rule that is not about one field
│   ├── InvalidFields     a field is unknown, out of range, or not built yet
│   ├── NotAPicture       the bytes are no picture of an accepted format, or it cannot be decoded
│   │   └── Truncated     the picture's file ends too early
│   ├── NotAnArchive      the bytes are no archive of an accepted format
│   └── TooLarge          a body, a file, a picture or an archive is over its limit
├── NotFound              no such model, version, alias, dataset or job
├── Conflict              the thing exists and is in a state that forbids the call
├── Unavailable           the service cannot do this now; `retry_after` seconds say when to ask again
│   └── MissingWeights    the trunk or the classifier part is not there, or is not what it should be
├── DiskFull              no room is left under the home directory
├── CorruptVersion        a model version does not match its manifest
├── StaleFence            this job process no longer owns its job; another claim has been made
└── Interrupted           the job was asked to stop (a signal, or a cancel), and its state is saved

graft.client.errors has what goes wrong between a client and the service.
"""


class GraftError(Exception):
    """The root of the tree; never raised itself."""


class InvalidInput(GraftError):
    """What the caller sent breaks a rule that is not about one field."""


class InvalidFields(InvalidInput):
    """A field is unknown, out of range, or not built yet; the message names it."""


class NotAPicture(InvalidInput):
    """The bytes are no picture of an accepted format, or the picture cannot be decoded."""


class Truncated(NotAPicture):
    """The picture's file ends too early, as after a copy that was broken off."""


class NotAnArchive(InvalidInput):
    """The bytes are no archive of an accepted format."""


class TooLarge(InvalidInput):
    """A body, a file, a picture or an archive is over its limit; the message names the limit."""


class NotFound(GraftError):
    """No such model, version, alias, dataset or job."""


class Conflict(GraftError):
    """The thing exists and is in a state that forbids the call. `retry_after`: seconds, where waiting helps."""

    def __init__(self, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unavailable(GraftError):
    """The service cannot do this now. `retry_after`: seconds until it is worth asking again."""

    def __init__(self, message: str, *, retry_after: int = 30) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class MissingWeights(Unavailable):
    """The trunk or the classifier part of VGG16 is not there, or is not what it should be."""


class DiskFull(GraftError):
    """No room is left under the home directory."""


class CorruptVersion(GraftError):
    """A model version does not match its manifest."""


class StaleFence(GraftError):
    """This job process no longer owns its job; another claim has been made since."""


class Interrupted(GraftError):
    """The job was asked to stop, and its state is saved."""
