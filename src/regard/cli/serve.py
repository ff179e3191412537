"""`regard serve`: its options; the rest is loaded when it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from regard.errors import ConfigError


def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Folders of runs, or of checkpoints, of one pair of languages or several."),
    ],
    host: Annotated[str, typer.Option(help="Where to listen; by default this machine alone can ask.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free, which is printed.")] = 5000,
    api_keys: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A key a line; REGARD_API_KEYS has them too.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None, typer.Option(metavar="ORIGIN", help="A page elsewhere whose scripts may ask.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="What it is asked as, beside localhost, say by a proxy.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, max=256, help="Sentences searched together.")] = 32,
    characters: Annotated[int, typer.Option(min=1, max=1_000_000, help="Of a request, at most.")] = 20_000,
    queue: Annotated[int, typer.Option(min=1, help="Sentences that may wait.")] = 4096,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="float32, or int8 on a CPU.")] = "float32",
) -> None:
    """Serve runs over HTTP: LibreTranslate's interface, DeepL's, a page that shows attention, and metrics."""
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name} is not installed", where="regard serve", fix="pip install 'regard[serve]'"
        ) from None
    _serve(
        runs,
        host=host,
        port=port,
        api_keys=api_keys,
        origins=allow_origin or [],
        names=allow_host or [],
        limits={"batch": batch_size, "characters": characters, "queue": queue},
        machine=(device, precision),
    )


def _serve(
    runs: list[Path],
    *,
    host: str,
    port: int,
    api_keys: Path | None,
    origins: list[str],
    names: list[str],
    limits: dict[str, int],
    machine: tuple[str, str],
) -> None:
    import logging
    from typing import cast, get_args

    from regard.inference.translator import Precision
    from regard.serving.allowed_hosts import Names
    from regard.serving.api_keys import read_keys
    from regard.serving.app import create_app
    from regard.serving.limits import Limits
    from regard.serving.models import Models
    from regard.serving.server import Server
    from regard.serving.service import Service
    from regard.serving.sockets import allow_connections
    from regard.serving.threads import end_process

    def say(text: str) -> None:
        Console(stderr=True).print(text, highlight=False, markup=False, soft_wrap=True)

    device, precision = machine
    if precision not in get_args(Precision):
        raise ConfigError(
            f"there is no precision {precision!r}",
            where="--precision",
            fix=f"say {' or '.join(get_args(Precision))}",
        )
    logging.basicConfig(format="%(message)s")
    keys = read_keys(api_keys)
    models = Models(runs, device, cast(Precision, precision))
    for one in models.served:
        tag = f", tag {one.tag}" if one.tag else ""
        say(f"{one.name}: {one.source} to {one.target}, {one.architecture}{tag}")
    body = max(Limits.body, 12 * limits["characters"])  # a character may be written as two escapes
    connections = allow_connections(Limits.connections)
    if connections < Limits.connections:
        say(
            f"at most {connections:,} connections at a time, for so few files may be open: "
            "raise the limit by `ulimit -n` for more"
        )
    service = Service(models, Limits(**limits, body=body, connections=connections), keys)
    app = create_app(service, origins, Names.of(host, names))
    server = Server(app, service, host, port, say)
    server.run()
    end_process()
