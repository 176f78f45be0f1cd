## The end

done-title = ✅ Done: { $name }
done-change = { $before } → { $after }
done-took = Took { $time }
done-cost = Cost { $money }
failed-title = ❌ Failed: { $name }
failed-reason = Reason: { $reason }.
failed-attempts =
    { $count ->
        [one] { $count } attempt was made.
       *[other] { $count } attempts were made.
    }
cancelled-title = 🚫 Cancelled: { $name }
cancelled-expired = The card waited for a long time, so I closed it. Send the video again to start over.
cancelled-declined = An admin said no. Send the video again to choose something else.
cancelled-unstarted = To start over, send the video again.

button-open = Download
button-renew = New link
button-again = Again with…
result-title = ✅ { $name }
result-picture = { $size }, { $fps }
result-length = { $time }, { $frames }
result-bytes = Size: { $size }
result-took = Took { $time }
result-resumed = Went on behind { $frames } of an earlier attempt
result-picture-caption = Before and after
result-clip = Before and after, side by side
result-large = The file is larger than { $limit }, too large for this chat: take it by the button.
result-refused = Telegram refused the file.
result-forbidden = This chat does not allow files.
result-broken = The file could not be sent through Telegram.
result-expires = The link ends { $when }.
result-local = The result is on the computer that runs the bot, in its storage: { $name }
result-gone = But the file itself is no longer in the storage.
result-notes = Notes:
result-dropped = not carried over: { $list }

sample-title = 🧪 Sample: { $name } · { $what }
sample-speed = Measured: { $fps }
sample-speed-on = Measured: { $fps } on { $device }
sample-whole = The whole video: { $quote }
sample-waits = The machine waits for you; it is given back { $when }.
sample-failed = 🧪 The sample failed: { $name }
