# One image for web, worker and beat; compose.yaml says which one a container is.
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1

WORKDIR /app

COPY requirements/base.txt requirements/base.txt
RUN pip install -r requirements/base.txt

COPY . .

# Keys given here are for this step only, so that none is made and kept in the image.
RUN SECRET_KEY=only-while-building FIELD_KEY=only-while-building ENVIRONMENT=sandbox \
        python manage.py collectstatic --noinput \
    && useradd --system --uid 10001 --home-dir /app --shell /usr/sbin/nologin console \
    && mkdir -p /app/var /app/logs \
    && chown console: /app/var /app/logs

USER console
EXPOSE 5000
VOLUME ["/app/var", "/app/logs"]

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:5000/healthz', timeout=4)"]

CMD ["gunicorn", "--bind", "0.0.0.0:5000", "billing_console.wsgi:application"]
