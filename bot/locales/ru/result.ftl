## Конец

done-title = ✅ Готово: { $name }
done-change = { $before } → { $after }
done-took = Заняло { $time }
done-cost = Стоило { $money }
failed-title = ❌ Не получилось: { $name }
failed-reason = Причина: { $reason }.
failed-attempts =
    { $count ->
        [one] Сделана { $count } попытка.
        [few] Сделано { $count } попытки.
       *[many] Сделано { $count } попыток.
    }
cancelled-title = 🚫 Отменено: { $name }
cancelled-expired = Карточка долго ждала, и я её закрыл. Чтобы начать заново, пришлите видео ещё раз.
cancelled-declined = Администратор отказал. Чтобы выбрать другой вариант, пришлите видео ещё раз.
cancelled-unstarted = Чтобы начать заново, пришлите видео ещё раз.

button-open = Скачать
button-renew = Новая ссылка
button-again = Сделать иначе…
result-title = ✅ { $name }
result-picture = { $size }, { $fps }
result-length = { $time }, { $frames }
result-bytes = Размер: { $size }
result-took = Заняло { $time }
result-resumed = Сохранилось с прошлой попытки: { $frames }
result-picture-caption = До и после
result-clip = До и после, рядом
result-large = Файл больше { $limit } — слишком большой для этого чата: заберите его по кнопке.
result-refused = Telegram не принял файл.
result-forbidden = В этот чат нельзя отправлять файлы.
result-broken = Не удалось отправить файл через Telegram.
result-expires = Ссылка перестанет работать { $when }.
result-local = Результат лежит на компьютере, где работает бот, в его хранилище: { $name }
result-gone = Но самого файла в хранилище уже нет.
result-notes = Примечания:
result-dropped = не перенесено: { $list }

sample-title = 🧪 Проба: { $name } · { $what }
sample-speed = Скорость: { $fps }
sample-speed-on = Скорость: { $fps } на { $device }
sample-whole = Всё видео: { $quote }
sample-waits = Машина ждёт вашего решения; отпущу её { $when }.
sample-failed = 🧪 Проба не получилась: { $name }
