"""The table of commands: name, where its function lies, one line, examples; nothing here imports a command's module.

Cyclopts imports a command's file when the command is called or its own help is asked for, so `matinee --help` costs
Cyclopts, rich and this file. The exception is a command with commands of its own (`replay`, `replay compare`): its
file, which is as light, is imported at once, since Cyclopts has no other way to hang a command below it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from cyclopts import App
from rich.console import Console

__all__ = ["COMMANDS", "GROUPS", "Command", "build_app"]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        words: as typed after `matinee`, for example 'versions list'.
        target: 'module:function', imported when needed.
        summary: one line, in the list of commands and on top of the command's own help.
        examples: command lines that can be pasted.
        twin: the Python function that does the same, below `matinee`.
    """

    words: str
    target: str
    summary: str
    examples: tuple[str, ...]
    twin: str


_ENDLESS = 10_000  # columns

GROUPS = {
    "cloud": "A server in an OpenStack cloud, on a volume that outlives it.",
    "data": "Known logs, logs of any size that are like them, and the version that events told become.",
    "store": "Remote stores by name: add, check, list, remove.",
    "versions": "Versions in a store: list, show, publish, verify, pull, roll back, collect.",
}

COMMANDS = (
    Command(
        "rehearse",
        "matinee.cli.rehearse:rehearse",
        "Walk the whole journey: from a source to a published, verified version and models trained on it.",
        ("matinee rehearse", "matinee rehearse ml-1m"),
        "rehearse",
    ),
    Command(
        "up",
        "matinee.cli.up:up",
        "Start the stack on this machine: Postgres, S3, MLflow and JupyterLab.",
        ("matinee up", "matinee up mlflow --data-dir /mnt/block", "matinee up --listen 0.0.0.0"),
        "up",
    ),
    Command(
        "down",
        "matinee.cli.down:down",
        "Stop the stack; its data stays.",
        ("matinee down", "matinee down --data-dir /mnt/block"),
        "down",
    ),
    Command(
        "status",
        "matinee.cli.status:status",
        "Tell how each service of the stack is.",
        ("matinee status", "matinee status --json"),
        "status",
    ),
    Command(
        "logs",
        "matinee.cli.logs:logs",
        "Print what the services of the stack have written.",
        ("matinee logs", "matinee logs mlflow -f"),
        "logs",
    ),
    Command(
        "restart",
        "matinee.cli.restart:restart",
        "Stop services of the stack and start them again.",
        ("matinee restart", "matinee restart mlflow"),
        "restart",
    ),
    Command(
        "credentials",
        "matinee.cli.credentials:credentials",
        "Show the addresses, passwords, keys and token of the stack.",
        ("matinee credentials", "matinee credentials --json"),
        "credentials",
    ),
    Command(
        "data list",
        "matinee.cli.data:list_",
        "List the logs that Matinee knows by name.",
        ("matinee data list", "matinee data list --json"),
        "data.list",
    ),
    Command(
        "data synth",
        "matinee.cli.data:synth",
        "Write a log of any size that behaves like a source.",
        (
            "matinee data synth --like ml-100k --rows 1e6 --out big.zip",
            "matinee data synth --like ratings.csv --rows 192e6 --seed 7 --out big.csv",
            "matinee data synth --like ml-1m --rows 1e9 --out huge.csv --dry-run",
        ),
        "data.synth",
    ),
    Command(
        "data from-events",
        "matinee.cli.from_events:from_events",
        "Turn the events told to a server into the next version; all ids of the base stay what they are.",
        (
            "matinee data from-events ml-100k --past test --dry-run",
            "matinee data from-events ml-100k --rehearsal monday --past train",
            "matinee data from-events ml-100k --past test --until 2026-11-25 --fractions 0.8,0.1,0.1",
        ),
        "data.from_events",
    ),
    Command(
        "extract",
        "matinee.cli.extract:extract",
        "Fetch a source's archive and hash it.",
        ("matinee extract ml-100k", "matinee extract https://example.org/log.zip --out archives"),
        "extract",
    ),
    Command(
        "transform",
        "matinee.cli.transform:transform",
        "Turn a source into a version on this machine: splits, id maps, sequences, certificate.",
        (
            "matinee transform ml-100k --out versions/ml-100k",
            "matinee transform log.csv --out v1 --columns user=who,item=what,time=when --fractions 0.8,0.1,0.1",
            "matinee transform ml-1m --out v2 --cut 2000-08-01 --cut 2000-12-01 --memory-limit 1GB",
        ),
        "transform",
    ),
    Command(
        "load",
        "matinee.cli.load:load",
        "Publish a version from this machine to a store and verify it there.",
        ("matinee load versions/ml-100k --to /srv/matinee", "matinee load versions/ml-100k --to s3://matinee"),
        "load",
    ),
    Command(
        "register",
        "matinee.cli.register:register",
        "Check a version, put its users and items into Postgres, and log it in MLflow.",
        (
            "matinee register versions/ml-100k",
            "matinee register versions/ml-100k --location s3://matinee/ml-100k/versions/0123456789abcdef",
        ),
        "register",
    ),
    Command(
        "train",
        "matinee.cli.train:train",
        "Train a model on a version, give it its recency prior, save, export, track and register it.",
        (
            "matinee train",
            "matinee train ml-100k --model sse-pt --set dropout=0.3 --set blocks=2 --epochs 20",
            "matinee train ml-100k --model item-knn --no-track",
        ),
        "train",
    ),
    Command(
        "evaluate",
        "matinee.cli.evaluate:evaluate",
        "Rank every event of a split with one or more trained models.",
        (
            "matinee evaluate ml-100k/sse-pt",
            "matinee evaluate ml-100k/sse-pt ml-100k/sasrec ml-100k/popularity --split eval",
            "matinee evaluate games/sse-pt --protocol leave-one-out --negatives 100 --users 10000",
        ),
        "evaluate",
    ),
    Command(
        "export",
        "matinee.cli.export:export",
        "Write a trained model as one file for other programs, or a version as the files that other trainers read.",
        (
            "matinee export ml-100k/sse-pt",
            "matinee export ml-100k/sse-pt --format pth --out sse-pt.pth",
            "matinee export sse-pt.pth --format safetensors --out models/mine",
            "matinee export ml-100k --format recbole --out recbole",
            "matinee export ml-100k --format sasrec --out sasrec/data",
            "matinee export ml-100k --format hf --out ml-100k-parquet",
        ),
        "export",
    ),
    Command(
        "serve",
        "matinee.cli.serve:serve",
        "Serve a trained model: recommend, be told what happened, remember it.",
        (
            "matinee serve",
            "matinee serve ml-100k/sse-pt --workers 2",
            "matinee serve models:/ml-100k-sse-pt@champion --listen 0.0.0.0 --token-file token",
        ),
        "serve",
    ),
    Command(
        "promote",
        "matinee.cli.promote:promote",
        "Let a running server go on with another model, without a refused request.",
        ("matinee promote ml-100k/sasrec", "matinee promote models:/ml-100k-sse-pt@champion --port 8642"),
        "promote",
    ),
    Command(
        "person",
        "matinee.cli.person:person",
        "Look at one person: what they had taken, what was offered, and what they took next.",
        (
            "matinee person",
            "matinee person 196 --replay 20261125-101500 --steps 3",
            "matinee person --cold --against http://127.0.0.1:8642",
        ),
        "person",
    ),
    Command(
        "monitor",
        "matinee.cli.monitor:monitor",
        "Show what goes in and out of each network interface, and how busy the machine is.",
        ("matinee monitor", "matinee monitor lo eth0 --every-s 0.5", "matinee monitor --once --json"),
        "monitor",
    ),
    Command(
        "dashboard",
        "matinee.cli.dashboard:dashboard",
        "Show the journey, versions, trainings and replays of a data folder on a web page, live and read-only.",
        ("matinee dashboard", "matinee dashboard --open", "matinee dashboard --listen 0.0.0.0 --token-file token"),
        "dashboard",
    ),
    Command(
        "replay",
        "matinee.cli.replay:replay",
        "Play the people of a split as live traffic through served models, and measure quality and behaviour together.",
        (
            "matinee replay --against ml-100k/sse-pt",
            "matinee replay ml-100k --against http://127.0.0.1:8642 --rate 500 --limit 10000",
            "matinee replay ml-100k --arm net=ml-100k/sse-pt --arm counts=ml-100k/popularity --speed 1000 --max-gap 2",
        ),
        "replay",
    ),
    Command(
        "replay compare",
        "matinee.cli.replay_compare:compare",
        "Compare replays of the same split: quality with significance, latency, throughput, and what differs.",
        (
            "matinee replay compare 20261125-120000 20261125-130000",
            "matinee replay compare replays/monday replays/tuesday --out compared.html",
        ),
        "compare_replays",
    ),
    Command(
        "versions list",
        "matinee.cli.versions:list_",
        "List the versions in a store, the newest first.",
        ("matinee versions list", "matinee versions list --store /srv/matinee --json"),
        "versions.list",
    ),
    Command(
        "versions show",
        "matinee.cli.versions:show",
        "Show one version: where it came from, its splits and files.",
        ("matinee versions show ml-100k", "matinee versions show 0123456789abcdef --store /srv/matinee"),
        "versions.show",
    ),
    Command(
        "versions publish",
        "matinee.cli.versions:publish",
        "Publish a version's folder to a store; `matinee load` is the same.",
        ("matinee versions publish versions/ml-100k --store /srv/matinee",),
        "versions.publish",
    ),
    Command(
        "versions verify",
        "matinee.cli.versions:verify",
        "Read a version back from a store and compare every file's SHA-256 with its manifest.",
        ("matinee versions verify ml-100k", "matinee versions verify 0123456789abcdef --store /srv/matinee"),
        "versions.verify",
    ),
    Command(
        "versions pull",
        "matinee.cli.versions:pull",
        "Copy a version from a store to a folder and verify it.",
        ("matinee versions pull ml-100k --out copies/ml-100k",),
        "versions.pull",
    ),
    Command(
        "versions rollback",
        "matinee.cli.versions:rollback",
        "Make an older version the latest one again; nothing is deleted.",
        ("matinee versions rollback 0123456789abcdef --store /srv/matinee",),
        "versions.rollback",
    ),
    Command(
        "versions gc",
        "matinee.cli.versions:gc",
        "Delete old versions from a store; the latest is always kept.",
        ("matinee versions gc --keep 3", "matinee versions gc --keep 1 --store /srv/matinee --dry-run"),
        "versions.gc",
    ),
    Command(
        "store add",
        "matinee.cli.store:add",
        "Add a remote store to rclone's configuration, and check it.",
        (
            "matinee store add chi_tacc:matinee --type swift --cloud chi_tacc",
            "matinee store add lab:ratings --type s3 --endpoint https://s3.example.org --key-id AKEXAMPLE",
            "matinee store add chi_tacc",
        ),
        "stores.add",
    ),
    Command(
        "store check",
        "matinee.cli.store:check",
        "Prove that a store can be listed, written, read, replaced and deleted in; leave nothing behind.",
        ("matinee store check chi_tacc:matinee", "matinee store check s3://ratings --endpoint https://s3.example.org"),
        "stores.check",
    ),
    Command(
        "store list",
        "matinee.cli.store:list_",
        "List the remote stores that rclone knows by name; no secrets.",
        ("matinee store list", "matinee store list --json"),
        "stores.list",
    ),
    Command(
        "store remove",
        "matinee.cli.store:remove",
        "Take a remote out of rclone's configuration; what lies in the store stays there.",
        ("matinee store remove chi_tacc",),
        "stores.remove",
    ),
    Command(
        "mount",
        "matinee.cli.mount:mount",
        "Show a published version as a read-only folder.",
        ("matinee mount ml-100k /mnt/object --store /srv/matinee",),
        "mount",
    ),
    Command(
        "unmount",
        "matinee.cli.mount:unmount",
        "Take a mounted version away again.",
        ("matinee unmount /mnt/object",),
        "unmount",
    ),
    Command(
        "lineage",
        "matinee.cli.lineage:lineage",
        "Print the chain from a source to a version, and check it.",
        ("matinee lineage", "matinee lineage ml-100k --store /srv/matinee"),
        "trace",
    ),
    Command(
        "backup",
        "matinee.cli.backup:backup",
        "Write databases, buckets, notebooks, lineage and credentials of the stack to one file, while it runs.",
        ("matinee backup monday.tar", "matinee backup /srv/monday.tar --data-dir /mnt/block"),
        "backup",
    ),
    Command(
        "restore",
        "matinee.cli.backup:restore",
        "Bring a backup back into a fresh data folder, checked byte by byte.",
        ("matinee restore monday.tar --data-dir matinee-restored",),
        "restore",
    ),
    Command(
        "doctor",
        "matinee.cli.doctor:doctor",
        "Look at everything that Matinee needs on this machine, and say what to do.",
        ("matinee doctor", "matinee doctor --online --json"),
        "doctor",
    ),
    Command(
        "cloud plan",
        "matinee.cli.cloud:plan",
        "Show what `matinee cloud up` would make in the cloud; changes nothing.",
        ("matinee cloud plan", "matinee cloud plan --json"),
        "cloud.plan",
    ),
    Command(
        "cloud up",
        "matinee.cli.cloud:up",
        "Make server, volume, container and address where they are missing; start the stack there.",
        ("matinee cloud up", "matinee cloud up --yes"),
        "cloud.up",
    ),
    Command(
        "cloud status",
        "matinee.cli.cloud:status",
        "Tell what there is in the cloud, and whether the server answers.",
        ("matinee cloud status", "matinee cloud status --json"),
        "cloud.status",
    ),
    Command(
        "cloud ssh",
        "matinee.cli.cloud:ssh",
        "Log in to the server, or run a command there.",
        ("matinee cloud ssh", "matinee cloud ssh -- matinee status"),
        "cloud.ssh",
    ),
    Command(
        "cloud tunnel",
        "matinee.cli.cloud:tunnel",
        "Lead the server's Postgres, S3, MLflow and JupyterLab to ports of this machine.",
        ("matinee cloud tunnel",),
        "cloud.tunnel",
    ),
    Command(
        "cloud down",
        "matinee.cli.cloud:down",
        "Remove the server; volume and container stay with all that is on them.",
        (
            "matinee cloud down",
            "matinee cloud down --dry-run",
            "matinee cloud down --delete-volume matinee --delete-container matinee",
        ),
        "cloud.down",
    ),
)


