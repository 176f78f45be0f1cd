## Несколько видео сразу

files =
    { $count ->
        [one] { $count } файл
        [few] { $count } файла
       *[many] { $count } файлов
    }
batch-help = Назовите папку хранилища, и я возьму все видео из неё: /batch input/c1
batch-title = 🎞 { $name } · { $files }
batch-album = Несколько видео
batch-looking = 👀 Смотрю файлы: { $done } из { $total }
batch-asking = Спрашиваю цены…
batch-no-quote = Рынок сейчас не отвечает, поэтому цены пока нет.
batch-time-measured = Займёт около { $time } работы машины (по прошлым запускам)
batch-time-formula = Займёт около { $time } работы машины (расчёт по формуле)
batch-cost = Стоимость всего: около { $money }
batch-gpus = Где: { $gpus }
batch-unknown = Пока неизвестно: { $files }
batch-will-ask = Будет ждать согласия: { $files } ({ $reason })
batch-skipped = ↩️ Уже сделано с такими настройками: { $files }. Их пропущу.
batch-held = ⏸ Ждёт согласия: { $files } ({ $reason })
batch-nothing = Ни один из этих файлов обработать нельзя.
batch-unstarted = 🚫 Ничего не было запущено.
batch-confirm = Отменить всё, что ещё не закончилось?
batch-row = { $mark } { $name } · { $state }
batch-row-skipped = уже сделано
batch-refused = ⛔ { $name } · { $reason }
batch-why-too_big_for_telegram = слишком велик для Telegram
batch-why-too_big_unknown = слишком велик для Telegram
batch-why-download_failed = Telegram его не отдал
batch-why-no_such_file = его там нет
batch-why-too_many_jobs = слишком много задач ждёт
batch-why-other = не принят
batch-count-running = ⚙️ { $count }
batch-count-queued = 🕓 { $count }
batch-count-done =
    { $count ->
        [one] ✅ { $count } готов
        [few] ✅ { $count } готовы
       *[many] ✅ { $count } готово
    }
batch-count-failed =
    { $count ->
        [one] ❌ { $count } не получился
        [few] ❌ { $count } не получились
       *[many] ❌ { $count } не получилось
    }
batch-count-cancelled =
    { $count ->
        [one] 🚫 { $count } отменён
        [few] 🚫 { $count } отменены
       *[many] 🚫 { $count } отменено
    }
batch-count-skipped =
    { $count ->
        [one] ↩️ { $count } уже был сделан
        [few] ↩️ { $count } уже были сделаны
       *[many] ↩️ { $count } уже было сделано
    }
batch-count-refused =
    { $count ->
        [one] ⛔ { $count } не принят
        [few] ⛔ { $count } не приняты
       *[many] ⛔ { $count } не принято
    }
batch-end-title = 🏁 Закончено: { $name }
batch-end-done = ✅ { $name } · { $time } · { $link }
batch-end-skipped = ↩️ { $name } · уже было · { $link }
batch-end-failed = ❌ { $name } · { $reason }
batch-ask-declined = Отказано.
batch-ask-settled = Вопрос решён.
batch-toast-started = Запущено: { $files }
batch-toast-retry = Снова в очереди: { $files }
batch-toast-changed = Пока вы смотрели, условия изменились. Посмотрите и нажмите ещё раз.
batch-toast-sample = Делаю пробу первого файла

button-start-all = Старт для всех ({ $count })
button-cancel-all = Отменить всё
button-do-again = Сделать заново
button-retry-failed = Повторить неудачные
button-approve-all = Одобрить всё

error-no_videos = Там нет видео. Проверьте папку, а также большие и маленькие буквы.
error-too_many_files = Файлов слишком много: за раз беру до 200. Назовите папку поменьше.
