"""Datasets: an archive of labelled pictures in, a validated, split and hashed revision out.

archives         what an archive may cost, and how its members are read; formats, zips: each kind of archive
names            the rules for the names of files
intake           take in the files of one call, each under the hash of its content
batches          what was added to a dataset, call by call
layouts          from files to pictures with class and split, by whichever of these recognises them: folders, metadata,
                 imports (the forms of well-known sets); listing: what they have in common; delimited: tables
inspection       look at every picture; traits: what one is like
problems         what is wrong with a file; findings: what is worth knowing of single pictures; checks: of the set, one
                 entry a kind; steps: how far a validation is
validation       the verdict
splits           seeded, stratified splits where the folder has none
manifest         what a revision is
rows, files      a dataset in the database, and in the home directory
job              the validation of a dataset
store            `Datasets`: all of it
"""

from graft.datasets.archives import ArchiveLimits
from graft.datasets.manifest import Manifest, Picture, Split
from graft.datasets.rows import Dataset, NewDataset
from graft.datasets.splits import SplitRequest
from graft.datasets.store import Datasets

__all__ = ["ArchiveLimits", "Dataset", "Datasets", "Manifest", "NewDataset", "Picture", "Split", "SplitRequest"]
