# A server of runs that are mounted: docker build -t regard . && docker run -p 127.0.0.1:5000:5000 -v "$PWD/runs:/runs:ro" regard /runs/mine
# How it was checked, and what was not: docs/serving.md.
FROM python:3.12-slim

# The compiler builds the kernels into the wheel of regard.
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /regard
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY src ./src
RUN pip install --no-cache-dir -c constraints.txt --extra-index-url https://download.pytorch.org/whl/cpu '.[serve,documents]'

RUN useradd --create-home served
USER served
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5000/health', timeout=5)"]
ENTRYPOINT ["regard", "serve", "--host", "0.0.0.0"]
