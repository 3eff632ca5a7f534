"""Whether the pictures are pictures, what is worth knowing of them, and which split each is in.

inspection  look at every picture; traits: what one is like
problems    what is wrong with a file; findings: what is worth knowing of single pictures; checks: of the set
splits      seeded, stratified splits where the folder has none
validation  the verdict
"""
