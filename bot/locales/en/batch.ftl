## Several videos at once

files =
    { $count ->
        [one] { $count } file
       *[other] { $count } files
    }
batch-help = Name a folder of the storage, and I take all videos in it: /batch input/c1
batch-title = 🎞 { $name } · { $files }
batch-album = Several videos
batch-looking = 👀 Looking at the files: { $done } of { $total }
batch-asking = Asking the market…
batch-no-quote = The market does not answer now, so there is no price yet.
batch-time-measured = Takes about { $time } of machine time (measured on earlier runs)
batch-time-formula = Takes about { $time } of machine time (estimate by formula)
batch-cost = Cost of all: about { $money }
batch-gpus = On: { $gpus }
batch-unknown = Not known yet: { $files }
batch-will-ask = Will wait for a yes: { $files } ({ $reason })
batch-skipped = ↩️ Done before with the same settings: { $files }. They are left out.
batch-held = ⏸ Waits for a yes: { $files } ({ $reason })
batch-nothing = None of these files can be processed.
batch-unstarted = 🚫 Nothing was started.
batch-confirm = Cancel everything that has not ended?
batch-row = { $mark } { $name } · { $state }
batch-row-skipped = done before
batch-refused = ⛔ { $name } · { $reason }
batch-why-too_big_for_telegram = too large for Telegram
batch-why-too_big_unknown = too large for Telegram
batch-why-download_failed = Telegram did not hand it out
batch-why-no_such_file = not there
batch-why-too_many_jobs = too many jobs are waiting
batch-why-other = not accepted
batch-count-running = ⚙️ { $count }
batch-count-queued = 🕓 { $count }
batch-count-done =
    { $count ->
        [one] ✅ { $count } done
       *[other] ✅ { $count } done
    }
batch-count-failed =
    { $count ->
        [one] ❌ { $count } failed
       *[other] ❌ { $count } failed
    }
batch-count-cancelled =
    { $count ->
        [one] 🚫 { $count } cancelled
       *[other] 🚫 { $count } cancelled
    }
batch-count-skipped =
    { $count ->
        [one] ↩️ { $count } done before
       *[other] ↩️ { $count } done before
    }
batch-count-refused =
    { $count ->
        [one] ⛔ { $count } not accepted
       *[other] ⛔ { $count } not accepted
    }
batch-end-title = 🏁 Finished: { $name }
batch-end-done = ✅ { $name } · { $time } · { $link }
batch-end-skipped = ↩️ { $name } · done before · { $link }
batch-end-failed = ❌ { $name } · { $reason }
batch-ask-declined = Declined.
batch-ask-settled = This is settled.
batch-toast-started = Started: { $files }
batch-toast-retry = Queued again: { $files }
batch-toast-changed = Something has changed since. Look at it and press again.
batch-toast-sample = The sample of the first file is being made

button-start-all = Start all ({ $count })
button-cancel-all = Cancel all
button-do-again = Do them again
button-retry-failed = Retry the failed ones
button-approve-all = Approve all

error-no_videos = There are no videos there. Check the folder, and upper and lower case.
error-too_many_files = There are too many files: a batch takes up to 200. Name a folder with fewer.