def build_app() -> App:
    """The application, with every command registered by its import path."""
    terminal = sys.stdout.isatty()
    app = App(
        name="matinee",
        # Away from a terminal a line ends where it ends, so that it can be searched and diffed.
        console=None if terminal else Console(width=_ENDLESS, markup=False, highlight=False),
        help="A rehearsal before the evening show, for recommenders that learn from sequences.",
        help_format="plaintext",
        help_formatter="default" if terminal else "plain",
        help_epilogue="Start with: matinee rehearse",
        version=_version,
        version_flags=["--version"],
        suppress_keyboard_interrupt=False,  # main has a line and a code for it
    )
    parents = {"": app}
    for place, command in enumerate(COMMANDS):
        group, _, name = command.words.rpartition(" ")
        if group not in parents and group in app:
            parents[group] = app[group]  # a command itself, further up in the table
        elif group not in parents:
            parents[group] = App(name=group, help=GROUPS[group], help_epilogue="", version_flags=[], sort_key=place)
            app.command(parents[group])
        parents[group].command(
            command.target,
            name=name,
            help=command.summary,
            help_epilogue="\n".join(["Examples:", *(f"  {line}" for line in command.examples)]),
            version_flags=[],
            sort_key=place,
        )
    return app


def _version() -> str:
    from matinee import __version__  # noqa: PLC0415 - read from the package's metadata only when asked for

    return f"matinee {__version__}"
