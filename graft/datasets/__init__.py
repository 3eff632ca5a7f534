"""Datasets: an archive of labelled pictures in, a validated, split and hashed revision out.

names      the rules for the names of files
archives/  what an archive may cost, and how the members of each kind are read
intake     take in the files of one call, each under the hash of its content
batches    what was added to a dataset, call by call
layouts/   from files to pictures with class and split: folders, metadata, and the forms of well-known sets
checking/  look at every picture, say what is worth knowing, split, judge
manifest   what a revision is
rows       a dataset in the database; files: in the home directory
job        the validation of a dataset; steps: how far it is
store      `Datasets`: all of it
"""

from graft.datasets.archives import ArchiveLimits
from graft.datasets.checking.splits import SplitRequest
from graft.datasets.manifest import Manifest, Picture, Split
from graft.datasets.rows import Dataset, NewDataset
from graft.datasets.store import Datasets

__all__ = ["ArchiveLimits", "Dataset", "Datasets", "Manifest", "NewDataset", "Picture", "Split", "SplitRequest"]
