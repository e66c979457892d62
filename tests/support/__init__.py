"""What tests are made with.

upstream/      a scripted registry: faults as values, every request and byte recorded, gates to hold bodies at
images blobs layout debian   deterministic images, on disk too, and a real one
clients storms   HTTP clients exact about bytes, times and endings; many of them at once
serve          `pyregistry serve` as a process: ready when it says so, killed as told
peers tools    real registries and clients
certificates ports surroundings   what those stand on
"""
