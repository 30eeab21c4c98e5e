"""Where every result comes from: OpenLineage events of each stage, and the chain they form."""

from matinee.lineage.artifact import Artifact
from matinee.lineage.chain import Chain, trace
from matinee.lineage.files import Finding, LocalFiles, VersionFiles
from matinee.lineage.link import Link
from matinee.lineage.recorder import Recorder, Run

__all__ = ["Artifact", "Chain", "Finding", "Link", "LocalFiles", "Recorder", "Run", "VersionFiles", "trace"]
