### The pages in a browser: upload, links.

web-title = Send a video
web-lead = The file goes straight to where it is processed. The plan comes into the chat when it has arrived.
web-choose = Choose a video
web-drop = or drop it here
web-limit = mp4, mkv, mov, webm, avi and others, up to { $size }
web-pause = Pause
web-continue = Continue
web-another = Choose another file
web-keep = No, keep it
web-replace = Send the other one
web-retry = Try again
web-bar = How much has been sent
web-done-title = The file has arrived
web-done-text = The card is in the chat. You can close this page.
web-keep-open = Keep this page open. If the connection drops or the page is reloaded, sending goes on where it stopped.

web-progress = { $done } of { $total } · { $percent }
web-speed = { $speed }/s, about { $left } left
web-paused = Paused. What was sent is kept.
web-waiting = No connection. Sending goes on by itself when it is back.
web-looking = Everything has arrived. Looking at the file…
web-resume = “{ $name }” is { $percent } sent. Choose the same file to go on.
web-other = “{ $name }” is { $percent } sent. Drop it and send “{ $other }” instead?
web-changed = “{ $name }” is { $percent } sent, but the file you chose was changed at another time. Is it the same one?
web-same = The same, go on
web-anew = Another one, send it anew
web-not-video = “{ $name }” is not a video. Choose an mp4, mkv, mov, webm, avi or another video file.
web-empty = “{ $name }” is empty. Choose another file.
web-too-large = “{ $name }” is too large: up to { $limit } can be taken.
web-failed = That did not work. What was sent is kept: try again in a minute.
web-gone = This page is not valid any more. Ask for a new one in the chat.
web-unreadable = The file cannot be read any more. Choose it again: sending goes on where it stopped.

web-upload-over-title = This page is not valid any more
web-upload-over-text = Ask for a new one in the chat: send the file there, and the bot offers a page again.
web-link-over-title = This link leads nowhere
web-link-over-text = It has expired, was replaced by a new one, or was not copied whole. Press “New link” in the chat.

error-upload_gone = This page is not valid any more. Ask for a new one in the chat.
error-upload_not_yours = This page was made for somebody else, or was opened too long ago. Open it from your own chat with the bot.
error-not_video_name = This is not a video. Choose an mp4, mkv, mov, webm, avi or another video file.
error-other_file = Another file is half way on this page.
error-bad_part = The page and the server do not agree about the file. Reload the page and choose the file again.
error-upload_incomplete = Not everything has arrived. Choose the same file again: sending goes on where it stopped.
error-upload_busy = Too many requests at once. Wait a moment.
