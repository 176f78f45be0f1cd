## Карточка плана

preset-x2 = ×2
preset-x4 = ×4
preset-fps2 = Кадры ×2
preset-both = ×2 и кадры ×2
button-chosen = ✓ { $label }
button-start = Старт
button-run-all = Обработать всё
button-sample = Сначала проба
button-sample-stop = Отменить пробу
button-settings = Настройки
button-cancel = Отменить
button-cancelling = Отменяю…
button-yes = Да, отменить
button-no = Нет, продолжать
button-retry = Повторить
button-change = Изменить
button-approve = Разрешить
button-decline = Отказать
button-anyway = Всё равно начать
button-take = Взять за { $price }/ч
button-ask-admin = Спросить администратора
button-back = ‹ Назад
button-reset = Сбросить
button-setting = { $name }: { $value }
button-upload = Страница загрузки
button-path = Как прислать путь

range = { $low } – { $high }
plan-title = 🎬 { $name }
plan-audio = Звук: { $list }
plan-subtitles = Субтитры: { $list }
plan-none = нет
plan-result = Станет: { $size }, { $fps }
plan-time-measured = Займёт около { $time } (по прошлым запускам)
plan-time-formula = Займёт около { $time } (оценка по формуле)
plan-reckoned = Скорость этой модели неизвестна, время посчитано по самой тяжёлой
plan-cost = Стоимость: около { $money }
plan-cost-asking = Стоимость: около { $money }, уточняю цены…
plan-gpu = Машина: { $gpu }, { $price }/ч
plan-queue =
    { $count ->
        [one] Впереди { $count } задача
        [few] Впереди { $count } задачи
       *[many] Впереди { $count } задач
    }
plan-starts = Начнётся примерно через { $time } после нажатия «Старт»
plan-warm = Машина уже включена: начнётся сразу
plan-nothing = До { $cap }/ч ничего не подходит. Самая дешёвая из подходящих: { $gpu }, { $price }/ч.
plan-nothing-at-all = Ничего не подходит, даже дороже { $cap }/ч.
plan-hold = ⚠️ { $why }
plan-hold-you = «Старт» спросит вас ещё раз.
plan-hold-admin = «Старт» спросит администратора.
plan-unknown = Узнать нынешние цены не удалось: расчёт — по прежним.
plan-offers =
    { $count ->
        [one] До { $cap }/ч подходит { $count } предложение.
        [few] До { $cap }/ч подходят { $count } предложения.
       *[many] До { $cap }/ч подходят { $count } предложений.
    }
plan-excluded = Отсеяно: { $filters }.
plan-filter = { $name } { $count }
plan-assumed = О файле:
plan-sample = 🧪 Делаю пробу:
plan-sample-starting = 🧪 Проба: готовлю машину…
plan-sample-waits = 🧪 Проба ждёт: { $reason }.
plan-sample-stopping = 🧪 Отменяю пробу…
plan-sample-ready = 🧪 Проба готова.
plan-sample-done = 🧪 Проба готова, скорость — { $fps }.
plan-sample-failed = 🧪 Проба не получилась: { $reason }.
plan-choose = Выберите, что сделать, и нажмите «Старт».

filter-price = цена
filter-banned = раньше подводили
filter-gpus = несколько видеокарт
filter-gpu_memory = память видеокарты
filter-capability = поколение видеокарты
filter-cuda = драйвер
filter-cores = процессор
filter-memory = память
filter-disk = диск
filter-reliability = надёжность
filter-network = сеть
filter-duration = доступны слишком недолго
filter-time = слишком медленные
filter-budget = бюджет

fact-vfr = частота кадров переменная
fact-interlaced = чересстрочное
fact-hdr = HDR
fact-bits = { $value } бит
fact-chapters =
    { $count ->
        [one] { $count } глава
        [few] { $count } главы
       *[many] { $count } глав
    }

task-scale = ×{ $scale }
task-factor = кадры ×{ $factor }
task-same = постоянная частота

## Настройки

