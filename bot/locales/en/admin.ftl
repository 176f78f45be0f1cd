## Start and settings

start =
    Send me a video and get it back larger and smoother: ×2, ×4, up to 4K, twice the frames.
    First I show what will come out, how long it takes and what it costs. You can begin with a three-second sample.
    Nothing begins before you press “Start”.

    How to send: paper clip → “File”, so that Telegram does not compress it. Up to { $limit } right here; larger ones by path, like { $path }

    More: /help
invited-user = 👋 { $name }, you were invited: you may use the bot now.
invited-admin = 👋 { $name }, you are an administrator now. What is new is in the menu of commands.
invite-taken-user = ✅ { $name } ({ $id }) uses the bot now, by your invitation.
invite-taken-admin = ✅ { $name } ({ $id }) is an administrator now, by your invitation.
job-elsewhere = The card of this job is in another chat. Its id: { $id }

button-language = 🌐 Language
button-defaults = 🎛 For new videos
language-title = Which language shall I write in?
language-ru = Русский
language-en = English
language-auto = As in Telegram
language-chosen = Fine, English it is
settings-title = ⚙️ Settings
settings-language = Language: { $language }
settings-task = New videos: { $what }

command-upscale = Enlarge: as a reply to a video
command-smooth = Make smoother: as a reply to a video
command-both = Enlarge and make smoother: as a reply to a video
command-x4 = Enlarge 4 times: as a reply to a video
command-batch = Process a folder in storage
command-settings = Settings
command-language = Language
command-machines = Machines
command-spend = Spending
command-users = People and invitations
command-queue = Queue
command-drain = Finish what runs, then stop
command-logs = Log of a job
command-health = Whether all is well

## Lists

list-title-group = Jobs of this group
list-title-owner = { $name }: { $count }
list-title-sieve = { $sieve }: { $count }
list-sieve-all = Active
list-sieve-run = Running
list-sieve-que = Queued
list-sieve-hel = Held
list-sieve-fai = Failed today
list-sieve-end = Ended
list-by-owner = By user…
list-owners = Whose jobs?
list-owner = { $name } · { $count }
list-looked = Updated { $when }
list-looked-page = Updated { $when } · page { $page } of { $pages }
list-line = { $number }. { $mark } { $name } · { $what } · { $state } · { $id }
list-line-owner = { $number }. { $mark } { $name } · { $what } · { $state } · { $id } · by { $owner }
list-running = { $percent }, ready { $when }
list-held = waits for a yes: { $reason }
list-none = There are no such jobs.
list-ask = Cancel { $name }?
list-opened = Its card is at the bottom of the chat
list-paused = ⏸ The queue is paused.
button-refresh = 🔄 Refresh
button-keep = No
button-log = 📜 Log
toast-old-page = This list is old: there is a newer one below.

job-owner = By { $owner } · { $id }
job-state = { $what } · { $state }
job-created = Came { $when }
job-cost = Spent: { $money }

## Machines

machines-title = Machines: { $count }, { $price }/h together
machines-name = { $number }. { $name } — { $state }
machines-paid = { $price }/h, { $money } so far, rented { $since }
machines-since = Started { $since }
machines-job = Works on { $name }: { $percent }
machines-ends = Ends by itself { $when }
machines-give-back = ⏏ Give back { $number }
machines-ask = Give { $name } back now?
machines-ask-busy = Give { $name } back now? The job { $job } gets another attempt elsewhere.
machines-ask-last = Give { $name } back now? It is the last attempt of the job { $job }, which will fail.
machines-yes = Yes, give back
machines-given-back = Giving it back
machines-leaving = This machine is on its way out already

## Logs

logs-how = Give the id of a job, like /logs 4f7k2a, or reply with this command to its card.
logs-title = 📜 { $name } · { $id }
logs-none = Nothing yet: the machine has not printed anything.
only-admins = Only administrators may do this.

## Spending

