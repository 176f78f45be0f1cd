## Начало и настройки

start =
    Пришлите видео — верну его крупнее и плавнее: ×2, ×4, до 4K, вдвое больше кадров.
    Сначала покажу, что получится, сколько это займёт и стоит. Можно начать с пробы на три секунды.
    Без вашего «Старт» ничего не начнётся.

    Как прислать: скрепка → «Файл», тогда Telegram не сожмёт видео. До { $limit } — прямо сюда, больше — путём, например { $path }

    Подробнее: /help
invited-user = 👋 { $name }, вас пригласили: теперь можно пользоваться ботом.
invited-admin = 👋 { $name }, теперь вы администратор. Что добавилось — в меню команд.
invite-taken-user = ✅ { $name } ({ $id }) теперь пользуется ботом по вашему приглашению.
invite-taken-admin = ✅ { $name } ({ $id }) теперь администратор по вашему приглашению.
job-elsewhere = Карточка этой задачи — в другом чате. Её номер: { $id }

button-language = 🌐 Язык
button-defaults = 🎛 Для новых видео
language-title = На каком языке писать?
language-ru = Русский
language-en = English
language-auto = Как в Telegram
language-chosen = Хорошо, пишу по-русски
settings-title = ⚙️ Настройки
settings-language = Язык: { $language }
settings-task = Новые видео: { $what }

command-upscale = Увеличить: ответом на видео
command-smooth = Сделать плавнее: ответом на видео
command-both = Увеличить и сделать плавнее: ответом на видео
command-x4 = Увеличить в 4 раза: ответом на видео
command-batch = Обработать папку хранилища
command-settings = Настройки
command-language = Язык
command-machines = Машины
command-spend = Расходы
command-users = Люди и приглашения
command-queue = Очередь
command-drain = Закончить начатое и остановиться
command-logs = Журнал задачи
command-health = Всё ли в порядке

## Списки

list-title-group = Задачи этой группы
list-title-owner = { $name }: { $count }
list-title-sieve = { $sieve }: { $count }
list-sieve-all = Активные
list-sieve-run = В работе
list-sieve-que = В очереди
list-sieve-hel = Ждут «да»
list-sieve-fai = Сбои сегодня
list-sieve-end = Завершённые
list-by-owner = Чьи…
list-owners = Чьи задачи показать?
list-owner = { $name } · { $count }
list-looked = Обновлено { $when }
list-looked-page = Обновлено { $when } · страница { $page } из { $pages }
list-line = { $number }. { $mark } { $name } · { $what } · { $state } · { $id }
list-line-owner = { $number }. { $mark } { $name } · { $what } · { $state } · { $id } · от { $owner }
list-running = { $percent }, готово { $when }
list-held = ждёт подтверждения: { $reason }
list-none = Таких задач нет.
list-ask = Отменить { $name }?
list-opened = Карточка — внизу чата
list-paused = ⏸ Очередь на паузе.
button-refresh = 🔄 Обновить
button-keep = Нет
button-log = 📜 Журнал
toast-old-page = Этот список устарел: ниже есть новый.

job-owner = От { $owner } · { $id }
job-state = { $what } · { $state }
job-created = Пришло { $when }
job-cost = Потрачено: { $money }

## Машины

machines-title = Машины: { $count }, вместе { $price }/ч
machines-name = { $number }. { $name } — { $state }
machines-paid = { $price }/ч, уже { $money }, арендована { $since }
machines-since = Запущена { $since }
machines-job = Делает { $name }: { $percent }
machines-ends = Выключится сама { $when }
machines-give-back = ⏏ Вернуть { $number }
machines-ask = Вернуть { $name } сейчас?
machines-ask-busy = Вернуть { $name } сейчас? Задача { $job } начнёт ещё одну попытку на другой машине.
machines-ask-last = Вернуть { $name } сейчас? Для задачи { $job } это последняя попытка: она закончится неудачей.
machines-yes = Да, вернуть
machines-given-back = Возвращаю
machines-leaving = Эта машина уже освобождается

## Журнал

logs-how = Укажите номер задачи, например /logs 4f7k2a, или ответьте этой командой на её карточку.
logs-title = 📜 { $name } · { $id }
logs-none = Пока пусто: машина ещё ничего не написала.
only-admins = Это могут только администраторы.

## Расходы

days =
    { $count ->
        [one] { $count } день
        [few] { $count } дня
       *[many] { $count } дней
    }
