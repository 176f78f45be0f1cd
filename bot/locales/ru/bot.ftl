### Тексты бота. Имена файлов и прочее чужое приходит только переменными.

## Числа и единицы

duration-s = { $s } с
duration-m-s = { $m } мин { $s } с
duration-m = { $m } мин
duration-h-m = { $h } ч { $m } мин
duration-h = { $h } ч
size-bytes = { $value } Б
size-kb = { $value } кБ
size-mb = { $value } МБ
size-gb = { $value } ГБ
money = { $value } $
money-least = <{ $value } $
fps = { $value } к/с
percent = { $value } %
frames =
    { $count ->
        [one] { $count } кадр
        [few] { $count } кадра
       *[many] { $count } кадров
    }
frames-of =
    { $total ->
        [one] { $done } из { $total } кадра
        [few] { $done } из { $total } кадров
       *[many] { $done } из { $total } кадров
    }
jobs =
    { $count ->
        [one] { $count } задача
        [few] { $count } задачи
       *[many] { $count } задач
    }

## Команды и помощь

command-start = Начать
command-help = Как пользоваться
command-status = Что сейчас делается
command-cancel = Отменить задачу
command-status-admin = Все задачи и машины
command-cancel-admin = Отменить любую задачу

help =
    Что я умею
    • увеличить картинку в 2 или 4 раза
    • удвоить число кадров, чтобы движение стало плавным
    • всё вместе; звук, субтитры и длительность сохраняются

    Что прислать
    • видео файлом (скрепка → «Файл») — так Telegram его не пережимает
    • обычное видео, альбом или пересланное сообщение — тоже можно
    • путь в хранилище, если файл больше { $limit }: { $paths }

    Команды
    /status — что сейчас делается
    /upscale, /smooth, /both, /x4 — ответом на видео или подписью к нему: сразу с этим выбором
    /batch — вся папка хранилища, например /batch input/c1
    /cancel — отменить задачу: выберите из списка, ответьте на карточку или укажите номер, например /cancel 4f7k2a
    /settings — язык и настройки новых видео
    /help — эта подсказка

paths-folder = input/c1/film.mp4
paths-s3 = input/c1/film.mp4 или b2://bucket/film.mp4

## Приём

looking = 👀 Смотрю файл…
hint-text = Пришлите видео или путь к нему в хранилище, например input/c1/film.mp4. Подробнее: /help
hint-link = По ссылкам из интернета я видео не скачиваю. Пришлите сам файл или путь в хранилище, например input/c1/film.mp4.
hint-photo = Это картинка, а я работаю с видео. Пришлите видео — лучше файлом.
hint-sticker = Стикеры я не обрабатываю. Пришлите видео.
hint-audio = Это звук без картинки, а мне нужно видео.
hint-document = Это не похоже на видео. Подойдут mp4, mkv, mov, webm, avi и другие видеофайлы.

## Ход работы

state-draft = ждёт «Старт»
state-held = ждёт подтверждения
state-queued = в очереди
state-running = в работе
state-done = готово
state-failed = не получилось
state-cancelled = отменено

machine-renting = арендуется
machine-unknown = уточняется
machine-booting = запускается
machine-ready = готова
machine-busy = занята
machine-retiring = освобождается
machine-gone = освобождена

queued-body = 🕓 В очереди: { $position }-е место.
queued-again = 🔁 Скоро попробую ещё раз.
queued-waits = 🕓 Ждёт: { $reason }. Начнётся само, как только станет можно.
assigned-body = 🔌 Готовлю машину…
cancelling-body = 🛑 Отменяю…
confirm-body = Отменить задачу? В течение суток её можно повторить: готовое не пропадёт.
running-on = Машина: { $machine }
running-eta = Будет готово { $when }
when-in = через { $time }
when-ago = { $time } назад
running-silent = ⚠️ Машина молчит: последний сигнал { $when }.
attempt-ended = ⚠️ Попытка { $number }: { $reason }.
attempt-next = Идёт попытка { $number } из { $total }.

phase-starting = запуск
phase-fetching = получение файла
phase-processing = обработка
phase-processing-upscale = увеличение
phase-processing-interp = новые кадры
phase-processing-both = увеличение и новые кадры
phase-verifying = проверка
phase-uploading = отправка результата
phase-finished = готово
phase-idle = ожидание
stage-done = ✓ { $stage }
stage-now = ▶ { $stage }
stage-later = ○ { $stage }

## Конец