days =
    { $count ->
        [one] { $count } day
       *[other] { $count } days
    }
spend-free = Everything runs on this computer: nothing is rented, so there is nothing to pay.
spend-title = 💸 Spending
spend-days = Days are UTC.
spend-today = Today: { $money }
spend-week = 7 days: { $money }
spend-month = 30 days: { $money }
spend-people = By user, in { $days }
spend-person = • { $name }: { $money }, { $jobs }
spend-house = • Idle machines: { $money }
spend-chart = In { $days }
spend-date = MMM d

## People

people-title = 👥 People: { $count }
people-page = Page { $page } of { $pages }
people-line = { $sign } { $name } · { $id }
people-line-paid = { $sign } { $name } · { $id } · today { $money }
people-invite-user = ➕ Invite
people-invite-admin = ➕ Invite an admin
people-revoke = Revoke invitations
people-revoked =
    { $count ->
        [one] { $count } invitation was revoked
       *[other] { $count } invitations were revoked
    }
role-admin = administrator
role-user = user
role-blocked = shut out
person-title = { $name } — { $role }
person-id = Number: { $id }
person-listed = Named in the bot's settings
person-invited = Invited by { $name }, { $when }
person-today = Spent today: { $money }
person-budget = A day without asking: { $limit }
person-no-budget = no limit
person-raise = ⭐ Make administrator
person-lower = 👤 Make user
person-block = 🚫 Shut out
person-unblock = Let in again
person-remove = Remove from the list
person-remove-yes = Yes, remove
person-ask = Remove { $name } from the list? Invitations made by this person stop working.
invitation-user = An invitation to the bot, for one person. Pass the link on:
invitation-admin = ⭐ An invitation for an administrator, for one person. Pass the link on:
invitation-ends = Good until: { $when }
button-copy = 📋 Copy
toast-role = Done
toast-budget = The limit was changed
toast-removed = Removed
toast-no-person = This person is no longer in the list
toast-not-changed = This is changed in the bot's settings only

## Queue

queue-title = 🕓 Queue: { $count }
queue-empty = Nobody waits.
queue-line = { $number }. { $name } · { $what } · { $id } · by { $owner }
queue-line-waits = { $number }. { $name } · { $what } · { $id } · by { $owner } · waits: { $reason }
queue-sample = sample
queue-paused = ⏸ Paused { $when } ({ $name }): nothing new is started, what runs goes on to its end.
queue-drained = 🛑 Stopped { $when } ({ $name }): nothing new is started, idle machines are given back.
queue-pause = ⏸ Pause
queue-resume = ▶ Go on
drain-ask = Finish what runs, then stop? Running: { $running }, they go on to their end. Waiting: { $waiting }, they stay in the queue. Idle machines are given back at once.
drain-yes = Yes, stop
drain-rest = Still running: { $running }. Their machines go after that.
drain-machines = All that ran has ended. Machines still on their way out: { $count }. Do not switch off yet.
drain-done = All that ran has ended, and no machine is left. It can be switched off.
toast-paused = The queue is paused
toast-resumed = Going on
toast-drained = Finishing what runs
toast-left-queue = This job is no longer in the queue

## Health

health-well = ✅ All is well
health-ill =
    { $count ->
        [one] ⚠️ { $count } trouble
       *[other] ⚠️ { $count } troubles
    }
health-storage = The storage answers
health-no-storage = the storage does not answer
health-no-provider = the rental service does not answer
health-credit = Rental account: { $money }
health-listing = Machines were listed { $time } ago
health-loops = All loops worked within the last { $time }
health-poller = Telegram answered { $time } ago
health-database = Database: { $size }
health-version = Version: { $version }
health-problem-loop = the loop { $name } has not worked for long
health-problem-loops = no loops work in this process
health-problem-listing = the list of machines is old
health-problem-poller = Telegram has not answered for long
health-problem-database = the database cannot be written
