## Plan card

preset-x2 = ×2
preset-x4 = ×4
preset-fps2 = 2× fps
preset-both = ×2 and 2× fps
button-chosen = ✓ { $label }
button-start = Start
button-run-all = Run all
button-sample = Sample first
button-sample-stop = Cancel the sample
button-settings = Settings
button-cancel = Cancel
button-cancelling = Cancelling…
button-yes = Yes, cancel
button-no = No, go on
button-retry = Try again
button-change = Change
button-approve = Approve
button-decline = Decline
button-anyway = Start anyway
button-take = Take { $price }/h
button-ask-admin = Ask an admin
button-back = ‹ Back
button-reset = Reset
button-setting = { $name }: { $value }
button-upload = Upload page
button-path = How to send a path

range = { $low } – { $high }
plan-title = 🎬 { $name }
plan-audio = Audio: { $list }
plan-subtitles = Subtitles: { $list }
plan-none = none
plan-result = Will be: { $size }, { $fps }
plan-time-measured = Takes about { $time } (measured on earlier runs)
plan-time-formula = Takes about { $time } (estimate by formula)
plan-reckoned = The model's speed is not known: the time is that of the heaviest one
plan-cost = Cost: about { $money }
plan-cost-asking = Cost: about { $money }, asking the market…
plan-gpu = Machine: { $gpu } at { $price }/h
plan-queue =
    { $count ->
        [one] { $count } job is ahead of yours
       *[other] { $count } jobs are ahead of yours
    }
plan-starts = Begins about { $time } after “Start”
plan-warm = A machine is up: it begins at once
plan-nothing = Nothing under { $cap }/h fits. The cheapest that would do: { $gpu } at { $price }/h.
plan-nothing-at-all = Nothing fits, not even above { $cap }/h.
plan-hold = ⚠️ { $why }
plan-hold-you = “Start” will ask you once more.
plan-hold-admin = “Start” will ask an admin.
plan-unknown = The market could not be asked, so all this is from what was known before.
plan-offers =
    { $count ->
        [one] Under { $cap }/h: { $count } offer that fits.
       *[other] Under { $cap }/h: { $count } offers that fit.
    }
plan-excluded = Left out, by reason: { $filters }.
plan-filter = { $name } { $count }
plan-assumed = About the file:
plan-sample = 🧪 The sample is being made:
plan-sample-starting = 🧪 Sample: getting the machine ready…
plan-sample-waits = 🧪 The sample waits: { $reason }.
plan-sample-stopping = 🧪 The sample is being cancelled…
plan-sample-ready = 🧪 The sample is done.
plan-sample-done = 🧪 The sample is done: { $fps } measured.
plan-sample-failed = 🧪 The sample failed: { $reason }.
plan-choose = Choose what to do and press “Start”.

filter-price = price
filter-banned = failed before
filter-gpus = several GPUs
filter-gpu_memory = GPU memory
filter-capability = GPU generation
filter-cuda = driver
filter-cores = processor
filter-memory = memory
filter-disk = disk
filter-reliability = reliability
filter-network = network
filter-duration = available too shortly
filter-time = too slow
filter-budget = budget

fact-vfr = variable frame rate
fact-interlaced = interlaced
fact-hdr = HDR
fact-bits = { $value } bit
fact-chapters =
    { $count ->
        [one] { $count } chapter
       *[other] { $count } chapters
    }

task-scale = ×{ $scale }
task-factor = { $factor }× fps
task-same = an even frame rate

## Settings

options-title = ⚙️ { $name }
options-defaults = ⚙️ For your next videos
options-choose = What should be different?
options-meaning = • { $name } — { $meaning }
setting-mode = What to do
setting-size = Size
setting-rate = Frames
setting-model = Model
setting-between = In-between frames
setting-codec = Codec
setting-container = File
setting-quality = Quality
setting-denoise = Noise
about-mode = Larger, smoother, or both at once. Sound, subtitles and duration stay as they are.
about-size = How large the picture becomes.
about-rate = How many frames a second has. “An even frame rate” only makes a variable rate constant.
about-quality = The higher it is, the larger the file.
about-denoise = How much noise the model takes out.
choice-auto = auto
choice-own = own
choice-mode-upscale = larger
choice-mode-interp = smoother
choice-mode-both = both
choice-quality-small = small file
choice-quality-normal = normal
choice-quality-high = high
choice-denoise-none = keep
choice-denoise-half = half
choice-denoise-full = remove
meaning-model-auto = chosen by the machine
meaning-model-starter = fast and true to the source, needs no graphics card
meaning-model-realesr-animevideov3 = animation: sharp lines, removes compression
meaning-model-realesr-general-x4v3 = filmed video with noise or compression
meaning-model-RealESRGAN_x4plus = filmed video, the most detail, slow
meaning-model-RealESRGAN_x4plus_anime_6B = drawings and slow animation, the finest lines
meaning-model-RealESRGAN_x2plus = filmed video that is only doubled
meaning-between-auto = chosen by the machine
meaning-between-flow = no network, needs no graphics card
meaning-between-rife-4-6 = animation, quick
meaning-between-rife-4-25 = nearly everything
meaning-between-rife-4-26 = where 4.25 leaves artefacts
meaning-codec-auto = H.264 wherever it can
meaning-codec-h264 = plays everywhere
meaning-codec-hevc = smaller, for devices of the last years
meaning-codec-av1 = the smallest, for new devices
meaning-container-auto = like the source
meaning-container-mp4 = plays everywhere, also inside the chat
meaning-container-mkv = holds any sound and subtitles

## A yes that is needed

held-body = ⏸ Waits for a yes.
held-asked = An admin has been asked.
no-admin = This needs an admin's yes, and there is no admin yet: whoever runs the bot names one in TELEGRAM_ADMINS.
held-until = The question ends { $when }.
held-time = Takes about { $time }
held-most = At most { $money }
hold-price = no machine under the price cap fits
hold-job_budget = more than one job may cost
hold-day_budget = more than may be spent today
hold-user_budget = more than is left of the personal budget for today
hold-budget = more than is allowed
hold-time = longer than one attempt may run
no-offer-waits = 🕓 It waits in the queue until one gets cheaper.
ask-title = ❓ { $who } asks:
ask-approved = ✅ Approved by { $who }.
ask-approved-by-nobody = ✅ Approved.
ask-declined = 🚫 Declined by { $who }.
ask-declined-by-nobody = 🚫 Declined.
ask-expired = The question waited too long.
ask-settled = The question is settled.

toast-started = Here we go!
toast-held = It needs a yes first: see the card.
toast-asked = An admin has been asked.
toast-no-admin = There is no other admin to ask.
toast-approved = Approved
toast-declined = Declined
toast-decided = That has been decided already.
toast-sample = The sample is being made
toast-sample-ready = The sample is ready: look above.
toast-sample-stopped = The sample was cancelled
toast-again = The new card is below.
toast-renewed = Here is a new link. The old one no longer works.
toast-reset = Back to the usual
toast-saved = Saved for your next videos

## Intake

intake-upload =
    The file is too large for this chat: { $size }. Through Telegram bots can take files up to { $limit }.

    Send it by the upload page: it goes on where it was if the connection drops.
intake-upload-unknown =
    The file is too large for this chat: through Telegram bots can take files up to { $limit }.

    Send it by the upload page: it goes on where it was if the connection drops.
intake-path = Or put it into the storage and send its path, like { $paths }.
hint-reply = Reply to a video with this command, or send a video with it as the caption.
