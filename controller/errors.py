"""What can go wrong in the controller. Messages are for logs; people are told by ``code``."""

from __future__ import annotations

from collections.abc import Mapping

from remote_runner.protocol import Reason as RunnerReason


class ControllerError(Exception):
    """Base of everything raised on purpose here. The message defaults to the docstring."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (self.__doc__ or "").strip())


# --- what a user did or asked for ------------------------------------------------------------


class UserError(ControllerError):
    """Something a user can mend. ``code`` names the text that says how, ``data`` fills it."""

    code = "error"

    def __init__(self, message: str | None = None, **data: str | int | float) -> None:
        super().__init__(message)
        self.data: Mapping[str, str | int | float] = data


class BadVideo(UserError):
    """The file cannot be processed; ``code`` is the runner's reason."""

    def __init__(self, reason: RunnerReason, detail: str, **data: str | int | float) -> None:
        super().__init__(f"{reason}: {detail}", **data)
        self.reason = reason
        self.code = reason.value


class BadTask(UserError):
    """The settings of the job do not make sense together."""

    code = "bad_task"


class BadPath(UserError):
    """A storage path that may not be read: it leaves the storage or is not well formed."""

    code = "bad_path"


class NoSuchFile(UserError):
    """There is nothing at this storage path."""

    code = "no_such_file"


class StorageFull(UserError):
    """There is not enough free space for this file and its result."""

    code = "storage_full"


class NoSuchJob(UserError):
    """There is no such job, or it is not this user's."""

    code = "no_such_job"


class TooLate(UserError):
    """The job is no longer in a state in which this can be done."""

    code = "too_late"


class TooManyJobs(UserError):
    """This user has as many jobs waiting as one may have."""

    code = "too_many_jobs"


class OverBudget(UserError):
    """This user has spent what one may spend in a day."""

    code = "over_budget"


class NoVideos(UserError):
    """There is no video below this path."""

    code = "no_videos"


class TooManyFiles(UserError):
    """There are more files than one batch may have."""

    code = "too_many_files"


class Forbidden(UserError):
    """Only an administrator may do this."""

    code = "forbidden"


class NothingFits(UserError):
    """No machine on the market would do for this job, whatever it cost."""

    code = "nothing_fits"


class PriceRose(UserError):
    """What would do now costs more than what was shown."""

    code = "price_rose"


class MarketSilent(UserError):
    """The market cannot be asked now, so that nothing can be agreed to."""

    code = "market_silent"


class TakesTooLong(UserError):
    """It would take longer than any machine may be kept."""

    code = "takes_too_long"


# --- upload pages ----------------------------------------------------------------------------


class UploadGone(UserError):
    """There is no such upload page, or its time is over."""

    code = "upload_gone"


class NotYourUpload(UserError):
    """Somebody else was offered this upload page, or who asks cannot be told."""

    code = "upload_not_yours"


class NotVideoName(UserError):
    """Neither name nor type of the file are those of a video."""

    code = "not_video_name"


class OtherFile(UserError):
    """Another file is half way: it would have to be dropped."""

    code = "other_file"


class BadPart(UserError):
    """There is no such part, or it is not as large as it should be."""

    code = "bad_part"


class UploadIncomplete(UserError):
    """Not all parts of the file are there."""

    code = "upload_incomplete"


class UploadBusy(UserError):
    """Too many requests at once."""

    code = "upload_busy"


# --- settings and start ----------------------------------------------------------------------


class SettingsError(ControllerError):
    """One or more settings are wrong; ``problems`` has a line for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class AlreadyRunning(ControllerError):
    """Another process holds this data directory."""


class DatabaseError(ControllerError):
    """The database cannot be used as it is."""


class DatabaseFull(DatabaseError):
    """Nothing can be written to the database now, or read from it where its disk is gone; what is
    there is whole."""


class DatabaseDamaged(DatabaseError):
    """The database's file is not whole: nothing more may be done with it."""


class DatabaseReplaced(DatabaseDamaged):
    """Another process put something else in the place of the database that this one works on."""


class BadBackup(DatabaseError):
    """A backup that cannot be restored, whatever there is room for."""


class ForeignDatabase(DatabaseError):
    """The database holds the chats of another bot."""

    def __init__(self, owner: str) -> None:
        super().__init__(
            f"this data directory belongs to {owner}; set NOXFVR_DATA_DIR to another folder"
        )


# --- signals of the provider and storage layers ----------------------------------------------


class ProviderError(ControllerError):
    """The provider refused clearly: nothing was created or changed."""


class OfferGone(ProviderError):
    """Somebody else has rented this offer: the next one may do."""


class NoCredit(ProviderError):
    """The account has no money, or may not spend more now: nothing can be rented."""


class BadKey(ProviderError):
    """The provider does not accept the key, or it may not do this."""


class BadImage(ProviderError):
    """The request or its image is refused by the provider: no other offer would do better."""


class RateLimited(ProviderError):
    """Asked too often: nothing was done."""


class Unclear(ControllerError):
    """The outcome is not known. Nothing may be concluded from it."""


class StorageError(ControllerError):
    """Storage could not be read or written."""


class TooLarge(StorageError):
    """The object is larger than what it could be in earnest."""


class NotStored(StorageError):
    """There is no such object."""
