"""The audit store. `README.md` tells the life of an audit entry and what a crash loses at each step."""
