"""Trust that is earned: what entries say of an agent, the record that they fold into, and the tier that it deserves.

Pure, and integers only: whoever has the chained fields of the entries comes to the same record on any machine.
"""
