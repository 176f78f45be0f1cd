## What is wrong with the deployment: for administrators

alerts-title =
    { $count ->
        [one] Something is wrong
       *[other] { $count } things are wrong
    }
alerts-well = ✅ All is well again
alert-since = Since: { $when }
alert-mended = ✅ Over after { $time }: { $what }
alert-log = 📜 Log { $id }

alert-expired =
    { $count ->
        [one] A machine is still there after its deadline
       *[other] { $count } machines are still there after their deadlines
    }
advice-expired = It may go on costing money: neither it nor I could end it. Look whether its host is offline, and delete it on the provider's site if it stays.

alert-destroy =
    { $count ->
        [one] A machine that nothing needs is not proven gone
       *[other] { $count } machines that nothing needs are not proven gone
    }
alert-destroy-worse =
    { $count ->
        [one] A machine that nothing needs cannot be got rid of
       *[other] { $count } machines that nothing needs cannot be got rid of
    }
advice-destroy = It may go on costing money. I keep on destroying it. If this stays, delete it on the provider's site; I notice that it is gone.

alert-strangers = { $count } machines bear my label, and I know none of them
advice-strangers = I do not touch them: it looks as if this database were an old one or a copy. Each ends itself at its deadline. If they are leftovers: noxfvr reap --deployment with the id of this deployment ends them at once.

alert-listing = It is not known which machines there are
alert-listing-worse = It has not been known for long which machines there are
advice-listing = The provider gives no complete list of machines. Nothing is rented and none can be proven gone until it does; those that run go on and end themselves at their deadline. Look at the key and at the provider's own status page.

alert-database = The database cannot be written
alert-database-read = The database cannot be read
advice-database = Nothing new begins, and what happens now may be told late. Mostly the disk is full or was taken away: free some space, then look at the log.

alert-loop =
    { $count ->
        [one] A part of me stands still: { $names }
       *[other] Parts of me stand still: { $names }
    }
advice-loop = Machines end themselves at their deadline all the same. Restart the bot; the log says what it was doing.

alert-restored = The database is the one of { $as_of }: { $why }
advice-restored = What happened after that is not in it. Jobs that are missing can be sent again; machines that it does not know are destroyed as soon as they are seen. What was told in the chats stays there.
advice-restored-renamed = What happened after that is not in it. It has another name now, as the one before may still be in use: machines of { $deployment } are not touched any more and end themselves at their deadline. If nothing else uses that name, noxfvr reap --deployment { $deployment } ends them at once.
restored-asked = it was taken from a backup by hand
restored-damaged = its file was damaged and was taken from a backup
restored-journal = its journal was damaged, and the last changes are lost
restored-copied = the data folder is a copy of another one

alert-backup = The database is not being backed up
advice-backup = The last backup could not be made. Mostly there is no space left beside the database; the log has the reason.

alert-disk = The disk is filling up: { $free_bytes } free
alert-disk-worse = The disk is full: { $free_bytes } free
advice-disk = Uploads and results need room, and so does the database. Free some space, or move the data folder.

alert-credit = The rental account is running out: { $left_usd } left
alert-credit-worse = The rental account is empty: { $left_usd } left
advice-credit = Below $0.10 nothing is rented, and the provider stops what runs. Add credit on its site; jobs wait for it.

alert-budget = Most of today's budget is spoken for: { $committed_usd } of { $budget_usd }
alert-budget-worse = Today's budget is used up: { $committed_usd } of { $budget_usd }
advice-budget = Spent and reserved are counted. What does not fit asks an administrator, or waits until midnight, UTC. NOXFVR_DAY_BUDGET raises it.

alert-overdue =
    { $count ->
        [one] A job does not end, though its time is over
       *[other] { $count } jobs do not end, though their time is over
    }
advice-overdue = Each should have ended by itself by now. Cancel it; if that does not help, restart the bot and look at the log.

alert-alike =
    { $count ->
        [one] { $count } attempt within an hour failed for one reason: { $reason }
       *[other] { $count } attempts within an hour failed for one reason: { $reason }
    }
advice-alike = That is no chance any more. /queue can pause the queue; noxfvr doctor looks at what jobs rest on.

alert-chats =
    { $count ->
        [one] A chat was not told what happened
       *[other] Chats were not told { $count } things that happened
    }
advice-chats = Telegram does not take it, or this computer cannot reach it. Nothing is lost: it is told as soon as that is possible.

alert-webhook =
    { $count ->
        [one] The webhook was not told of the end of a job
       *[other] The webhook was not told of the ends of { $count } jobs
    }
advice-webhook = Its address has not accepted for an hour. It is tried on for three days, in order; then the oldest is dropped. Look at the program behind NOXFVR_WEBHOOK_URL.