spend-free = Всё работает на этом компьютере: ничего не арендуется, платить не за что.
spend-title = 💸 Расходы
spend-days = Дни — по UTC.
spend-today = Сегодня: { $money }
spend-week = За 7 дней: { $money }
spend-month = За 30 дней: { $money }
spend-people = Кто сколько за { $days }
spend-person = • { $name }: { $money }, { $jobs }
spend-house = • Простой машин: { $money }
spend-chart = За { $days }
spend-date = dd.MM

## Люди

people-title = 👥 Люди: { $count }
people-page = Страница { $page } из { $pages }
people-line = { $sign } { $name } · { $id }
people-line-paid = { $sign } { $name } · { $id } · сегодня { $money }
people-invite-user = ➕ Пригласить
people-invite-admin = ➕ Администратора
people-revoke = Отозвать приглашения
people-revoked =
    { $count ->
        [one] Отозвано { $count } приглашение
        [few] Отозвано { $count } приглашения
       *[many] Отозвано { $count } приглашений
    }
role-admin = администратор
role-user = пользователь
role-blocked = доступ закрыт
person-title = { $name } — { $role }
person-id = Номер: { $id }
person-listed = Назван в настройках бота
person-invited = Пришёл по приглашению: { $name }, { $when }
person-today = Потрачено сегодня: { $money }
person-budget = Лимит в день без подтверждения: { $limit }
person-no-budget = без предела
person-raise = ⭐ Сделать администратором
person-lower = 👤 Сделать пользователем
person-block = 🚫 Закрыть доступ
person-unblock = Вернуть доступ
person-remove = Удалить из списка
person-remove-yes = Да, удалить
person-ask = Удалить { $name } из списка? Приглашения от этого человека перестанут действовать.
invitation-user = Приглашение в бот, для одного человека. Перешлите ссылку:
invitation-admin = ⭐ Приглашение администратора, для одного человека. Перешлите ссылку:
invitation-ends = Действует до: { $when }
button-copy = 📋 Скопировать
toast-role = Готово
toast-budget = Предел изменён
toast-removed = Удалено
toast-no-person = Этого человека в списке уже нет
toast-not-changed = Это меняется только в настройках бота

## Очередь

queue-title = 🕓 Очередь: { $count }
queue-empty = Никто не ждёт.
queue-line = { $number }. { $name } · { $what } · { $id } · от { $owner }
queue-line-waits = { $number }. { $name } · { $what } · { $id } · от { $owner } · ждёт: { $reason }
queue-sample = проба
queue-paused = ⏸ На паузе { $when } ({ $name }): новое не начинается, начатое идёт до конца.
queue-drained = 🛑 Остановлено { $when } ({ $name }): новое не начинается, свободные машины возвращаются.
queue-pause = ⏸ Пауза
queue-resume = ▶ Продолжить
drain-ask = Закончить начатое и остановиться? В работе: { $running } — начатое дойдёт до конца. В очереди: { $waiting } — останется ждать. Свободные машины возвращаются сразу.
drain-yes = Да, остановить
drain-rest = Ещё в работе: { $running }. Потом освободятся и машины.
drain-machines = Всё начатое закончено. Ещё освобождаются машины: { $count }. Выключать рано.
drain-done = Всё начатое закончено, машин не осталось. Можно выключать.
toast-paused = Очередь на паузе
toast-resumed = Продолжаем
toast-drained = Заканчиваю начатое
toast-left-queue = Этой задачи в очереди уже нет

## Здоровье

health-well = ✅ Всё работает
health-ill =
    { $count ->
        [one] ⚠️ Не в порядке: { $count }
        [few] ⚠️ Не в порядке: { $count }
       *[many] ⚠️ Не в порядке: { $count }
    }
health-storage = Хранилище отвечает
health-no-storage = хранилище не отвечает
health-no-provider = сервис аренды не отвечает
health-credit = Счёт аренды: { $money }
health-listing = Список машин получен { $time } назад
health-loops = Все циклы работали за последние { $time }
health-poller = Telegram отвечал { $time } назад
health-database = База данных: { $size }
health-version = Версия: { $version }
health-problem-loop = цикл { $name } давно не работал
health-problem-loops = циклы не работают в этом процессе
health-problem-listing = список машин давно не обновлялся
health-problem-poller = Telegram давно не отвечал
health-problem-database = в базу данных нельзя писать
