## Задача в работе и всё, что делается в группе

stage-preparing = готовлюсь
queued-starts = Должно начаться { $when }
running-spent = Потрачено: { $money }
attempt-silent = ⚠️ Попытка { $number }: машина замолчала, последние вести { $when }.
button-watch = Посмотреть начало
button-details = Подробности
button-details-less = Скрыть подробности
button-cancel-one = ✖ { $id }
details-none = Машина пока ничего не сказала.

group-title =
    { $count ->
        [one] ⚙️ В работе { $count } видео
        [few] ⚙️ В работе { $count } видео
       *[many] ⚙️ В работе { $count } видео
    }
group-done = ⚙️ Всё закончено
group-job = 🎬 { $name } · { $what } · { $id }
group-ended = { $mark } { $name }
group-elsewhere = Ход работы — на общей карточке этого чата.
