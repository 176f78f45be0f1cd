### Texts of the bot. File names and other foreign text come in as variables only.

## Numbers and units

duration-s = { $s } s
duration-m-s = { $m } min { $s } s
duration-m = { $m } min
duration-h-m = { $h } h { $m } min
duration-h = { $h } h
size-bytes = { $value } B
size-kb = { $value } kB
size-mb = { $value } MB
size-gb = { $value } GB
money = ${ $value }
money-least = <${ $value }
fps = { $value } fps
percent = { $value }%
frames =
    { $count ->
        [one] { $count } frame
       *[other] { $count } frames
    }
frames-of =
    { $total ->
        [one] { $done } of { $total } frame
       *[other] { $done } of { $total } frames
    }
jobs =
    { $count ->
        [one] { $count } job
       *[other] { $count } jobs
    }

## Commands and help

command-start = Start here
command-help = How to use the bot
command-status = What is being done
command-cancel = Cancel a job
command-status-admin = All jobs and machines
command-cancel-admin = Cancel any job

help =
    What I do
    • enlarge the picture 2 or 4 times
    • double the frame rate, so that motion gets smooth
    • both at once; sound, subtitles and duration stay as they are

    What to send
    • a video as a file (paper clip → “File”): Telegram does not compress it then
    • an ordinary video, an album or a forwarded message work too
    • a storage path if the file is larger than { $limit }: { $paths }

    Commands
    /status — what is being done
    /upscale, /smooth, /both, /x4 — as a reply to a video or as its caption: begin with this choice
    /batch — a whole folder in storage, like /batch input/c1
    /cancel — cancel a job: pick it from the list, reply to its card, or give its id, like /cancel 4f7k2a
    /settings — language and defaults for new videos
    /help — this text

paths-folder = input/c1/film.mp4
paths-s3 = input/c1/film.mp4 or b2://bucket/film.mp4

## Intake

looking = 👀 Looking at the file…
hint-text = Send a video, or the path of one in storage, like input/c1/film.mp4. More: /help
hint-link = I don't download videos from links. Send the file itself or a storage path, like input/c1/film.mp4.
hint-photo = That's a picture, and I work on videos. Send a video, best as a file.
hint-sticker = I can't do anything with stickers. Send a video.
hint-audio = That's sound without a picture, and I need a video.
hint-document = This doesn't look like a video. mp4, mkv, mov, webm, avi and other video files are fine.

## While it runs

state-draft = waits for “Start”
state-held = waits for a yes
state-queued = queued
state-running = running
state-done = done
state-failed = failed
state-cancelled = cancelled

machine-renting = being rented
machine-unknown = being looked for
machine-booting = starting
machine-ready = ready
machine-busy = busy
machine-retiring = being given back
machine-gone = given back

queued-body = 🕓 In the queue: number { $position }.
queued-again = 🔁 I'll try again shortly.
queued-waits = 🕓 Waits: { $reason }. It begins by itself as soon as it can.
assigned-body = 🔌 Getting the machine ready…
cancelling-body = 🛑 Cancelling…
confirm-body = Cancel this job? Within a day it can be run again and goes on behind what is finished.
running-on = Machine: { $machine }
running-eta = Ready { $when }
when-in = in { $time }
when-ago = { $time } ago
running-silent = ⚠️ The machine is silent: last news { $when }.
attempt-ended = ⚠️ Attempt { $number }: { $reason }.
attempt-next = Now attempt { $number } of { $total }.

phase-starting = starting
phase-fetching = fetching the file
phase-processing = processing
phase-processing-upscale = upscaling
phase-processing-interp = new frames
phase-processing-both = upscaling and new frames
phase-verifying = checking
phase-uploading = sending the result
phase-finished = finished
phase-idle = waiting
stage-done = ✓ { $stage }
stage-now = ▶ { $stage }
stage-later = ○ { $stage }

## The end

