## A job that runs, and all that run in a group

stage-preparing = getting ready
queued-starts = Expected to begin { $when }
running-spent = Spent so far: { $money }
attempt-silent = ⚠️ Attempt { $number }: the machine went silent, last news { $when }.
button-watch = Watch the beginning
button-details = Details
button-details-less = Hide details
button-cancel-one = ✖ { $id }
details-none = The machine has said nothing yet.

group-title =
    { $count ->
        [one] ⚙️ In work: { $count } video
       *[other] ⚙️ In work: { $count } videos
    }
group-done = ⚙️ All is done
group-job = 🎬 { $name } · { $what } · { $id }
group-ended = { $mark } { $name }
group-elsewhere = How far it is stands on the common card of this chat.