note-matrix_assumed = цветовая матрица в файле не указана, принята { $value }
note-matrix_treated_as_bt709 = цветовая матрица { $value } обработана как bt709
note-matrix_corrected = в файле указана матрица RGB для картинки не в RGB, принята { $value }
note-siting_assumed = цветовые отсчёты в файле расположены иначе, прочитаны как { $value }
note-cropped = края обрезаны, чтобы заполнить { $value }
note-fields_found = в файле не указана чересстрочность, она видна на картинке ({ $value })
note-telecined = это киноплёнка, переведённая в 30 кадров в секунду; удвоенные поля не убраны
note-hdr_processed_as_is = картинка в HDR, а нейросеть обучена на SDR; обработано как есть
note-audio_converted = звук преобразован в { $value }: контейнер не вмещает его как есть
note-converted = формат пикселей { $value } преобразован
note-container_changed = контейнер заменён на { $value }, чтобы ничего не потерять
note-subtitles_converted = субтитры преобразованы в { $value }
note-closed_captions_dropped = скрытые титры внутри видео не перенесены
note-letterboxed = добавлены чёрные поля до { $value }
note-padded = края дополнены до { $value }
note-rotated = поворот на { $value }° применён к картинке
note-mirrored = видео записано зеркально
note-deinterlaced = чересстрочность убрана
note-timestamps_repaired = метки времени исправлены
note-timestamps_guessed = часть меток времени восстановлена
note-size_changes = размер кадра в файле меняется, приведён к единому
note-several_video_streams = в файле несколько видеодорожек, взята главная
note-damaged_packets = повреждённых мест в файле: { $value }
note-frames_missing = кадров не удалось прочитать: { $value }
note-scene_cuts = монтажных склеек: { $value }; через них кадры не смешивались
note-device_chosen = обработано на { $value }
note-model_fallback = модель { $value } не удалось загрузить, использована встроенная
note-picture_missing = картинку «до и после» сделать не удалось
note-clip_missing = ролик сравнения сделать не удалось
note-sample = проба: только самый насыщенный момент, начиная с секунды { $value }
note-segments_not_saved = готовых отрезков не удалось сохранить по ходу работы: { $value }
note-other = { $value }

## /status и /cancel

status-empty = Сейчас ничего не делается. Пришлите видео.
status-title = Ваши задачи
status-title-all = Все задачи: { $count }
status-running = { $percent }
status-queued = в очереди, { $position }-е место
status-waits = ждёт: { $reason }
status-machines = Машины: { $count }
status-machines-more = …и ещё { $count }
status-machines-none = Машин сейчас нет.
status-machine = • { $name } — { $state }
status-machine-paid = • { $name } — { $state }, { $price }/ч, уже { $money }
status-money = Потрачено сегодня: { $spent }. На счёте: { $credit }.
status-money-spent = Потрачено сегодня: { $spent }. Остаток на счёте неизвестен.
cancel-menu = Что отменить?
cancel-none = Отменять нечего: активных задач нет.
cancel-ask = Отменить { $name }?
cancel-kept = Хорошо, продолжаю: { $name }
cancel-done = 🚫 Отменено: { $name }
cancel-requested = 🛑 Отменяю: { $name }
cancel-ended = Эта задача уже завершилась: { $name }
cancel-unknown = Ответьте этой командой на карточку задачи или укажите её номер, например /cancel 4f7k2a.

toast-cancelled = Отменено
toast-cancelling = Отменяю…
toast-retry = Поставил ещё раз
toast-retry-ended = Повтор уже был и тоже завершился. Смотрите его карточку.
toast-ended = Эта задача уже завершилась.
toast-stale = Эта кнопка уже не действует.

crashed = Что-то пошло не так. Ошибка записана, разберёмся. Попробуйте ещё раз позже.

## Ошибки: что делать пользователю

error-error = Так не получится. Пришлите видео ещё раз или откройте /help.
error-bad_task = С этим видео так не получится. Выберите другой вариант.
error-bad_path = Такой путь не подходит. Нужен путь внутри хранилища, например { $paths }.
error-no_such_file = По этому пути ничего нет. Проверьте папку, имя и регистр букв.
error-storage_full = На сервере не хватает места для этого файла и результата. Попробуйте позже или пришлите файл поменьше.
error-no_such_job = Такой задачи нет, или она не ваша.
error-too_late = Поздно: задача уже в другом состоянии.
error-too_many_jobs = У вас уже слишком много задач в ожидании. Дождитесь окончания или отмените лишние: /cancel
error-over_budget = Ваш бюджет на сегодня исчерпан. Новый день начнётся в 0:00 UTC.
error-forbidden = Это может только администратор.
error-nothing_fits = На рынке нет машины, которая справится с этим видео, за любую цену. Выберите что-нибудь поменьше или попробуйте позже.
error-price_rose = Цена за это время изменилась. Посмотрите на новую и нажмите ещё раз.
error-market_silent = Рынок машин сейчас не отвечает. Попробуйте через минуту.
error-takes_too_long = Это заняло бы больше времени, чем можно держать одну машину. Выберите что-нибудь поменьше или видео покороче.
error-too_big_for_telegram =
    Файл слишком большой: { $size }. Через Telegram боту доступны файлы до { $limit }.

    Положите его в хранилище и пришлите путь, например { $paths }.