note-matrix_assumed = the file names no colour matrix, { $value } was assumed
note-matrix_treated_as_bt709 = colour matrix { $value } was treated as bt709
note-matrix_corrected = the file names the RGB matrix for a picture that is not RGB, { $value } was taken
note-siting_assumed = the file places colour samples elsewhere, they were read as lying at the { $value }
note-cropped = the edges were cut off to fill { $value }
note-fields_found = the file does not say that it is interlaced, it was seen in the picture ({ $value })
note-telecined = this is film brought to 30 frames per second; the doubled fields were not taken out
note-hdr_processed_as_is = the picture is HDR, the network knows SDR; it was worked on as it is
note-audio_converted = sound was converted to { $value }, the container cannot hold it as it was
note-converted = pixel format { $value } was converted
note-container_changed = the container became { $value }, so that nothing is lost
note-subtitles_converted = subtitles were converted to { $value }
note-closed_captions_dropped = closed captions inside the video were not carried over
note-letterboxed = black borders were added up to { $value }
note-padded = the edges were extended to { $value }
note-rotated = the rotation by { $value }° was applied to the picture
note-mirrored = the video is recorded mirrored
note-deinterlaced = the video was deinterlaced
note-timestamps_repaired = timestamps were repaired
note-timestamps_guessed = some timestamps were filled in
note-size_changes = the picture size changes within the file and was made one
note-several_video_streams = the file has several video streams, the main one was taken
note-damaged_packets = damaged places in the file: { $value }
note-frames_missing = frames that could not be read: { $value }
note-scene_cuts = scene cuts: { $value }; frames were not blended across them
note-device_chosen = processed on { $value }
note-model_fallback = the model { $value } could not be fetched, the built-in one was used
note-picture_missing = no before/after picture could be made
note-clip_missing = no side-by-side clip could be made
note-sample = a sample: only the busiest moment, from second { $value } on
note-segments_not_saved = finished segments that could not be saved on the way: { $value }
note-other = { $value }

## /status and /cancel

status-empty = Nothing is being done right now. Send a video.
status-title = Your jobs
status-title-all = All jobs: { $count }
status-running = { $percent }
status-queued = queued, number { $position }
status-waits = waits: { $reason }
status-machines = Machines: { $count }
status-machines-more = …and { $count } more
status-machines-none = There are no machines now.
status-machine = • { $name } — { $state }
status-machine-paid = • { $name } — { $state }, { $price }/h, { $money } so far
status-money = Spent today: { $spent }. Credit: { $credit }.
status-money-spent = Spent today: { $spent }. The credit is not known.
cancel-menu = What should be cancelled?
cancel-none = There is nothing to cancel: no active jobs.
cancel-ask = Cancel { $name }?
cancel-kept = All right, it goes on: { $name }
cancel-done = 🚫 Cancelled: { $name }
cancel-requested = 🛑 Cancelling: { $name }
cancel-ended = This job has ended already: { $name }
cancel-unknown = Reply to a job's card with this command, or give the job's id, like /cancel 4f7k2a.

toast-cancelled = Cancelled
toast-cancelling = Cancelling…
toast-retry = Queued again
toast-retry-ended = It was tried again, and that job has ended too. See its card.
toast-ended = This job has ended already.
toast-stale = This button no longer works.

crashed = Something went wrong. It was recorded and will be looked at. Please try again later.

## Errors: what the user can do

error-error = That can't be done. Send the video again or see /help.
error-bad_task = That can't be done with this video. Choose something else.
error-bad_path = This path won't do. A path inside the storage is needed, like { $paths }.
error-no_such_file = There is nothing at this path. Check the folder, the name and upper and lower case.
error-storage_full = The server has no room for this file and its result. Try later or send a smaller file.
error-no_such_job = There is no such job, or it isn't yours.
error-too_late = Too late: the job has moved on.
error-too_many_jobs = You have too many jobs waiting. Let some finish or cancel some: /cancel
error-over_budget = Your budget for today is used up. It is a new day at 0:00 UTC.
error-forbidden = Only an admin can do that.
error-nothing_fits = No machine on the market would do for this video, whatever it cost. Choose something smaller, or try later.
error-price_rose = The price has changed meanwhile. Look at the new one and press again.
error-market_silent = The market can't be asked right now. Try again in a minute.
error-takes_too_long = This would take longer than any machine may be kept. Choose something smaller or a shorter video.
error-too_big_for_telegram =
    The file is too large: { $size }. Through Telegram bots can take files up to { $limit }.

    Put it into the storage and send its path, like { $paths }.
