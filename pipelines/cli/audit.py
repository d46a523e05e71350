"""``rarewave audit``: show that the log of a run's review is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.cli.options import ReviewsOption
from pipelines.cli.terminal import plain
from pipelines.errors import ReviewError

EXAMPLE = "Example: rarewave audit verify runs/ward --receipt ward-receipt.json"
RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="Folder that score wrote.")]

app = typer.Typer(
    help="Check the log of a run's review, or note how far it goes.",
    epilog=EXAMPLE,
    no_args_is_help=True,
)


@app.command(epilog=EXAMPLE)
def verify(
    run: RunArgument,
    receipt: Annotated[
        Path | None,
        typer.Option(
            "--receipt",
            metavar="FILE",
            help="What 'audit receipt' printed, or the rarewave-export JSON of an export.",
        ),
    ] = None,
    reviews: ReviewsOption = None,
) -> None:
    """Follow the chain of hashes through the log; exit code 1 if it is broken.

    Found: an entry changed, inserted or removed within the log, by any program. Entries cut off
    the end are found against the file reviews.head.json beside the log, unless that was changed
    too, and in any case against a receipt kept elsewhere. Not found: a whole log written anew by
    someone who can replace the folder, unless there is a receipt; and who sat at the keyboard.
    """
    from pipelines.run_folder import RunFolder
    from pipelines.store import Head, reviews_of

    known = None
    if receipt is not None:
        try:
            known = Head.parse(receipt.read_text("utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise ReviewError(
                f"cannot read the receipt {receipt.name} ({type(error).__name__}); give the file "
                "that 'rarewave audit receipt RUN' wrote"
            ) from error
    with reviews_of(RunFolder.open(run), reviews) as store:
        head = store.verify(known)
    against = "" if known is None else f", the first {known.n_entries} as in the receipt"
    typer.echo(f"{plain(run)}: {head.n_entries} entries, none altered{against}")
    typer.echo(f"last hash {head.hash}")


@app.command(epilog="Example: rarewave audit receipt runs/ward > ward-receipt.json")
def receipt(run: RunArgument, reviews: ReviewsOption = None) -> None:
    """Print how many entries the log has and the hash of the last; keep it away from the run."""
    from pipelines.run_folder import RunFolder
    from pipelines.store import reviews_of

    with reviews_of(RunFolder.open(run), reviews) as store:
        typer.echo(store.verify().text())


@app.command(epilog="Example: RAREWAVE_REVIEWS_URL=postgresql://... rarewave audit copy runs/ward")
def copy(run: RunArgument, reviews: ReviewsOption = None) -> None:
    """Copy the log from reviews.sqlite into the PostgreSQL database, its chain of hashes intact.

    The file is left as it is. Copying again adds what was decided there since.
    """
    from contextlib import closing

    from pipelines.run_folder import RunFolder
    from pipelines.store import copy_reviews, server_at

    server = server_at(reviews)
    if server is None:
        raise ReviewError(
            "there is no review database to copy to; give its URL in RAREWAVE_REVIEWS_URL or "
            "--reviews"
        )
    with closing(server):
        head = copy_reviews(RunFolder.open(run), server)
    typer.echo(f"{plain(run)}: {head.n_entries} entries in the review database")
    typer.echo(f"last hash {head.hash}")
