"""`regard serve`: translate over HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regard.cli.options import HARDWARE, Device, DeviceOption, Precision, PrecisionOption, option
from regard.errors import ConfigError

EXAMPLES = """
regard serve runs/en-de
regard serve runs/en-de runs/de-en --port 8000 --precision int8
regard serve runs/en-de --workers 4
regard serve runs/en-de --corrections corrections.sqlite
"""
ACCESS = "Access"
LIMITS = "Limits"
CORRECTIONS = "Corrections"
GLOSSARIES = "Glossaries"


def serve(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Folders of runs or checkpoints, for one pair of languages or several."),
    ],
    host: Annotated[
        str, option("ADDRESS", "Address to listen on; 127.0.0.1 is this machine only.", ACCESS)
    ] = "127.0.0.1",
    port: Annotated[int, option("N", "Port; 0 chooses a free one and prints it.", ACCESS, min=0, max=65535)] = 5000,
    api_keys: Annotated[
        Path | None,
        option(
            "FILE",
            "API keys that clients need, one a line; those in the variable REGARD_API_KEYS are valid too.",
            ACCESS,
            show_default="no key is needed",
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        option(
            "ORIGIN",
            "Origin whose web pages may call the server, such as https://example.org. Can be repeated.",
            ACCESS,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        option(
            "NAME",
            "Host name that clients may use in addition to localhost, such as a proxy's. Can be repeated.",
            ACCESS,
        ),
    ] = None,
    corrections: Annotated[
        Path | None,
        option(
            "FILE.sqlite",
            "Keep better translations that clients suggest (POST /suggest) in this file, for `regard improve`.",
            CORRECTIONS,
            show_default="none are accepted",
        ),
    ] = None,
    glossaries: Annotated[
        Path | None,
        option(
            "DIR",
            "Folder in which clients store glossaries (/v2/glossaries); it is created if it does not exist.",
            GLOSSARIES,
            show_default="none are accepted",
        ),
    ] = None,
    characters: Annotated[int, option("N", "Maximum characters per request.", LIMITS, min=1, max=1_000_000)] = 20_000,
    queue: Annotated[int, option("N", "Maximum number of waiting sentences.", LIMITS, min=1)] = 4096,
    examples: Annotated[
        bool,
        typer.Option(
            "--examples/--no-examples",
            help="Show sentences of the runs' dev sets as examples on an empty page.",
            show_default="yes",
            rich_help_panel=ACCESS,
        ),
    ] = True,
    device: DeviceOption = "auto",
    precision: PrecisionOption = "float32",
    batch_size: Annotated[int, option("N", "Sentences decoded at a time.", HARDWARE, min=1, max=256)] = 32,
    workers: Annotated[
        int,
        option(
            "N",
            "Batches translated at a time, each in a process with one thread; at most one per core. The processes "
            "share the weights. Linux only.",
            HARDWARE,
            min=1,
            max=64,
        ),
    ] = 1,
) -> None:
    """Translate over HTTP, with the interfaces of LibreTranslate and DeepL, a web page, and metrics."""
    _require_packages()
    from regard.checkpoints.run_folder import resolve_checkpoint

    for run in runs:
        resolve_checkpoint(run)  # report a wrong path before PyTorch is imported
    limits = {"batch": batch_size, "characters": characters, "queue": queue}
    if corrections is not None and corrections.suffix.lower() != ".sqlite":
        fix = f"name it {corrections.name}.sqlite, so that other commands know its format"
        raise ConfigError("the name of a store of corrections ends in .sqlite", where=corrections, fix=fix)
    access = (api_keys, allow_origin or [], allow_host or [])
    stores = (corrections, glossaries)
    _serve(runs, (device, precision, workers), (host, port), limits, access, stores, show_examples=examples)


def _require_packages() -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"the package {error.name} is not installed", where="regard serve", fix="pip install 'regard[serve]'"
        ) from None


def _serve(
    runs: list[Path],
    hardware: tuple[Device, Precision, int],
    address: tuple[str, int],
    limits: dict[str, int],
    access: tuple[Path | None, list[str], list[str]],
    stores: tuple[Path | None, Path | None],
    *,
    show_examples: bool,
) -> None:
    import gc
    import logging

    from regard.console import say, status

    with status("loading PyTorch"):
        from regard.corpus.corrections import CorrectionStore
        from regard.serving.allowed_hosts import AllowedHosts
        from regard.serving.api_keys import load_api_keys
        from regard.serving.app import create_app
        from regard.serving.glossary_store import GlossaryStore
        from regard.serving.limits import Limits
        from regard.serving.models import Models
        from regard.serving.server import Server
        from regard.serving.service import Service
        from regard.serving.sockets import allow_connections
        from regard.serving.threads import end_process

    host, port = address
    api_keys, origins, names = access
    logging.basicConfig(format="%(message)s")
    keys = load_api_keys(api_keys)
    corrections, folder = stores
    store = None if corrections is None else CorrectionStore(corrections, create=True)
    glossaries = None if folder is None else GlossaryStore(folder)
    models = Models(runs, *hardware)
    if store is not None:
        say(f"suggestions are kept in {store.path}")
    say("\n".join(str(model) for model in models.served))
    body = max(Limits.body, 12 * limits["characters"])  # a character can be written as two escapes
    reserve = Limits.reserve + models.new_descriptors
    connections = allow_connections(Limits.connections, reserve)
    if connections < Limits.connections:
        say(
            f"at most {connections:,} simultaneous connections, because of the limit of open files; "
            "`ulimit -n` raises it"
        )
    all_limits = Limits(**limits, body=body, connections=connections, reserve=reserve)
    service = Service(models, all_limits, keys, store, glossaries, show_examples=show_examples)
    server = Server(create_app(service, origins, AllowedHosts.for_server(host, names)), service, host, port, say)
    gc.collect()
    gc.freeze()  # later collections are short and frequent, so they soon free what refers to a replaced model
    server.run()
    end_process()