error-too_big_unknown =
    The file is too large: through Telegram bots can take files up to { $limit }.

    Put it into the storage and send its path, like { $paths }.
error-download_failed = The file could not be fetched from Telegram. Please send it again.
error-empty_file = The file is empty. Check it and send it again.
error-not_a_video = This is not a video, whatever its name says. Send a video file: mp4, mkv, mov, webm, avi…
error-no_video_stream = There is no video in this file, only sound or a cover. Send a file with a moving picture.
error-truncated = The file breaks off: it looks like an unfinished download. Send the whole of it.
error-corrupt = The file is damaged and can't be read. Try saving it anew and send it again.
error-picture_too_small = The picture is too small: at least 16 pixels on each side are needed.
error-picture_too_large = The picture is too large: up to 8K (8192×4320) works. Make it smaller and send it again.
error-file_too_large = The file is over the limit: I take up to { $max_size }.
error-video_too_long = The video is over the limit: I take up to { $max_time }.
error-unsupported = I can't process this format. Try saving the video as mp4 (H.264).
error-probe_limit = The file could not be read in reasonable time. Try saving it as mp4 (H.264).
error-nothing_to_do = The video is like that already: nothing to do. Choose something else.
error-disk_full = The server is out of space. Try again later.
error-internal = Reading the file failed on our side. It was recorded; try again later.

## Why an attempt or a job ended

reason-user = cancelled by a user
reason-declined = an admin said no
reason-too_long = longer than one attempt may run
reason-expired = it waited too long
reason-timeout = it ran longer than allowed
reason-silent = the machine went silent
reason-boot_timeout = the machine did not start in time
reason-machine_gone = the machine went away
reason-restored = the bot's database was restored from a backup
reason-rent_failed = no suitable machine was found
reason-bad_result = the result did not pass the check
reason-source_gone = the source file is no longer in the storage
reason-storage_full = the storage is full
reason-budget = it would have cost more than allowed
reason-empty_file = the file is empty
reason-not_a_video = this is not a video
reason-no_video_stream = there is no video in the file
reason-truncated = the file breaks off
reason-corrupt = the file is damaged
reason-picture_too_small = the picture is too small
reason-picture_too_large = the picture is too large
reason-file_too_large = the file is too large
reason-video_too_long = the video is too long
reason-unsupported = the format is not supported
reason-probe_limit = the file could not be read in reasonable time
reason-bad_task = these settings don't go together
reason-nothing_to_do = nothing to do: the video is like that already
reason-disk_full = the machine ran out of space
reason-out_of_memory = the machine ran out of memory
reason-no_device = the machine's graphics card did not work
reason-model_unavailable = the model could not be loaded
reason-encoder_failed = the video could not be encoded
reason-transfer_failed = the file could not be transferred
reason-gate_failed = the result did not pass the check
reason-deadline = the machine's time was up
reason-internal = something broke inside
reason-device_unsupported = the machine's graphics card is one that the software does not know
reason-device_too_small = the machine's graphics card has too little memory
reason-install_failed = the software could not be installed on the machine
reason-not_armed = the machine did not prove that it ends by itself
reason-no_self_end = the machine had no key to end itself with
reason-overpriced = the machine cost more than the cap
reason-host_failed = the host could not start the container
reason-stopped = the machine was stopped from outside
reason-refused = the rental service refuses: ask noxfvr doctor
reason-image_failed = the container image could not be started
reason-pull_timeout = the machine took too long to fetch the container image
reason-no_frames = no frame was finished in time
reason-no_credit = the rental account has no credit
reason-no_offer = no machine fits the job within the limits
