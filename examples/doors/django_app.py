"""
A Django project in one file, for WSGI and for ASGI.

Start it with `gunicorn examples.doors.django_app:application`.
Start it with `uvicorn examples.doors.django_app:asgi_application`.
"""

from __future__ import annotations

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import wideevents

wideevents.configure(service="newsroom")

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "localhost"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    MIDDLEWARE=["wideevents.integrations.django.WideEvents", "django.middleware.common.CommonMiddleware"],
    ROOT_URLCONF=__name__,
    WIDEEVENTS={"slow_ms": 500},
)


def article(request: HttpRequest, slug: str) -> HttpResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 + %s", [len(slug)])
        (views,) = cursor.fetchone()
    language = request.GET.get("lang", "en")
    wideevents.add_fields({"article.language": language, "article.views": views})
    return JsonResponse({"slug": slug, "language": language, "views": views})


urlpatterns = [path("articles/<slug:slug>", article, name="article")]

application = get_wsgi_application()
asgi_application = get_asgi_application()