error-too_big_unknown =
    Файл слишком большой: через Telegram боту доступны файлы до { $limit }.

    Положите его в хранилище и пришлите путь, например { $paths }.
error-download_failed = Не удалось получить файл у Telegram. Пришлите его ещё раз.
error-empty_file = Файл пустой. Проверьте его и пришлите ещё раз.
error-not_a_video = Это не видео, хотя имя и похоже. Пришлите видеофайл: mp4, mkv, mov, webm, avi…
error-no_video_stream = В файле нет видеодорожки, только звук или обложка. Пришлите файл с картинкой.
error-truncated = Файл обрывается: похоже, он не докачался. Пришлите его целиком.
error-corrupt = Файл повреждён и не читается. Попробуйте пересохранить его и прислать снова.
error-picture_too_small = Картинка слишком маленькая: нужно хотя бы 16 пикселей по каждой стороне.
error-picture_too_large = Картинка слишком большая: можно до 8K (8192×4320). Уменьшите видео и пришлите снова.
error-file_too_large = Файл больше допустимого: принимаю до { $max_size }.
error-video_too_long = Видео длиннее допустимого: принимаю до { $max_time }.
error-unsupported = Такой формат я обработать не могу. Попробуйте сохранить видео как mp4 (H.264).
error-probe_limit = Файл не удалось разобрать за разумное время. Попробуйте сохранить его как mp4 (H.264).
error-nothing_to_do = Видео уже такое: делать нечего. Выберите другой вариант.
error-disk_full = На сервере кончилось место. Попробуйте позже.
error-internal = При разборе файла случился сбой. Он записан; попробуйте ещё раз позже.

## Причины, по которым закончилась попытка или задача

reason-user = отменено пользователем
reason-declined = отказано администратором
reason-too_long = дольше, чем разрешено одной попытке
reason-expired = истекло время ожидания
reason-timeout = обработка шла дольше разрешённого
reason-silent = машина перестала отвечать
reason-boot_timeout = машина не запустилась вовремя
reason-machine_gone = машина неожиданно отключилась
reason-restored = база данных бота восстановлена из резервной копии
reason-rent_failed = не нашлось подходящей машины
reason-bad_result = результат не прошёл проверку
reason-source_gone = исходного файла больше нет в хранилище
reason-storage_full = в хранилище кончилось место
reason-budget = вышло бы дороже разрешённого
reason-empty_file = файл пустой
reason-not_a_video = это не видео
reason-no_video_stream = в файле нет видеодорожки
reason-truncated = файл обрывается
reason-corrupt = файл повреждён
reason-picture_too_small = картинка слишком маленькая
reason-picture_too_large = картинка слишком большая
reason-file_too_large = файл слишком большой
reason-video_too_long = видео слишком длинное
reason-unsupported = формат не поддерживается
reason-probe_limit = файл не удалось разобрать за разумное время
reason-bad_task = такое сочетание настроек невозможно
reason-nothing_to_do = делать нечего: видео уже такое
reason-disk_full = на машине кончилось место
reason-out_of_memory = машине не хватило памяти
reason-no_device = на машине не заработала видеокарта
reason-model_unavailable = модель не удалось загрузить
reason-encoder_failed = не удалось сжать видео
reason-transfer_failed = не удалось передать файл
reason-gate_failed = результат не прошёл проверку
reason-deadline = время машины вышло
reason-internal = внутренний сбой
reason-device_unsupported = видеокарта машины не поддерживается программой
reason-device_too_small = у видеокарты машины слишком мало памяти
reason-install_failed = не удалось установить программу на машину
reason-not_armed = машина не подтвердила, что выключится сама
reason-no_self_end = у машины нет ключа, чтобы выключить себя
reason-overpriced = машина стоила дороже предела
reason-host_failed = машина не смогла запустить контейнер
reason-stopped = машину остановили извне
reason-refused = сервис аренды отказывает: спросите noxfvr doctor
reason-image_failed = не удалось запустить образ контейнера
reason-pull_timeout = машина слишком долго скачивала образ контейнера
reason-no_frames = ни один кадр не был готов вовремя
reason-no_credit = на счёте аренды нет денег
reason-no_offer = нет машины, подходящей для задания в заданных пределах
