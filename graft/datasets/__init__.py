"""Datasets: an archive of labelled pictures in, a validated, split and hashed revision out.

archives, zips   read an archive's members behind one Protocol, within its limits
checks           the rules for member names, and what the folders say about splits and classes
ingest           unpack, each file under the hash of its content
validation       decode every picture
splits           seeded, stratified splits where the folder has none
manifest         what a revision is
store            `Datasets`: all of it over the database and the home directory
"""

from graft.datasets.archives import ArchiveLimits
from graft.datasets.manifest import Manifest, Picture, Split
from graft.datasets.store import Dataset, Datasets

__all__ = ["ArchiveLimits", "Dataset", "Datasets", "Manifest", "Picture", "Split"]