options-title = ⚙️ { $name }
options-defaults = ⚙️ Для следующих видео
options-choose = Что изменить?
options-meaning = • { $name } — { $meaning }
setting-mode = Что сделать
setting-size = Размер
setting-rate = Кадры
setting-model = Модель
setting-between = Промежуточные кадры
setting-codec = Кодек
setting-container = Файл
setting-quality = Качество
setting-denoise = Шум
about-mode = Крупнее, плавнее или всё вместе. Звук, субтитры и длительность сохраняются.
about-size = Какого размера станет картинка.
about-rate = Сколько кадров будет в секунде. «Постоянная частота» только выравнивает переменную.
about-quality = Чем выше, тем больше файл.
about-denoise = Сколько шума убирает модель.
choice-auto = авто
choice-own = своё
choice-mode-upscale = крупнее
choice-mode-interp = плавнее
choice-mode-both = всё вместе
choice-quality-small = файл поменьше
choice-quality-normal = обычное
choice-quality-high = высокое
choice-denoise-none = оставить
choice-denoise-half = наполовину
choice-denoise-full = убрать
meaning-model-auto = выберет машина
meaning-model-starter = быстрая и близкая к исходнику, видеокарта не нужна
meaning-model-realesr-animevideov3 = для анимации: чёткие линии, убирает следы сжатия
meaning-model-realesr-general-x4v3 = для съёмки с шумом или сильным сжатием
meaning-model-RealESRGAN_x4plus = для съёмки: больше всего деталей, но медленно
meaning-model-RealESRGAN_x4plus_anime_6B = для рисунков и неспешной анимации: самые тонкие линии
meaning-model-RealESRGAN_x2plus = для съёмки, если нужно лишь вдвое крупнее
meaning-between-auto = выберет машина
meaning-between-flow = без нейросети, видеокарта не нужна
meaning-between-rife-4-6 = для анимации, быстрая
meaning-between-rife-4-25 = почти для всего
meaning-between-rife-4-26 = там, где 4.25 оставляет огрехи
meaning-codec-auto = H.264 везде, где возможно
meaning-codec-h264 = открывается везде
meaning-codec-hevc = файл меньше, для устройств последних лет
meaning-codec-av1 = файл самый маленький, для новых устройств
meaning-container-auto = как у исходника
meaning-container-mp4 = открывается везде, в том числе прямо в чате
meaning-container-mkv = вмещает любой звук и субтитры

## Нужно согласие

held-body = ⏸ Ждёт подтверждения.
held-asked = Администратора уже спросили.
no-admin = Нужно согласие администратора, а его пока нет: тот, кто запускает бота, назначает его в TELEGRAM_ADMINS.
held-until = Вопрос закроется { $when }.
held-time = Займёт около { $time }
held-most = Не больше { $money }
hold-price = дешевле предела подходящих машин нет
hold-job_budget = дороже, чем можно потратить на одну задачу
hold-day_budget = дороже, чем осталось в общем бюджете на сегодня
hold-user_budget = дороже, чем осталось в личном бюджете на сегодня
hold-budget = дороже разрешённого
hold-time = дольше, чем может идти одна попытка
no-offer-waits = 🕓 Ждёт в очереди, пока не подешевеет.
ask-title = ❓ { $who } просит:
ask-approved = ✅ Разрешено: { $who }.
ask-approved-by-nobody = ✅ Разрешено.
ask-declined = 🚫 Отказано: { $who }.
ask-declined-by-nobody = 🚫 Отказано.
ask-expired = Ответа не дождались, вопрос закрыт.
ask-settled = Вопрос уже решён.

toast-started = Поехали!
toast-held = Сначала нужно согласие: смотрите карточку.
toast-asked = Администратора уже спросили.
toast-no-admin = Других администраторов нет.
toast-approved = Разрешено
toast-declined = Отказано
toast-decided = Это уже решено.
toast-sample = Делаю пробу
toast-sample-ready = Проба готова: смотрите выше.
toast-sample-stopped = Проба отменена
toast-again = Новая карточка ниже.
toast-renewed = Вот новая ссылка. Старая больше не работает.
toast-reset = Всё как обычно
toast-saved = Запомнил для следующих видео

## Приём

intake-upload =
    Файл слишком большой для этого чата: { $size }. Через Telegram боту доступны файлы до { $limit }.

    Пришлите его через страницу загрузки: если связь прервётся, она продолжит с того же места.
intake-upload-unknown =
    Файл слишком большой для этого чата: через Telegram боту доступны файлы до { $limit }.

    Пришлите его через страницу загрузки: если связь прервётся, она продолжит с того же места.
intake-path = Или положите его в хранилище и пришлите путь, например { $paths }.
hint-reply = Ответьте этой командой на видео или пришлите видео с ней в подписи.
